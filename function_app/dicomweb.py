"""DICOMweb for readers (PS3.18): QIDO-RS searches, WADO-RS retrieves. The study's SEG, SR and SC belong to it."""

from __future__ import annotations

import fnmatch
import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import azure.functions as func
from pydicom.datadict import tag_for_keyword

from function_app import web
from function_app.web import Call, Problem, binary
from readfirst.adapters import images
from readfirst.adapters.images import Instance
from readfirst.domain import dicomjson, multipart, pictures, transfer
from readfirst.domain.records import StudyRecord

_LIMIT = 100
_LIMIT_MAX = 1000
_MANY_FRAMES = 500
_UID = re.compile(r"[0-9.]{1,64}")
_WINDOW = re.compile(r"(-?\d+(?:\.\d+)?),(\d+(?:\.\d+)?)(?:,linear)?")


def dicomweb_studies(call: Call) -> func.HttpResponse:
    """GET dicomweb/studies."""
    size, skip = _paging(call)
    records = web.worklist().all_studies(call.person.clinics, size + skip, _study_equals(call))
    found = [dicomjson.study(StudyRecord.model_validate(r)) for r in records if r.get("study_uid")]
    return _json(call, [item for item in found if _matches(item, call)][skip : skip + size])


def _study_equals(call: Call) -> dict[str, str]:
    """What the index can filter by itself: identifiers without a wildcard."""
    fields = {"StudyInstanceUID": "study_uid", "AccessionNumber": "handle", "PatientID": "patient"}
    asked = {fields[k]: v for k, v in _asked(call).items() if k in fields and "*" not in v and "?" not in v}
    return {name: value for name, value in asked.items() if "," not in value and "\\" not in value}


def dicomweb_series(call: Call) -> func.HttpResponse:
    """GET dicomweb/studies/{study}/series."""
    size, skip = _paging(call)
    groups = images.study_series(_record(call))
    images.read_headers([group[0] for group in groups])
    found = [dicomjson.series(group[0].header, len(group)) for group in groups]
    return _json(call, [item for item in found if _matches(item, call)][skip : skip + size])


def dicomweb_study_instances(call: Call) -> func.HttpResponse:
    """GET dicomweb/studies/{study}/instances."""
    return _instances(call)


def dicomweb_series_instances(call: Call) -> func.HttpResponse:
    """GET dicomweb/studies/{study}/series/{series}/instances."""
    return _instances(call)


def _instances(call: Call) -> func.HttpResponse:
    size, skip = _paging(call)
    selected = _selected(call)
    images.read_headers(selected)
    found = [dicomjson.instance(i.header) for i in selected]
    return _json(call, [item for item in found if _matches(item, call)][skip : skip + size])


def _metadata(call: Call) -> func.HttpResponse:
    call.audit("allowed")
    base = f"{_origin(call.request)}/api/dicomweb/studies/{call.study['study_uid']}"
    selected = _selected(call)
    images.read_headers(selected)
    return _json(call, [dicomjson.metadata(i.header, base) for i in selected])


def _whole(call: Call) -> func.HttpResponse:
    """Instances as multipart/related; one alone also as plain application/dicom for who asks for that."""
    call.audit("allowed")
    accept = call.request.headers.get("Accept", "")
    wanted = transfer.wanted(accept, call.query("accept"))
    parts = [(_in_syntax(images.data_of(i), wanted), "application/dicom") for i in _selected(call)]
    if len(parts) == 1 and accept.strip().startswith("application/dicom"):
        return binary(parts[0][0], "application/dicom")
    return _multipart(parts, "application/dicom")


def _in_syntax(data: bytes, wanted: str | None) -> bytes:
    try:
        return transfer.file_as(data, wanted)
    except transfer.NotAcceptable:
        raise Problem(406, "transfer-syntax", "The instance cannot be had in that transfer syntax.") from None


def dicomweb_frames(call: Call) -> func.HttpResponse:
    """GET …/frames/{list}: frames from 1, multipart/related."""
    numbers = _frame_numbers(call.path["frames"])
    wanted = transfer.wanted(call.request.headers.get("Accept", ""), call.query("accept"))
    data = images.data_of(_selected(call)[0])
    try:
        frames, media_type = transfer.frames_as(data, numbers, wanted)
    except transfer.NotAcceptable:
        raise Problem(406, "transfer-syntax", "The frames cannot be had in that transfer syntax.") from None
    except IndexError:
        raise Problem(404, "no-such-frame", "The instance has no such frame.") from None
    return _multipart([(frame, media_type) for frame in frames], media_type.split(";")[0])


def dicomweb_rendered(call: Call) -> func.HttpResponse:
    """GET …/rendered: JPEG, or PNG for who asks for it; `window` and `viewport` as PS3.18 8.3.5 has them."""
    ds = images.data_set(_selected(call)[0])
    window = _WINDOW.fullmatch(call.query("window"))
    if call.query("window") and not window:
        raise Problem(400, "bad-window", "`window` is centre,width,linear.")
    kind = "PNG" if "image/png" in call.request.headers.get("Accept", "") else "JPEG"
    side = re.fullmatch(r"(\d{1,4}),(\d{1,4})", call.query("viewport", ""))
    try:
        chosen = (float(window[1]), float(window[2])) if window else None
        picture = pictures.grey_or_colour(ds, window=chosen)
    except pictures.NoPicture:
        raise Problem(406, "no-picture", "The instance cannot be shown as a picture.") from None
    longest = max(1, min(int(side[1]), int(side[2]))) if side else None
    return binary(pictures.encoded(picture, side=longest, kind=kind), f"image/{kind.lower()}", seconds=300)


def _record(call: Call) -> StudyRecord:
    return StudyRecord.model_validate(call.study)


def _selected(call: Call) -> list[Instance]:
    """The instances that the path names, in viewing order; 404 where there is none."""
    series, sop = call.path.get("series"), call.path.get("instance")
    if series and sop and _UID.fullmatch(series) and _UID.fullmatch(sop):
        image = images.one(_record(call), series, sop)
        if image is not None:
            return [image]
    found = [
        i
        for group in images.study_series(_record(call))
        for i in group
        if series in (None, i.facts.series_uid) and sop in (None, i.facts.sop_uid)
    ]
    if not found:
        raise Problem(404, "no-such-instance", "The study has no such series or instance.")
    return found


def _frame_numbers(text: str) -> list[int]:
    if not re.fullmatch(r"[1-9]\d{0,6}(,[1-9]\d{0,6})*", text) or text.count(",") >= _MANY_FRAMES:
        raise Problem(400, "bad-frames", "Frames are numbers from 1, joined by commas.")
    return [int(number) for number in text.split(",")]


def _paging(call: Call) -> tuple[int, int]:
    try:
        limit, offset = int(call.query("limit", str(_LIMIT))), int(call.query("offset", "0"))
    except ValueError:
        raise Problem(400, "bad-paging", "`limit` and `offset` are numbers.") from None
    return min(max(limit, 0), _LIMIT_MAX), max(offset, 0)


def _asked(call: Call) -> Mapping[str, str]:
    """The attributes that the query asks for, by keyword (they may come as tags)."""
    asked = {}
    for name, value in call.request.params.items():
        keyword = dicomjson.keyword(name)
        if keyword and value not in ("", "*"):
            asked[keyword] = value
    return asked


def _matches(item: Mapping[str, Any], call: Call) -> bool:
    """PS3.18 8.3.4: every attribute matches; values match by wildcard, list of UIDs, or range of dates."""
    return all(_one(item, keyword, wanted) for keyword, wanted in _asked(call).items())


def _one(item: Mapping[str, Any], keyword: str, wanted: str) -> bool:
    tag = f"{tag_for_keyword(keyword):08X}"
    element = item.get(tag, {})
    values = [v.get("Alphabetic", "") if isinstance(v, dict) else str(v) for v in element.get("Value", [])]
    vr = element.get("vr", "")
    if vr in ("DA", "TM", "DT") and "-" in wanted:
        low, _, high = wanted.partition("-")
        return any((not low or v >= low) and (not high or v <= high) for v in values)
    if vr == "UI":
        return any(v in re.split(r"[,\\]", wanted) for v in values)
    return any(fnmatch.fnmatchcase(v.upper(), wanted.upper().replace("[", "[[]")) for v in values)


def _json(call: Call, items: Iterable[Mapping[str, Any]]) -> func.HttpResponse:
    body = json.dumps(list(items), separators=(",", ":")).encode()
    headers = {"Cache-Control": "private, no-cache", "Vary": "Accept-Encoding"}
    if "gzip" in call.request.headers.get("Accept-Encoding", ""):
        body, headers["Content-Encoding"] = gzip.compress(body, 5), "gzip"
    return func.HttpResponse(body, mimetype="application/dicom+json", headers=headers)


def _multipart(parts: list[tuple[bytes, str]], root: str) -> func.HttpResponse:
    body, boundary = multipart.related(parts)
    content_type = f'multipart/related; type="{root}"; boundary={boundary}'
    return func.HttpResponse(body, headers={"Content-Type": content_type, "Cache-Control": "private, no-store"})


def _origin(request: func.HttpRequest) -> str:
    parts = request.url.split("/", 3)
    return "/".join(parts[:3]) if parts[0].startswith("http") else ""


def _named(*handlers: Any) -> Iterator[tuple[str, Any]]:
    for handler in handlers:
        yield handler.__name__, handler


HANDLERS = {
    **dict(
        _named(
            dicomweb_studies, dicomweb_series, dicomweb_study_instances, dicomweb_series_instances, dicomweb_frames,
            dicomweb_rendered,
        )
    ),
    **dict.fromkeys(("dicomweb_study_metadata", "dicomweb_series_metadata", "dicomweb_instance_metadata"), _metadata),
    **dict.fromkeys(("dicomweb_study", "dicomweb_one_series", "dicomweb_instance"), _whole),
}  # fmt: skip

blueprint = web.blueprint("api", HANDLERS)
