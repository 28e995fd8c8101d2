"""One study from clean files to findings and outputs: what the job and `readfirst analyse` both do."""

from __future__ import annotations

import atexit
import gc
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import ModuleType

import numpy as np

from model_container.engines.engine import Detection, Engine, OutOfScope, Reading
from model_container.images.pixels import UnreadablePixels
from model_container.images.volume import Volume, read_volume
from model_container.outputs import overlay
from readfirst.domain.analysis.eligibility import Ineligible
from readfirst.domain.analysis.findings import Analysis, Box, Finding
from readfirst.domain.analysis.messages import AnalysisRequest
from readfirst.domain.analysis.models import Manifest
from readfirst.domain.instance_facts import PROJECTIONS, InstanceFacts

Put = Callable[[str, bytes, str], str]
"""Keeps a file (name, content, content type) and returns the name that others find it by."""

Report = Callable[[str, float], None]
"""Told the stage and the share of the whole that is done, from 0 to 1."""

_PAIRED = ("lung", "kidney", "breast", "adrenal gland")
_MOST, _LEAST = 50, 8  # findings told: each is a picture, and a segment with a frame for every slice
_MOST_FRAMES = 6_000  # of a segmentation: 200 MB, and a minute of writing
_MIDDLE = 8.0  # mm to each side
_BODY = -300  # HU: denser than lung, fat included
_INFER_FROM, _INFER_TO = 0.25, 0.9
_BESIDE = 4  # threads that import, pack and send while the main one computes


@dataclass
class Clock:
    """Seconds per stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Counts the time in the block towards a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - started, 4)


def analyse(
    order: AnalysisRequest, volume: Volume, manifest: Manifest, engine: Engine, put: Put, report: Report, clock: Clock
) -> Analysis:
    """Reads the volume, draws and writes every output, and returns the analysis; the caller keeps it, last."""
    with ThreadPoolExecutor(_BESIDE) as beside:
        writer = beside.submit(_writer)
        with clock.stage("infer"):
            answer = engine.read(volume, lambda share: report("infer", _INFER_FROM + share * (_INFER_TO - _INFER_FROM)))
        if isinstance(answer, OutOfScope):
            return out_of_scope(order, manifest, f"{answer.code}: {answer.text}", clock, engine.device)
        report("write", _INFER_TO)
        with clock.stage("write"):
            shown = replace(answer, detections=reported(answer.detections, manifest, len(volume.hu)))
            findings, outputs = _write(order, volume, manifest, shown, put, writer.result(), beside)
    high, why = judge(findings, answer, manifest)
    return Analysis(
        token=order.token, run_key=order.run_key, outcome="analysed", model=manifest.identity,
        series_uid=order.series_uid, slices=len(volume.hu), risk=answer.risk, high_risk=high, why=why,
        findings=findings, outputs=outputs, seconds=clock.seconds, device=engine.device,
        peak_memory_mb=peak_memory_mb(), accounting=order.accounting,
    )  # fmt: skip


def _write(
    order: AnalysisRequest, volume: Volume, manifest: Manifest, answer: Reading, put: Put, dicom: ModuleType,
    beside: ThreadPoolExecutor,
) -> tuple[tuple[Finding, ...], dict[str, str]]:  # fmt: skip
    """Keeps every output; returns the findings, and the DICOM files' names. Pictures are packed, and files sent,
    while the next ones are made: neither needs Python's lock."""

    def keep(k: int) -> str:
        return put(f"overlay-{k}.png", overlay.png(pictures[k]), "image/png")

    numbered = list(enumerate(answer.detections, start=1))
    pictures = {
        k: overlay.draw(volume, d, f"{k}  {d.diameter_mm:.0f} mm  p {d.probability:.2f}", manifest.disclaimer)
        for k, d in numbered
        if d.mask is not None
    }
    kept = {str(k): beside.submit(keep, k) for k in pictures}
    findings = [_finding(str(k), detection, volume, order) for k, detection in numbered]
    study = dicom.Study(order, manifest, volume, answer.detections, findings, answer.risk)
    sent = {
        kind: beside.submit(put, f"{kind}.dcm", content, "application/dicom")
        for kind, content in dicom.write_outputs(study, pictures).items()
    }
    shown = tuple(f.model_copy(update={"overlay": kept[f.key].result()}) if f.key in kept else f for f in findings)
    return shown, {kind: file.result() for kind, file in sent.items()}


def reported(detections: Sequence[Detection], manifest: Manifest, slices: int) -> tuple[Detection, ...]:
    """The findings that outputs are made of, in their order: all of them, or as many as a segmentation can hold
    without growing to gigabytes: the likeliest of each kind, which is not absent; what meets the rule; the likeliest.
    """
    rule, most = manifest.risk, min(_MOST, max(_LEAST, _MOST_FRAMES // slices))
    likeliest = sorted(range(len(detections)), key=lambda k: -detections[k].probability)
    of_kind = {detections[k].channel.kind: k for k in reversed(likeliest)}.values()
    meeting = [k for k in likeliest if rule.met_by(detections[k].probability, detections[k].diameter_mm)]
    kept = list(dict.fromkeys([*of_kind, *meeting, *likeliest]))[: max(most, len(of_kind))]
    return tuple(detections[k] for k in sorted(kept))


def out_of_scope(order: AnalysisRequest, manifest: Manifest, reason: str, clock: Clock, device: str) -> Analysis:
    """The answer to a study that the model must not judge."""
    return Analysis(
        token=order.token, run_key=order.run_key, outcome="out-of-scope", reason=reason, model=manifest.identity,
        series_uid=order.series_uid, slices=len(order.instances), seconds=clock.seconds, device=device,
        peak_memory_mb=peak_memory_mb(),
    )  # fmt: skip


def decode(order: Sequence[InstanceFacts], contents: Mapping[str, bytes]) -> Volume | OutOfScope:
    """The volume of an order's slices (of a radiograph: the one), or why there is none; `contents`: files by path."""
    try:
        if order[0].modality in PROJECTIONS:
            from model_container.images.radiograph import read_projection

            return read_projection(contents[order[0].path])
        return read_volume([contents[one.path] for one in order], [one.frame for one in order])
    except UnreadablePixels as error:
        return OutOfScope(Ineligible.UNREADABLE, str(error))


def judge(findings: Sequence[Finding], reading: Reading, manifest: Manifest) -> tuple[bool, str]:
    """Whether the study is high risk by the manifest's rule, and the sentence that says why."""
    rule = manifest.risk
    worst = [f for f in findings if rule.met_by(f.probability, f.diameter_mm)]
    beyond = len(reading.detections) - len(findings)
    others = f"; {beyond} less probable ones are left out" if beyond else ""
    if worst:
        first = worst[0]
        place = f"{first.diameter_mm:.0f} mm in the {first.site}, " if first.diameter_mm else ""
        return True, f"{rule.text}: {place}probability {first.probability:.2f}{others}"
    if findings:
        return False, f"{len(findings)} finding(s), none that meets the rule ({rule.text.lower()}){others}"
    return False, f"No finding of at least probability {rule.report_from:g} (risk {reading.risk:.2f})"


def calm_collector() -> None:
    """Keeps Python from looking for dead cycles after every 700 new objects, and once more at the end.

    This process makes very many objects that live on (headers, tables of the standard): going through them took a
    second of its processor time. Now it looks after 100,000, and the end leaves them to the system.
    """
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)


def _writer() -> ModuleType:
    """The DICOM writer, ready: its import and tables take half a second, which passes while the network runs."""
    from model_container.outputs import dicom as dicom_outputs

    dicom_outputs.read_tables()
    return dicom_outputs


def _finding(key: str, detection: Detection, volume: Volume, order: AnalysisRequest) -> Finding:
    z = detection.key_slice
    centre = volume.point(*detection.centre)
    site = site_of(detection, centre[0] - midline(volume, z))
    return Finding(
        key=key, kind=detection.channel.kind, concept=detection.channel.concept, category=detection.channel.category,
        probability=detection.probability, diameter_mm=detection.diameter_mm, volume_mm3=detection.volume_mm3,
        centre=None if volume.flat else centre, site=site, series_uid=order.series_uid,
        sop_uid=str(volume.headers[z].SOPInstanceUID), frame=volume.frames[z], slice=z,
        box=box_of(detection, z, volume.hu.shape[1:]),
    )  # fmt: skip


def site_of(detection: Detection, x: float) -> str:
    """Where the finding lies, for people: the channel's site, with its side where there are two of it (x: to the left
    of the body's middle, mm); near the middle no side is better than the wrong one."""
    site = detection.channel.site.meaning.lower() if detection.channel.site else ""
    if detection.mask is None or site not in _PAIRED or abs(x) < _MIDDLE:
        return site
    return f"{'left' if x > 0 else 'right'} {site}"


def midline(volume: Volume, z: int) -> float:
    """The x (LPS, mm) of the body's middle in slice `z`: scanners put their own there, but not every file keeps that.

    Where the picture cuts the body off, its middle cannot be seen, and the scanner's is the best guess.
    """
    if volume.flat:
        return 0.0
    across = abs(volume.along_columns[0]) >= abs(volume.along_rows[0])  # whether x runs along the picture's rows
    lines = volume.hu[z] > _BODY if across else (volume.hu[z] > _BODY).T
    first, last = lines.argmax(1), lines.shape[1] - 1 - lines[:, ::-1].argmax(1)
    body = lines.any(1)
    whole = body & (first > 0) & (last < lines.shape[1] - 1)
    if not body.any() or whole.sum() < 0.5 * body.sum():
        return 0.0
    along, beside = float(np.median((first + last)[whole])) / 2, float(np.nonzero(whole)[0].mean())
    return volume.point(z, beside, along)[0] if across else volume.point(z, along, beside)[0]


def box_of(detection: Detection, z: int, size: tuple[int, ...]) -> Box:
    """The finding's box in slice `z`, in pixels of that instance."""
    if detection.mask is None:  # a finding of the study: the whole picture
        return Box(left=0, top=0, right=size[1], bottom=size[0])
    plane = detection.mask.plane(z)
    if plane is None:
        raise ValueError("the finding has no section in this slice")
    rows, columns = np.nonzero(plane.any(1))[0], np.nonzero(plane.any(0))[0]
    _, top, left = detection.mask.start
    return Box(
        left=left + int(columns[0]), top=top + int(rows[0]), right=left + int(columns[-1]) + 1,
        bottom=top + int(rows[-1]) + 1,
    )  # fmt: skip


def peak_memory_mb() -> float:
    """The most memory that this process has held."""
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)
