"""Whose study it is: decided once, from what the headers of all its files say about the patient.

Two persons: the ID of the same issuer differs, or name and birth date both do. Whatever else does not agree (an issuer
or an ID that only some files give, other letter case or padding, a temporary ID, a changed name, a missing birth date)
is recorded and shown, and the study stays one person's: one pseudonym, one shift of its dates.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import combinations
from typing import Literal

from pydantic import BaseModel, ConfigDict

from readfirst.domain.pseudonyms import Pseudonyms


class Stated(BaseModel):
    """What one header says of the patient: Unicode, as it is written there, less the padding of values."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    patient_id: str = ""
    issuer: str = ""  # IssuerOfPatientID (0010,0021)
    name: str = ""  # component groups joined by "="
    birth_date: str = ""
    sex: str = ""

    def __repr__(self) -> str:  # no identifier reaches a log
        return "Stated(…)"

    @property
    def order(self) -> tuple[str, ...]:
        """Sorts statements, so that every worker sees them in one order."""
        return (self.patient_id, self.issuer, self.name, self.birth_date, self.sex)


class Ruling(BaseModel):
    """What a privacy officer decided about a study whose files name several persons.

    `one`: all statements in `persons` are one person's. `only`: the study is that of `persons[keep]`, and the files of
    the others are refused.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    kind: Literal["one", "only"]
    persons: tuple[tuple[Stated, ...], ...]
    keep: int = 0


@dataclass(frozen=True)
class Person:
    """The one person of a study. `token`: its pseudonym; `identity`: what the vault keeps; `stated`: what its files
    may say; `disagree`: what they do not agree on."""

    token: str
    identity: Stated
    stated: frozenset[Stated]
    disagree: tuple[Disagreement, ...] = ()

    def accepts(self, stated: Stated) -> bool:
        """Whether a file that says this is one of the person's."""
        return stated in self.stated


class Disagreement(StrEnum):
    """What the files of one person do not agree on. The value is the stable code; no value of a header is in it."""

    ID = "patient-id"
    ID_MISSING = "patient-id-missing"
    ID_WRITTEN = "patient-id-spelling"
    ISSUER = "issuer"
    NAME = "name"
    NAME_MISSING = "name-missing"
    BIRTH_DATE = "birth-date"
    BIRTH_DATE_MISSING = "birth-date-missing"
    SEX = "sex"


Counted = Mapping[Stated, int]  # what the headers say, and how many files say so
Group = tuple[Stated, ...]  # what the files of one person say


# -- two statements

# What stands in for a patient who cannot be asked, and for one whom somebody made anonymous.
_NOBODY = ("trauma", "unknown", "unident", "emergency", "unbekannt", "notfall", "inconnu", "urgence", "ignoto",
           "sconosciut", "desconocid", "anonym")  # fmt: skip
_NOBODYS_IDS = {"emerg", "temp", "tmp", "unk", "anon"}  # as the letters of an ID only: there are people called Temp
_NO_DATES = {"00000000", "11111111", "99999999", "18000101", "18500101", "19000101"}
_LETTERS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "oe", "å": "aa", "æ": "ae", "œ": "oe"})


def differ(one: Stated, other: Stated) -> bool:
    """Whether two headers are certainly of two persons."""
    if _ids_differ(one, other):
        return True
    dates = _date(one.birth_date), _date(other.birth_date)
    return all(dates) and dates[0] != dates[1] and _names_differ(one.name, other.name)


def _ids_differ(one: Stated, other: Stated) -> bool:
    """Whether one issuer gave two IDs. A temporary ID beside a real one is an ID of the same person.

    An issuer that is not given can be any: then equal names and birth dates speak for one person, and nothing else.
    """
    a, b = _id(one.patient_id), _id(other.patient_id)
    if not a or not b or a == b or _is_nobodys(a) != _is_nobodys(b):
        return False
    issuers = _id(one.issuer), _id(other.issuer)
    if all(issuers) or not any(issuers):
        return issuers[0] == issuers[1]
    return not (_date(one.birth_date) and _date(one.birth_date) == _date(other.birth_date) and _same_name(one, other))


def _same_name(one: Stated, other: Stated) -> bool:
    return bool(_words(one.name) and _words(other.name)) and not _names_differ(one.name, other.name)


@lru_cache(maxsize=4096)
def _id(text: str) -> str:
    """An ID without what systems change when they pass it on: letter case, widths, spaces around, leading zeros."""
    return unicodedata.normalize("NFKC", text).casefold().strip(" \0\t").lstrip("0")


def _is_nobodys(patient_id: str) -> bool:
    runs = re.findall(r"[^\W\d_]+", patient_id)
    return any(run.startswith(_NOBODY) or run in _NOBODYS_IDS for run in runs)


def _date(text: str) -> str:
    digits = re.sub(r"\D", "", text)[:8]
    return digits if len(digits) == 8 and digits not in _NO_DATES else ""


def _names_differ(one: str, other: str) -> bool:
    """Whether two names share no component group in which one says the same as the other, or part of it."""
    pairs = [(a, b) for a, b in zip(_words(one), _words(other), strict=False) if a and b]
    return bool(pairs) and not any(_alike(a, b) for a, b in pairs)


def _alike(one: str, other: str) -> bool:
    """Whether one name says the same words as the other, or some of them; or the same letters, run together."""
    return any(
        set(a.split()) <= set(b.split())
        or set(b.split()) <= set(a.split())
        or sorted(a.replace(" ", "")) == sorted(b.replace(" ", ""))
        for a in _foldings(one)
        for b in _foldings(other)
    )


def _foldings(words: str) -> tuple[str, str]:
    """A name in plain letters: by leaving marks away, and by writing them out as German and Danish do."""
    return _plain(words), _plain(words.translate(_LETTERS))


def _plain(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).replace("ß", "ss")


@lru_cache(maxsize=4096)
def _words(name: str) -> tuple[str, ...]:
    """The words of each component group; none where the group stands in for a name."""
    groups = [" ".join(re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", g).lower())) for g in name.split("=")[:3]]
    said = ["" if any(w.startswith(_NOBODY) for w in group.split()) else group for group in groups]
    return tuple(said) if any(said) else ()


# -- all of a study


def persons(counted: Counted, rulings: Sequence[Ruling] = ()) -> tuple[Group, ...]:
    """The statements of a study by person, the one of most files first; and those who were ruled about, file or none.

    What fits several persons goes with the one whom it names; where it names none of them, it stands alone.
    """
    ruled = [stated for ruling in rulings for group in ruling.persons for stated in group]
    groups: list[list[Stated]] = []
    for stated in sorted({*counted, *ruled}, key=lambda s: (not _id(s.patient_id), -counted.get(s, 0), s.order)):
        fits = [group for group in groups if not any(differ(stated, member) for member in group)]
        named = [max(_agreement(stated, member) for member in group) for group in fits]
        best = [group for group, says in zip(fits, named, strict=True) if says == max(named)]
        if len(best) == 1:
            best[0].append(stated)
        else:
            groups.append([stated])
    for ruling in rulings:
        if ruling.kind == "one":
            groups = _joined(groups, {stated for group in ruling.persons for stated in group})
    return tuple(tuple(g) for g in sorted(groups, key=lambda g: (-_files(g, counted), g[0].order)))


def _joined(groups: list[list[Stated]], one: set[Stated]) -> list[list[Stated]]:
    same = [group for group in groups if one & set(group)]
    return [[s for group in same for s in group], *(g for g in groups if g not in same)] if same else groups


def _agreement(one: Stated, other: Stated) -> int:
    dates = _date(one.birth_date), _date(other.birth_date)
    same_id = bool(_id(one.patient_id)) and _id(one.patient_id) == _id(other.patient_id)
    return 4 * same_id + 2 * _same_name(one, other) + (dates[0] != "" and dates[0] == dates[1])


def _files(group: Iterable[Stated], counted: Counted) -> int:
    return sum(counted.get(stated, 0) for stated in group)


def chosen(groups: Sequence[Group], rulings: Sequence[Ruling]) -> int | None:
    """Which of the persons the study is of; None where a privacy officer has to say it.

    A ruling holds for the persons that it names: one who turns up later asks anew.
    """
    if len(groups) == 1:
        return 0
    last = next((ruling for ruling in reversed(rulings) if ruling.kind == "only"), None)
    if last is None:
        return None
    of = [{i for i, person in enumerate(last.persons) if set(person) & set(group)} for group in groups]
    kept = [index for index, names in enumerate(of) if last.keep in names]
    return kept[0] if len(kept) == 1 and all(of) else None


def person_of(group: Group, counted: Counted, names: Pseudonyms, study_uid: str, token: str = "") -> Person:
    """The person that a group of statements is. `token`: the pseudonym that the study carries already, if any."""
    identity = _fullest(group, counted)
    token = token or patient_token(identity, names, study_uid)
    return Person(token, identity, frozenset(group), disagreements(group))


def patient_token(stated: Stated, names: Pseudonyms, study_uid: str) -> str:
    """The person's pseudonym. Files without an ID are of one person only as far as they are of one study."""
    if stated.patient_id:
        return names.patient_token(stated.issuer, stated.patient_id)
    return names.patient_token("readfirst:no-patient-id", study_uid)


def _fullest(group: Group, counted: Counted) -> Stated:
    """Each value as most files have it that have one. ID and issuer go together; a temporary ID or name comes last."""

    def most(values: Callable[[Stated], tuple[str, ...]], real: Callable[[str], bool]) -> tuple[str, ...]:
        said: Counter[tuple[str, ...]] = Counter()
        for stated in group:
            if values(stated)[0]:
                said[values(stated)] += max(1, counted.get(stated, 0))
        return min(said, key=lambda v: (not real(v[0]), -said[v], -len(v[0]), v), default=values(Stated()))

    patient_id, issuer = most(lambda s: (s.patient_id, s.issuer), lambda v: not _is_nobodys(_id(v)))
    (name,) = most(lambda s: (s.name,), lambda v: bool(_words(v)))
    (birth_date,) = most(lambda s: (s.birth_date,), lambda v: bool(_date(v)))
    (sex,) = most(lambda s: (s.sex,), lambda v: True)
    return Stated(patient_id=patient_id, issuer=issuer, name=name, birth_date=birth_date, sex=sex)


def disagreements(group: Iterable[Stated]) -> tuple[Disagreement, ...]:
    """What the headers of one person do not agree on."""
    said = list(group)
    found = {
        Disagreement.ID: len({_id(s.patient_id) for s in said} - {""}) > 1,
        Disagreement.ID_MISSING: _some([s.patient_id for s in said]),
        Disagreement.ID_WRITTEN: len({s.patient_id for s in said}) > len({_id(s.patient_id) for s in said}),
        Disagreement.ISSUER: len({_id(s.issuer) for s in said if s.patient_id}) > 1,
        Disagreement.NAME: any(_names_differ(a, b) for a, b in combinations({s.name for s in said}, 2)),
        Disagreement.NAME_MISSING: _some([s.name for s in said]),
        Disagreement.BIRTH_DATE: len({_date(s.birth_date) for s in said} - {""}) > 1,
        Disagreement.BIRTH_DATE_MISSING: _some([s.birth_date for s in said]),
        Disagreement.SEX: len({s.sex.upper() for s in said} - {"", "O"}) > 1,
    }
    return tuple(what for what, holds in found.items() if holds)


def _some(values: list[str]) -> bool:
    return any(values) and not all(values)


class Question(BaseModel):
    """Whose study it is: asked of a privacy officer, in the order of how many files name each person.

    It holds identifiers, and lies where the originals lie. `shown`: each person's values as most of their files have
    them; `pinned`: the person whose pseudonym the study's clean copies carry already, if there are any.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    persons: tuple[Group, ...]
    files: tuple[int, ...]
    shown: tuple[Stated, ...]
    pinned: int | None = None

    def ruling(self, keep: int | None) -> Ruling | None:
        """The answer as a ruling: all are one person (`keep` None), or the study is of that one only.

        None for an answer that cannot be carried out: clean copies are not given to somebody else afterwards.
        """
        if keep is None:
            return Ruling(kind="one", persons=self.persons)
        possible = keep in range(len(self.persons)) and self.pinned in (None, keep)
        return Ruling(kind="only", persons=self.persons, keep=keep) if possible else None


def decide(
    counted: Counted, rulings: Sequence[Ruling], names: Pseudonyms, study_uid: str, pinned: str = ""
) -> Person | Question:
    """The person of a study whose headers say all this, or what has to be asked first.

    `pinned`: the pseudonym that its clean copies carry already. Raises ValueError for a study without a file.
    """
    groups = persons(counted, rulings)
    if not groups:
        raise ValueError("a study without a file has no person")
    tokens = [{patient_token(stated, names, study_uid) for stated in group} for group in groups]
    standing = next((index for index, known in enumerate(tokens) if pinned in known), None)
    index = chosen(groups, rulings)
    if index is not None and (not pinned or standing == index):
        return person_of(groups[index], counted, names, study_uid, pinned)
    return Question(
        persons=groups,
        files=tuple(_files(group, counted) for group in groups),
        shown=tuple(_fullest(group, counted) for group in groups),
        pinned=standing,
    )
