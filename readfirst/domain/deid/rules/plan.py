"""What a profile does to each attribute: the table's codes resolved by the profile's options, once per profile."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from readfirst.domain.deid.dicom import tags
from readfirst.domain.deid.dicom.standard_tables import ContentRow, Row, is_tag, rows
from readfirst.domain.deid.rules.profile import Options, Profile
from readfirst.domain.deid.rules.whose_dates import DATE_VRS, PATIENT, STANDARD, Moment, moments

# K: keep (after the checks by VR). C: keep, cleaned. S: shift. P: keep a date that the standard prints.
# U: replace the UID. R: recurse and replace the UIDs.
# The others are the table's own codes, whose choices the attribute's type decides.
Action = Literal["K", "C", "S", "P", "U", "R", "X", "Z", "D"]

# Free text about the person, not the picture: anybody may be named there who stands in no other attribute (a relative,
# an employer), so cleaning what is known is not enough, and the Basic Profile's removal stays.
ABOUT_THE_PERSON = frozenset(("00102180", "00104000", "00380062", "00384000"))

# Attributes that the table does not list and that name a person, a document or a place.
UNLISTED = {
    tags.NTPSourceAddress: "network address",  # NTP Source Address
    tags.HL7InstanceIdentifier: "identifies a document",  # HL7 Instance Identifier
    tags.EncapsulatedDocumentLength: "length of a document that is gone",  # Encapsulated Document Length
    tags.ContactDisplayName: "names a person",  # Contact Display Name
}

# Options that keep what the study's other texts would be cleaned of: it is no identifier then.
KEPT_IDENTITIES = frozenset(("retain_device_identity", "retain_institution_identity"))


@dataclass(frozen=True, slots=True)
class Rule:
    """What the profile says about an attribute: one action, or choices for `resolve`; and where that comes from."""

    action: str
    why: str


@dataclass(frozen=True)
class Plan:
    """All rules of a profile."""

    profile: Profile
    rules: dict[int, Rule]
    digest: str  # the profile's

    @property
    def options(self) -> Options:
        """The profile's switches."""
        return self.profile.options

    def keeps(self, tag: int) -> bool:
        """Whether an attribute that names a device or a place stays as it is."""
        rule = self.rules.get(tag)
        return rule is not None and rule.action == "K" and rule.why in KEPT_IDENTITIES


@lru_cache(maxsize=16)
def plan_of(profile: Profile) -> Plan:
    """The profile's rule for every attribute of the table."""
    rules = {tag: _date_rule(moment, "X/Z/D", profile.options) for tag, moment in moments().items()}
    rules |= {tag: Rule("X/Z/D", why) for tag, why in UNLISTED.items()}
    rules |= {int(r.tag, 16): rule_of(r, profile.options) for r in rows() if is_tag(r.tag)}
    return Plan(profile, rules, profile.digest)


def switched_on(options: Options) -> frozenset[str]:
    """The table's option columns that a profile applies."""
    switches = {
        "retain_safe_private": options.safe_private,
        "retain_uids": options.uids,
        "retain_device_identity": options.device_identity,
        "retain_institution_identity": options.institution_identity,
        "retain_patient_characteristics": options.patient_characteristics,
        "retain_longitudinal_full_dates": options.dates == "full",
        "retain_longitudinal_modified_dates": options.dates in ("modified", "year"),
        "clean_descriptors": options.descriptors,
        "clean_structured_content": options.structured_content,
        "clean_graphics": options.graphics,
    }
    return frozenset(name for name, on in switches.items() if on)


def rule_of(row: Row | ContentRow, options: Options) -> Rule:
    """The rule of one row under the options."""
    on = switched_on(options)
    if isinstance(row, Row) and is_tag(row.tag) and (moment := moments().get(int(row.tag, 16))):
        if options.dates == "full" and "retain_longitudinal_full_dates" not in row.options:
            return Rule(row.basic, "Basic Profile")
        return _date_rule(moment, row.basic, options)
    vr = row.vr if isinstance(row, Row) else {"DATE": "DA", "DATETIME": "DT", "TIME": "TM"}.get(row.value_type, "")
    applied = {o: code for o, code in row.options.items() if o in on}
    if isinstance(row, Row) and row.tag in ABOUT_THE_PERSON:
        applied.pop("clean_descriptors", None)
    if vr in DATE_VRS:  # only the date options free a date, whatever else lists it
        applied = {o: code for o, code in applied.items() if o.startswith("retain_longitudinal")}
    elif options.dates == "year":  # an offset from UTC says where, and nothing about the year
        applied.pop("retain_longitudinal_modified_dates", None)
    for option, code in sorted(applied.items()):
        if option == "retain_longitudinal_modified_dates":
            why = "the year stays" if options.dates == "year" else option
            return Rule("S" if vr in DATE_VRS else "C", why)
        if code == "K":
            return Rule("K", option)
    if applied:
        return Rule("C", min(applied))
    if row.basic == "X/Z/U*":  # the references stay useful when their UIDs are replaced
        return Rule("R", "Basic Profile")
    return Rule(row.basic, "Basic Profile")


def _date_rule(moment: Moment, basic: str, options: Options) -> Rule:
    """The rule of a date or time attribute: only the patient's own dates move, only the standard's stay as they are."""
    if moment.belongs == "birth" or options.dates == "none":
        return Rule(basic, "Basic Profile")
    if options.dates == "full":
        return Rule("K", "retain_longitudinal_full_dates")
    if moment.belongs == STANDARD:
        return Rule("P", "printed in the standard")
    if moment.belongs != PATIENT:
        return Rule(basic, "not the patient's date")
    return Rule("S", "the year stays" if options.dates == "year" else "retain_longitudinal_modified_dates")


def resolve(choices: str, kind: str) -> Action:
    """One action from the table's choices by the attribute's type (PS3.15 E.3.1: Type 1 D, Type 2 Z, Type 3 X).

    `kind` is "" for an object that the standard does not know: then the choice that any object can live with.
    """
    if choices in ("K", "C", "S", "P", "U", "R", "D"):
        return choices  # type: ignore[return-value]
    allowed = choices.split("/")
    if kind in ("1", "1C"):
        return "D" if "D" in allowed or kind == "1" else ("Z" if "Z" in allowed else "X")
    if kind in ("2", "2C"):
        return "Z"
    order: tuple[Action, ...] = ("X", "Z", "D") if kind == "3" else ("Z", "D", "X")
    return next(a for a in order if a in allowed)
