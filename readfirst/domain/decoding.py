"""One table of decoders for compressed pictures, for de-identification and the job alike; and processes to run them in.

GDCM can loop for ever on a damaged picture, and a decoder in C can fall. Such decoders work in a process that is ended
when a picture takes too long. It is a program of its own: it does not import what started it.
"""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import threading
import warnings
import zlib
from contextlib import redirect_stdout, suppress
from dataclasses import asdict, dataclass, replace
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

NATIVE = frozenset(("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"))
RLE = "1.2.840.10008.1.2.5"
JPEG = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81))
JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203))
JPEG_XL = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (110, 111, 112))
_BASELINE, _XL_OF_JPEG = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.111"
EXTENDED, ENCAPSULATED, DEFLATED_FRAMES = "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.1.98", "1.2.840.10008.1.2.8.1"
_GDCM, _CHARLS, _PYLIBJPEG, _PILLOW, _IMAGECODECS = "gdcm", "pyjpegls", "pylibjpeg", "pillow", "imagecodecs"
_PLAIN = ""  # frames of plain numbers
# Which decoder without GPL reads what; the rest (video, JPIP, multi-component) is not taken.
_PLUGINS = {
    _BASELINE: _PILLOW,
    EXTENDED: _GDCM,  # with 8 bits; with 12 imagecodecs
    "1.2.840.10008.1.2.4.57": _GDCM,  # JPEG lossless
    "1.2.840.10008.1.2.4.70": _GDCM,
    "1.2.840.10008.1.2.4.80": _CHARLS,  # JPEG-LS
    "1.2.840.10008.1.2.4.81": _CHARLS,
    **dict.fromkeys(JPEG_2000, _PYLIBJPEG),  # JPEG 2000 and its High-Throughput form: OpenJPEG
    RLE: _PYLIBJPEG,
    **dict.fromkeys(JPEG_XL, _IMAGECODECS),
    ENCAPSULATED: _PLAIN,
    DEFLATED_FRAMES: _PLAIN,
}
DECODED = frozenset(_PLUGINS)
PATIENCE = 30.0  # seconds for one picture: hundreds of times what the slowest one takes


class Undecodable(ValueError):
    """A picture cannot be decoded. The message holds no content. `late`: the decoder took too long, or fell."""

    def __init__(self, message: str, late: bool = False) -> None:
        super().__init__(message)
        self.late = late


@dataclass(frozen=True)
class Stored:
    """How a compressed picture's values are stored (PS3.3 C.7.6.3).

    `bare`: bits that no value uses stay. `own_colours`: YBR stays YBR, each pixel with its three values.
    """

    syntax: str
    rows: int
    columns: int
    allocated: int
    stored: int
    high: int
    signed: int
    samples: int = 1
    photometric: str = "MONOCHROME2"
    planar: int = 0
    bare: bool = False
    own_colours: bool = False

    @property
    def alone(self) -> bool:
        """Whether its decoder must run in a process that can be ended."""
        return self.plugin in (_GDCM, _CHARLS, _IMAGECODECS)

    @property
    def plugin(self) -> str:
        """The decoder that reads it."""
        return _IMAGECODECS if self.syntax == EXTENDED and self.stored > 8 else _PLUGINS[self.syntax]

    @property
    def little_read(self) -> bool:
        """Whether so few programs decode it that a copy for others is better stored uncompressed."""
        return self.plugin in (_IMAGECODECS, _PLAIN)


def decode(form: Stored, content: bytes) -> NDArray[np.integer]:
    """The values of one picture in the words that its header says: [row, column], colours [row, column, 3] as RGB.

    Raises Undecodable.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = _by_imagecodecs(form, content) if form.plugin == _IMAGECODECS else _by_pydicom(form, content)
    except Exception as error:  # decoders raise many kinds; the cause travels on, the content does not
        raise Undecodable("cannot decode the picture") from error
    if values.shape != ((form.rows, form.columns, form.samples) if form.samples > 1 else (form.rows, form.columns)):
        raise Undecodable("the picture does not have the size that its header says")
    return _in_words(values, form)


def _by_imagecodecs(form: Stored, content: bytes) -> NDArray[np.generic]:
    import imagecodecs

    if form.syntax == _XL_OF_JPEG and (rebuilt := _jpeg_inside(content)):
        return _by_pydicom(replace(form, syntax=_BASELINE), rebuilt)
    values: NDArray[np.unsignedinteger]
    values = imagecodecs.jpegxl_decode(content) if form.syntax in JPEG_XL else imagecodecs.jpeg_decode(content)
    if values.dtype.kind != "u" or int(values.max()) >> form.stored:
        raise ValueError("the stream has more bits than the header says")
    if not form.signed:
        return values
    spare = values.dtype.itemsize * 8 - form.stored
    return (values << spare).view(values.dtype.str.replace("u", "i")) >> spare


def _jpeg_inside(content: bytes) -> bytes:
    """The JPEG picture that a JPEG XL stream was made of, to the bit (ISO/IEC 18181-2): with its own colours, which the
    stream's pixels no longer have. Empty where it was made of 12 bits, or of pixels after all."""
    import imagecodecs

    try:
        return bytes(imagecodecs.jpegxl_decode_jpeg(content, numthreads=1))
    except (ValueError, RuntimeError):
        return b""


def _by_pydicom(form: Stored, content: bytes) -> NDArray[np.generic]:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.pixels import pixel_array
    from pydicom.uid import UID, ExplicitVRLittleEndian

    plain = form.plugin == _PLAIN
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if plain else UID(form.syntax)
    ds.Rows, ds.Columns, ds.SamplesPerPixel = form.rows, form.columns, form.samples
    ds.PhotometricInterpretation, ds.NumberOfFrames = form.photometric, 1
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = form.allocated, form.stored, form.high
    ds.PixelRepresentation = form.signed
    if form.samples > 1:
        ds.PlanarConfiguration = form.planar
    ds.PixelData = _numbers(form, content) if plain else encapsulate([content])
    ds["PixelData"].VR = "OW" if plain and form.allocated > 8 else "OB"
    options: dict[str, Any] = {"as_rgb": not form.own_colours}
    if form.bare:
        options["correct_unused_bits"] = False
    if not plain:
        options["decoding_plugin"] = form.plugin
    return np.asarray(pixel_array(ds, **options))


def _numbers(form: Stored, content: bytes) -> bytes:
    """A frame's plain numbers, as many bytes as its header says."""
    per_pixel = 2 if form.photometric == "YBR_FULL_422" and form.samples == 3 else form.samples
    length = form.rows * form.columns * per_pixel * form.allocated // 8
    if form.syntax == DEFLATED_FRAMES:
        content = zlib.decompressobj(wbits=-zlib.MAX_WBITS).decompress(content, length)
    if len(content) < length:
        raise ValueError("fewer pixels than rows and columns say")
    return content[:length] + b"\0" * (length & 1)


def _in_words(values: NDArray[np.generic], form: Stored) -> NDArray[np.integer]:
    """The values in the words of the header: decoders choose smaller ones where the stream's precision allows."""
    word = np.dtype(f"<{'i' if form.signed else 'u'}{max(1, form.allocated // 8)}")
    if values.dtype.itemsize > word.itemsize:
        raise Undecodable("the picture has more bits than its header says")
    return values.astype(word, copy=False)


class Worker:
    """A process that decodes one picture after the other, and is ended when one takes longer than `patience`."""

    def __init__(self) -> None:
        code = f"import sys; sys.path[:] = {sys.path!r}; from {_NAME} import serve; serve()"
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Ends the process, whatever it does."""
        self._process.kill()
        self._process.communicate()

    def decode(self, form: Stored, content: bytes, patience: float) -> NDArray[np.integer]:
        """As `decode`; raises Undecodable also when the decoder hangs or falls. The process is of no use then."""
        late = threading.Timer(patience, self._process.kill)
        late.start()
        try:
            if self._process.stdin is None or self._process.stdout is None:
                raise Undecodable("the decoder has no pipes", late=True)
            _send(self._process.stdin, {**asdict(form), "patience": patience}, content)
            answer, values = _receive(self._process.stdout)
        except (OSError, EOFError, ValueError) as error:
            raise Undecodable("cannot decode: the decoder fell or took too long", late=True) from error
        finally:
            late.cancel()
        if "error" in answer:
            raise Undecodable(answer["error"])
        return np.frombuffer(values, answer["kind"]).reshape(answer["shape"])


_MEMORY = 8 << 30  # bytes that a worker may have
_NAME = "readfirst.domain.decoding"


def _send(pipe: IO[bytes], facts: dict[str, object], content: bytes) -> None:
    pipe.write(json.dumps({**facts, "length": len(content)}).encode() + b"\n")
    pipe.write(content)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """Raises EOFError when the other side has ended."""
    line = pipe.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    facts = json.loads(line)
    length = facts.pop("length")
    content = pipe.read(length)
    if len(content) < length:
        raise EOFError
    return facts, content


def serve() -> None:
    """A worker's life: answers until standard input ends."""
    answers = sys.stdout.buffer
    # The system ends it when a picture takes too much CPU time, also when nobody waits for it any more.
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    with suppress(OSError, ValueError):  # a small stream can claim a picture that fills any memory
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    with redirect_stdout(sys.stderr):  # a decoder's prints are no answers
        while True:
            try:
                facts, content = _receive(sys.stdin.buffer)
            except EOFError:
                return
            signal.setitimer(signal.ITIMER_VIRTUAL, 2 * float(facts.pop("patience")) or 1.0)
            try:
                values = np.ascontiguousarray(decode(Stored(**facts), content))
                _send(answers, {"kind": values.dtype.str, "shape": values.shape}, values.tobytes())
            except Undecodable as error:
                _send(answers, {"error": str(error)}, b"")
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
