"""How likely a name is in the picture, by what the header says: which pictures must be searched before they pass."""

from __future__ import annotations

from collections.abc import Mapping

from readfirst.domain.deid.dicom import tags

# Pictures that carry the patient's name as a rule, or whose origin nobody knows.
_RISKY = frozenset(
    ("US", "IVUS", "BDUS", "SC", "XC", "RF", "XA", "OT", "ES", "GM", "SM", "DG", "DOC", "VL", "OP", "OPT", "TG", "HC")
)
# Projection pictures: side markers always, names sometimes.
_PROJECTIONS = frozenset(("CR", "DX", "MG", "PX", "IO", "RG", "DR", "BMD"))
_CONVERTED = frozenset(("DV", "DI", "DF", "WSD", "SD", "SI", "DRW"))
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def must_search(subject: Mapping[int, str]) -> str:
    """Why the picture must be searched for text; "" for slices straight from a scanner."""
    modality = subject.get(tags.Modality, "")
    if subject.get(tags.BurnedInAnnotation, "").upper() == "YES":
        return "BurnedInAnnotation is YES"
    if modality in _RISKY or not modality:
        return f"modality {modality or 'missing'}"
    if subject.get(tags.SOPClassUID, "").startswith(_SECONDARY_CAPTURE):
        return "secondary capture"
    if subject.get(tags.ConversionType, "") in _CONVERTED:
        return "converted from another medium"
    if modality in _PROJECTIONS:
        return f"modality {modality}"
    image_type = subject.get(tags.ImageType, "").upper().split("\\")
    if "SCREEN SAVE" in image_type or (image_type[:2] == ["DERIVED", "SECONDARY"] and "MPR" not in image_type):
        return "derived image"
    return ""
