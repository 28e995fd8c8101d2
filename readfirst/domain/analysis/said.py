"""What a header means by values that are not well-formed: read as a person would, and never taken for absent.

De-identification empties what is no valid value ("7Y", "Head", "HEAD/NECK"), because it cannot vouch for it. A gate
that sees the clean copy alone would let such a file pass. So the facts are read from what was sent, in words of closed
lists only: nothing that a sender typed is repeated. What cannot be read is UNREADABLE, which no gate admits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import permutations

UNREADABLE = "UNREADABLE"

_AGE = re.compile(r"0*(\d{1,3})(?:[.,]\d+)?\s*([A-Z]*)\.?")
_UNITS = {
    "D": ("D", "DAY", "DAYS", "T", "TAG", "TAGE", "JOUR", "JOURS", "DIA", "DIAS"),
    "W": ("W", "WK", "WEEK", "WEEKS", "WOCHE", "WOCHEN", "SEMAINE", "SEMAINES", "SEMANA", "SEMANAS"),
    "M": ("M", "MO", "MON", "MONTH", "MONTHS", "MONAT", "MONATE", "MOIS", "MES", "MESES"),
    "Y": ("", "Y", "YR", "YRS", "YEAR", "YEARS", "YO", "J", "JAHR", "JAHRE", "A", "AN", "ANS", "ANO", "ANOS", "ANNI"),
}  # fmt: skip
_UNIT_OF = {word: unit for unit, words in _UNITS.items() for word in words}
_OLDEST = 90  # HIPAA's limit: ages from here on are one (domain/deid/dates.py)

# The body parts of PS3.16 Annex L, and words of hospitals for the same.
_PARTS = frozenset((
    "ABDOMEN", "ABDOMENPELVIS", "ADRENAL", "ANKLE", "AORTA", "ARM", "AXILLA", "BACK", "BLADDER", "BRAIN", "BREAST",
    "BRONCHUS", "BUTTOCK", "CALCANEUS", "CALF", "CAROTID", "CEREBELLUM", "CHEST", "CHESTABDOMEN", "CHESTABDPELVIS",
    "CIRCLEOFWILLIS", "CLAVICLE", "COCCYX", "COLON", "CORNEA", "CORONARYARTERY", "CSPINE", "CTSPINE", "DUODENUM",
    "EAR", "ELBOW", "ESOPHAGUS", "EXTREMITY", "EYE", "EYELID", "FACE", "FEMUR", "FINGER", "FOOT", "GALLBLADDER",
    "HAND", "HEAD", "HEADNECK", "HEART", "HIP", "HUMERUS", "IAC", "ILEUM", "ILIUM", "JAW", "JEJUNUM", "KIDNEY",
    "KNEE", "LARYNX", "LEG", "LIVER", "LSPINE", "LSSPINE", "LUNG", "MAXILLA", "MEDIASTINUM", "MOUTH", "NECK",
    "NECKCHEST", "NECKCHESTABDOMEN", "NECKCHESTABDPELV", "NOSE", "ORBIT", "OVARY", "PANCREAS", "PAROTID",
    "PATELLA", "PELVIS", "PENIS", "PHARYNX", "PROSTATE", "RECTUM", "RIB", "SCALP", "SCAPULA", "SCLERA", "SCROTUM",
    "SHOULDER", "SINUS", "SINUSES", "SKULL", "SPINE", "SPLEEN", "SSPINE", "STERNUM", "STOMACH", "TESTIS", "THIGH",
    "THORAX", "THUMB", "THYMUS", "THYROID", "TMJ", "TOE", "TONGUE", "TRACHEA", "TRUNK", "TSPINE", "TLSPINE",
    "ULNA", "URETER", "URETHRA", "UTERUS", "VAGINA", "VULVA", "WHOLEBODY", "WRIST", "ZYGOMA", "LUNGS", "TORAX",
    "CHESTPELVIS", "THORAXABDOMEN", "CRANE", "CRANIUM", "KOPF", "SCHAEDEL", "TETE", "CABEZA", "HALS", "COU",
    "CUELLO", "BAUCH", "VENTRE", "BECKEN", "BASSIN", "HWS", "BWS", "LWS", "CERVICAL", "LUMBAR", "SACRUM", "HEARTS",
    "CARDIAC", "COEUR", "HERZ", "CORONARY", "LOWEREXTREMITY", "UPPEREXTREMITY",
))  # fmt: skip
_FILLERS = frozenset((
    "CT", "CTA", "W", "WO", "WITH", "WITHOUT", "AND", "OR", "THE", "OF", "TO", "IV", "CONTRAST", "CONT", "CE",
    "NATIVE", "PLAIN", "ROUTINE", "STANDARD", "STD", "HR", "HRCT", "HIGH", "LOW", "DOSE", "RES", "RESOLUTION",
    "THIN", "THICK", "PE", "ANGIO", "ART", "VEN", "ARTERIAL", "VENOUS", "PHASE", "AXIAL", "ADULT", "HELICAL",
    "SPIRAL", "SCAN", "STUDY", "EXAM", "RIGHT", "LEFT", "BOTH", "UPPER", "LOWER",
))  # fmt: skip

VIEWS = frozenset((
    "AP", "PA", "LL", "RL", "RLD", "LLD", "RLO", "LLO", "AX", "SI", "ML", "LM", "CC", "MLO", "LMO", "XCCL", "XCCM",
    "FB", "ISO", "SIO", "AT", "CV", "RCC", "LCC", "RAO", "LAO", "RPO", "LPO", "LAT", "LATERAL", "FRONTAL",
    "OBLIQUE", "TAN",
))  # fmt: skip  # ViewPosition (PS3.3 C.8.7.1.1.1 and C.8.11.5), and what is written for them


@lru_cache(maxsize=4096)
def age_of(said: str, computed: str) -> str:
    """The age as AS (PS3.5 6.2), 090Y for all from 90 on: as it is said, else as it was computed from the dates.

    "7", "7Y", "007y", "7 years" are all 007Y. Empty where nothing is said, UNREADABLE where nobody can tell.
    """
    text = said.strip(" \0").upper()
    match = _AGE.fullmatch(text)
    if match and (unit := _UNIT_OF.get(match[2])):
        return f"{min(int(match[1]), _OLDEST if unit == 'Y' else 999):03d}{unit}"
    return computed or (UNREADABLE if text else "")


@lru_cache(maxsize=4096)
def part_of(said: str) -> str:
    """The body parts that a value names, in words of PS3.16 Annex L with blanks between; UNREADABLE where it names
    none that we know. "Chest " is CHEST, "HEAD/NECK" is HEADNECK, "Chest routine" is CHEST."""
    words = re.findall(r"[A-Z]+", said.upper())
    if not words:
        return UNREADABLE if said.strip(" \0") else ""
    if (squashed := "".join(words)) in _PARTS:
        return squashed
    parts = [word for word in words if word in _PARTS]
    known = bool(parts) and all(word in _PARTS or word in _FILLERS for word in words)
    return " ".join(parts) if known else UNREADABLE


def admits_part(part: str, admitted: Iterable[str]) -> bool:
    """Whether a body part is one of a gate's: in any order and with anything between its words, or each of them."""
    plain = {_squashed(re.findall(r"[A-Z]+", word.upper())) for word in admitted}
    words = re.findall(r"[A-Z]+", part.upper())
    if len(words) <= 4 and any(_squashed(order) in plain for order in permutations(words)):
        return True
    known = part_of(part)
    return known != UNREADABLE and all(_squashed([word]) in plain for word in known.split())


def _squashed(words: Sequence[str]) -> str:
    """The words as one, as PS3.16 Annex L writes regions that are several; the chest by its one name there."""
    return re.sub("THORAX|TORAX", "CHEST", "".join(words))


def term_of(clean: str, said: str, known: frozenset[str]) -> str:
    """A coded value: as the clean copy has it, else what was sent if it is a known term; UNREADABLE if it is none."""
    if clean:
        return clean.upper()
    text = said.strip(" \0").upper()
    return text if text in known or not text else UNREADABLE
