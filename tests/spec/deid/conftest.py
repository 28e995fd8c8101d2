"""What the chapters about de-identification share: files with invented identifiers, and one call to clean them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from readfirst.domain.deid import Deidentified, KnownIdentifiers, Profile, deidentify, known_identifiers, load_profile
from readfirst.domain.deid import read_header as read_header_of
from readfirst.domain.pseudonyms import Pseudonyms
from readfirst.domain.refusals import Refused

ROOT = b"an invented root secret of 32 bytes, or more"
HANDLE = "K7Q2M9XA"


@pytest.fixture
def names() -> Pseudonyms:
    """The pseudonyms of an invented clinic."""
    return Pseudonyms(ROOT, "hilltop")


@pytest.fixture
def ct() -> Dataset:
    """A small CT image that names an invented person wherever a scanner would."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = "1.2.826.0.1.3680043.9.7.1.3"
    ds.StudyInstanceUID = "1.2.826.0.1.3680043.9.7.1.1"
    ds.SeriesInstanceUID = "1.2.826.0.1.3680043.9.7.1.2"
    ds.FrameOfReferenceUID = "1.2.826.0.1.3680043.9.7.1.4"
    ds.PatientName = "Quillfeather^Oswina^B"
    ds.PatientID = "MRN-0048213"
    ds.IssuerOfPatientID = "HILLTOP"
    ds.PatientBirthDate = "19510423"
    ds.PatientSex = "F"
    ds.AccessionNumber = "ACC998877"
    ds.StudyID = "ST-5512"
    ds.StudyDate, ds.StudyTime = "20240229", "142205"
    ds.SeriesDate, ds.SeriesTime = "20240301", "000105"
    ds.AcquisitionDateTime = "20240229142301.250"
    ds.ReferringPhysicianName = "Brakspear^Tobias"
    ds.InstitutionName = "Hilltop Imaging"
    ds.StudyDescription = "CT chest, Quillfeather, seen 2024-02-29"
    ds.Modality = "CT"
    ds.SeriesNumber = "4"
    ds.Rows = ds.Columns = 8
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation, ds.SamplesPerPixel = 15, 0, 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.PixelData = bytes(range(128))
    return ds


def file_of(ds: Dataset, *, enforce: bool = True) -> bytes:
    """The data set as a DICOM file."""
    out = io.BytesIO()
    ds.file_meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", CTImageStorage)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.get("SOPInstanceUID", UID("1.2.3"))
    ds.save_as(out, enforce_file_format=enforce)
    return out.getvalue()


class Clean:
    """The outcome of cleaning one file."""

    def __init__(self, done: Deidentified, content: bytes) -> None:
        self.facts, self.identity, self.receipt = done.facts, done.identity, done.receipt
        self.content = content
        self.ds = pydicom.dcmread(io.BytesIO(content))


Cleaner = Callable[..., Clean]


def attempt(
    content: bytes, names: Pseudonyms, profile: Profile | str = "triage-default", known: KnownIdentifiers | None = None
) -> Clean | Refused:
    """De-identifies a file's bytes as the pipeline does."""
    chosen = load_profile(profile) if isinstance(profile, str) else profile
    if known is None:
        header = read_header_of(io.BytesIO(content), chosen.scope)
        known = known_identifiers(header) if isinstance(header, Dataset) else KnownIdentifiers()
    target = io.BytesIO()
    done = deidentify(io.BytesIO(content), target, names=names, handle=HANDLE, profile=chosen, known=known)
    assert not isinstance(done, Refused) or "led to a fault" not in done.detail, done
    return done if isinstance(done, Refused) else Clean(done, target.getvalue())


def profile_from(folder: Path, scope: str = "", **options: object) -> Profile:
    """A profile read from a file, as a site writes it: the basic profile with these options."""
    lines = ['name = "site"', 'legal = "none"', "[options]"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in options.items()]
    path = folder / "site.toml"
    path.write_text("\n".join([*lines, "[scope]", scope]) + "\n")
    return load_profile(path)


@pytest.fixture
def clean(names: Pseudonyms) -> Cleaner:
    """Cleans a data set or a file's bytes; fails the test where the engine refuses."""

    def run(source: Dataset | bytes, **options: object) -> Clean:
        content = file_of(source) if isinstance(source, Dataset) else source
        done = attempt(content, options.pop("names", names), **options)  # type: ignore[arg-type]
        assert isinstance(done, Clean), done
        return done

    return run
