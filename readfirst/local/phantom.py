"""Invented studies for the demo and the tests: a chest CT of nobody that carries a full set of invented identifiers.

What is planted is returned, so that a test can look for every piece of it where no identifier may be.
"""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.sequence import Sequence as Items
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from model_container.phantoms.anatomy import render, scan
from model_container.phantoms.lesions import sample_clear_lesions
from model_container.phantoms.shapes import Grid
from model_container.phantoms.thorax import Thorax, sample_thorax, with_lesions
from readfirst.domain.deid.dicom.codec import with_preamble
from readfirst.domain.deid.dicom.elements import Unreadable
from readfirst.domain.faults import WrongCall

Planted = dict[str, str]
"""What was planted: a name for the place, and the string that must not be found outside uploads and vault."""

_WIDEST = 215.0  # mm, half: a wider chest would need a coarser picture than models take

_SURNAMES = ("Quellmalz", "Ostrovidova", "Tannhuber", "Brzeczyk", "Vandersloot", "Ixtlahuaca", "Oyelaran", "Fjeldsted")
_GIVEN = ("Ottokar", "Wilhelmina", "Tancredi", "Zbigniewa", "Eustachius", "Xochitlani", "Babatundeh", "Ragnhildur")
_DOCTORS = ("Pfefferkuss", "Wolkenstoerer", "Umbridgeworth", "Dzierzynka", "Katzenellen", "Abernathyson", "Nwachukwuma")
_PLACES = ("Sankt-Fridolin-Spital", "Querfurth Imaging Centre", "Hospital Santa Ximena", "Brackwater Infirmary")
_STREETS = ("Zwiebelgässchen", "Old Thistlewick Lane", "Rue des Ecureuils", "Kvæfjordveien")


class NoStudy(WrongCall):
    """There is no DICOM image where a study was expected."""


def invent_identifiers(seed: int) -> Planted:
    """A person, their doctors and their clinic: invented, the same for the same seed."""
    rng = np.random.default_rng([seed, 1])

    def pick(pool: Sequence[str]) -> str:
        return pool[int(rng.integers(len(pool)))]

    def digits(count: int) -> str:
        return str(rng.integers(1, 10)) + "".join(str(d) for d in rng.integers(0, 10, count - 1))

    doctors = rng.permutation(_DOCTORS)
    study_day = date(2025, 11, 3) - timedelta(days=int(rng.integers(0, 600)))
    birth = study_day - timedelta(days=int(rng.integers(41 * 365, 84 * 365)))
    root = f"1.2.840.113619.2.{digits(3)}.3.{digits(10)}.{digits(3)}.{digits(10)}"
    return {
        "surname": pick(_SURNAMES), "given name": pick(_GIVEN), "birth name": pick(_SURNAMES) + "-Haferkorn",
        "mother": pick(_SURNAMES) + "-Lindwurm", "patient id": f"KH-{digits(8)}", "other id": f"AHV{digits(10)}",
        "birth date": birth.strftime("%Y%m%d"), "street": f"{pick(_STREETS)} {digits(3)}", "town": "Niederzwehrenbach",
        "phone": f"+49 561 {digits(7)}", "mobile": f"+49 171 {digits(7)}", "relative": pick(_GIVEN) + "-Annegret",
        "occupation": "Glockengiesser", "insurer": f"POL{digits(9)}",
        "referrer": str(doctors[0]), "performer": str(doctors[1]), "reader": str(doctors[2]),
        "operator": str(doctors[3]), "requester": str(doctors[4]),
        "referrer phone": f"+49 69 {digits(7)}",
        "institution": pick(_PLACES), "institution address": f"Muehlgraben {digits(4)}, Oberlahnstein",
        "department": "Roentgenhaus Nordfluegel", "station": f"CTWEST{digits(4)}", "serial": f"SN{digits(9)}",
        "detector": f"DET{digits(8)}", "accession": f"ACC{digits(9)}", "study id": f"ST{digits(8)}",
        "procedure": f"RP{digits(8)}", "step": f"SPS{digits(7)}", "admission": f"FALL{digits(8)}",
        "ward": f"Station Erlenblick {digits(3)}",
        "study date": study_day.strftime("%Y%m%d"), "private code": f"PRV{digits(9)}",
        "study uid": f"{root}.1", "series uid": f"{root}.2", "frame uid": f"{root}.3", "order uid": f"{root}.4",
        "uid root": root,
    }  # fmt: skip


def write_phantom_study(
    folder: Path,
    *,
    seed: int,
    chest: int | None = None,
    slices: int = 32,
    nodules: Sequence[float] = (26.0, 9.0),
    size: int = 512,
    spacing: float = 2.5,
    identifiers: dict[str, str] | None = None,
) -> Planted:
    """Writes an invented chest CT series of `slices` files into `folder`; returns every identifier planted in it.

    `seed` invents the person, `chest` the anatomy (the person's seed unless given: a study of another person whose
    picture, and so the model's answer, is known). `nodules` are diameters in mm; `spacing` lies between slices, in
    mm; `identifiers` replaces single ones of `invent_identifiers(seed)`. The same arguments write the same bytes.
    """
    planted = invent_identifiers(seed) | (identifiers or {})
    hu, grid = _chest(seed if chest is None else chest, slices, tuple(nodules), size, spacing)
    folder.mkdir(parents=True, exist_ok=True)
    for k, z in enumerate(grid.zs):
        ds = _ct_image(hu[k], grid, z, spacing)
        ds.InstanceNumber = str(slices - k)
        planted[f"sop uid {k}"] = ds.SOPInstanceUID = f"{planted['uid root']}.9.{k + 1}"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = planted["study uid"], planted["series uid"]
        ds.FrameOfReferenceUID = planted["frame uid"]
        plant_into(ds, planted)
        _save(ds, folder / f"IM{k + 1:05d}", planted)
    del planted["uid root"]  # its children are what is written
    return planted


def plant_identifiers(source: Path, target: Path, seed: int) -> Planted:
    """Copies the DICOM files under `source` to `target` with the same kind of identifiers planted; returns them.

    UIDs change consistently, so that a study that somebody else published becomes one that nobody has seen. What is
    no image object (a DICOMDIR, a viewer, a letter) is copied as it is. Raises NoStudy where nothing else is there.
    """
    planted = invent_identifiers(seed)
    root = planted.pop("uid root")
    target.mkdir(parents=True, exist_ok=True)
    images = 0
    paths = sorted(p for p in source.rglob("*") if p.is_file())
    for k, path in enumerate(paths):
        try:
            ds = pydicom.dcmread(io.BytesIO(with_preamble(path.read_bytes())))
        except (Unreadable, InvalidDicomError):
            ds = None
        if ds is None or "StudyInstanceUID" not in ds:
            shutil.copyfile(path, target / f"IM{k + 1:05d}{path.suffix}")
            continue
        images += 1
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
            if keyword in ds:
                old = str(ds[keyword].value)
                new = f"{root}.{int(hashlib.sha256(old.encode()).hexdigest()[:9], 16)}"
                ds[keyword].value = new
                planted[f"{keyword} {old[-12:]}"] = new
        plant_into(ds, planted)
        _save(ds, target / f"IM{k + 1:05d}", planted)
    if not images:
        raise NoStudy(f"{source} holds no DICOM image")
    for gone in ("study uid", "series uid", "frame uid"):
        del planted[gone]
    return planted


# ---------------------------------------------------------------- pixels


@lru_cache(maxsize=4)
def _chest(
    seed: int, slices: int, nodules: tuple[float, ...], size: int, spacing: float
) -> tuple[NDArray[np.int16], Grid]:
    rng = np.random.default_rng([seed, 2])
    thorax: Thorax = sample_thorax(rng)
    while thorax.half_width > _WIDEST:
        thorax = sample_thorax(rng)
    pixel = round(2.06 * max(thorax.half_width, 170.0) / size, 6)
    bottom = -12.0 - spacing * (slices - 1) / 2
    zs = tuple(bottom + spacing * k for k in range(slices))
    inner = spacing * slices * 0.3
    around = (-12 - inner, -12 + inner)
    lesions = sample_clear_lesions(rng, thorax, around, nodules)
    grid = Grid(size, pixel, zs)
    volume = render(with_lesions(thorax, lesions), grid)
    scanned = scan(volume.hu, rng, noise=14.0, blur=0.75 * size / 512)
    return np.round(scanned).astype(np.int16), grid


def _ct_image(hu: NDArray[np.int16], grid: Grid, z: float, spacing: float) -> FileDataset:
    """A CT image whose attributes a scanner would have set; identifiers come later."""
    ds = _file_dataset()
    ds.SOPClassUID, ds.Modality = CTImageStorage, "CT"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.Manufacturer, ds.ManufacturerModelName, ds.SoftwareVersions = "READFIRST", "Phantom", "1"
    ds.BodyPartExamined, ds.PatientPosition, ds.ConvolutionKernel = "CHEST", "FFS", "STANDARD"
    ds.KVP, ds.XRayTubeCurrent, ds.ExposureTime = "120", "220", "500"
    ds.SliceThickness, ds.SpacingBetweenSlices = f"{spacing:g}", f"{spacing:g}"
    ds.GantryDetectorTilt, ds.TableHeight, ds.RotationDirection = "0", "144.0", "CW"
    ds.DataCollectionDiameter = f"{grid.size * grid.pixel:.1f}"
    ds.ReconstructionDiameter = f"{grid.size * grid.pixel:.1f}"
    ds.AcquisitionNumber, ds.SeriesNumber = "1", "2"
    corner = -(grid.size - 1) / 2 * grid.pixel
    ds.ImagePositionPatient = [f"{corner:.4f}", f"{corner:.4f}", f"{z:.4f}"]
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    ds.PositionReferenceIndicator, ds.SliceLocation = "SN", f"{z:.4f}"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows = ds.Columns = grid.size
    ds.PixelSpacing = [f"{grid.pixel:.6f}"] * 2
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.WindowCenter, ds.WindowWidth = ["40", "-600"], ["400", "1500"]
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "-1024", "1", "HU"
    ds.PixelData = (hu + 1024).astype("<i2").tobytes()
    return ds


def _file_dataset() -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return FileDataset("", Dataset(), file_meta=meta, preamble=b"\0" * 128)


# ---------------------------------------------------------------- identifiers


def plant_into(ds: Dataset, who: Planted) -> None:
    """Writes the identifiers wherever scanners and information systems leave them: plain, nested, private, in prose."""
    name = f"{who['surname']}^{who['given name']}"
    ds.SpecificCharacterSet = "ISO_IR 192"
    _plant_patient(ds, who, name)
    _plant_people_and_places(ds, who)
    _plant_visit(ds, who)
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "InstanceCreationDate"):
        setattr(ds, keyword, who["study date"])
    for keyword in ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime", "InstanceCreationTime"):
        setattr(ds, keyword, "081537.25")
    ds.AcquisitionDateTime = f"{who['study date']}081537.25"
    ds.StudyDescription = f"CT Thorax KM {who['surname']} {who['given name']}"
    ds.SeriesDescription = f"Lunge 2.5 {who['surname']} tel {who['phone']}"
    ds.ProtocolName = f"THORAX {who['accession']}"
    ds.ImageComments = f"Pat. {who['given name']} {who['surname']}, geb. {who['birth date']}, {who['street']}"
    _plant_nested(ds, who, name)
    _plant_private(ds, who, name)


def _plant_patient(ds: Dataset, who: Planted, name: str) -> None:
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = name, who["patient id"], who["birth date"]
    ds.PatientSex, ds.PatientAge, ds.PatientWeight, ds.PatientSize = "O", _age(who), "74", "1.72"
    ds.PatientBirthTime = "043000"
    ds.OtherPatientNames = f"{who['birth name']}^{who['given name']}"
    ds.PatientBirthName = f"{who['birth name']}^{who['given name']}"
    ds.PatientMotherBirthName = f"{who['mother']}^Sieglinde"
    ds.PatientAddress, ds.RegionOfResidence = f"{who['street']}, {who['town']}", who["town"]
    ds.PatientTelephoneNumbers = [who["phone"], who["mobile"]]
    ds.Occupation, ds.InsurancePlanIdentification = who["occupation"], who["insurer"]
    ds.AdditionalPatientHistory = f"{who['surname']} was seen by Dr {who['referrer']} on {who['study date']}"
    ds.PatientComments = f"Call {who['relative']} on {who['mobile']}"
    ds.IssuerOfPatientID = who["institution"]


def _age(who: Planted) -> str:
    born, seen = who["birth date"], who["study date"]
    return f"{int(seen[:4]) - int(born[:4]) - (seen[4:] < born[4:]):03d}Y"


def _plant_people_and_places(ds: Dataset, who: Planted) -> None:
    ds.ReferringPhysicianName = f"{who['referrer']}^Hildegunde^^Dr"
    ds.ReferringPhysicianTelephoneNumbers = who["referrer phone"]
    ds.ReferringPhysicianAddress = f"Praxis {who['referrer']}, {who['town']}"
    ds.PerformingPhysicianName, ds.OperatorsName = f"{who['performer']}^Aloys", f"{who['operator']}^Mechthild"
    ds.NameOfPhysiciansReadingStudy = ds.PhysiciansOfRecord = f"{who['reader']}^Korbinian"
    ds.RequestingPhysician = f"{who['requester']}^Adelgunde"
    ds.InstitutionName, ds.InstitutionAddress = who["institution"], who["institution address"]
    ds.InstitutionalDepartmentName, ds.StationName = who["department"], who["station"]
    ds.DeviceSerialNumber, ds.DetectorID = who["serial"], who["detector"]


def _plant_visit(ds: Dataset, who: Planted) -> None:
    ds.AccessionNumber, ds.StudyID, ds.AdmissionID = who["accession"], who["study id"], who["admission"]
    ds.CurrentPatientLocation = who["ward"]
    ds.PerformedProcedureStepStartDate, ds.PerformedProcedureStepStartTime = who["study date"], "081500"
    ds.PerformedProcedureStepID = who["step"]
    ds.PerformedProcedureStepDescription = f"Thorax for {who['requester']}"


def _plant_nested(ds: Dataset, who: Planted, name: str) -> None:
    other = Dataset()
    other.PatientID, other.IssuerOfPatientID, other.TypeOfPatientID = who["other id"], who["insurer"], "TEXT"
    ds.OtherPatientIDsSequence = Items([other])
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "99R1", "99LOCAL", who["referrer"]
    person = Dataset()
    person.PersonIdentificationCodeSequence = Items([code])
    person.InstitutionName = who["institution"]
    ds.ReferringPhysicianIdentificationSequence = Items([person])
    request = Dataset()
    request.RequestedProcedureID, request.ScheduledProcedureStepID = who["procedure"], who["step"]
    request.RequestedProcedureDescription = f"CT Thorax {name.replace('^', ' ')}"
    request.AccessionNumber, request.StudyInstanceUID = who["accession"], ds.StudyInstanceUID
    ds.RequestAttributesSequence = Items([request])
    order = Dataset()
    order.ReferencedSOPClassUID, order.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", who["order uid"]
    ds.ReferencedStudySequence = Items([order])


def _plant_private(ds: Dataset, who: Planted, name: str) -> None:
    """Private elements as vendors write them: plain text, nested, and bytes of unknown representation."""
    identity = ds.private_block(0x0009, "GEMS_IDEN_01", create=True)
    identity.add_new(0x02, "SH", who["station"])
    identity.add_new(0x77, "LO", name.replace("^", " "))
    inner = Dataset()
    block = inner.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x77, "LO", who["private code"])
    raw = f"patient={who['surname']};id={who['patient id']};".encode()
    block.add_new(0x78, "UN", raw + b"\0" * (len(raw) % 2))
    acquisition = ds.private_block(0x0029, "SIEMENS MEDCOM HEADER", create=True)
    acquisition.add_new(0x40, "SQ", Items([inner]))


def _save(ds: Dataset, path: Path, who: Planted) -> None:
    """Writes the file; the preamble, which no reader shows, carries the name too."""
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.SourceApplicationEntityTitle = who["station"]
    ds.preamble = f"{who['surname']} {who['patient id']}".encode().ljust(128, b"\0")[:128]
    ds.save_as(path, enforce_file_format=True)
