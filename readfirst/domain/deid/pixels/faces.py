"""Whether a picture could show a face: a volume of the head can be rendered as one, a photograph may be one.

The picture decides where it can be measured (`readfirst.domain.deid.heads`): the body part is often only the first
region of a protocol. Where it cannot, any label that names the head is enough. Renderings, screens and pictures of
unknown origin are not slices: a face in them cannot be ruled out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from readfirst.domain.deid.dicom import tags

VOLUMES = frozenset(("CT", "MR", "PT", "NM"))
PHOTOGRAPHS = frozenset(("XC", "OP", "GM", "DMS"))
_WORDS = (
    tags.BodyPartExamined,
    tags.StudyDescription,
    tags.SeriesDescription,
    tags.ProtocolName,
)  # body part, descriptions of study and series, protocol
_UNKNOWN_ORIGIN = frozenset(("SC", "OT", "DOC", "VL"))
# Secondary captures (one frame, then the multi-frame ones) and visible light photographs with their videos (PS3.4 B.5).
_PICTURES = re.compile(r"1\.2\.840\.10008\.5\.1\.4\.1\.1\.(?:7|77\.1\.4)(?:\.\d+)*")
_RENDERED = re.compile(r"\b(?:VOLUME|3D|VRT?|SSD|RENDER\w*|SURFACE|SHADED|SCREEN SAVE)\b", re.IGNORECASE)

# Words in several languages for the head, the neck, and what reaches up to them; abbreviations as they stand alone.
_HEAD = re.compile(
    r"head|brain|skull|cranium|cranial|cerebr|(?<![a-z])face|facial|maxill|mandib|jaw|denta|sinus|orbit|eye|"
    r"(?<![a-z])ears?(?![a-z])|temporal|petrous|felsenbein|neck|carotid|carotis|pituitary|sella|neuro|willis|stroke|"
    r"pharyn|larynx|thyroid|thyreo|schilddr|parotid|tonsil|tongue|supra.?aort|vertex|poly ?trauma|pan-?scan|"
    r"(?:whole|total).?(?:body|spine)|ganzk(?:ö|oe?)rper|gesamte ws|corps entier|cuerpo entero|corpo intero|"
    r"kopf|sch[äa]del|gehirn|hirn|hals|kiefer|gesicht|visage|faccia|cr[âa]ne|t[êe]te|cabeza|cr[áa]neo|cerebro|cerveau|"
    r"cuello|testa|encefalo|vrt\b|\bc.?spine|cspine|cervical|h ?& ?n(?![a-z])|"
    r"(?<![a-z])(?:iac|tmj|hws|nnh|tsa|wb|wbc?t|avc|ictus|cou|collo|cara|hno|orl)(?![a-z])",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(
    r"chest|thorax|lung|abdom|pelvi|liver|kidney|renal|prostat|knee|hip\b|ankle|foot|feet|wrist|hand|elbow|shoulder|"
    r"extremity|leg\b|arm\b|femur|tibia|humerus|breast|heart|cardiac|aort|l.?spine|lspine|lumbar|t.?spine|tspine|thoracic|"
    r"sacr|bowel|colon|uter|bladder|pancrea|spleen|phantom",
    re.IGNORECASE,
)
_LIMB = re.compile(
    r"knee|ankle|foot|feet|wrist|hand|elbow|extremity|leg\b|arm\b|femur|tibia|humerus|phantom", re.IGNORECASE
)


def could_show_face(subject: Mapping[int, str], shown: str = "") -> bool:
    """By modality, origin, body part and descriptions (tag -> text), and by what the picture shows.

    `shown`: "head", "trunk", or "" where the picture does not tell (see `readfirst.domain.deid.heads`). A volume that
    does not say where it is taken counts.
    """
    modality = subject.get(tags.Modality, "")
    if modality in PHOTOGRAPHS or _may_be_rendered(subject, modality):
        return True
    if modality not in VOLUMES:
        return False
    if shown == "head" or _HEAD.search(subject.get(tags.BodyPartExamined, "")):
        return True
    if shown == "trunk":
        return False
    words = " ".join(subject.get(tag, "") for tag in _WORDS)
    return _HEAD.search(words) is not None or _ELSEWHERE.search(words) is None


def _may_be_rendered(subject: Mapping[int, str], modality: str) -> bool:
    """Whether it is no slice but a picture of unknown origin or a rendering, which may be of a face."""
    if modality in _UNKNOWN_ORIGIN or _PICTURES.fullmatch(subject.get(tags.SOPClassUID, "")):
        return True
    return modality in VOLUMES and _RENDERED.search(subject.get(tags.ImageType, "").replace("\\", " ")) is not None


def names_limb(subject: Mapping[int, str]) -> bool:
    """Whether a label names a limb, whose cross-section can be as round as a neck."""
    return _LIMB.search(" ".join(subject.get(tag, "") for tag in _WORDS)) is not None
