"""De-identification by DICOM PS3.15 Annex E and beyond it: bytes and keys in; clean bytes, identity and receipt out.

known = known_identifiers(read_header(first)) | known_identifiers(read_header(second)) | …
done = deidentify(source, target, names=…, handle=…, profile=load_profile("triage-default"), known=known)
"""

from readfirst.domain.deid.acceptance import named_in, read_header
from readfirst.domain.deid.dicom.standard_tables import TABLE_EDITION
from readfirst.domain.deid.engine import Deidentified, deidentify
from readfirst.domain.deid.identity import IdentityRecord, PatientIdentity, StudyIdentity
from readfirst.domain.deid.receipt import PixelCheck, Receipt, ReceiptBatch, RuleFired, sign, verify
from readfirst.domain.deid.rules.profile import Profile, ProfileError, load_profile
from readfirst.domain.deid.stated import stated_person
from readfirst.domain.deid.text.known_identifiers import KnownIdentifiers, known_identifiers
from readfirst.domain.deid.version import ENGINE_VERSION, engine_build

__all__ = [
    "ENGINE_VERSION",
    "TABLE_EDITION",
    "Deidentified",
    "IdentityRecord",
    "KnownIdentifiers",
    "PatientIdentity",
    "PixelCheck",
    "Profile",
    "ProfileError",
    "Receipt",
    "ReceiptBatch",
    "RuleFired",
    "StudyIdentity",
    "deidentify",
    "engine_build",
    "known_identifiers",
    "load_profile",
    "named_in",
    "read_header",
    "sign",
    "stated_person",
    "verify",
]
