"""Writes docs/reference/pixels.md: what every way out of the system gives of every kind of picture, measured.

usage: python -m tools.pixels_page (about a minute). A test holds the page to the table's rows.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.pixels.pixel_streams import LOSSY, Case, cases, title
from tests.pixels.pixel_table import NONE, WAYS, outcome

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "pixels.md"
_HEAD = """# Pixel values

Every transfer syntax that is taken, with every kind of picture that CT, MR, CR, DX and US write in it. Each is drawn
(random values over its full range), encoded, and sent through de-identification, the job's reader and every DICOMweb
answer. `exact`: to the bit what was drawn. `equal`: of a lossy stream, to the bit what another decoder (or another
build of the only one) makes of it. `–`: the job does not read colours. Depths are in bits, u and s unsigned and signed.
`python -m tools.pixels_page` measures and writes the table; `tests/pixels/test_exact_pixels.py` measures it anew.

- Clean copies keep their streams, but for JPEG XL, encapsulated uncompressed and deflated frames, which few readers
  know: those are stored uncompressed. A picture with bits that no value uses is stored anew. Receipts say both.
- Frames as `application/octet-stream` are laid out as the header says (by plane, or with half the colour). Files come
  as Explicit VR Little Endian by default; the colours of a lossy JPEG are RGB there.
- Videos, pictures that lie elsewhere (JPIP), multi-component JPEG 2000 and retired kinds of JPEG are refused as
  `unsupported-transfer-syntax`. The reason names the syntax and says what to send instead.

"""


def table(found: Mapping[Case, Mapping[str, str]]) -> str:
    """A row for each syntax and way of differing: the kinds of pictures, and what each way out gives."""
    groups: dict[tuple[str, tuple[str, ...]], list[Case]] = {}
    for case, ways in found.items():
        groups.setdefault((case.syntax, tuple(ways[way] for way in WAYS)), []).append(case)
    lines = [f"| Transfer syntax | Pictures | {' | '.join(WAYS)} |", "|---" * (len(WAYS) + 2) + "|"]
    lines += [f"| {title(uid)} | {_kinds(members)} | {' | '.join(ways)} |" for (uid, ways), members in groups.items()]
    return "\n".join(lines)


def _kinds(members: list[Case]) -> str:
    """The photometric interpretations, each with its depths (u, s: unsigned and signed)."""
    kinds: dict[str, dict[int, str]] = {}
    for case in members:
        depths = kinds.setdefault(case.photometric, {})
        depths[case.depth] = depths.get(case.depth, "") + "us"[case.signed]
    alike: dict[str, list[str]] = {}
    for photometric, depths in kinds.items():
        alike.setdefault(", ".join(f"{depth}{signs}" for depth, signs in depths.items()), []).append(photometric)
    return "; ".join(f"{', '.join(names)}: {depths}" for depths, names in alike.items())


def main() -> None:
    """Measures and writes."""
    warnings.simplefilter("ignore")
    found = {case: outcome(case) for case in cases()}
    counts = Counter(said for outcomes in found.values() for said in outcomes.values())
    lossless = sum(case.syntax not in LOSSY for case in found)
    sum_up = (
        f"{len(found)} kinds of pictures, {lossless} of them lossless: {counts['exact']} answers exact, "
        f"{counts['equal']} equal, {sum(counts.values()) - counts['exact'] - counts['equal'] - counts[NONE]} wrong."
    )
    PAGE.write_text(f"{_HEAD}{table(found)}\n\n{sum_up}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
