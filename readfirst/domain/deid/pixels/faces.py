"""Whether a picture could show a face: a volume of the head can be rendered as one, a photograph may be one."""

from __future__ import annotations

import re
from collections.abc import Mapping

VOLUMES = frozenset(("CT", "MR", "PT", "NM"))
PHOTOGRAPHS = frozenset(("XC", "OP", "GM", "DMS"))

_HEAD = re.compile(
    r"head|brain|skull|cranium|cranial|cerebr|face|facial|maxill|mandib|jaw|dental|sinus|orbit|eye|ear\b|iac|temporal|"
    r"neck|carotid|pituitary|sella|neuro|whole ?body|total ?body|kopf|sch[äa]del|gehirn|hirn|hals|cerveau|"
    r"cr[âa]ne|t[êe]te|cabeza|cr[áa]neo|cerebro|testa|encefalo|\bc.?spine|cspine|cervical",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(
    r"chest|thorax|lung|abdom|pelvi|liver|kidney|renal|prostat|knee|hip\b|ankle|foot|feet|wrist|hand|elbow|shoulder|"
    r"extremity|leg\b|arm\b|femur|tibia|humerus|breast|heart|cardiac|aort|l.?spine|lspine|lumbar|t.?spine|tspine|thoracic|"
    r"sacr|bowel|colon|uter|bladder|pancrea|spleen|phantom",
    re.IGNORECASE,
)


def could_show_face(subject: Mapping[int, str]) -> bool:
    """By modality, body part and descriptions (tag -> text). A volume that does not say where it is taken counts."""
    modality = subject.get(0x00080060, "")
    if modality in PHOTOGRAPHS:
        return True
    if modality not in VOLUMES:
        return False
    part = subject.get(0x00180015, "")
    if _HEAD.search(part):
        return True
    if _ELSEWHERE.search(part):
        return False
    words = " ".join(subject.get(tag, "") for tag in (0x00081030, 0x0008103E, 0x00181030))
    return _HEAD.search(words) is not None or _ELSEWHERE.search(words) is None
