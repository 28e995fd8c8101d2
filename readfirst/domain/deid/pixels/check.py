"""Decides how the frames of an instance are searched, and what is said of the outcome."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from readfirst.domain.deid.dicom.elements import Bulk, Unreadable
from readfirst.domain.deid.pixels.decode import Frame
from readfirst.domain.deid.pixels.frames import Images
from readfirst.domain.deid.pixels.screen import places
from readfirst.domain.deid.pixels.search import Finding, joined, search, text_in
from readfirst.domain.deid.pixels.text import Box, NoDetector
from readfirst.domain.refusals import Reason

GROUP = 16  # frames that are searched together, as their brightest and their middle values
TOGETHER = 128 * 1024 * 1024  # bytes of frames in memory at a time


@dataclass(frozen=True)
class Checked:
    """The outcome: new pixel data where something was blanked (None: as they were)."""

    pixels: Bulk | None
    findings: tuple[Finding, ...]
    searched: int  # frames that the detector has seen

    @property
    def frames(self) -> int:
        """How many frames were looked at."""
        return sum(f.frames for f in self.findings)


def check_pixels(images: Images, regions: tuple[Box, ...] = ()) -> Checked:
    """Searches every frame. Raises Unreadable where the picture cannot be proven to show no name.

    `regions` are the places of ultrasound data: when the search is not sure of a frame, all around them is blanked.
    """
    try:
        findings = tuple(search(group, images, regions) for group in _groups(images))
    except NoDetector as error:
        raise Unreadable(Reason.PIXELS_UNVERIFIED, str(error)) from error
    return _checked(images, findings, images.shape.frames)


def _checked(images: Images, findings: tuple[Finding, ...], searched: int) -> Checked:
    if sum(f.frames for f in findings) != images.shape.frames:
        raise Unreadable(Reason.PIXELS_UNVERIFIED, "another number of frames than the header says")
    if not any(f.blank for f in findings):
        return Checked(None, findings, searched)
    boxes = [list(f.blank) for f in findings for _ in range(f.frames)]
    return Checked(images.blanked(boxes), findings, searched)


def screen_pixels(images: Images) -> Checked:
    """For pictures that hardly ever hold text: only frames on which something stands like letters are searched."""
    findings, suspects = [], 0
    try:
        for frame in images.frames():
            boxes = places(frame if frame.ndim == 2 and images.palette is None else images.grey(frame))
            # Each place with its own contrast: a corner costs a fraction of the picture's search.
            texts = [text for box in joined(boxes) for text in text_in(frame, images, box)]
            suspects += bool(texts)
            findings.append(search([frame], images, (), texts) if texts else Finding(1, (), (), ()))
    except NoDetector as error:
        raise Unreadable(Reason.PIXELS_UNVERIFIED, str(error)) from error
    return _checked(images, tuple(findings), suspects)


def _groups(images: Images) -> Iterator[list[Frame]]:
    frames = images.frames()
    together = max(1, min(GROUP, TOGETHER // images.frame_bytes))
    while group := list(islice(frames, together)):
        yield group
