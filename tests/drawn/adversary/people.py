"""Whom a drawn study is about, and the forms in which people and machines write what identifies them."""

from __future__ import annotations

import base64
import datetime
import html
import json
import quopri
import random
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from email.header import Header

from tests.drawn.attacks import LATIN_OF, Target, plain, spelled, target

PHYSICIANS = (
    "Hallgrimsdottir^Runa",
    "Tchividjian^Aram",
    "Featheringham^Ottilie",
    "Zubrowska^Violetta",
    "Oyedepo^Kunle",
)
PLACES = ("Larkspurdale", "Quenbyford", "Ostwaldhafen", "Brackenfirth")


@dataclass(frozen=True)
class Somebody:
    """A drawn person with everything that identifies the study."""

    who: Target
    physician: str  # PN
    accession: str
    study_id: str
    street: str
    institution: str
    email: str
    born: datetime.date
    studied: datetime.date
    root: str  # of the study's UIDs
    number_uid: str  # a UID of the 2.25 form, which is a UUID too

    @property
    def needles(self) -> dict[str, tuple[str, ...]]:
        """What a clean file must not show, squeezed (see `plain`), by what it is."""
        family = self.physician.split("^", maxsplit=1)[0]
        found = {
            "name": tuple(n for n in self.who.needles[:-2] if n),
            "number": (plain(self.who.number), plain(self.who.phone), plain(self.accession), plain(self.study_id)),
            "physician": (plain(family),),
            "place": (plain(self.street), plain(self.institution), plain(self.email)),
            "uid": (plain(self.root), plain(self.number_uid), f"{int(self.number_uid[5:]):032x}"),
        }
        for kind, day in (("birth", self.born), ("study date", self.studied)):
            found[kind] = tuple(dict.fromkeys(plain(form) for form in whole_dates(day)))
        return found


def somebody(rng: random.Random) -> Somebody:
    """A person of any script, with numbers, places and days of their own."""
    place = rng.choice(PLACES)
    login = "".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(5))
    return Somebody(
        who=target(rng),
        physician=rng.choice(PHYSICIANS),
        accession=f"{rng.choice(('ACC', 'E', 'X-'))}{rng.randrange(10**7, 10**8)}",
        study_id=f"S{rng.randrange(10**5, 10**6)}",
        street=f"{rng.randrange(11, 99)} {place} Lane",
        institution=f"{rng.choice(PLACES)} {rng.choice(('Imaging', 'Clinic', 'Radiology'))}",
        email=f"{login}{rng.randrange(10, 99)}@mail.example",
        born=datetime.date(rng.randrange(1931, 1999), rng.randrange(1, 13), rng.randrange(13, 29)),
        studied=datetime.date(rng.randrange(2012, 2026), rng.randrange(1, 13), rng.randrange(13, 29)),
        root=f"1.2.826.0.1.3680043.9.{rng.randrange(10**7, 10**8)}",
        number_uid=f"2.25.{rng.getrandbits(128) | 1 << 127}",
    )


def dicom_day(day: datetime.date) -> str:
    """YYYYMMDD."""
    return day.strftime("%Y%m%d")


def whole_dates(day: datetime.date) -> list[str]:
    """A day in full, as texts write it: year of four digits, nothing left out."""
    name, short = day.strftime("%B"), day.strftime("%b")
    return [
        *(day.strftime(f) for f in ("%Y%m%d", "%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y")),
        *(f"{day.day} {m} {day.year}" for m in (name, short)),
        *(f"{m} {day.day}, {day.year}" for m in (name, short)),
        *(f"{day.day}{end} of {name} {day.year}" for end in ("th", "rd", "st", "nd")[:1]),
        f"{day.strftime('%d')}-{short.upper()}-{day.year}",
        day.strftime("%Y%m%d") + "101530",
        day.strftime("%Y-%m-%dT10:15:30"),
    ]


def short_dates(day: datetime.date) -> list[str]:
    """A day with two digits of its year."""
    return [day.strftime(f) for f in ("%d.%m.%y", "%m/%d/%y", "%d-%b-%y", "%y%m%d", "%d%m%y")]


def names(one: Somebody, rng: random.Random) -> str:
    """The patient, as somebody may write the name down."""
    who = one.who
    ways: list[Callable[[], str]] = [
        lambda: spelled(who, rng),
        lambda: spelled(who, rng),
        lambda: f"{who.family}^{who.given}^^^",
        lambda: who.family.upper() + who.given.capitalize(),
        lambda: f"{who.given} {who.family}-Smith",
        lambda: f"<b>{who.family}</b>, {who.given}",
        lambda: f"PID|1||{who.number}^^^HOSP||{who.family}^{who.given}||{dicom_day(one.born)}|F",
    ]
    if who.family in LATIN_OF:
        ways.append(lambda: f"{LATIN_OF[who.family]} {LATIN_OF.get(who.given, 'Kei')}")
    return rng.choice(ways)()


def numbers(one: Somebody, rng: random.Random) -> str:
    """A number of the patient or the study."""
    number = rng.choice((one.who.number, one.accession, one.study_id))
    digits = "".join(c for c in number if c.isdigit())
    ways = [
        number, number.lower(), f"MRN {number}", f"#{number}", " ".join(number), f"{digits[:3]}-{digits[3:]}",
        f"pid={number}&x=1", f"00{digits}", f"{int(digits):,}", f"scan_{number}_axial", f"T {one.who.phone}",
        one.who.phone.replace(" ", "-"), f"tel:+44{one.who.phone[1:]}", one.email, f"mailto:{one.email.upper()}",
    ]  # fmt: skip
    return rng.choice(ways)


def others(one: Somebody, rng: random.Random) -> str:
    """People, places and UIDs around the patient."""
    family, given = one.physician.split("^")
    uuid = f"{int(one.number_uid[5:]):032x}"
    spaced = f"{uuid[:8]}-{uuid[8:12]}-{uuid[12:16]}-{uuid[16:20]}-{uuid[20:]}"
    return rng.choice(
        (
            f"ref. by Dr {family}", f"{given[0]}. {family}", f"{family.lower()} asked", one.street, f"at {one.street}",
            one.institution, one.institution.upper(), f"{one.root}.1", f"see {one.root}.2 and {one.root}.3",
            f"urn:oid:{one.root}.1", one.number_uid, f"urn:uuid:{spaced}", spaced.upper(), uuid,
            f"http://pacs/wado?studyUID={one.root}.1",
        )
    )  # fmt: skip


def days(one: Somebody, rng: random.Random) -> str:
    """A day of the patient in a sentence."""
    day, intro = rng.choice(((one.born, "DOB "), (one.born, "born "), (one.studied, "scan of "), (one.studied, "")))
    return intro + rng.choice((*whole_dates(day), *short_dates(day)))


def encoded(text: str, rng: random.Random) -> str:
    """A text as machines pass it on."""
    raw = text.encode("utf-8")
    ways: list[Callable[[], str]] = [
        lambda: base64.b64encode(raw).decode(),
        lambda: base64.urlsafe_b64encode(b"patient: " + raw).decode().rstrip("="),
        lambda: raw.hex(),
        lambda: raw.hex(" ").upper(),
        lambda: urllib.parse.quote_plus(text, safe=""),
        lambda: "".join(f"%{b:02X}" for b in raw),
        lambda: "".join(f"&#{ord(c)};" for c in text),
        lambda: "".join(f"&#x{ord(c):x};" for c in text),
        lambda: html.escape(text),
        lambda: "".join(f"\\u{ord(c):04x}" if ord(c) < 65536 else c for c in text),
        lambda: json.dumps({"resourceType": "Patient", "name": [{"text": text}]}),
        lambda: quopri.encodestring(b"n=" + raw, quotetabs=True).decode().replace("=\n", ""),
        lambda: Header(text, "utf-8").encode(linesep=""),
        lambda: "".join(f"\\x{b:02x}" for b in raw),
    ]
    return rng.choice(ways)()


def text_about(one: Somebody, rng: random.Random) -> tuple[str, str]:
    """(what kind of form, the text): one identifier, alone, in a sentence, or encoded."""
    kind = rng.choice(("name", "name", "name", "number", "number", "other", "day"))
    core = {"name": names, "number": numbers, "other": others, "day": days}[kind](one, rng)
    if rng.random() < 0.25:
        return f"{kind}, encoded", encoded(core, rng)
    if rng.random() < 0.4:
        core = rng.choice(
            ("CT chest, {}, contrast", "{}: no acute finding", "prior of {} reviewed", "AX T1 [{}]")
        ).format(core)
    return kind, core
