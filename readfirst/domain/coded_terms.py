"""Terms on which everything else turns, read as they are meant although they are written in lower case or twice.

A modality in lower case was emptied as ill-formed, and its picture then neither searched for text nor read by a model.
"""

from __future__ import annotations

MODALITIES = frozenset((
    "CR", "CT", "DX", "ES", "IO", "IVUS", "MG", "MR", "NM", "OCT", "OP", "OPT", "OT", "PT", "PX", "RF", "RG", "SC",
    "SM", "US", "XA", "XC", "RTDOSE", "RTIMAGE", "SEG",
))  # fmt: skip
PHOTOMETRIC_INTERPRETATIONS = frozenset((
    "MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT",
    "YBR_RCT", "YBR_PARTIAL_422", "XYB",
))  # fmt: skip  # PS3.3 C.7.6.3.1.2
_KNOWN = {0x00080060: MODALITIES, 0x00280004: PHOTOMETRIC_INTERPRETATIONS}
TAGS = frozenset(_KNOWN)


def as_term(tag: int, value: bytes) -> bytes:
    """A value of Modality or PhotometricInterpretation as the standard writes it, padded to an even length; unchanged
    where it is no known term, or several different ones."""
    said = {one.strip(" \0").upper() for one in value.decode("latin-1").split("\\")}
    term = next(iter(said))
    if len(said) > 1 or term not in _KNOWN[tag]:
        return value
    return value if value.rstrip(b" \0") == term.encode() else term.encode() + b" " * (len(term) % 2)
