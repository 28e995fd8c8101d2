"""DICOMweb against a client that others wrote, with real files of several kinds."""

from __future__ import annotations

import io
from urllib.parse import urlsplit

import numpy as np
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from readfirst.adapters import clients
from readfirst.domain import resource_names
from readfirst.domain.pseudonyms import patient_name
from readfirst.domain.reading.study_record import Series, StudyRecord
from tests.portal.conftest import Client
from tests.portal.stage import SLICES, chest
from tests.portal.studies import index, record
from tests.spec import test_masks
from tests.spec.images import UNCOMPRESSED, file_in, instance
from tests.waiting import PATIENCE

COUNT = 6


@pytest.fixture(scope="module")
def study(address: str) -> StudyRecord:
    """A CT series of six slices and one compressed image, in one study."""
    made = record(70)
    clean = clients.container(resource_names.STUDIES, resource_names.CLEAN)
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
    client, series = as_("radiologist"), f"{study.study_uid}.3"
    path = f"/dicomweb/studies/{study.study_uid}/series/{series}/instances/{series}.1/rendered"
    dark = client.get(path, params={"window": "3000,10,linear"}, headers={"Accept": "image/png"})
    small = client.get(path, params={"viewport": "64,64"})
    assert np.asarray(Image.open(io.BytesIO(dark.content))).max() == 0
    assert Image.open(io.BytesIO(small.content)).size == (64, 64) and small.headers["Content-Type"] == "image/jpeg"
    assert client.get(path, params={"window": "wide"}).status_code == 400


SYNTAXES = (*UNCOMPRESSED, JPEGLSLossless, JPEG2000Lossless)


def drawn(kind: int) -> np.ndarray:
    """Three frames of signed 12 bits, others for each syntax."""
    return np.random.default_rng(kind).integers(-2048, 2048, (3, 33, 34)).astype("i2")


@pytest.fixture(scope="module")
def many(address: str) -> StudyRecord:
    """A study with an instance in each of these syntaxes, each in a series of its own, with a value that is none."""
    made = record(90)
    clean = clients.container(resource_names.STUDIES, resource_names.CLEAN)
    for kind, syntax in enumerate(SYNTAXES):
        series = f"{made.study_uid}.{kind}"
        ds = instance(drawn(kind), stored=12, CTDIvol=float("nan"), ConvolutionKernel=["B", "", "x"])
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = made.study_uid, series, f"{series}.1"
        clean.upload_blob(f"{made.id}/instances/{series}/{series}.1.dcm", file_in(ds, syntax), overwrite=True)
    index(made)
    return made


@pytest.mark.parametrize("kind", range(len(SYNTAXES)), ids=lambda k: UID(SYNTAXES[k]).keyword)
def test_a_client_gets_the_same_instance_and_values_however_they_are_stored(
    web: DICOMwebClient, as_, many: StudyRecord, kind: int
) -> None:
    series, expected = f"{many.study_uid}.{kind}", drawn(kind)
    names_of_it = (many.study_uid, series, f"{series}.1")
    for asked, given in (("*", SYNTAXES[kind]), (ExplicitVRLittleEndian, ExplicitVRLittleEndian)):
        got = web.retrieve_instance(*names_of_it, media_types=(("application/dicom", asked),))
        assert (got.SOPInstanceUID, got.file_meta.TransferSyntaxUID) == (f"{series}.1", given)
        assert np.array_equal(got.pixel_array, expected)
    assert web.retrieve_instance_frames(*names_of_it, [3, 1]) == [expected[2].tobytes(), expected[0].tobytes()]
    metadata = web.retrieve_instance_metadata(*names_of_it)
    assert metadata["00181210"]["Value"] == ["B", None, "x"] and "Value" not in metadata["00189345"]
    assert pydicom.Dataset.from_json(metadata, bulk_data_uri_handler=lambda tag, vr, uri: b"").Rows == 33
    path = f"/dicomweb/studies/{many.study_uid}/series/{series}/instances/{series}.1/frames/2/rendered"
    shown = as_("radiologist").get(path, params={"window": "128,256,LINEAR"}, headers={"Accept": "image/png"})
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(shown.content))), np.clip(expected[1], 0, 255))


def test_a_whole_study_of_many_syntaxes_can_be_had_at_once(web: DICOMwebClient, many: StudyRecord) -> None:
    got = web.retrieve_study(many.study_uid)
    assert {str(ds.SOPInstanceUID) for ds in got} == {f"{many.study_uid}.{k}.1" for k in range(len(SYNTAXES))}


def test_a_search_finds_what_lies_far_behind_the_newest_studies(as_) -> None:
    """A filter that the index does not know must not look at the first page alone."""
    rare = record(79, modality="US", series=(Series(series_uid="1.2", modality="US", number=1, instances=1,
                                                    analysed=False),))  # fmt: skip
    index(rare.model_copy(update={"received": "2020-01-01T00:00:00+00:00"}), *[record(n) for n in range(700, 712)])
    client = as_("radiologist")
    found = client.get("/dicomweb/studies", params={"ModalitiesInStudy": "US", "limit": "1"}).json()
    assert [s["0020000D"]["Value"][0] for s in found] == [rare.study_uid]
    assert client.get("/dicomweb/studies", params={"ModalitiesInStudy": "US", "offset": "1"}).json() == []


def test_habits_of_other_clients_are_understood(as_, study: StudyRecord) -> None:
    client, uid = as_("radiologist"), study.study_uid

    def found(**query: str) -> list[str]:
        answer = client.get("/dicomweb/studies", params={"StudyInstanceUID": uid, **query})
        return [s["0020000D"]["Value"][0] for s in answer.json()]

    for query in (
        {"includefield": "all"}, {"includefield": "00081030,00080061"}, {"PatientName": "*"}, {"PatientName": ""},
        {"limit": "1", "offset": "0"}, {"AccessionNumber": "*"}, {"00080061": "CT"}, {"fuzzymatching": "true"},
    ):  # fmt: skip
        assert found(**query) == [uid], query
    for query in ({"PatientName": "DOE*"}, {"limit": "0"}, {"StudyDate": "20200101-20201231"}, {"offset": "9"}):
        assert found(**query) == [], query
    listed = f"{uid},2.25.1"
    assert len(client.get("/dicomweb/studies", params={"StudyInstanceUID": listed}).json()) == 1
    warned = client.get("/dicomweb/studies", params={"fuzzymatching": "true", "StudyInstanceUID": uid})
    assert "fuzzymatching" in warned.headers["Warning"]
    for query in ({"limit": "many"}, {"offset": "x"}):
        assert client.get("/dicomweb/studies", params=query).status_code == 400


def test_answers_come_in_the_first_form_that_the_client_takes_and_we_have(as_, study: StudyRecord) -> None:
    client = as_("radiologist")
    series = f"{study.study_uid}.4"
    base = f"/dicomweb/studies/{study.study_uid}/series/{series}"
    sop = client.get(f"{base}/instances").json()[0]["00080018"]["Value"][0]
    frame, instance = f"{base}/instances/{sop}/frames/1", f"{base}/instances/{sop}"

    def get(path: str, accept: str) -> tuple[int, str]:
        answer = client.get(path, headers={"Accept": accept})
        inner = answer.content[:200].partition(b"Content-Type: ")[2].partition(b"\r\n")[0].decode()
        return answer.status_code, inner or answer.headers["Content-Type"]

    octets, rle = "application/octet-stream", f"image/dicom-rle;transfer-syntax={RLELossless}"
    related = 'multipart/related; type="application/octet-stream"'
    for accept, expected in (
        ("*/*", octets), (related, octets), (f"{related}; transfer-syntax=*", rle), (octets, octets),
        ("multipart/related; type=application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1", octets),
        ('multipart/related; type="image/dicom-rle"', rle), ("multipart/related", octets),
        (f'multipart/related; type="image/jp2"; transfer-syntax={JPEG2000Lossless}, {related};q=0.5', octets),
        (f'{related};q=0.1, multipart/related; type="image/dicom-rle"; transfer-syntax={RLELossless}', rle),
    ):  # fmt: skip
        assert get(frame, accept) == (200, expected), accept
    for accept in (
        'multipart/related; type="image/jp2"',
        "image/png",
        "text/html",
        f"{related};q=0",
        "nonsense",
        ";,;q=x",
    ):
        assert get(frame, accept)[0] == 406, accept
    assert get(instance, 'multipart/related; type="application/dicom"; transfer-syntax=*') == (200, "application/dicom")
    assert get(instance, "application/dicom; transfer-syntax=*") == (200, "application/dicom")
    assert get(instance, "image/jpeg")[0] == 406
    assert get(base.replace(series, f"{study.study_uid}.3"), "application/dicom")[0] == 406  # several have no one form
    for path in ("/dicomweb/studies", f"{base}/metadata"):
        assert get(path, "application/dicom+json, */*;q=0.1")[0] == get(path, "application/json")[0] == 200
        assert get(path, 'multipart/related; type="application/dicom+xml"')[0] == 406


def test_what_the_metadata_names_is_under_the_address_that_was_called(as_, address: str, study: StudyRecord) -> None:
    """A viewer that was set up with the address of version 1.0 stays there."""
    path = f"/dicomweb/studies/{study.study_uid}/series/{study.study_uid}.3/metadata"
    token = as_("radiologist").headers["Authorization"].removeprefix("Bearer ")
    for base in (address, address.removesuffix("/v1")):
        named = Client(base, token).get(path).json()[0]["7FE00010"]["BulkDataURI"]
        assert named.startswith(f"{urlsplit(base).path}/dicomweb/studies/")


def test_what_the_metadata_names_as_bulk_data_can_be_had(as_, study: StudyRecord) -> None:
    client, series = as_("radiologist"), f"{study.study_uid}.3"
    path = f"/dicomweb/studies/{study.study_uid}/series/{series}/instances/{series}.1"
    address = client.get(f"{path}/metadata").json()[0]["7FE00010"]["BulkDataURI"]
    assert address.endswith(f"{path}/frames")
    kept = pydicom.dcmread(io.BytesIO(chest(study.study_uid, series, SLICES)[0]))
    assert kept.PixelData in client.get(f"{path}/frames").content
    assert client.get(f"{path}/frames", headers={"Accept": "application/octet-stream"}).content == kept.PixelData


def test_thumbnails_are_small_and_a_frame_can_be_shown(as_, study: StudyRecord) -> None:
    client, series = as_("radiologist"), f"{study.study_uid}.3"
    base = f"/dicomweb/studies/{study.study_uid}"
    instance = f"{base}/series/{series}/instances/{series}.1"
    for path in (base, f"{base}/series/{series}", instance):
        answer = client.get(f"{path}/thumbnail")
        assert max(Image.open(io.BytesIO(answer.content)).size) == 128, path
    frame = client.get(f"{instance}/frames/1/rendered", headers={"Accept": "image/png,image/*;q=0.8"})
    assert frame.headers["Content-Type"] == "image/png"
    assert client.get(f"{instance}/frames/2/rendered").status_code == 404
    assert client.get(f"{instance}/frames/1,2/rendered").status_code == 406
    assert client.get(f"{instance}/rendered", headers={"Accept": "video/mp4"}).status_code == 406


def test_no_identifier_and_no_date_is_in_an_answer(as_, study: StudyRecord) -> None:
    found = as_("radiologist").get("/dicomweb/studies", params={"AccessionNumber": study.handle}).json()[0]
    assert found["00100020"]["Value"] == [study.patient]
    assert found["00100010"]["Value"] == [{"Alphabetic": patient_name(study.patient)}]  # what the clean objects hold
    assert "Value" not in found["00080020"] and "Value" not in found["00100030"]


def test_another_clinic_finds_and_retrieves_nothing(as_, study: StudyRecord) -> None:
    other, series = as_("radiologist", clinics=("south",), name="Dr South"), f"{study.study_uid}.3"
    base = f"/dicomweb/studies/{study.study_uid}"
    assert other.get("/dicomweb/studies", params={"StudyInstanceUID": study.study_uid}).json() == []
    for path in (
        "", "/series", "/instances", "/metadata", f"/series/{series}", f"/series/{series}/metadata",
        f"/series/{series}/instances", f"/series/{series}/instances/{series}.1",
        f"/series/{series}/instances/{series}.1/frames/1", f"/series/{series}/instances/{series}.1/rendered",
        f"/series/{series}/instances/{series}.1/metadata", f"/series/{series}/instances/{series}.1/frames",
        "/thumbnail", f"/series/{series}/thumbnail", f"/series/{series}/instances/{series}.1/thumbnail",
        f"/series/{series}/instances/{series}.1/frames/1/rendered",
    ):  # fmt: skip
        assert other.get(base + path).status_code == 404, path


def test_the_address_of_an_image_serves_that_image_alone_and_only_for_minutes(as_, study: StudyRecord) -> None:
    import requests

    images = as_("radiologist").get(f"/studies/{study.id}/images").json()
    series = next(s for s in images["series"] if s["modality"] == "CT")
    first = series["instances"][0]["url"]
    assert requests.get(first, timeout=PATIENCE).status_code == 200
    assert requests.put(first, data=b"x", headers={"x-ms-blob-type": "BlockBlob"}, timeout=PATIENCE).status_code == 403
    other = first.replace(f"{study.study_uid}.3.1.dcm", f"{study.study_uid}.3.2.dcm")
    assert other != first and requests.get(other, timeout=PATIENCE).status_code == 403


def test_masks_of_a_segmentation_on_a_grid_of_its_own_come_in_the_pixels_of_the_slices(as_) -> None:
    """Under a tilted gantry the segmentation's planes are not the slices."""
    made, pixels = record(91, high_risk=True), np.zeros((test_masks.SLICES, 256, 256, 1), np.uint8)
    pixels[2, 10:12, 20:25, 0] = 1
    seg = test_masks.segmentation(pixels, empty_frames=True)
    test_masks.moved(seg, 3.4, -2)
    clean, out = clients.container(resource_names.STUDIES, resource_names.CLEAN), io.BytesIO()
    for z, data in enumerate(chest("2.25.5", "2.25.5.3", test_masks.SLICES)):
        clean.upload_blob(f"{made.id}/instances/2.25.5.3/2.25.5.3.{z + 1}.dcm", data, overwrite=True)
    seg.save_as(out)
    clients.container(resource_names.STUDIES, resource_names.ANALYSIS).upload_blob(
        f"{made.id}/seg.dcm", out.getvalue(), overwrite=True
    )
    index(made.model_copy(update={"outputs": {"seg": f"{made.id}/seg.dcm"}}))
    found = as_("radiologist").get(f"/studies/{made.id}/masks").json()["findings"]
    assert found == {"1": {"2.25.5.3.3": [[7, 22, 5], [8, 22, 5]]}}


@pytest.mark.parametrize("kind", ["json", "multipart"])
def test_no_answer_may_be_taken_for_another_type(web: DICOMwebClient, study: StudyRecord, as_, kind: str) -> None:
    path = "/dicomweb/studies" + (f"/{study.study_uid}" if kind == "multipart" else "")
    accept = 'multipart/related; type="application/dicom"' if kind == "multipart" else "application/dicom+json"
    answered = as_("radiologist").get(path, headers={"Accept": accept})
    assert answered.status_code == 200 and kind in answered.headers["Content-Type"]
    assert answered.headers["X-Content-Type-Options"] == "nosniff"
