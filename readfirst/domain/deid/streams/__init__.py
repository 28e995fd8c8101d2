"""Compressed pictures reduced to what decoding needs: every part of a stream is known and kept, or it is left out."""

from __future__ import annotations

from readfirst.domain.deid.dicom.elements import Unreadable
from readfirst.domain.refusals import Reason


def not_readable(detail: str) -> Unreadable:
    """The refusal of a compressed picture whose parts cannot be told apart."""
    return Unreadable(Reason.PIXELS_UNVERIFIED, f"the compressed picture cannot be read to its end: {detail}")
