"""Cleans a drawn file as the product does, in every profile, and tells what is wrong with what comes out."""

from __future__ import annotations

import io
from collections import Counter
from functools import lru_cache
from pathlib import Path

import numpy as np
import pydicom
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from readfirst.domain.deid import Deidentified, KnownIdentifiers, Profile, deidentify, known_identifiers, load_profile
from readfirst.domain.deid import read_header as header_of
from readfirst.domain.deid.rules.profile import READY, parse_profile
from readfirst.domain.pseudonyms import Pseudonyms
from readfirst.domain.refusals import Reason, Refused
from tests.conformance.test_real_files import DCIODVFY, errors_of
from tests.drawn.adversary import harm, scan
from tests.drawn.adversary.cases import Case
from tests.drawn.adversary.pictures import Picture
from tests.spec.deid.conftest import HANDLE, ROOT

NAMES = Pseudonyms(ROOT, "hilltop")
PROFILES = (*READY, "basic")
# A long code that was cleaned is a short one; Debian's dciodvfy is older than some tags.
_NOT_OURS = ("LongCode", "not a recognized standard attribute")
_COVERED = 0.9  # of a line's ink


@lru_cache(maxsize=8)
def profile_named(name: str) -> Profile:
    """A ready profile, or the Basic Profile alone; each takes every object, and takes documents out."""
    basic = 'name = "basic"\nlegal = "none"\n[options]\nvisual_features = "allow"\n'
    profile = parse_profile(basic, "basic") if name == "basic" else load_profile(name)
    return profile.model_copy(
        update={"scope": profile.scope.model_copy(update={"objects": "any", "documents": "remove"})}
    )


def cleaned(content: bytes, profile: str) -> tuple[bytes, Deidentified] | Refused:
    """The clean copy and what the product says of it; or why it refuses."""
    header = header_of(io.BytesIO(content), profile_named(profile).scope)
    known = known_identifiers(header) if isinstance(header, Dataset) else KnownIdentifiers()
    target = io.BytesIO()
    done = deidentify(
        io.BytesIO(content), target, names=NAMES, handle=HANDLE, profile=profile_named(profile), known=known
    )
    return done if isinstance(done, Refused) else (target.getvalue(), done)


def wrong_with(case: Case, profile: str, folder: Path) -> list[str]:
    """Leaks, damage and new errors of dciodvfy in the clean copy of a drawn file; a refusal without a cause."""
    outcome = cleaned(case.content, profile)
    if isinstance(outcome, Refused):
        return [] if outcome.reason == Reason.VISUAL_FEATURES else [f"refused: {outcome.reason} {outcome.detail}"]
    content, done = outcome
    wrong = scan.leaks(content, case.one, case.text) + _told(done, case)
    with config.disable_value_validation():
        after = pydicom.dcmread(io.BytesIO(content))
        wrong += harm.broken_references(case.before, after) + harm.changed_numbers(case.before, after)
        if profile_named(profile).options.dates == "modified":
            (patient,) = done.identity.patients.values()
            wrong += harm.moved_apart(case.before, after, patient.shift_days)
            if case.before.Modality == "PT" and harm.uptake_factor(case.before) != harm.uptake_factor(after):
                wrong.append("another uptake value")
    looked_at = PROFILES[case.seed % len(PROFILES)] == profile  # two programs more for every file would take an hour
    return wrong + (new_errors(case.content, content, folder) if looked_at else [])


def _told(done: Deidentified, case: Case) -> list[str]:
    """The person in what the product tells of a file: facts and receipt go to the index and to logs."""
    text = done.receipt.model_dump_json() + done.facts.model_dump_json()
    return [f"{found} (receipt or facts)" for found in scan.leaks_in_text(text, case.one)]


def new_errors(before: bytes, after: bytes, folder: Path) -> list[str]:
    """dciodvfy's errors in the clean copy that the original does not have; nothing where it is not installed."""
    if DCIODVFY is None:
        return []
    if (explicit := _explicit(before)) and (clean := _explicit(after)):
        before, after = explicit, clean
    own = errors_of(before, folder)
    if any("read failed" in e or "Not found" in e for e in own):
        return []  # it cannot read the original (deflated, big endian): nothing to compare with
    new: Counter[str] = errors_of(after, folder) - own
    return [f"dciodvfy: {error}" for error in new if not any(each in error for each in _NOT_OURS)]


def _explicit(content: bytes) -> bytes | None:
    """An implicit file with its VRs: without them dciodvfy passes over a sequence that it does not know, unless its
    length is undefined, and so would find errors of what was planted in the clean copy alone. None where the file is
    not implicit, or has values whose VR pydicom cannot tell."""
    with config.disable_value_validation():
        ds = pydicom.dcmread(io.BytesIO(content))
        if ds.file_meta.TransferSyntaxUID != ImplicitVRLittleEndian:
            return None
        out = io.BytesIO()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        try:
            ds.save_as(out, implicit_vr=False, little_endian=True)
        except (ValueError, TypeError, OSError):
            return None
    return out.getvalue()


def wrong_with_picture(picture: Picture, profile: str) -> list[str]:
    """Lines and codes that a clean copy still shows, leaks in its bytes, pictures that changed without a reason."""
    outcome = cleaned(picture.content, profile)
    if isinstance(outcome, Refused):
        kept_back = (Reason.VISUAL_FEATURES, Reason.BURNED_IN, Reason.PIXELS_UNVERIFIED)
        return [] if outcome.reason in kept_back else [f"refused: {outcome.reason} {outcome.detail}"]
    content, _ = outcome
    ds = pydicom.dcmread(io.BytesIO(content))
    before = picture.pixels & ((1 << ds.BitsStored) - 1) if ds.BitsStored < ds.BitsAllocated else picture.pixels
    changed = np.asarray(ds.pixel_array != before)
    changed = changed.any(axis=-1) if ds.SamplesPerPixel > 1 else changed
    wrong = scan.leaks(content, picture.one)
    wrong += [
        f"a line is shown: {changed[ink].mean():.2f} of it went"
        for ink in picture.inked
        if changed[ink].mean() < _COVERED
    ]
    if not picture.inked and changed.any():
        wrong.append(f"{int(changed.sum())} pixels of a picture without text changed")
    return wrong
