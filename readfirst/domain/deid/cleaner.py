"""Applies a plan to a data set: table rules first, then a check by VR of everything that the table does not name."""

from __future__ import annotations

from functools import partial

from pydicom._dicom_dict import DicomDictionary

from readfirst.domain.deid.dicom.charsets import decoded
from readfirst.domain.deid.dicom.elements import TEXT_VRS, Bulk, Element
from readfirst.domain.deid.dicom.standard_tables import EXTRA_VRS, Types
from readfirst.domain.deid.pixels import icc
from readfirst.domain.deid.pixels.overlays import KEPT
from readfirst.domain.deid.rules import value_rules
from readfirst.domain.deid.rules.content import (
    CONTENT_SEQUENCE,
    ages_capped,
    content_rule,
    dates_are_the_patients,
    measured,
)
from readfirst.domain.deid.rules.dates import capped_ages, moved_by
from readfirst.domain.deid.rules.plan import KEPT_IDENTITIES, Plan, Rule, resolve
from readfirst.domain.deid.rules.private import CHARACTERISTICS, only_kept, safe_private
from readfirst.domain.deid.rules.whose_dates import DATE_VRS, moves, numbers_in, placeholder, printed, tells_a_day
from readfirst.domain.deid.text.attribute_text import names_somebody, scrubbed
from readfirst.domain.deid.text.codes import CODE_TEXTS, without_free_text
from readfirst.domain.deid.text.scrubber import Scrubber, place_of
from readfirst.domain.deid.text.vocabulary import says_only_known_words
from readfirst.domain.deid.traces import Traces
from readfirst.domain.numbers import as_integers
from readfirst.domain.pseudonyms import Pseudonyms


class Cleaner:
    """Cleans one file's data set."""

    def __init__(
        self,
        plan: Plan,
        names: Pseudonyms,
        scrubber: Scrubber,
        types: Types,
        shift_days: int,
        born: str = "",
        big: bool = False,
        overlays: frozenset[int] = frozenset(),
    ) -> None:
        self.plan = plan
        self.big = big  # the byte order of numbers
        self.overlays = overlays  # groups that may stay: their bitmaps show no text
        self.names = names
        self.scrubber = scrubber
        self.types = types
        self.shift_days = shift_days
        self.born = born  # YYYYMMDD: no date of the patient's care lies before it
        self.traces = Traces()
        self._charset: tuple[str, ...] = ()
        self._path: list[int] = []
        self._private: dict[int, str] = {}  # private tags of the data set at hand that may stay
        self._veiled = False  # inside an item that identifies: its texts become dummies
        self._dated = True  # a content item's date is the patient's
        self._aliases: dict[bytes, bytes] = {}  # names within the file (of layers) -> what they are called now

    def data_set(self, elements: list[Element]) -> list[Element]:
        """The clean elements of a data set or an item, in the order of their tags."""
        outer = self._charset, self._private, self._dated
        self._private = {}
        if any(e.tag in value_rules.CONTENT_DATES for e in elements):
            self._dated = dates_are_the_patients(elements)
        own = next((e for e in elements if e.tag == value_rules.CHARACTER_SET), None)
        if own is not None and isinstance(own.value, bytes):
            self._charset = tuple(v.strip() for v in own.value.decode("latin-1").split("\\"))
        if self.plan.options.safe_private and any(e.tag >> 16 & 1 for e in elements):
            named = partial(names_somebody, self.scrubber, self._charset)
            self._private = safe_private(elements, self.plan.profile, self.big, named)
        elements = ages_capped(elements)
        if not self.plan.options.descriptors:
            elements = without_free_text(elements)
        kept = []
        for element in elements:
            if element.tag == CHARACTERISTICS and isinstance(element.value, list):
                element = Element(CHARACTERISTICS, "SQ", only_kept(element.value, elements, self._private))
            clean = self._veil(element) if self._veiled else self._element(element)
            if clean is not None and (element.tag != CHARACTERISTICS or element.value):  # C.12.1: one item or more
                kept.append(clean)
        self._charset, self._private, self._dated = outer
        return kept

    def _veil(self, element: Element) -> Element | None:
        """What stays of an item that identifies: what it must have, with dummies for texts, and numbers."""
        frame = element.tag in value_rules.ITEM_FRAME or element.tag in value_rules.MEANINGS
        must = self._type(element.tag) in ("1", "1C", "2", "2C")
        if not frame and not must and element.vr not in value_rules.NUMERIC_VRS:
            return self._gone(element, "inside an identifying item")
        clean = self._element(element)
        if clean is None or frame or isinstance(clean.value, list):
            return clean
        named = clean.vr in TEXT_VRS and bool(clean.value) and not value_rules.says_nothing_of_a_person(clean)
        if not named:
            return clean
        self._trace(element, "dummy", "inside an identifying item")
        return Element(clean.tag, clean.vr, value_rules.dummy_value(clean.vr))

    def _items(self, sequence: int, items: list[list[Element]], veiled: bool) -> list[list[Element]]:
        """The items of a sequence, each cleaned once."""
        outer, self._veiled = self._veiled, veiled and sequence not in value_rules.MEANINGS
        self._path.append(sequence)
        clean = [self.data_set(item) for item in items]
        self._path.pop()
        self._veiled = outer
        return clean

    def _element(self, element: Element) -> Element | None:
        tag = element.tag
        rule = self.plan.rules.get(tag)
        if rule is not None:
            return self._ruled(element, rule)
        if tag == value_rules.GRAPHIC_LAYER and not self.plan.options.graphics:
            return self._alias(element)
        if tag & 0xFFFF == 0:
            return None  # group lengths: retired, and wrong after cleaning
        group = tag >> 16
        if group & 1:
            return self._private_element(element)
        if 0x5000 <= group <= 0x50FF or 0x6000 <= group <= 0x60FF:
            if group in self.overlays and not self._path and tag & 0xFFFF in KEPT:
                return element
            return self._gone(element, "overlay or curve")
        if group < 8 or group == 0xFFFC or group == 0xFFFE:
            return self._gone(element, "no part of a data set")
        if tag not in DicomDictionary and tag not in EXTRA_VRS:
            return self._gone(element, "not in the standard")
        if not self.plan.options.descriptors and tag not in CODE_TEXTS and self._is_free_text(element):
            return self._alias(element) if tag in value_rules.OPTICAL_PATHS else self._least(element, "free text")
        return self._by_vr(element)

    def _is_free_text(self, element: Element) -> bool:
        """Whether a text says more than its attribute's own words, words of the body and of pictures, short numbers."""
        defined = str(DicomDictionary[element.tag][0]) if element.tag in DicomDictionary else element.vr
        if (
            not isinstance(element.value, bytes)
            or defined not in value_rules.FREE_TEXT
            or element.tag == value_rules.CHARACTER_SET
        ):
            return False
        return not says_only_known_words(element.tag, decoded(element.value, self._charset))

    def _private_element(self, element: Element) -> Element | None:
        vr = self._private.get(element.tag, "")
        if not vr or not isinstance(element.value, bytes):
            return self._gone(element, "private")
        if element.tag & 0xFFFF <= 0xFF:
            return element
        if tells_a_day(numbers_in(element.value, vr, self.big), self.scrubber.known.dates):
            return self._gone(element, "private")  # a date that does not move gives away the shift
        clean = self._by_vr(Element(element.tag, vr, element.value))
        same = clean is not None and clean.value == element.value and vr not in ("UI", *DATE_VRS)
        return clean if same else self._gone(element, "private")

    # -- actions

    def _ruled(self, element: Element, rule: Rule) -> Element | None:
        action = resolve(rule.action, self._type(element.tag)) if "/" in rule.action else rule.action
        if action in ("X", "Z") and self._type(element.tag) in ("1", "2"):
            action = "D" if self._type(element.tag) == "1" else "Z"
        if action == "K":
            return self._kept(element, rule.why)
        if action == "C":
            if rule.why == "clean_structured_content" and isinstance(element.value, list):
                return self._content(element, element.value, veiled=False)
            return self._by_vr(element)
        if action == "S":
            return self._shifted(element, rule.why)
        if action == "P":
            return self._as_printed(element)
        if action in ("U", "R"):
            return self._by_vr(element)
        if action == "X":
            return self._gone(element, rule.why)
        return self._emptied(element, rule.why) if action == "Z" else self._dummy(element, rule.why)

    def _kept(self, element: Element, why: str) -> Element | None:
        if element.vr in DATE_VRS or element.vr == "UI":
            return element
        if why in KEPT_IDENTITIES and element.vr in value_rules.FREE_TEXT and isinstance(element.value, bytes):
            return self._by_vr(element) if self.scrubber.shows(element.value, self._charset, element.tag) else element
        return self._by_vr(element)

    def _by_vr(self, element: Element) -> Element | None:
        """What any attribute must pass that stays: what its VR can hold decides."""
        value = element.value
        if isinstance(value, list):
            return self._sequence(element, value)
        element = self._as_defined(element)
        vr = element.vr
        if vr == "UI":
            return self._uid(element)
        if vr in DATE_VRS:
            return self._date(element)
        if vr == "PN":
            return self._least(element, "VR PN")
        if vr in TEXT_VRS:
            return self._text(element)
        if element.tag in value_rules.SAFE_BINARY:
            return self._safe_binary(element)
        if element.tag == value_rules.ICC_PROFILE:
            return self._colours(element)
        if vr in value_rules.BINARY:
            return self._least(element, "binary value not known to be safe")
        if isinstance(value, Bulk) and value.length <= value_rules.MOST_NUMBERS:
            value = value.read()
            element = Element(element.tag, vr, value)
        if not isinstance(value, bytes) or len(value) > value_rules.SIZES.get(vr, 8) * value_rules.most_values(
            element.tag
        ):
            return self._least(element, "more numbers than the attribute has")
        if self.scrubber.in_binary(value, vr, self.big):
            return self._least(element, "known identifier in numbers")
        return element

    def _safe_binary(self, element: Element) -> Element | None:
        """Pictures stay at the top only (elsewhere they are icons); what stays must not spell a known identifier."""
        if element.tag >> 16 == 0x7FE0:
            return self._gone(element, "picture in a sequence") if self._path else element
        value = element.value
        head = next(value.chunks(), b"") if isinstance(value, Bulk) else value
        if isinstance(head, bytes) and self.scrubber.in_bytes(head):
            return self._least(element, "known identifier in a binary value")
        return element

    def _colours(self, element: Element) -> Element | None:
        """A colour profile written anew; sRGB in the place of one that must be there and cannot be used."""
        value = element.value
        if isinstance(value, Bulk):
            value = value.read() if value.length <= value_rules.LARGEST_PROFILE else b""
        clean = icc.cleaned(value) if isinstance(value, bytes) else None
        if clean is None or self.scrubber.in_bytes(clean):
            if self._type(element.tag) not in ("1", "1C"):
                return self._gone(element, "colour profile that cannot be used")
            clean = icc.standard()
        self._trace(element, "cleaned", "texts and makers in a colour profile")
        return Element(element.tag, "OB", clean + bytes(len(clean) & 1))

    def _as_defined(self, element: Element) -> Element:
        """The element with the standard's VR where the file gives it another: a date is a date, also as text."""
        entry = DicomDictionary.get(element.tag)
        if entry is None or element.vr in entry[0] or not element.value:
            return element
        expected = entry[0][:2]
        if expected in TEXT_VRS and element.vr in TEXT_VRS and isinstance(element.value, bytes):
            return Element(element.tag, expected, element.value)
        self._trace(element, "emptied", "VR is not the attribute's")
        return Element(element.tag, expected, [] if expected == "SQ" else b"")

    def _content(self, element: Element, items: list[list[Element]], veiled: bool) -> Element:
        """Content items by Table E.3.4-1; what it does not list is cleaned, or gets dummies, like everything else."""
        kept: list[list[Element]] = []
        for item in items:
            rule = content_rule(item, self.plan.options)
            action = resolve(rule.action, "3") if rule else "C"
            if action == "X":
                self._path.append(element.tag)
                self._trace(element, "removed", f"content item, {rule.why if rule else ''}")
                self._path.pop()
                continue
            kept += self._items(element.tag, [item], veiled or self._veiled or action == "D")
        return Element(element.tag, "SQ", kept)

    def _alias(self, element: Element) -> Element:
        """A name by which parts of the file refer to each other, as one that says nothing, the same everywhere."""
        name = element.value if isinstance(element.value, bytes) else b""
        alias = self._aliases.setdefault(name.strip(b" \0"), b"NAME%d" % (len(self._aliases) + 1))
        self._trace(element, "replaced", "name within the file")
        return Element(element.tag, element.vr, alias)

    def _sequence(self, element: Element, items: list[list[Element]]) -> Element | None:
        return Element(element.tag, "SQ", measured(element.tag, items, self._items(element.tag, items, self._veiled)))

    def _uid(self, element: Element) -> Element | None:
        if not isinstance(element.value, bytes):
            return self._least(element, "VR UI")
        if self.plan.options.uids:
            return element
        originals = [v.strip(" \0") for v in element.value.decode("latin-1").split("\\")]
        clean = [v if not v or value_rules.registered(v, element.tag) else self.clean_uid(v) for v in originals]
        if clean == originals:
            return element
        self._trace(element, "replaced", "VR UI")
        return Element(element.tag, "UI", "\\".join(clean).encode())

    def clean_uid(self, original: str) -> str:
        """The UID that stands for an original one; noted for the vault."""
        clean = self.traces.uids.get(original)
        if clean is None:
            clean = self.traces.uids[original] = self.names.uid(original)
        return clean

    def _date(self, element: Element) -> Element | None:
        """A date that is not one by the standard: nobody knows whose it is."""
        return element if self.plan.options.dates == "full" else self._least(element, f"VR {element.vr}")

    def _as_printed(self, element: Element) -> Element | None:
        """A date that the standard prints, the same for everybody; a day of this study in its place is none."""
        value = element.value.decode("latin-1").strip(" \0") if isinstance(element.value, bytes) else ""
        if printed(value) and value not in self.scrubber.known.dates:
            return Element(element.tag, "DT", value.encode())
        return self._least(element, "no date that the standard prints")

    def _shifted(self, element: Element, why: str) -> Element | None:
        if isinstance(element.value, list):
            return self._sequence(element, element.value)
        if not isinstance(element.value, bytes):
            return self._least(element, why)
        if not moves(element.tag) or (element.tag in value_rules.CONTENT_DATES and not self._dated):
            return self._least(element, "not the patient's date")
        values = [v.strip(" \0") for v in element.value.decode("latin-1").split("\\")]
        moved = [self._moved(element.vr, v) if v else "" for v in values]
        if None in moved:
            years = self.plan.options.dates == "year"
            return self._least(element, "no date to keep" if years else "not a date or time")
        if moved == values:
            return element
        self._trace(element, "cleaned" if self.plan.options.dates == "year" else "shifted", why)
        return Element(element.tag, element.vr, "\\".join(m or "" for m in moved).encode())

    def _moved(self, vr: str, value: str) -> str | None:
        if vr != "TM" and placeholder(value, self.born):
            return None
        return moved_by(self.shift_days, vr, value, years_only=self.plan.options.dates == "year")

    def _text(self, element: Element) -> Element | None:
        value = element.value
        if not isinstance(value, bytes):
            return self._least(element, "text beyond the limit")
        if not value:
            return element
        if element.tag == value_rules.CHARACTER_SET:
            valid = all(map(value_rules.CHARSETS.fullmatch, self._charset))
            return element if valid else self._gone(element, "no character set")
        if element.vr in ("UR", "AE"):
            return self._least(element, f"VR {element.vr}")
        if element.vr == "IS" and (value := as_integers(value)) != element.value:
            self._trace(element, "cleaned", "a whole number that was not written as one")
            element = Element(element.tag, "IS", value)
        if element.vr == "AS" and (capped := capped_ages(value)) != value:
            self._trace(element, "cleaned", "age over 89")
            return Element(element.tag, "AS", capped)
        key = (element.vr, value, self._charset, place_of(element.tag))
        clean = self.scrubber.memo.get(key)
        if clean is None:
            clean = self.scrubber.memo[key] = scrubbed(self.scrubber, *key)
        if clean == value:
            return element
        if element.vr not in value_rules.FREE_TEXT:
            return self._least(element, "known identifier or not what its VR allows")
        self._trace(element, "cleaned", "identifier in text")
        return Element(element.tag, element.vr, clean)

    # -- ways to go

    def _least(self, element: Element, why: str) -> Element | None:
        """Removes what has to go as far as the attribute's type allows."""
        kind = self._type(element.tag)
        if kind in ("1", "1C"):
            return self._dummy(element, why)
        return self._emptied(element, why) if kind in ("2", "2C") else self._gone(element, why)

    def _gone(self, element: Element, why: str) -> Element | None:
        self._trace(element, "removed", why)
        return None

    def _emptied(self, element: Element, why: str) -> Element:
        if not element.value:
            return element
        self._trace(element, "emptied", why)
        return Element(element.tag, element.vr, [] if element.vr == "SQ" else b"")

    def _dummy(self, element: Element, why: str) -> Element | None:
        value = element.value
        if not value and self._type(element.tag) not in ("1", "1C"):
            return element
        if isinstance(value, list):
            if element.tag == CONTENT_SEQUENCE:
                return self._content(element, value, veiled=True)
            return Element(element.tag, "SQ", self._items(element.tag, value, veiled=True))
        if element.vr == "UI":
            return self._uid(element)
        self._trace(element, "dummy", why)
        return Element(element.tag, element.vr, value_rules.dummy_for(element))

    def _type(self, tag: int) -> str:
        return self.types.of(self._path[-1] if self._path else 0, tag)

    def _trace(self, element: Element, action: str, why: str) -> None:
        path = "/".join(f"{t:08X}" for t in self._path)
        name = "private" if element.tag >> 16 & 1 else f"{element.tag:08X}"
        self.traces.rules[f"{path}/{name}" if path else name, action, why] += 1
