"""The inference's figures, measured on this machine in one run and stated as ratios."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pydicom

from readfirst.domain import blob_paths, resource_names
from readfirst.domain.analysis.messages import AnalysisRequest, InferenceRequest
from readfirst.domain.analysis.models import default_model
from readfirst.domain.analysis.series_selection import NotEligible, Selection, run_key, select_series
from readfirst.domain.deid import ReceiptBatch
from readfirst.domain.deid.receipt import PixelCheck, Receipt

SLICES, SIZE, STUDIES, BURST_SLICES, PAIRS = 64, 512, 10, 12, 3

COMPARE = [sys.executable, "-m", "model_container.training.compare"]
_USUAL = (  # the same command with the network in torch and MONAI
    "from model_container.training.compare import use_torch; use_torch(); from readfirst.cli import main; main()"
)


@dataclass(frozen=True)
class Line:
    """One figure: what, how much, against what, and the target where there is one."""

    what: str
    value: str
    ratio: str = ""
    target: str = ""


def run() -> None:
    """Measures and prints."""
    from rich.table import Table

    from readfirst.cli.printing import Terminal

    table = Table("what", "measured", "ratio", "target", title=f"Inference on {os.cpu_count()} cores, now")
    for line in inference():
        table.add_row(line.what, line.value, line.ratio, line.target)
    Terminal().print(table)


def inference() -> list[Line]:
    """Every figure; those that need torch say so where it is missing."""
    from readfirst.local.phantom import write_phantom_study

    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study"
        write_phantom_study(study, seed=1, slices=SLICES, size=SIZE, spacing=2.5)
        lines = [*_cold(study, Path(folder) / "out"), *_warm(study), *_decoding(study)]
        return [*lines, *_queue(Path(folder), study)]


def _has_torch() -> bool:
    from importlib.util import find_spec

    return all(find_spec(name) for name in ("torch", "monai", "safetensors"))


@dataclass(frozen=True)
class Cost:
    """What a process took from its start to its end, with those that it started."""

    wall: float
    processor: float  # seconds, user and system: tells more than wall time where other work keeps the machine busy
    peak_mb: float

    def __str__(self) -> str:
        return f"{self.wall:.1f} s, CPU {self.processor:.1f} s, {self.peak_mb:.0f} MB"


def _cost(command: list[str], environment: dict[str, str] | None = None) -> Cost:
    started = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(said.read().decode(errors="replace"))
    kilobytes = usage.ru_maxrss / 1024 if sys.platform == "darwin" else usage.ru_maxrss
    return Cost(time.perf_counter() - started, usage.ru_utime + usage.ru_stime, kilobytes / 1024)


def _ratio(ours: Sequence[Cost], theirs: Sequence[Cost]) -> str:
    """Of runs in pairs: the middle pair's, by each clock."""
    wall, processor = (
        median(getattr(a, name) / getattr(b, name) for a, b in zip(ours, theirs, strict=True))
        for name in ("wall", "processor")
    )
    return f"{wall:.2f}x, CPU {processor:.2f}x"


def _middle(costs: Sequence[Cost]) -> Cost:
    return sorted(costs, key=lambda cost: cost.wall)[len(costs) // 2]


def _cold(study: Path, out: Path) -> list[Line]:
    """From process start to process end, in turn with the usual way where torch is there."""
    our_way = [sys.executable, "-m", "readfirst.cli", "analyse", str(study), str(out)]
    ours, usual = [], []
    for _ in range(PAIRS):
        ours.append(_cost(our_way))
        if _has_torch():
            usual.append(_cost([sys.executable, "-c", _USUAL, "analyse", str(study), str(out.with_name("usual"))]))
    stages: dict[str, float] = json.loads((out / "result.json").read_bytes())["seconds"]
    rest = ours[-1].wall - sum(stages.values())
    lines = [
        Line(f"cold: {SLICES} slices of {SIZE}x{SIZE} to findings and all outputs", str(_middle(ours)), "", "3 s"),
        Line("… by stage (infer: find places, judge them)",
             f"start and end {rest:.2f}, " + ", ".join(f"{name} {s:.2f}" for name, s in stages.items())),
    ]  # fmt: skip
    if not usual:
        return [*lines, Line("… against torch and MONAI, eager", "torch is not installed")]
    what = "… the same with the network in torch and MONAI, eager"
    return [*lines, Line(what, str(_middle(usual)), _ratio(ours, usual), "0.25x")]


def _timed(work: Callable[[], object]) -> float:
    work()  # what is done once is not counted
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _warm(study: Path) -> list[Line]:
    """The whole reading and the network alone, loaded."""
    from model_container.engines.chest.candidates import Spot, find_lungs, find_spots, to_scene
    from model_container.engines.chest.engine import ChestEngine, boxes_at
    from model_container.engines.registry import ModelRegistry
    from model_container.images.volume import read_volume

    _, contents = _chosen(study)
    engine = ModelRegistry().load(default_model().digest)[1]
    if not isinstance(engine, ChestEngine):
        raise TypeError("the default model is not the chest engine")
    volume = read_volume(contents)
    whole = _timed(lambda: engine.read(volume, lambda _: None)) / len(volume.hu) * 1000
    scene = to_scene(volume)

    def find() -> list[Spot]:
        seen = to_scene(volume)
        return find_spots(seen, find_lungs(seen))

    found = _timed(find) * 1000
    spots = find()
    boxes, about = boxes_at(scene, [(spot.at, spot.diameter) for spot in spots], volume.spacing)
    size = engine.network.batch
    starts = range(0, len(boxes), size)

    def network() -> None:
        with ThreadPoolExecutor(engine.network.at_once) as pool:  # as the engine does it
            list(pool.map(lambda k: engine.network.judge(boxes[k : k + size], about[k : k + size]), starts))

    ours = _timed(network) * 1000
    lines = [
        Line("warm, from densities to findings, per slice", f"{whole:.1f} ms"),
        Line(f"warm, finding {len(boxes)} places", f"{found:.0f} ms"),
        Line("warm, the network alone on ONNX Runtime", f"{ours:.0f} ms"),
    ]
    if not _has_torch():
        return lines
    said = subprocess.run([*COMPARE, str(study)], check=True, capture_output=True, text=True).stdout
    for name, theirs in json.loads(said).items():
        lines.append(Line(f"warm, the network alone on torch, {name}", f"{theirs:.0f} ms", f"{ours / theirs:.2f}x"))
    return lines


def _chosen(study: Path) -> tuple[Selection, list[bytes]]:
    from readfirst.cli.analyse import read_study

    read = read_study(study)
    selection = select_series(read.instances, default_model().gate)
    if isinstance(selection, NotEligible):
        raise TypeError(selection.text)
    return selection, [read.contents[i.path] for i in selection.instances]


def _decoding(study: Path) -> list[Line]:
    """JPEG 2000, one after the other and in processes."""
    from pydicom.uid import JPEG2000Lossless

    from model_container.images.pixels import Format, decode, decode_all, packed

    files = []
    for content in _chosen(study)[1]:
        ds = pydicom.dcmread(io.BytesIO(content))
        ds.compress(JPEG2000Lossless, generate_instance_uid=False)
        out = io.BytesIO()
        ds.save_as(out, enforce_file_format=True)
        files.append(out.getvalue())
    parsed = [pydicom.dcmread(io.BytesIO(content)) for content in files]
    pictures = [packed(ds, Format.of(ds), 0) for ds in parsed] * 5  # a thin-slice study
    alone = _timed(lambda: [decode(picture) for picture in pictures])
    together = _timed(lambda: decode_all(pictures))
    ratio = f"{together / alone:.2f}x of {alone:.1f} s one by one"
    return [Line(f"JPEG 2000, {len(pictures)} slices, {os.cpu_count()} processes", f"{together:.1f} s", ratio)]


def _queue(folder: Path, study: Path) -> list[Line]:
    """Ten studies by one execution, against ten executions of one study each."""
    from readfirst.local.stack import Stack

    with Stack(folder / "state", "auto", with_host=False) as stack:
        connection = stack.environment[resource_names.STUDIES]
        environment = {**os.environ, "STUDIES": connection, "IDLE_SECONDS": "0"}

        def drain() -> Cost:
            return _cost([sys.executable, "-m", "model_container"], environment)

        singles = []
        for k in range(STUDIES):
            _send(connection, study, f"{k:032x}")
            singles.append(drain())
        for k in range(STUDIES, 2 * STUDIES):
            _send(connection, study, f"{k:032x}")
        burst = drain()
    alone = Cost(sum(c.wall for c in singles), sum(c.processor for c in singles), max(c.peak_mb for c in singles))
    return [
        Line(f"{STUDIES} studies of {BURST_SLICES} slices in the queue, one execution", str(burst), "", ""),
        Line("… by an execution for each", str(alone), _ratio([burst], [alone]), "0.5x"),
    ]


def _send(connection: str, study: Path, token: str) -> None:
    """An order as the orchestration writes it, and its request: few slices, as short studies come in bursts."""
    from azure.storage.blob import BlobServiceClient
    from azure.storage.queue import QueueClient, TextBase64EncodePolicy

    selection, contents = _chosen(study)
    selection = Selection(selection.series_uid, selection.instances[:BURST_SLICES], selection.spacing)
    container = BlobServiceClient.from_connection_string(connection).get_container_client(resource_names.CLEAN)
    instances = []
    for instance, content in zip(selection.instances, contents, strict=False):
        path = blob_paths.instance_path(token, instance.series_uid, instance.sop_uid)
        container.upload_blob(path, content, overwrite=True)
        digest = hashlib.sha256(content).hexdigest()
        instances.append(instance.model_copy(update={"path": path, "digest": digest}))
    receipts = blob_paths.receipts_path(token, 1, 1)
    batch = ReceiptBatch(token=token, receipts=tuple(_receipt(i.sop_uid, i.digest) for i in instances))
    container.upload_blob(receipts, batch.model_dump_json(), overwrite=True)
    model = default_model()
    key = run_key(selection, model.digest)
    order = AnalysisRequest(
        token=token, handle="BENCH000", run_key=key, model_name=model.name, model_digest=model.digest,
        series_uid=selection.series_uid, instances=tuple(instances), receipts=(receipts,),
    )  # fmt: skip
    container.upload_blob(blob_paths.order_path(token, key), order.model_dump_json(), overwrite=True)
    queue = QueueClient.from_connection_string(
        connection, resource_names.INFERENCE_REQUESTS, message_encode_policy=TextBase64EncodePolicy()
    )
    request = InferenceRequest(token=token, run_key=key, instance=token, order=blob_paths.order_path(token, key))
    queue.send_message(request.model_dump_json())


def _receipt(sop_uid: str, digest: str) -> Receipt:
    nothing = "0" * 64
    return Receipt(
        sop_uid=sop_uid, engine="bench", table="", profile="bench", profile_digest=nothing, input_digest=nothing,
        output_digest=digest, rules=(), residual="none found", residual_checked=0,
        pixels=PixelCheck(outcome="screened"),
    )  # fmt: skip
