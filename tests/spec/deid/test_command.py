"""Chapter: the command `readfirst deidentify SRC DST`."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from readfirst.cli import build
from tests.spec.deid.conftest import file_of

RUN = CliRunner()


def study(folder: Path, ct: Dataset) -> Path:
    """A folder as it comes from a disc, whose very names hold a name."""
    source = folder / "disc" / "QUILLFEATHER_OSWINA"
    source.mkdir(parents=True)
    for number in (1, 2):
        ct.SOPInstanceUID = f"1.2.826.0.1.3680043.9.7.2.{number}"
        # The second file alone would not tell whose name its description holds.
        ct.PatientName = "Quillfeather^Oswina" if number == 1 else ""
        (source / f"quillfeather{number}").write_bytes(file_of(ct))
    (source / "AUTORUN.INF").write_text("[autorun]\nopen=viewer.exe\n")
    (source / "broken.dcm").write_bytes(file_of(ct)[:300])
    return folder / "disc"


def test_a_folder_becomes_clean_copies_with_receipts_and_a_report(tmp_path: Path, ct: Dataset) -> None:
    source, target, key = study(tmp_path, ct), tmp_path / "clean", tmp_path / "root.key"
    result = RUN.invoke(build(("deidentify",)), ["deidentify", str(source), str(target), "--key-file", str(key)])
    assert result.exit_code == 0, result.output
    assert "1 text" in result.output
    assert "truncated" in result.output
    copies = sorted(target.rglob("*.dcm"))
    assert len(copies) == 2
    for path in target.rglob("*"):
        assert "quillfeather" not in str(path.relative_to(target)).lower()
        if path.is_file():
            assert b"quillfeather" not in path.read_bytes().lower()
    assert {p.name for p in copies[0].parent.iterdir()} >= {"receipts.json", "report.html"}
    assert not list(target.rglob("*.part"))


def test_the_same_key_gives_the_same_names_and_another_key_others(tmp_path: Path, ct: Dataset) -> None:
    source = study(tmp_path, ct)

    def patients(target: str, key: str) -> set[str]:
        options = [str(source), str(tmp_path / target), "--key-file", str(tmp_path / key)]
        assert RUN.invoke(build(("deidentify",)), ["deidentify", *options]).exit_code == 0
        return {str(pydicom.dcmread(p).PatientID) for p in (tmp_path / target).rglob("*.dcm")}

    assert patients("first", "a.key") == patients("second", "a.key")
    assert patients("third", "b.key").isdisjoint(patients("fourth", "a.key"))


def test_a_key_beside_the_clean_copies_and_a_full_folder_are_refused(tmp_path: Path, ct: Dataset) -> None:
    source, target = study(tmp_path, ct), tmp_path / "clean"
    options = ["deidentify", str(source), str(target), "--key-file", str(target / "root.key")]
    assert RUN.invoke(build(("deidentify",)), options).exit_code == 2
    target.mkdir()
    (target / "something").write_text("here")
    options[-1] = str(tmp_path / "root.key")
    assert RUN.invoke(build(("deidentify",)), options).exit_code == 2


def cleaned(tmp_path: Path, *files: Dataset) -> tuple[str, list[Dataset], list[str]]:
    """The command on those files: what it prints, the clean copies, and the digests that the receipts claim."""
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for number, file in enumerate(files):
        (source / f"{number:02d}").write_bytes(file_of(file))
    result = RUN.invoke(
        build(("deidentify",)), ["deidentify", str(source), str(target), "--key-file", str(tmp_path / "k")]
    )
    copies = sorted(target.rglob("*.dcm"))
    receipts = [r["output_digest"] for p in target.rglob("receipts.json") for r in json.loads(p.read_text())]
    assert sorted(receipts) == sorted(hashlib.sha256(p.read_bytes()).hexdigest() for p in copies)
    return result.output, [pydicom.dcmread(p) for p in copies], receipts


def but(ct: Dataset, number: int, **values: object) -> Dataset:
    changed = copy.deepcopy(ct)
    changed.SOPInstanceUID = f"1.2.826.0.1.3680043.9.7.3.{number}"
    for keyword, value in values.items():
        setattr(changed, keyword, value)
    return changed


def test_a_study_whose_files_write_the_patient_differently_is_one_patients(tmp_path: Path, ct: Dataset) -> None:
    ct.IssuerOfPatientID = ""
    changes = ({}, {"IssuerOfPatientID": "MERCY"}, {"PatientID": ""}, {"PatientID": "mrn-0048213"})
    _, copies, _ = cleaned(tmp_path, *(but(ct, n, **change) for n, change in enumerate(changes)))
    assert len(copies) == 4
    assert len({(str(ds.PatientID), str(ds.PatientName), str(ds.StudyDate)) for ds in copies}) == 1


def test_a_study_of_two_persons_is_refused_and_the_others_are_cleaned(tmp_path: Path, ct: Dataset) -> None:
    whole = but(ct, 9, StudyInstanceUID="1.2.826.0.1.3680043.9.7.1.9")
    output, copies, _ = cleaned(tmp_path, ct, but(ct, 2, PatientID="MRN-7"), whole)
    assert len(copies) == 1
    assert output.count("several-persons") == 2


def test_two_files_of_one_instance_that_differ_are_never_written_over_each_other(tmp_path: Path, ct: Dataset) -> None:
    output, copies, _ = cleaned(tmp_path, but(ct, 1), but(ct, 1, PixelData=bytes(128)), but(ct, 1))
    assert len(copies) == 1 and any(copies[0].PixelData)
    assert output.count("duplicate-instance") == 1
    assert "identical copies" in output


def test_two_series_that_name_their_instances_alike_are_both_written(tmp_path: Path, ct: Dataset) -> None:
    other = but(ct, 1, SeriesInstanceUID="1.2.826.0.1.3680043.9.7.1.22")
    _, copies, receipts = cleaned(tmp_path, but(ct, 1), other)
    assert len(copies) == len(receipts) == 2
    assert len({ds.SOPInstanceUID for ds in copies}) == 1
