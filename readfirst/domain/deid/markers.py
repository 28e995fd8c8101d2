"""What a clean copy says of its own de-identification (PS3.15 E.1.1, CID 7050)."""

from __future__ import annotations

from readfirst.domain.deid.dicom import tags
from readfirst.domain.deid.dicom.elements import (
    Element,
)
from readfirst.domain.deid.dicom.standard_tables import TABLE_EDITION
from readfirst.domain.deid.receipt import PixelCheck
from readfirst.domain.deid.rules import dates
from readfirst.domain.deid.rules.plan import Plan
from readfirst.domain.deid.subject import Subject
from readfirst.domain.deid.version import ENGINE_VERSION
from readfirst.domain.pseudonyms import patient_name

_LONGITUDINAL = {"none": "REMOVED", "year": "MODIFIED", "modified": "MODIFIED", "full": "UNMODIFIED"}


def with_markers(
    clean: list[Element], plan: Plan, subject: Subject, patient: str, handle: str, face: bool, pixels: PixelCheck
) -> list[Element]:
    """The clean elements with the new names and the markers of PS3.15 E.1.1 and PS3.3 C.12.1.1.

    Patient Identity Removed speaks of the pixels too: a picture that the profile lets nobody look at is not claimed.
    """
    options, verified = plan.options, pixels.verified
    claimed = options.pixels or pixels.outcome != "not looked at"
    longitudinal = _LONGITUDINAL[options.dates]
    set_values: dict[int, tuple[str, str]] = {
        tags.AccessionNumber: ("SH", handle),
        tags.PatientName: ("PN", patient_name(patient)),
        tags.PatientID: ("LO", patient),
        tags.StudyID: ("SH", handle),
        tags.PatientIdentityRemoved: ("CS", "YES" if claimed else "NO"),
        tags.DeidentificationMethod: (
            "LO",
            f"Readfirst {ENGINE_VERSION}\\PS3.15 {TABLE_EDITION}\\Profile {plan.profile.name}"[:200],
        ),
        tags.LongitudinalTemporalInformationModified: ("CS", longitudinal),
    }
    if face:
        set_values[tags.RecognizableVisualFeatures] = ("CS", "YES")
    if verified:
        set_values[tags.BurnedInAnnotation] = ("CS", "NO")
    if options.patient_characteristics:
        age = dates.capped_age(subject[tags.PatientAge]) or dates.age_at(
            subject[tags.PatientBirthDate], subject[tags.StudyDate]
        )
        if age:
            set_values[tags.PatientAge] = ("AS", age)
    merged = {e.tag: e for e in clean}
    merged.update({tag: Element(tag, vr, value.encode("ascii")) for tag, (vr, value) in set_values.items()})
    merged[tags.DeidentificationMethodCodeSequence] = Element(
        tags.DeidentificationMethodCodeSequence, "SQ", [code_item(*code) for code in method_codes(plan, verified)]
    )
    return [merged[tag] for tag in sorted(merged)]


def method_codes(plan: Plan, verified: bool) -> list[tuple[str, str]]:
    """CID 7050: each option's code only where the option is fully applied."""
    options = plan.options
    codes = [
        (True, "113100", "Basic Application Confidentiality Profile"),
        (verified, "113101", "Clean Pixel Data Option"),
        (options.graphics, "113103", "Clean Graphics Option"),
        (options.structured_content, "113104", "Clean Structured Content Option"),
        (options.descriptors, "113105", "Clean Descriptors Option"),
        (options.dates == "full", "113106", "Retain Longitudinal Temporal Information Full Dates Option"),
        (options.dates == "modified", "113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
        (options.patient_characteristics, "113108", "Retain Patient Characteristics Option"),
        (options.device_identity, "113109", "Retain Device Identity Option"),
        (options.uids, "113110", "Retain UIDs Option"),
        (options.safe_private, "113111", "Retain Safe Private Option"),
        (options.institution_identity, "113112", "Retain Institution Identity Option"),
    ]
    return [(value, meaning) for applied, value, meaning in codes if applied]


def code_item(value: str, meaning: str) -> list[Element]:
    return [
        Element(tags.CodeValue, "SH", value.encode()),
        Element(tags.CodingSchemeDesignator, "SH", b"DCM"),
        Element(tags.CodeMeaning, "LO", meaning.encode()),
    ]
