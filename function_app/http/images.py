"""App `api`: the images of a study, as the portal's viewer takes them. DICOMweb is in dicomweb.py."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import azure.functions as func
from pydantic import BaseModel

from function_app.http.guard import Call, Problem, answer, answer_if_changed, binary
from function_app.http.routes import PNG, Routes, Tagged
from readfirst.adapters import blobs, clients
from readfirst.adapters.studies import study_images as images
from readfirst.adapters.studies.study_index import iso
from readfirst.domain import resource_names
from readfirst.domain.analysis import segment_rle
from readfirst.domain.reading.study_record import StudyRecord

_IMAGE_ADDRESS_LIFE = timedelta(minutes=15)
_KEY_IMAGE_SIDE = 512

routes = Routes("api")


class ImageAddress(BaseModel):
    """An instance and where its bytes are, for a while. `at`: where it lies along the series' normal, in mm."""

    sop_uid: str
    frames: int
    image: bool
    at: float | None
    url: str


class ImageSeries(BaseModel):
    """A series, its instances in viewing order."""

    series_uid: str
    modality: str
    number: int | None
    description: str
    instances: list[ImageAddress]


class StudyImages(BaseModel):
    """All images of a study; the addresses work `until` then."""

    series: list[ImageSeries]
    until: str


@routes.answers(StudyImages)
def study_images(call: Call) -> func.HttpResponse:
    """GET studies/{token}/images: series and instances in order, each with a short-lived address of its bytes."""
    record = StudyRecord.model_validate(call.study)
    call.audit("allowed")
    sign = images.signer(call.now + _IMAGE_ADDRESS_LIFE)
    groups = images.study_series(record)
    images.read_headers([group[0] for group in groups])
    series = [_image_series(group, sign) for group in groups]
    return answer(StudyImages(series=series, until=iso(call.now + _IMAGE_ADDRESS_LIFE)))


def _image_series(group: list[images.Instance], sign: Callable[[str, str], str]) -> ImageSeries:
    facts = group[0].facts
    addresses = [
        ImageAddress(
            sop_uid=i.facts.sop_uid, frames=i.facts.frames, image=i.is_image, at=at, url=sign(i.container, i.blob)
        )
        for i, at in zip(group, images.places(group), strict=True)
    ]
    return ImageSeries(
        series_uid=facts.series_uid,
        modality=facts.modality,
        number=facts.series_number,
        description=group[0].description,
        instances=addresses,
    )


@routes.answers(media=PNG)
def study_key_image(call: Call) -> func.HttpResponse:
    """GET studies/{token}/key-image: the slice of the finding to read first, else the middle of the largest series."""
    record = StudyRecord.model_validate(call.study)
    found = images.key_image(record, _KEY_IMAGE_SIDE)
    if found is None:
        raise Problem(404, "no-image", "The study has no image yet.")
    return binary(found, "image/png", seconds=300)


@routes.answers(media=PNG)
def study_overlay(call: Call) -> func.HttpResponse:
    """GET studies/{token}/overlays/{finding}: the finding's overlay PNG as the job drew it."""
    record = StudyRecord.model_validate(call.study)
    name = next((f.overlay for f in record.findings if f.key == call.path["finding"]), "")
    data = blobs.read(clients.container(resource_names.STUDIES, resource_names.ANALYSIS), name) if name else None
    if data is None:
        raise Problem(404, "no-overlay", "The finding has no overlay.")
    return binary(data, "image/png", seconds=300)


class Masks(Tagged):
    """The segmented pixels: finding → instance → runs [row, first column, length]."""

    findings: dict[str, dict[str, list[tuple[int, int, int]]]]


@routes.answers(Masks)
def study_masks(call: Call) -> func.HttpResponse:
    """GET studies/{token}/masks: findings → instance → runs of pixels [row, first column, length]."""
    record = StudyRecord.model_validate(call.study)
    found: dict[str, dict[str, segment_rle.Runs]] = {}
    for segmentation, keys in images.segmentations(record):
        places = images.places_by_name(record) if segment_rle.is_moved(segmentation) else None
        masks = segment_rle.segment_rle(segmentation, list(keys), places)
        found |= {keys[own]: runs for own, runs in masks.items()}
    return answer_if_changed(call.request, Masks.model_construct(findings=found))  # many numbers


blueprint = routes.blueprint()
