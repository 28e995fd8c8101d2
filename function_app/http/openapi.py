"""The OpenAPI 3.1 document, made from the access table and the shapes that the handlers parse."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from readfirst.domain.access.rules import RULES, Rule
from readfirst.domain.analysis import progress
from readfirst.domain.reading.reviews import WHAT, Review, Told
from readfirst.domain.reading.study_record import StudyRecord

_PARAMETER = re.compile(r"{(\w+)}")
_REFERENCE = "#/components/schemas/{model}"
_PROBLEMS = {
    "400": "Bad request",
    "401": "Not signed in",
    "403": "Forbidden",
    "404": "Not found",
    "406": "Not acceptable",
    "409": "Not now",
    "412": "Conflict",
    "413": "Too large",
    "422": "Invalid",
    "428": "If-Match needed",
    "429": "Too many",
}


@cache
def document() -> dict[str, Any]:
    """The document."""
    paths: dict[str, dict[str, Any]] = {}
    for rule in RULES:
        paths.setdefault(f"/api/{rule.route}", {})[rule.method.lower()] = _operation(rule)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Readfirst", "version": "1", "description": "Worklist, study, review, DICOMweb, identity."},
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "schemas": _schemas(),
        },
    }


def _schemas() -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, schema in (
        ("StudyRecord", StudyRecord.model_json_schema(ref_template=_REFERENCE)),
        ("Review", Review.model_json_schema(ref_template=_REFERENCE)),
        ("ReviewEvent", WHAT.json_schema(ref_template=_REFERENCE)),
        ("Told", Told.model_json_schema(ref_template=_REFERENCE)),
        ("Progress", progress.ProgressView.model_json_schema(ref_template=_REFERENCE)),
    ):
        made |= schema.pop("$defs", {})
        made[name] = schema
    made["Problem"] = {
        "type": "object",
        "required": ["type", "title", "status", "code", "detail"],
        "properties": {n: {"type": "string"} for n in ("type", "title", "code", "detail")}
        | {"status": {"type": "integer"}},
    }
    return made


_BODIES = {
    "study_review": {"type": "object", "properties": {"what": {"$ref": "#/components/schemas/ReviewEvent"}}},
    "study_told": {"$ref": "#/components/schemas/Told"},
}


def _operation(rule: Rule) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(rule.route)
    ]
    if rule.name == "study_review":
        parameters.append({"name": "If-Match", "in": "header", "required": True, "schema": {"type": "string"}})
    operation: dict[str, Any] = {
        "operationId": rule.name,
        "summary": rule.summary,
        "tags": [rule.app],
        "description": f"Roles: {', '.join(rule.roles) or 'everyone'}. {rule.why}",
        "parameters": parameters,
        "responses": _answers(rule) | ({} if rule.anonymous else _problems()),
        "security": [] if rule.anonymous else [{"bearer": []}],
    }
    if rule.method == "POST":
        schema = _BODIES.get(rule.name, {"type": "object"})
        operation["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return operation


def _answers(rule: Rule) -> dict[str, Any]:
    """What the route answers when all is well. 304 where a client says what it has already."""
    media = _MEDIA.get(rule.name, ("application/json",))
    schema = _SHAPES.get(rule.name, {"type": "object"})
    status = _STATUS.get(rule.name, "200")
    content = {kind: {"schema": schema} if kind.endswith("json") else {} for kind in media}
    answers: dict[str, Any] = {status: {"description": rule.summary, "content": content}}
    if rule.method == "GET":
        answers["304"] = {"description": "As you have it"}
    return answers


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _list(of: Any) -> dict[str, Any]:
    return {"type": "array", "items": of}


_ANY, _TEXT, _NUMBER, _FLAG = {"type": "object"}, {"type": "string"}, {"type": "number"}, {"type": "boolean"}
_PROGRESS = {"anyOf": [{"$ref": "#/components/schemas/Progress"}, {"type": "null"}]}
_LINE = _object(
    id=_TEXT,
    clinic=_TEXT,
    handle=_TEXT,
    label=_TEXT,
    review=_TEXT,
    due=_TEXT,
    band={"enum": [0, 1, 2]},
    progress=_PROGRESS,
)
_PICTURE = ("image/jpeg", "image/png")
_DICOM_JSON = ("application/dicom+json",)
_PARTS = ("multipart/related", "application/dicom", "application/octet-stream")

_STATUS = {
    **dict.fromkeys(("study_replay", "study_cancel", "quarantine_decision", "erase", "merge"), "202"),
    **dict.fromkeys(("study_review", "study_told", "request_identity", "upload_address"), "201"),
}

# What stands in the answers that the portal and others build on. DICOMweb's shapes are PS3.18's.
_SHAPES: dict[str, Any] = {
    "api_description": _object(openapi=_TEXT, paths=_ANY, components=_ANY),
    "me": _object(
        id=_TEXT, name=_TEXT, roles=_list(_TEXT), clinics=_list(_object(id=_TEXT, name=_TEXT)), may=_list(_TEXT)
    ),
    "studies": _object(items=_list(_LINE), next={"type": ["string", "null"]}, etag=_TEXT),
    "study": _object(
        study={"$ref": "#/components/schemas/StudyRecord"},
        review={"$ref": "#/components/schemas/Review"},
        events=_list(_ANY),
        timeline=_list(_object(at=_TEXT, what=_TEXT)),
        priors=_list(_object(id=_TEXT, handle=_TEXT, days={"type": ["integer", "null"]})),
        cost=_object(usd=_NUMBER, lines=_list(_ANY)),
        progress=_PROGRESS,
        etag=_TEXT,
    ),
    "study_review": _object(review={"$ref": "#/components/schemas/Review"}, etag=_TEXT),
    "study_told": _object(review={"$ref": "#/components/schemas/Review"}, etag=_TEXT),
    "study_images": _object(
        series=_list(
            _object(series_uid=_TEXT, modality=_TEXT, instances=_list(_object(sop_uid=_TEXT, image=_FLAG, url=_TEXT)))
        ),
        until=_TEXT,
    ),
    "study_masks": _object(findings=_ANY),
    "study_privacy": _object(
        handle=_TEXT, title=_TEXT, facts=_list(_list(_TEXT)), harbor=_list(_list(_TEXT)), rules=_list({})
    ),
    "models": _object(
        models=_list(_object(name=_TEXT, version=_TEXT, digest=_TEXT, disclaimer=_TEXT, studies=_NUMBER))
    ),
    "audit": _object(app=_TEXT, day=_TEXT, days=_list(_object(day=_TEXT, entries=_NUMBER)), entries=_list(_ANY)),
    "ops": _object(
        studies=_NUMBER, per_day=_list(_ANY), stages=_list(_ANY), spend=_object(studies=_NUMBER), models=_list(_ANY)
    ),
    "break_glass_list": _object(uses=_list(_object(act=_ANY, state=_TEXT, overdue=_FLAG))),
    "requests": _object(requests=_list(_object(act=_ANY, state=_TEXT, mine=_FLAG)), decides=_FLAG),
    "quarantine": _object(
        items=_list(_object(item=_TEXT, clinic=_TEXT, reason=_TEXT, advice=_TEXT, size=_NUMBER, at=_TEXT)), more=_FLAG
    ),
    "quarantine_texts": _object(
        frame=_NUMBER, frames=_NUMBER, texts=_list(_object(left=_NUMBER, top=_NUMBER, marker=_FLAG))
    ),
    "quarantine_persons": _object(
        persons=_list(
            _object(
                patient_id=_TEXT, issuer=_TEXT, name=_TEXT, birth_date=_TEXT, sex=_TEXT, files=_NUMBER, possible=_FLAG
            )
        )
    ),
    "uploads": _object(items=_list(_object(clinic=_TEXT, kind=_TEXT)), more=_FLAG),
    "upload_address": _object(address=_TEXT, until=_TEXT),
    **{
        name: _object(name=_TEXT, patient_id=_TEXT, birth_date=_TEXT, accession=_TEXT, until=_TEXT, watermark=_TEXT)
        for name in ("treatment", "break_glass", "request_open")
    },
    **{rule.name: _list(_ANY) for rule in RULES if rule.name.startswith("dicomweb_")},
}
_MEDIA: dict[str, tuple[str, ...]] = {
    **{rule.name: _DICOM_JSON for rule in RULES if rule.name.startswith("dicomweb_")},
    **dict.fromkeys(("study_key_image", "study_overlay", "quarantine_picture"), ("image/png",)),
    "study_privacy": ("application/json", "text/html"),
    **dict.fromkeys(("dicomweb_study", "dicomweb_one_series", "dicomweb_instance"), _PARTS),
    **dict.fromkeys(("dicomweb_frames", "dicomweb_bulkdata"), _PARTS),
    **{
        f"dicomweb_{what}": _PICTURE
        for what in ("rendered", "frame_rendered", "study_thumbnail", "series_thumbnail", "instance_thumbnail")
    },
}


def _problems() -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": text, "content": content} for status, text in _PROBLEMS.items()}
