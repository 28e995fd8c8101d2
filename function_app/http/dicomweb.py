"""DICOMweb for readers (PS3.18): QIDO-RS searches, WADO-RS retrieves. The study's SEG, SR and SC belong to it."""

from __future__ import annotations

import fnmatch
import gzip
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import azure.functions as func
from pydicom.datadict import tag_for_keyword

from function_app.http import guard
from function_app.http.guard import Call, Problem, binary
from function_app.http.routes import Routes
from readfirst.adapters.studies import study_images
from readfirst.adapters.studies.study_images import Instance
from readfirst.domain.dicomweb import content_negotiation, dicom_json, multipart, rendering
from readfirst.domain.reading.study_record import StudyRecord

_LIMIT = 100
_LIMIT_MAX = 1000
_LOOKED_THROUGH = 5000  # studies that one search opens, where the index cannot tell which match
_MANY_FRAMES = 500
_THUMBNAIL = 128
_DICOM_JSON = ("application/dicom+json",)
_PARTS = ("multipart/related", "application/dicom", "application/octet-stream")
_PICTURE = ("image/jpeg", "image/png")
_UID = re.compile(r"[0-9.]{1,64}")
_WINDOW = re.compile(r"(-?\d+(?:\.\d+)?),(\d+(?:\.\d+)?)(?:,(linear|linear-exact|sigmoid))?", re.IGNORECASE)


routes = Routes("api")


@routes.answers(media=_DICOM_JSON)
def dicomweb_studies(call: Call) -> func.HttpResponse:
    """GET dicomweb/studies: what the index cannot filter by itself is looked through until the page is full."""
    size, skip = _paging(call)
    found: list[Mapping[str, Any]] = []
    looked = 0
    for record in guard.worklist().newest(call.person.clinics, _study_equals(call)):
        looked += 1
        item = dicom_json.study(StudyRecord.model_validate(record)) if record.get("study_uid") else None
        if item and _matches(item, call):
            found.append(item)
        if len(found) >= size + skip or looked >= _LOOKED_THROUGH:
            break
    more = (
        {} if looked < _LOOKED_THROUGH else {"Warning": '299 readfirst "Only the newest studies were looked through"'}
    )
    return _json(call, found[skip : skip + size], **more)


def _study_equals(call: Call) -> dict[str, str]:
    """What the index can filter by itself: identifiers without a wildcard."""
    fields = {"StudyInstanceUID": "study_uid", "AccessionNumber": "handle", "PatientID": "patient"}
    asked = {fields[k]: v for k, v in _asked(call).items() if k in fields and "*" not in v and "?" not in v}
    return {name: value for name, value in asked.items() if "," not in value and "\\" not in value}


@routes.answers(media=_DICOM_JSON)
def dicomweb_series(call: Call) -> func.HttpResponse:
    """GET dicomweb/studies/{study}/series."""
    size, skip = _paging(call)
    groups = study_images.study_series(_record(call))
    study_images.read_headers([group[0] for group in groups])
    found = [dicom_json.series(group[0].header, len(group)) for group in groups]
    return _json(call, [item for item in found if _matches(item, call)][skip : skip + size])


@routes.answers(media=_DICOM_JSON)
def dicomweb_study_instances(call: Call) -> func.HttpResponse:
    """GET dicomweb/studies/{study}/instances."""
    return _instances(call)


@routes.answers(media=_DICOM_JSON)
def dicomweb_series_instances(call: Call) -> func.HttpResponse:
    """GET dicomweb/studies/{study}/series/{series}/instances."""
    return _instances(call)


def _instances(call: Call) -> func.HttpResponse:
    size, skip = _paging(call)
    selected = _selected(call)
    study_images.read_headers(selected)
    found = [dicom_json.instance(i.header) for i in selected]
    return _json(call, [item for item in found if _matches(item, call)][skip : skip + size])


@routes.answers(
    media=_DICOM_JSON,
    rules=("dicomweb_study_metadata", "dicomweb_series_metadata", "dicomweb_instance_metadata"),
)
def _metadata(call: Call) -> func.HttpResponse:
    call.audit("allowed")
    base = f"{call.api}/dicomweb/studies/{call.study['study_uid']}"
    selected = _selected(call)
    study_images.read_headers(selected)
    return _json(call, [dicom_json.metadata(i.header, base) for i in selected])


@routes.answers(media=_PARTS, rules=("dicomweb_study", "dicomweb_one_series", "dicomweb_instance"))
def _whole(call: Call) -> func.HttpResponse:
    """Instances as multipart/related; one alone also as plain application/dicom for who asks for that."""
    call.audit("allowed")
    asked, selected = _offers(call), _selected(call)
    for offer in asked:
        if not offer.takes("application/dicom") or (offer.parts is False and len(selected) > 1):
            continue
        try:
            parts = [
                (content_negotiation.file_as(study_images.data_of(i), offer), "application/dicom") for i in selected
            ]
        except content_negotiation.NotAcceptable:
            continue
        return (
            binary(parts[0][0], "application/dicom") if offer.parts is False else _multipart(parts, "application/dicom")
        )
    raise Problem(406, "not-acceptable", "The instances cannot be had in that media type and transfer syntax.")


def _offers(call: Call) -> list[content_negotiation.Offer]:
    return content_negotiation.offers(call.request.headers.get("Accept", ""), call.query("accept"))


@routes.answers(media=_PARTS)
def dicomweb_frames(call: Call) -> func.HttpResponse:
    """GET …/frames/{list}: frames from 1, multipart/related, or one alone as it is."""
    return _frames(call, _frame_numbers(call.path["frames"]))


@routes.answers(media=_PARTS)
def dicomweb_bulkdata(call: Call) -> func.HttpResponse:
    """GET …/frames: the pixels that the metadata names by their address."""
    return _frames(call, [])


def _frames(call: Call, numbers: list[int]) -> func.HttpResponse:
    call.audit("allowed")
    data = study_images.data_of(_selected(call)[0])
    for offer in _offers(call):
        try:
            frames, media_type = content_negotiation.frames_as(data, numbers, offer)
        except content_negotiation.NotAcceptable:
            continue
        except IndexError:
            raise Problem(404, "no-such-frame", "The instance has no such frame.") from None
        if offer.parts is False and len(frames) == 1:
            return binary(frames[0], media_type.split(";")[0])
        if offer.parts is not False:
            return _multipart([(frame, media_type) for frame in frames], media_type.split(";")[0])
    raise Problem(406, "not-acceptable", "The frames cannot be had in that media type and transfer syntax.")


@routes.answers(
    media=_PICTURE,
    rules=("dicomweb_study_thumbnail", "dicomweb_series_thumbnail", "dicomweb_instance_thumbnail"),
)
def dicomweb_thumbnail(call: Call) -> func.HttpResponse:
    """GET …/thumbnail: a small picture of a study, a series or an instance."""
    selected = [i for i in _selected(call) if i.is_image]
    if not selected:
        raise Problem(406, "no-picture", "There is nothing here that can be shown as a picture.")
    return _picture(call, selected[len(selected) // 2], 0, _THUMBNAIL)


@routes.answers(media=_PICTURE)
def dicomweb_frame_rendered(call: Call) -> func.HttpResponse:
    """GET …/frames/{list}/rendered: one frame as a picture."""
    numbers = _frame_numbers(call.path["frames"])
    if len(numbers) != 1:
        raise Problem(406, "one-frame", "One frame at a time can be shown as a picture.")
    return _picture(call, _selected(call)[0], numbers[0] - 1, None)


@routes.answers(media=_PICTURE)
def dicomweb_rendered(call: Call) -> func.HttpResponse:
    """GET …/rendered: JPEG, or PNG for who asks for it; `window` and `viewport` as PS3.18 8.3.5 has them."""
    return _picture(call, _selected(call)[0], 0, None)


def _picture(call: Call, instance: Instance, frame: int, longest: int | None) -> func.HttpResponse:
    window = _WINDOW.fullmatch(call.query("window"))
    if call.query("window") and not window:
        raise Problem(400, "bad-window", "`window` is centre,width,function.")
    kind = next((k for o in _offers(call) for k in ("JPEG", "PNG") if o.takes(f"image/{k.lower()}")), None)
    if kind is None:
        raise Problem(406, "not-acceptable", "Pictures are image/jpeg or image/png.")
    ds = study_images.data_set(instance)
    if frame >= int(ds.get("NumberOfFrames") or 1):
        raise Problem(404, "no-such-frame", "The instance has no such frame.")
    try:
        chosen = rendering.Window(float(window[1]), float(window[2]), _function(window[3])) if window else None
        picture = rendering.grey_or_colour(ds, frame, window=chosen)
    except rendering.NoPicture:
        raise Problem(406, "no-picture", "The instance cannot be shown as a picture.") from None
    if side := re.fullmatch(r"(\d{1,4}),(\d{1,4})", call.query("viewport", "")):
        longest = max(1, min(int(side[1]), int(side[2])))
    call.audit("allowed")
    return binary(rendering.encoded(picture, side=longest, kind=kind), f"image/{kind.lower()}", seconds=300)


def _function(asked: str | None) -> str:
    """A window's function as data sets write it: LINEAR_EXACT where an address has linear-exact."""
    return (asked or "linear").upper().replace("-", "_")


def _record(call: Call) -> StudyRecord:
    return StudyRecord.model_validate(call.study)


def _selected(call: Call) -> list[Instance]:
    """The instances that the path names, in viewing order; 404 where there is none."""
    series, sop = call.path.get("series"), call.path.get("instance")
    if series and sop and _UID.fullmatch(series) and _UID.fullmatch(sop):
        image = study_images.one(_record(call), series, sop)
        if image is not None:
            return [image]
    found = [
        i
        for group in study_images.study_series(_record(call))
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
        keyword = dicom_json.keyword(name)
        if keyword and value not in ("", "*"):
            asked[keyword] = value
    return asked


def _matches(item: Mapping[str, Any], call: Call) -> bool:
    """PS3.18 8.3.4: every attribute matches; values match by wildcard, list of UIDs, or range of dates."""
    return all(_one(item, keyword, wanted) for keyword, wanted in _asked(call).items())


def _one(item: Mapping[str, Any], keyword: str, wanted: str) -> bool:
    tag = f"{tag_for_keyword(keyword):08X}"
    element = item.get(tag, {})
    values = [
        v.get("Alphabetic", "") if isinstance(v, dict) else str(v) for v in element.get("Value", []) if v is not None
    ]
    vr = element.get("vr", "")
    if vr in ("DA", "TM", "DT") and "-" in wanted:
        low, _, high = wanted.partition("-")
        return any((not low or v >= low) and (not high or v <= high) for v in values)
    if vr == "UI":
        return any(v in re.split(r"[,\\]", wanted) for v in values)
    return any(fnmatch.fnmatchcase(v.upper(), wanted.upper().replace("[", "[[]")) for v in values)


def _json(call: Call, items: Iterable[Mapping[str, Any]], **more: str) -> func.HttpResponse:
    if not any(o.takes(kind) for o in _offers(call) for kind in ("application/dicom+json", "application/json")):
        raise Problem(406, "not-acceptable", "Answers are application/dicom+json.")
    if call.query("fuzzymatching").lower() == "true" and not more:
        more = {
            "Warning": '299 readfirst "The fuzzymatching parameter is not supported. Only literal matching was done."'
        }
    body = json.dumps(list(items), separators=(",", ":"), allow_nan=False).encode()
    headers = {**guard.HEADERS, "Vary": "Accept-Encoding", **more}
    if "gzip" in call.request.headers.get("Accept-Encoding", ""):
        body, headers["Content-Encoding"] = gzip.compress(body, 5), "gzip"
    return func.HttpResponse(body, mimetype="application/dicom+json", headers=headers)


def _multipart(parts: list[tuple[bytes, str]], root: str) -> func.HttpResponse:
    body, boundary = multipart.related(parts)
    content_type = f'multipart/related; type="{root}"; boundary={boundary}'
    return func.HttpResponse(
        body, headers={**guard.HEADERS, "Content-Type": content_type, "Cache-Control": "private, no-store"}
    )


blueprint = routes.blueprint()
