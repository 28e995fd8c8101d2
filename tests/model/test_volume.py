"""Pixels and places: every compression, padding, rescaling and orientation gives the same volume."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    HTJ2K,
    MPEG4HP41,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)  # fmt: skip

from model_container.engines.chest.candidates import to_scene
from model_container.engines.chest.crops import OUTSIDE, cut
from model_container.engines.masks import pieces
from model_container.images import pixels as pixels_module
from model_container.images.pixels import UnreadablePixels
from model_container.images.volume import AIR, read_volume
from tests.model.files import compressed, enhanced, jpeg_lossless, picture_of, rewritten, with_picture
from tests.waiting import PATIENCE

HT = Path(__file__).with_name("data") / "htj2k.npz"  # a phantom's slice, and what OpenJPH makes of it


def files(phantom, count=12):
    return [phantom.contents[i.sop_uid] for i in phantom.selection.instances[:count]]


@pytest.fixture(scope="module")
def plain(phantom):
    return read_volume(files(phantom))


def test_a_volume_holds_on_to_no_file(phantom):
    contents = files(phantom, 3)
    held = [sys.getrefcount(content) for content in contents]
    volume = read_volume(contents)
    assert [sys.getrefcount(content) for content in contents] == held and len(volume.headers) == 3


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless], ids=lambda uid: uid.name)
def test_a_compressed_series_gives_the_same_densities(phantom, plain, syntax):
    packed = [compressed(content, syntax) for content in files(phantom, 3)]
    assert np.array_equal(read_volume(packed).hu, plain.hu[:3])


def test_jpeg_lossless_gives_the_same_densities_without_a_gpl_decoder(phantom, plain):
    packed = [jpeg_lossless(content) for content in files(phantom, 2)]
    assert pydicom.dcmread(io.BytesIO(packed[0])).file_meta.TransferSyntaxUID == JPEGLosslessSV1
    assert np.array_equal(read_volume(packed).hu, plain.hu[:2])


@pytest.mark.parametrize(("syntax", "kind", "error"), [
    (HTJ2KLossless, "lossless", 0), (HTJ2KLosslessRPCL, "lossless", 0), (HTJ2K, "lossy", 2)
], ids=["lossless", "RPCL", "lossy"])  # fmt: skip
def test_high_throughput_jpeg_2000_gives_the_same_densities(phantom, syntax, kind, error):
    def small(ds):
        ds.Rows = ds.Columns = 64
        ds.PixelRepresentation, ds.BitsStored, ds.HighBit, ds.RescaleIntercept = 0, 12, 11, "-1024"
        ds.pop("PixelPaddingValue", None)

    held = np.load(HT)
    content = with_picture(rewritten(files(phantom, 1)[0], small), held[kind].tobytes(), syntax)
    assert np.abs(read_volume([content]).hu[0] - (held["values"].astype(int) - 1024)).max() <= error


def test_compressions_may_be_mixed_in_one_series(phantom, plain):
    one, two, three = files(phantom, 3)
    mixed = [compressed(one, JPEG2000Lossless), jpeg_lossless(two), three]
    assert np.array_equal(read_volume(mixed).hu, plain.hu[:3])


def test_many_compressed_slices_are_decoded_in_processes_to_the_same_volume(phantom, plain, monkeypatch):
    monkeypatch.setattr(pixels_module, "PROCESSES_FROM", 24)
    packed = [compressed(c, RLELossless) for c in files(phantom)]
    assert np.array_equal(read_volume(packed * 2).hu, np.concatenate([plain.hu, plain.hu]))


def test_a_decoder_is_started_by_name_and_not_by_the_program_that_needs_it(phantom, tmp_path):
    """A script without a guard would start itself again and again in each worker that imports it."""
    (tmp_path / "slice.dcm").write_bytes(jpeg_lossless(files(phantom, 1)[0]))
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(Path(__file__).parents[2])!r})\nprint('started')\n"
        "from model_container.images.volume import read_volume\n"
        f"print(read_volume([open({str(tmp_path / 'slice.dcm')!r}, 'rb').read()]).hu.shape)\n"
    )
    said = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=PATIENCE)
    assert said.stdout.split("\n")[:2] == ["started", "(1, 256, 256)"], said.stderr


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


@pytest.mark.parametrize(("intercept", "everywhere"), [("1e12", 3071), ("-1e12", AIR)])
def test_an_absurd_rescaling_is_clipped_and_no_fault(phantom, intercept, everywhere):
    absurd = rewritten(files(phantom, 1)[0], lambda ds: setattr(ds, "RescaleIntercept", intercept))
    assert (read_volume([absurd]).hu == everywhere).all()


def test_every_slice_is_rescaled_by_its_own_header(phantom, plain):
    def darker(ds):
        ds.PixelData = (np.frombuffer(ds.PixelData, "<i2") - 40).tobytes()
        ds.RescaleIntercept = str(int(ds.RescaleIntercept) + 40)

    one, two = files(phantom, 2)
    assert np.array_equal(read_volume([one, rewritten(two, darker)]).hu, plain.hu[:2])


@pytest.mark.parametrize(("stored", "first", "limit"), [(16, 63536, None), (16, -2000, -1990), (12, -32768, None)],
                         ids=["unsigned", "a range", "outside of the stored bits"])  # fmt: skip
def test_padding_is_air_however_it_was_written(phantom, stored, first, limit):
    def pad(ds):
        pixels = np.clip(np.frombuffer(ds.PixelData, "<i2"), -1024, 2047)
        value = first - 65536 if first > 32767 else first
        pixels[:500] = value if limit is None else limit
        ds.PixelData = pixels.astype("<i2").tobytes()
        ds.BitsStored, ds.HighBit = stored, stored - 1
        ds.add_new("PixelPaddingValue", "US" if first > 0 else "SS", first)
        if limit is not None:
            ds.add_new("PixelPaddingRangeLimit", "SS", limit)

    assert (read_volume([rewritten(files(phantom, 1)[0], pad)]).hu.ravel()[:500] == AIR).all()


@pytest.mark.parametrize("high", [11, 15])
def test_bits_that_hold_no_density_do_not_count(phantom, plain, high):
    """Old scanners kept overlays in the spare bits of each word."""

    def old(ds):
        values = np.clip(plain.hu[0].astype(int) + 1024, 0, 4095) << (high - 11)
        ds.PixelData = (values | (0xA000 if high == 11 else 0x000A)).astype("<u2").tobytes()
        ds.PixelRepresentation, ds.BitsStored, ds.HighBit, ds.RescaleIntercept = 0, 12, high, "-1024"
        ds.pop("PixelPaddingValue", None)

    assert np.array_equal(read_volume([rewritten(files(phantom, 1)[0], old)]).hu[0], plain.hu[0])


SPOILT = {
    "too few pixels": (lambda ds: setattr(ds, "PixelData", ds.PixelData[:100]), "fewer pixels"),
    "colour": (lambda ds: setattr(ds, "PhotometricInterpretation", "RGB"), "grey"),
    "inverted": (lambda ds: setattr(ds, "PhotometricInterpretation", "MONOCHROME1"), "grey"),
    "another size": (lambda ds: setattr(ds, "Rows", 128), "one size"),
    "no rescaling": (lambda ds: ds.pop("RescaleSlope"), "RescaleSlope is missing"),
    "rescaled by zero": (lambda ds: setattr(ds, "RescaleSlope", "0"), "zero"),
    "no place": (lambda ds: setattr(ds, "ImagePositionPatient", None), "ImagePositionPatient is missing"),
    "no densities": (lambda ds: setattr(ds, "RescaleType", "Z_EFF"), "other values than densities"),
    "a table": (lambda ds: setattr(ds, "ModalityLUTSequence", [pydicom.Dataset()]), "table"),
    "impossible bits": (lambda ds: setattr(ds, "BitsAllocated", 12), "contradicts"),
    "no bits": (lambda ds: ds.pop("BitsStored"), "how its pixels are stored"),
}


@pytest.mark.parametrize(("spoil", "why"), SPOILT.values(), ids=SPOILT)
def test_pixels_that_cannot_be_used_are_refused_without_content(phantom, spoil, why):
    contents = files(phantom, 3)
    contents[1] = rewritten(contents[1], spoil)
    with pytest.raises(UnreadablePixels, match=why) as refused:
        read_volume(contents)
    assert "1.2.840" not in str(refused.value)


def test_a_compression_that_nobody_decodes_here_is_refused_by_name(phantom):
    with pytest.raises(UnreadablePixels, match=r"MPEG-4 .* is not taken"):
        read_volume([with_picture(files(phantom, 1)[0], b"video", MPEG4HP41)])


@pytest.mark.parametrize("share", [0.5, 0.99])
@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLosslessSV1, RLELossless], ids=lambda uid: uid.name)
def test_a_compressed_slice_that_ends_too_early_is_refused(phantom, syntax, share):
    whole = files(phantom, 1)[0]
    packed = jpeg_lossless(whole) if syntax == JPEGLosslessSV1 else compressed(whole, syntax)
    picture = picture_of(packed)
    with pytest.raises(UnreadablePixels, match="cannot decode"):
        read_volume([with_picture(packed, picture[: int(len(picture) * share)], syntax)])


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLossless], ids=lambda uid: uid.name)
def test_a_decoder_that_hangs_is_ended(phantom, monkeypatch, syntax):
    """GDCM does not return from a JPEG frame that ends too early; the study must not wait for it."""
    monkeypatch.setattr(pixels_module, "PATIENCE", 3.0)
    started = time.monotonic()
    with pytest.raises(UnreadablePixels, match="fell or took too long"):
        read_volume([with_picture(files(phantom, 1)[0], b"\xff\xd8\xff\xe0 no picture \xff\xd9\x00", syntax)])
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("syntax", [None, JPEG2000Lossless, RLELossless, JPEGLosslessSV1],
                         ids=lambda uid: uid.name if uid else "plain")  # fmt: skip
def test_the_frames_of_an_enhanced_file_are_the_same_volume_as_its_slices(phantom, plain, syntax):
    whole = enhanced(files(phantom)[::-1], syntax)  # frames from head to feet
    volume = read_volume([whole] * 12, range(12, 0, -1))
    assert np.array_equal(volume.hu, plain.hu) and np.allclose(volume.positions, plain.positions)
    assert volume.frames == tuple(range(12, 0, -1)) and volume.spacing == pytest.approx(2.5)


def test_a_frame_that_an_enhanced_file_does_not_have_is_refused(phantom):
    with pytest.raises(UnreadablePixels, match="fewer pixels"):
        read_volume([enhanced(files(phantom, 2))], [3])


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
    scene, turned_scene = to_scene(plain), to_scene(turned)
    for level, other in zip(scene.levels, turned_scene.levels, strict=True):
        assert np.abs(level.hu - other.hu).max() < 1 and np.allclose(level.first, other.first)


@pytest.mark.parametrize(("spacing", "slices", "expected"), [(0.625, 40, 1.25), (1.25, 24, 1.25), (5.0, 8, 5.0)])
def test_thin_slices_are_averaged_and_every_level_knows_where_it_lies(plain, spacing, slices, expected):
    ramp = np.broadcast_to((np.arange(slices) * 10)[:, None, None], (slices, 64, 64)).astype(np.int16)
    scene = to_scene(replace(plain, hu=ramp, spacing=spacing, pixel=(0.75, 0.75)))
    assert scene.levels[0].step == pytest.approx([expected, 1.0, 1.0])
    for level in scene.levels:
        heights = level.place(np.array([[k, 0, 0] for k in range(len(level.hu))]))[:, 0]
        assert level.hu[:, 3, 3] == pytest.approx(heights * 10 / spacing, abs=0.01)


def test_a_box_shows_the_place_that_was_asked_for_and_knows_what_lies_outside(plain):
    z, y, x = np.meshgrid(np.arange(20), np.arange(80), np.arange(80), indexing="ij")
    hu = (10 * z + 2 * y - x).astype(np.int16)  # linear, so that interpolation changes nothing
    scene = to_scene(replace(plain, hu=hu, spacing=2.5, pixel=(1.0, 1.0)))
    box = cut(scene, (20.0, 40.0, 30.0), 1.5)
    steps = (np.arange(24) - 11.5) * 1.5
    assert box[:, 15:17, 15:17].mean((1, 2)) == pytest.approx((20 + steps) * 4 + 80 - 30, abs=0.1)
    edge = cut(scene, (2.0, 40.0, 79.0), 1.0)
    assert (edge[:8] == OUTSIDE).all() and (edge[:, :, 20:] == OUTSIDE).all() and (edge[12:, :, :15] != OUTSIDE).all()


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


@pytest.mark.parametrize("known", [(0,), (0, 2)], ids=["one says it", "one does not"])
def test_slices_that_name_no_frame_of_reference_have_that_of_the_others(phantom, known):
    contents = [c if k in known else rewritten(c, lambda ds: ds.pop("FrameOfReferenceUID"))
                for k, c in enumerate(files(phantom, 3))]  # fmt: skip
    assert len({str(header.FrameOfReferenceUID) for header in read_volume(contents).headers}) == 1


def test_slices_in_several_frames_of_reference_are_refused(phantom):
    one, two, three = files(phantom, 3)
    moved = rewritten(two, lambda ds: setattr(ds, "FrameOfReferenceUID", f"{ds.FrameOfReferenceUID}.2"))
    with pytest.raises(UnreadablePixels, match="several frames of reference"):
        read_volume([one, moved, three])


def test_a_slice_whose_class_is_in_the_meta_information_alone_is_read(phantom):
    content = rewritten(files(phantom, 1)[0], lambda ds: None)
    ds = pydicom.dcmread(io.BytesIO(content))
    del ds.SOPClassUID
    out = io.BytesIO()
    ds.save_as(out)
    assert read_volume([out.getvalue()]).headers[0].SOPClassUID == ds.file_meta.MediaStorageSOPClassUID
