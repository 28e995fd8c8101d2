"""DICOMweb against a client that others wrote, with real files of several kinds."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom.data import get_testdata_file
from pydicom.uid import JPEG2000Lossless, RLELossless

from readfirst.adapters import clients
from readfirst.domain import names
from readfirst.domain.records import StudyRecord
from tests.portal.stage import SLICES, chest
from tests.portal.studies import index, record

COUNT = 6


@pytest.fixture(scope="module")
def study(address: str) -> StudyRecord:
    """A CT series of six slices and one compressed image, in one study."""
    made = record(70)
    clean = clients.container(names.STUDIES, names.CLEAN)
    series = f"{made.study_uid}.3"
    for z, data in enumerate(chest(made.study_uid, series, SLICES)[:COUNT]):
        clean.upload_blob(f"{made.id}/instances/{series}/{series}.{z + 1}.dcm", data, overwrite=True)
    compressed = pydicom.dcmread(get_testdata_file("MR_small_RLE.dcm"))
    compressed.StudyInstanceUID, compressed.SeriesInstanceUID = made.study_uid, f"{made.study_uid}.4"
    out = io.BytesIO()
    compressed.save_as(out)
    name = f"{made.id}/instances/{compressed.SeriesInstanceUID}/{compressed.SOPInstanceUID}.dcm"
    clean.upload_blob(name, out.getvalue(), overwrite=True)
    made = made.model_copy(update={"instances": COUNT + 1})
    index(made)
    return made


@pytest.fixture(scope="module")
def web(as_) -> DICOMwebClient:
    session = as_("radiologist")
    return DICOMwebClient(f"{session.base}/dicomweb", session=_plain(session))


def _plain(client) -> object:
    import requests

    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = client.headers["Authorization"]
    return session


def test_a_client_finds_the_study_by_its_attributes(web: DICOMwebClient, study: StudyRecord) -> None:
    for filters in (
        {"StudyInstanceUID": study.study_uid},
        {"AccessionNumber": study.handle},
        {"00100020": study.patient},
        {"AccessionNumber": study.handle[:5] + "*", "ModalitiesInStudy": "CT"},
    ):
        found = web.search_for_studies(search_filters=filters)
        assert [s["0020000D"]["Value"][0] for s in found] == [study.study_uid], filters
    assert web.search_for_studies(search_filters={"AccessionNumber": "NOBODY00"}) == []
    assert web.search_for_studies(search_filters={"ModalitiesInStudy": "US"}) == []


def test_pages_of_studies_do_not_overlap(web: DICOMwebClient, study: StudyRecord) -> None:
    index(*[record(n) for n in range(71, 76)])
    pages = [web.search_for_studies(limit=2, offset=n) for n in (0, 2, 4)]
    uids = [s["0020000D"]["Value"][0] for page in pages for s in page]
    assert len(uids) == 6 == len(set(uids))


def test_series_and_instances_of_the_study(web: DICOMwebClient, study: StudyRecord) -> None:
    series = web.search_for_series(study.study_uid)
    assert {s["00080060"]["Value"][0]: s["00201209"]["Value"][0] for s in series} == {"CT": COUNT, "MR": 1}
    only = web.search_for_series(study.study_uid, search_filters={"Modality": "MR"})
    assert [s["0020000E"]["Value"][0] for s in only] == [f"{study.study_uid}.4"]
    instances = web.search_for_instances(study.study_uid, f"{study.study_uid}.3")
    assert [i["00200013"]["Value"][0] for i in instances] == list(range(1, COUNT + 1))


def test_metadata_holds_everything_but_the_pixels(web: DICOMwebClient, study: StudyRecord) -> None:
    metadata = web.retrieve_series_metadata(study.study_uid, f"{study.study_uid}.3")
    assert len(metadata) == COUNT
    first = pydicom.Dataset.from_json(metadata[0], bulk_data_uri_handler=lambda tag, vr, uri: b"")
    assert (first.Rows, first.PixelSpacing, first.ImagePositionPatient[2]) == (256, [1.4, 1.4], 0)
    assert metadata[0]["7FE00010"]["BulkDataURI"].endswith("/frames")


def test_an_instance_comes_back_as_it_was_stored(web: DICOMwebClient, study: StudyRecord) -> None:
    series = f"{study.study_uid}.3"
    got = web.retrieve_instance(study.study_uid, series, f"{series}.3")
    kept = pydicom.dcmread(io.BytesIO(chest(study.study_uid, series, SLICES)[2]))
    assert np.array_equal(got.pixel_array, kept.pixel_array)
    assert len(web.retrieve_series(study.study_uid, series)) == COUNT
    assert len(web.retrieve_study(study.study_uid)) == COUNT + 1


def test_a_compressed_image_comes_as_stored_or_transcoded_or_not_at_all(as_, study: StudyRecord) -> None:
    client = as_("radiologist")
    base = f"/dicomweb/studies/{study.study_uid}/series/{study.study_uid}.4"
    sop = client.get(f"{base}/instances").json()[0]["00080018"]["Value"][0]
    path = f"{base}/instances/{sop}"

    def get(syntax: str) -> object:
        suffix = f"; transfer-syntax={syntax}" if syntax else ""
        return client.get(path, headers={"Accept": f"application/dicom{suffix}"})

    stored = pydicom.dcmread(io.BytesIO(get("*").content))
    plain = pydicom.dcmread(io.BytesIO(get("").content))
    assert stored.file_meta.TransferSyntaxUID == RLELossless
    assert not plain.file_meta.TransferSyntaxUID.is_compressed
    assert np.array_equal(stored.pixel_array, plain.pixel_array)
    assert get(JPEG2000Lossless).status_code == 406


def test_frames_are_the_pixels(web: DICOMwebClient, as_, study: StudyRecord) -> None:
    series = f"{study.study_uid}.3"
    frames = web.retrieve_instance_frames(study.study_uid, series, f"{series}.1", [1])
    kept = pydicom.dcmread(io.BytesIO(chest(study.study_uid, series, SLICES)[0]))
    assert frames[0] == kept.PixelData
    path = f"/dicomweb/studies/{study.study_uid}/series/{series}/instances/{series}.1/frames"
    assert as_("radiologist").get(f"{path}/2").status_code == 404
    assert as_("radiologist").get(f"{path}/0").status_code == 400


def test_a_rendered_picture_obeys_window_and_viewport(as_, study: StudyRecord) -> None:
    from PIL import Image

    client, series = as_("radiologist"), f"{study.study_uid}.3"
    path = f"/dicomweb/studies/{study.study_uid}/series/{series}/instances/{series}.1/rendered"
    dark = client.get(path, params={"window": "3000,10,linear"}, headers={"Accept": "image/png"})
    small = client.get(path, params={"viewport": "64,64"})
    assert np.asarray(Image.open(io.BytesIO(dark.content))).max() == 0
    assert Image.open(io.BytesIO(small.content)).size == (64, 64) and small.headers["Content-Type"] == "image/jpeg"
    assert client.get(path, params={"window": "wide"}).status_code == 400


def test_no_identifier_and_no_date_is_in_an_answer(as_, study: StudyRecord) -> None:
    found = as_("radiologist").get("/dicomweb/studies", params={"AccessionNumber": study.handle}).json()[0]
    assert found["00100020"]["Value"] == [study.patient]
    assert "Value" not in found["00100010"] and "Value" not in found["00080020"]


def test_another_clinic_finds_and_retrieves_nothing(as_, study: StudyRecord) -> None:
    other, series = as_("radiologist", clinics=("south",), name="Dr South"), f"{study.study_uid}.3"
    base = f"/dicomweb/studies/{study.study_uid}"
    assert other.get("/dicomweb/studies", params={"StudyInstanceUID": study.study_uid}).json() == []
    for path in (
        "", "/series", "/instances", "/metadata", f"/series/{series}", f"/series/{series}/metadata",
        f"/series/{series}/instances", f"/series/{series}/instances/{series}.1",
        f"/series/{series}/instances/{series}.1/frames/1", f"/series/{series}/instances/{series}.1/rendered",
        f"/series/{series}/instances/{series}.1/metadata",
    ):  # fmt: skip
        assert other.get(base + path).status_code == 404, path


def test_the_address_of_an_image_serves_that_image_alone_and_only_for_minutes(as_, study: StudyRecord) -> None:
    import requests

    images = as_("radiologist").get(f"/studies/{study.id}/images").json()
    series = next(s for s in images["series"] if s["modality"] == "CT")
    first = series["instances"][0]["url"]
    assert requests.get(first, timeout=10).status_code == 200
    assert requests.put(first, data=b"x", headers={"x-ms-blob-type": "BlockBlob"}, timeout=10).status_code == 403
    other = first.replace(f"{study.study_uid}.3.1.dcm", f"{study.study_uid}.3.2.dcm")
    assert other != first and requests.get(other, timeout=10).status_code == 403
