"""What ImageType and the derivation say of a picture: whether a model for scanners' pictures may read it.

PS3.3 C.7.6.1.1.2: value 1 says whether pixel values come from the examination's own data (ORIGINAL) or from other
images (DERIVED), value 2 whether the picture was made in the examination (PRIMARY) or later (SECONDARY), value 3 and
on what kind it is. So ORIGINAL and SECONDARY together are original densities that were filed later, and are read.
A compressed picture must call itself DERIVED (C.7.6.1.1.5) and shows the same: it is read where compression,
de-identification or a change of format is all that its derivation states. Everything else that is DERIVED is not.

The tables are data with their sources; `tests/spec/test_image_types.py` shows what each row does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

CHANGED, KEPT, COMPRESSED = "changed", "kept", "compressed"
"""What a derivation is known to have done: made another picture; kept the picture; LossyImageCompression alone."""

_STANDARD = "PS3.3 C.8.2.1.1.1, C.8.16.1.3 and C.8.16.1.4"
_SIEMENS = "Siemens SOMATOM and syngo: CT_SOM5 TOP, CT_SOM5 PROT, CSA MPR, CSA MIP, CSA 3D EDITOR"
_GE = "GE Advantage Workstation: REFORMATTED, AVERAGE, MIP, SCREEN SAVE, PROCESSED"
_PHILIPS = "Philips IntelliSpace and Brilliance: MPR, MIP, SLAB, VOLREN, SURVIEW, Z EFFECTIVE"


class Row(NamedTuple):
    """Words of value 3 and on that make a picture another one than the scanner's own, and who writes them."""

    kind: str
    words: str  # a regular expression on the value's words, in upper case with single blanks between them
    source: str


REFUSED: tuple[Row, ...] = (
    Row("localizer", r"LOCALI[ZS]ERS?|SCOUT|TOPOGRAM|SURVIEW|SCANOGRAM|SOM\d+ TOP", f"{_STANDARD}; {_SIEMENS}"),
    Row("projection", r"M(IN|AX|EAN)?IP\w*|MAXIMUM|MINIMUM|MEAN|MEDIAN|AVERAGE|AVG|SLAB|RAY ?SUM|PROJECTION( IMAGE)?",
        f"{_STANDARD}; {_SIEMENS}; {_GE}; {_PHILIPS}"),
    Row("reformatted", r"\w*MPV?R|CPR|CURVED|RE ?FORMAT(TED)?|RESAMPLED|RECONSTRUCTED PLANE|CSAPARALLEL|CSARADIAL",
        f"{_STANDARD}; {_SIEMENS}; {_GE}; {_PHILIPS}"),
    Row("rendered", r"VRT?|VOL ?REN\w*|VOLUME RENDER\w*|SSD|CSA 3D|3D RENDER\w*|RENDER\w*|FUSED|FUSION",
        f"{_SIEMENS}; {_PHILIPS}"),
    Row("screen", r"SCREEN ?(SAVE|SHOT|CAPTURE)?|SECONDARY ?CAPTURE|CAPTURE|DOSE( (INFO|REPORT|SUMMARY))?|"
        r"SOM\d+ PROT|PROTOCOL|REPORT|GRAPH(IC)?S?|TABLE|EVALUATION|CSA RESULT", f"{_GE}; {_SIEMENS}"),
    Row("map", r"MAT (SPECIFIC|REMOVED|FRACTIONAL|MODIFIED|VALUE BASED)|EFF ATOMIC NUM|ELECTRON DENSITY|Z ?EFF\w*|"
        r"IODINE( MAP)?|VNC|PERFUSION|CB[FV]|MTT|TTP|PARAMETRIC|MAPS?|SUBTRACT(ED|ION)|ADDITION|DIVISION|MASKED|"
        r"MULTIPLICATION|STD DEVIATION|QUANTITY|SEGMENT(ED|ATION)|MASK|LABEL", f"{_STANDARD}; {_PHILIPS}"),
)  # fmt: skip

# Words that say nothing against a picture; with those above, all that is kept of a value that is not well-formed.
_PLAIN = frozenset(
    ("ORIGINAL", "DERIVED", "MIXED", "PRIMARY", "SECONDARY", "AXIAL", "VOLUME", "NONE", "HELICAL", "HELIX", "SPIRAL",
     "SEQUENTIAL", "SEQ", "SPI", "OTHER", "CT", "MULTI", "DUAL", "THICK", "THIN", "VMI", "GSI")
)  # fmt: skip
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_SAYS_NOTHING = frozenset(("", "REMOVED", "ANONYMIZED", "UNKNOWN"))

# PS3.16 CID 7203: derivations after which a picture still shows what it showed. All others make another picture.
KEEPING_CODES = {
    "113040": "Lossy Compression",
    "113091": "Spatially-related frames extracted from the volume",
    "113092": "Temporally-related frames extracted from the set of volumes",
}
# What software writes into DerivationDescription after it has packed, unpacked, copied or de-identified a file.
_KEEPING_WORDS = re.compile(
    r"(LOSSY|LOSSLESS|LOSSLESSLY|IRREVERSIBLE|REVERSIBLE|UN|DE|RE)?(COMPRESS\w*|ENCOD\w*|IDENTIF\w*)|LOSSY|LOSSLESS|"
    r"JPEG\w*|J2K|JPIP|JLS|HTJ2K|LS|2000|RLE|WAVELET|ANONYM\w*|PSEUDONYM\w*|DEIDENTIF\w*|CONVERT\w*|CONVERSION|"
    r"TRANSCOD\w*|TRANSFER|SYNTAX|FORMAT|MULTIFRAME|FRAME|ENHANCED|LEGACY|CLASSIC|EXPORT\w*|COPY|COPIED|ARCHIVE\w*|"
    r"IMAGE|DICOM|CT|PIXELS?|DATA|PATIENT|FILES?|SERIES|QUALITY|RATIO|RATE|FACTOR|LEVEL|PROCESS\d*|BASELINE|"
    r"EXTENDED|SELECTION|VALUE|BITS?|SCALED?|IN|OF|BY|THE|WITH|WAS|HAS|BEEN|AND|TO|FROM|USING|AT|ON|FOR|NO|DE|RE|"
    r"POINT|TRANSFORM|ORIGINAL|LITTLE|BIG|ENDIAN|EXPLICIT|IMPLICIT|VR|CR|PS3|15|E|CTP|\d+\w?"
)
_KEEPING_STEM = re.compile(r"COMPRESS|ENCOD|LOSS|JPEG|J2K|JLS|RLE|WAVELET|ANONYM|PSEUDONYM|IDENTIF|CONVER|TRANSCOD|"
                           r"SYNTAX|EXPORT|COPY|COPIED|ARCHIVE")  # fmt: skip


def refused_as(image_type: Sequence[str], derivation: str, sop_class: str = "") -> str:
    """The kind for which a picture is left out; empty for one that may be read.

    Kinds: those of REFUSED; "derived" for other derived pictures; "unclear" where value 1 is neither ORIGINAL nor
    DERIVED and other values say what we do not know. A picture that says nothing at all may be read.
    """
    if sop_class.startswith(_SECONDARY_CAPTURE):
        return "screen"
    values = [words_of(value) for value in image_type]
    if kind := next((kind for value in values if (kind := _kind(value))), ""):
        return kind
    values = _parted(values)
    first, second = [*values, "", ""][:2]
    if first == "ORIGINAL":
        return "derived" if derivation == CHANGED and second == "SECONDARY" else ""
    if first in ("DERIVED", "MIXED"):
        kept = derivation == KEPT or (derivation == COMPRESSED and second == "PRIMARY")
        return "" if kept else "derived"
    if "DERIVED" in values:
        return "derived"
    known = (value in _SAYS_NOTHING or set(value.split()) <= _PLAIN for value in values)
    return "" if all(known) else "unclear"


def says_nothing(image_type: Sequence[str]) -> bool:
    """Whether a picture does not say if it is original."""
    return not {"ORIGINAL", "DERIVED", "MIXED"} & set(_parted([words_of(value) for value in image_type])[:1])


def _parted(values: Sequence[str]) -> list[str]:
    """The values; of a single one that holds them all, with blanks or slashes between, its words."""
    return values[0].split() if len(values) == 1 else list(values)


def words_of(value: str) -> str:
    """A value's words, in upper case with single blanks between them."""
    return " ".join(re.findall(r"[A-Z0-9]+", value.upper()))


@lru_cache(maxsize=1024)
def _kind(words: str) -> str:
    return next((row.kind for row in REFUSED if re.search(rf"\b(?:{row.words})\b", words)), "")


@lru_cache(maxsize=1024)
def known_words(value: str) -> str:
    """What is kept of a value that de-identification does not let pass: words of the tables alone, else OTHER."""
    words = words_of(value)
    if words in _SAYS_NOTHING:
        return ""
    found = [m[0] for row in REFUSED for m in re.finditer(rf"\b(?:{row.words})\b", words)]
    plain = [word for word in words.split() if word in _PLAIN and not any(word in f.split() for f in found)]
    known = " ".join([*plain, *found])
    return known if known and len(known.split()) == len(words.split()) else f"{known} OTHER".strip()


def derivation_of(codes: Iterable[str], description: str, lossy: str) -> str:
    """What the derivation did, by DerivationCodeSequence, DerivationDescription and LossyImageCompression."""
    coded = [code for code in codes if code]
    words = words_of(description).split()
    if any(code not in KEEPING_CODES for code in coded) or (words and not _keeps(words)):
        return CHANGED
    if coded or words:
        return KEPT
    return COMPRESSED if lossy.strip() == "01" else ""


def _keeps(words: Sequence[str]) -> bool:
    return all(_KEEPING_WORDS.fullmatch(word) for word in words) and any(_KEEPING_STEM.search(word) for word in words)
