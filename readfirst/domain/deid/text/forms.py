"""Other forms of what is known: cut at a field's end, run together, as a login, as a short number, as a date."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import product

from readfirst.domain.deid.text.folding import has_signs

_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii")
# Where fields of DICOM end (SH, LO): what stands there may be the beginning of a longer word.
FIELD_ENDS = frozenset((16, 64))
_SEPARATOR = r"[ ]?[./_, -][ ]?"

_UNIT = (
    r"[ ]?(?:mm|cm|dm|m|ml|cc|l|kv|kvp|ma|mas|ms|msec|s|sec|min|h|hu|%|°|deg|degrees|hz|khz|mhz|t|gy|cgy|mgy|fr|french"
    r"|x|g|kg|mg|mci|mbq|gbq|kev|mev|bpm|slices?|images?|frames?|views?|phases?|days?|weeks?|months?|years?|of|th|st|nd|rd)\b"
)
_NUMBERED = (
    r"(?<!\w)(?:id|pid|mrn|pat(?:ient)?|pt|fall|case|nr|no|num(?:ber)?|urn)\b[ .:#=-]{0,3}"
    r"(?:(?:id|nr|no)\b[ .:#=-]{0,3})?|[#(]"
)

_HAN = "\u3400-\u9fff\uf900-\ufaff"
_TITLES = (
    "先生|女士|小姐|太太|夫人|同志|医生|醫生|医師|醫師|主任|教授|护士|護士|老师|老師|师傅|大夫|患者|病人"
    "|さん|さま|様|氏|殿|君|くん|ちゃん|看護師|技師|某"
)


def run_together(words: list[str], particles: frozenset[str]) -> Iterator[str]:
    """The words of one part of a name as one word, particles included: vanderberg, derberg, delacruz."""
    bare = [re.sub(r"\W", "", w) for w in words]
    for start in range(len(bare) - 1):
        for end in range(start + 2, len(bare) + 1):
            joined = "".join(bare[start:end])
            if len(joined) >= 5 and not all(w in particles for w in bare[start:end]):
                yield joined
        short = "".join(w[0] if w in particles else w for w in bare[start:])
        if len(short) >= 5 and bare[start] in particles and bare[-1] not in particles:
            yield short  # vdberg


def is_login(word: str, pairs: Iterable[tuple[str, str]]) -> bool:
    """Whether a word is the beginning of a family name with the beginning of a given name, in either order."""
    return len(word) >= 6 and any(_begins_with_both(word, a, b) for a, b in pairs)


def _begins_with_both(word: str, family: str, given: str) -> bool:
    for cut in range(4, len(word)):
        if family.startswith(word[:cut]) and given.startswith(word[cut:]):
            return True
    return any(given.startswith(word[:cut]) and family.startswith(word[cut:]) for cut in range(1, len(word) - 3))


def begin_with_both(first: str, second: str, pairs: Iterable[tuple[str, str]]) -> bool:
    """Whether two words are the beginnings of a family and a given name, in either order: QUILL_OSW."""
    return any(
        (family.startswith(a) and len(a) > 2 and given.startswith(b) and len(b) > 1 and len(a) + len(b) > 5)
        for a, b in ((first, second), (second, first))
        for family, given in pairs
    )


def date_pattern(days: Iterable[str]) -> re.Pattern[str] | None:
    """Finds known days (YYYYMMDD) in any order, without zeros, with a Roman month, with two digits of the year."""
    forms = sorted({form for day in days for form in _date_forms(day)})
    return re.compile(rf"(?<![\w])(?<!\d[.,/-])(?:{'|'.join(forms)})(?!\w|[.,/-]\d)", re.IGNORECASE) if forms else None


def _date_forms(day: str) -> Iterator[str]:
    if not day.isdigit() or len(day) != 8 or not 1 <= int(day[4:6]) <= 12:
        return
    year = rf"(?:{day[:4]}|['’]?{day[2:4]})"
    month, number = rf"0?{int(day[4:6])}", rf"0?{int(day[6:])}\.?"
    roman = _ROMAN[int(day[4:6]) - 1]
    written = (day, day[6:] + day[4:6] + day[:4], day[4:] + day[:4])
    yield rf"(?:{'|'.join(written)})[ ]?[0-2]\d(?:[0-5]\d){{1,2}}(?:\.\d{{1,6}})?"  # with its time
    yield rf"{day[2:]}[0-2]\d[0-5]\d[0-5]\d"
    for order in ((number, month, year), (month, number, year), (year, month, number), (year, number, month)):
        yield _SEPARATOR.join(order)
    yield _SEPARATOR.join((number, roman, year))
    yield _SEPARATOR.join((roman, number, year))
    yield _SEPARATOR.join((year, roman, number))


def short_number_pattern(numbers: Iterable[str]) -> re.Pattern[str] | None:
    """Finds numbers of one to four digits where they stand alone; those of one or two only where announced."""
    known = sorted(set(numbers))
    alone = "|".join(n for n in known if len(n) > 2)
    announced = "|".join(n for n in known if len(n) <= 2)
    forms = []
    if alone:
        forms.append(rf"(?<![^\W_])(?<!\.)(?<!\d[-/,x])0*(?:{alone})(?![^\W_]|[.,/]\d|-\d|{_UNIT})")
    if announced:
        forms.append(rf"(?:{_NUMBERED})(?P<number>0*(?:{announced}))(?!\w|[.,/-]\d|{_UNIT})")
    return re.compile("|".join(forms), re.IGNORECASE) if forms else None


def one_character_pattern(characters: Iterable[str]) -> re.Pattern[str] | None:
    """Finds family names of one ideograph where they stand alone or beside a title: 王先生, 患者王."""
    known = "".join(sorted(set(characters)))
    if not known:
        return None
    alone = rf"(?<![{_HAN}])[{known}](?=(?:{_TITLES})|[○◯〇Ｏ*＊]|[^{_HAN}]|$)"
    return re.compile(rf"{alone}|(?:(?<=患者)|(?<=病人)|(?<=姓名)|(?<=氏名)|(?<=医師)|(?<=医生))[:： ]?[{known}]")


def cut_at_the_end(text: str, targets: Iterable[str], least: int) -> int:
    """Where the beginning of a target, of at least so many characters, starts that ends the text; -1 for none.

    Both are folded; what is not a letter or digit does not count. The beginning must start a word.
    """
    letters = [i for i, c in enumerate(text) if c.isalnum()]
    tail = "".join(text[i] for i in letters[-64:])
    best = -1
    for target in targets:
        for size in range(min(len(target) - 1, len(tail)), least - 1, -1):
            start = letters[-size]
            if tail.endswith(target[:size]) and (start == 0 or not text[start - 1].isalnum()):
                best = start if best < 0 else min(best, start)
                break
    return best


def cut_anywhere(text: str, phrases: Iterable[str], names: Iterable[str]) -> int:
    """As `cut_at_the_end`, for a value of any length: of a phrase ten characters, of a name in a script without spaces
    three ideographs, or five letters where vowels are signs."""
    at = cut_at_the_end(text, phrases, 10)
    if at >= 0 or text.isascii():
        return at
    return max(cut_at_the_end(text, [name], 5 if has_signs(name) else 3) for name in [*names, ""])


def pairs_of(families: Iterable[str], givens: Iterable[str]) -> set[tuple[str, str]]:
    """(family, given) of one name, of words long enough to begin a login with."""
    return {(f, g) for f, g in product(families, givens) if len(f) > 3 and g}
