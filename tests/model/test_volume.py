"""Pixels and places: every compression, padding, rescaling and orientation gives the same volume."""

from __future__ import annotations

import io
import time

import gdcm
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRBigEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from model_container import volume as volume_module
from model_container.chest import to_network
from model_container.components import pieces
from model_container.volume import AIR, UnreadablePixels, hounsfield, read_volume


def files(phantom, count=12):
    return [phantom.contents[i.sop_uid] for i in phantom.selection.instances[:count]]


def rewritten(content, change):
    ds = pydicom.dcmread(io.BytesIO(content))
    change(ds)
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


@pytest.fixture(scope="module")
def plain(phantom):
    return read_volume(files(phantom))


def jpeg_lossless(content, tmp_path):
    (tmp_path / "in.dcm").write_bytes(content)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(tmp_path / "in.dcm"))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(tmp_path / "out.dcm"))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return (tmp_path / "out.dcm").read_bytes()


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless], ids=lambda uid: uid.name)
def test_a_compressed_series_gives_the_same_densities(phantom, plain, syntax):
    packed = [
        rewritten(content, lambda ds: ds.compress(syntax, generate_instance_uid=False)) for content in files(phantom, 3)
    ]
    assert np.array_equal(read_volume(packed).hu, plain.hu[:3])


def test_jpeg_lossless_gives_the_same_densities_without_a_gpl_decoder(phantom, plain, tmp_path):
    packed = [jpeg_lossless(content, tmp_path) for content in files(phantom, 2)]
    assert pydicom.dcmread(io.BytesIO(packed[0])).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.70"
    assert np.array_equal(read_volume(packed).hu, plain.hu[:2])


def test_many_compressed_slices_are_decoded_in_processes_to_the_same_volume(phantom, plain, monkeypatch):
    monkeypatch.setattr(volume_module, "_PROCESSES_FROM", 24)
    packed = [rewritten(c, lambda ds: ds.compress(RLELossless, generate_instance_uid=False)) for c in files(phantom)]
    assert np.array_equal(read_volume(packed * 2).hu, np.concatenate([plain.hu, plain.hu]))


def test_big_endian_files_give_the_same_densities(phantom, plain):
    def swap(ds):
        ds.PixelData = np.frombuffer(ds.PixelData, "<i2").astype(">i2").tobytes()
        ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian

    ds = pydicom.dcmread(io.BytesIO(files(phantom, 1)[0]))
    swap(ds)
    out = io.BytesIO()
    pydicom.dcmwrite(out, ds, implicit_vr=False, little_endian=False, enforce_file_format=True)
    assert np.array_equal(read_volume([out.getvalue()]).hu[0], plain.hu[0])


def test_rescaling_is_applied_even_when_it_is_no_whole_number(phantom, plain):
    def steep(ds):
        ds.PixelData = np.round(np.frombuffer(ds.PixelData, "<i2") / 1.5).astype("<i2").tobytes()
        ds.RescaleSlope = "1.5"

    changed = read_volume([rewritten(c, steep) for c in files(phantom, 2)])
    assert np.abs(changed.hu.astype(int) - plain.hu[:2]).max() <= 1


def test_padding_is_air_also_when_it_was_written_without_its_sign(phantom):
    def pad(ds):
        pixels = np.frombuffer(ds.PixelData, "<i2").copy()
        pixels[:500] = -2000
        ds.PixelData = pixels.tobytes()
        ds.add_new("PixelPaddingValue", "US", 63536)

    ds = pydicom.dcmread(io.BytesIO(rewritten(files(phantom, 1)[0], pad)))
    assert (hounsfield(ds).ravel()[:500] == AIR).all()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda ds: setattr(ds, "PixelData", ds.PixelData[:100]),
        lambda ds: setattr(ds, "PhotometricInterpretation", "RGB"),
        lambda ds: (setattr(ds, "Rows", 128), setattr(ds, "PixelData", ds.PixelData[: 128 * 256 * 2])),
    ],
    ids=["too few pixels", "colour", "another size"],
)
def test_pixels_that_cannot_be_used_are_refused_without_content(phantom, spoil):
    contents = files(phantom, 3)
    contents[1] = rewritten(contents[1], spoil)
    with pytest.raises(UnreadablePixels) as refused:
        read_volume(contents)
    assert "1.2.840" not in str(refused.value)


def test_a_broken_compressed_slice_is_refused(phantom):
    broken = rewritten(files(phantom, 1)[0], lambda ds: ds.compress(JPEG2000Lossless, generate_instance_uid=False))
    ds = pydicom.dcmread(io.BytesIO(broken))
    ds.PixelData = ds.PixelData[:60] + b"\0" * (len(ds.PixelData) - 60)
    out = io.BytesIO()
    ds.save_as(out)
    with pytest.raises(UnreadablePixels, match="cannot decode"):
        read_volume([out.getvalue()])


def test_a_decoder_that_hangs_is_ended(phantom, tmp_path, monkeypatch):
    """GDCM does not return from a JPEG frame that ends too early; the study must not wait for it."""
    ds = pydicom.dcmread(io.BytesIO(jpeg_lossless(files(phantom, 1)[0], tmp_path)))
    ds.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xe0 no picture \xff\xd9\x00"])
    out = io.BytesIO()
    ds.save_as(out)
    monkeypatch.setattr(volume_module, "_PATIENCE", 4.0)
    started = time.monotonic()
    with pytest.raises(UnreadablePixels):
        read_volume([out.getvalue()])
    assert time.monotonic() - started < 60


def enhanced(contents):
    """The same slices as one multi-frame file, frames in the wrong order."""
    slices = [pydicom.dcmread(io.BytesIO(c)) for c in contents][::-1]
    ds = pydicom.dcmread(io.BytesIO(contents[0]))
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    for keyword in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "RescaleSlope",
        "RescaleIntercept",
    ):
        delattr(ds, keyword)
    ds.NumberOfFrames = len(slices)
    ds.PixelData = b"".join(s.PixelData for s in slices)
    shared, measures, orientation, rescale = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = slices[0].PixelSpacing, slices[0].SliceThickness
    orientation.ImageOrientationPatient = slices[0].ImageOrientationPatient
    rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = "1", "-1024", "HU"
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([orientation])
    shared.PixelValueTransformationSequence = Sequence([rescale])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for s in slices:
        frame, place = Dataset(), Dataset()
        place.ImagePositionPatient = s.ImagePositionPatient
        frame.PlanePositionSequence = Sequence([place])
        frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def test_an_enhanced_multi_frame_file_is_the_same_volume_as_its_slices(phantom, plain):
    volume = read_volume([enhanced(files(phantom))])
    assert np.array_equal(volume.hu, plain.hu) and np.allclose(volume.positions, plain.positions)
    assert volume.frames == tuple(range(12, 0, -1)) and volume.spacing == pytest.approx(2.5)


def test_a_voxel_s_place_follows_position_orientation_and_spacing(plain):
    corner = plain.positions[0]
    assert plain.point(0, 0, 0) == pytest.approx(tuple(corner), abs=0.01)
    x, y, z = plain.point(2.5, 10, 20)
    assert (x, y) == pytest.approx((corner[0] + 20 * plain.pixel[1], corner[1] + 10 * plain.pixel[0]), abs=0.01)
    assert z == pytest.approx(corner[2] + 6.25, abs=0.01)


def test_a_patient_who_lies_on_the_belly_gives_the_network_the_same_picture(phantom, plain):
    def turn(ds):
        pixels = np.frombuffer(ds.PixelData, "<i2").reshape(ds.Rows, ds.Columns)[::-1, ::-1]
        ds.PixelData = pixels.tobytes()
        far = [float(v) for v in ds.ImagePositionPatient]
        far[0] += (ds.Columns - 1) * float(ds.PixelSpacing[1])
        far[1] += (ds.Rows - 1) * float(ds.PixelSpacing[0])
        ds.ImagePositionPatient = [f"{v:.4f}" for v in far]
        ds.ImageOrientationPatient = ["-1", "0", "0", "0", "-1", "0"]

    turned = read_volume([rewritten(c, turn) for c in files(phantom)])
    (seen, space), (turned_seen, turned_space) = to_network(plain), to_network(turned)
    assert np.abs(seen - turned_seen).max() < 1
    here, there = plain.point(*space.to_volume(3, 60, 40)), turned.point(*turned_space.to_volume(3, 60, 40))
    assert here == pytest.approx(there, abs=0.05)


@pytest.mark.parametrize(("spacing", "slices"), [(1.25, 24), (5.0, 8)])
def test_thin_and_thick_slices_reach_the_network_at_its_own_spacing(phantom, plain, spacing, slices):
    heights = np.arange(slices) * spacing

    def at(z):
        return np.array([f"{z:.3f}"])

    source = pydicom.dcmread(io.BytesIO(files(phantom, 1)[0]))
    contents = []
    for z in heights:
        source.ImagePositionPatient = [*source.ImagePositionPatient[:2], float(at(z)[0])]
        out = io.BytesIO()
        source.save_as(out)
        contents.append(out.getvalue())
    hu, space = to_network(read_volume(contents))
    assert len(hu) == int((slices - 1) * spacing / 2.5 + 1e-6) + 1
    assert space.z[1] - space.z[0] == pytest.approx(2.5 / spacing)
    assert np.allclose(hu[0], hu[-1], atol=0.01)


def test_pieces_are_what_touches_and_nothing_else():
    mask = np.zeros((3, 6, 8), bool)
    mask[0, 1, 1:4] = mask[1, 1, 3:6] = True  # joined through the slices
    mask[2, 5, 7] = True
    mask[0, 4, 0] = mask[0, 5, 1] = True  # joined at a corner
    found = sorted(len(piece) for piece in pieces(mask))
    assert found == [1, 2, 6]
    assert sum(found) == mask.sum()


def test_pieces_of_noise_agree_with_a_plain_flood_fill():
    mask = np.random.default_rng(4).random((6, 20, 20)) < 0.12
    left, sizes = {tuple(v) for v in np.argwhere(mask)}, []
    steps = [(a, b, c) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)]
    while left:
        stack, size = [left.pop()], 0
        while stack:
            z, y, x = stack.pop()
            size += 1
            near = {(z + a, y + b, x + c) for a, b, c in steps} & left
            left -= near
            stack += near
        sizes.append(size)
    assert sorted(len(piece) for piece in pieces(mask)) == sorted(sizes)
