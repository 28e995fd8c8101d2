"""What becomes of an engine's answer: the analysis of a study whose findings are given, and its files."""

from __future__ import annotations

import hashlib
import io

import pydicom

from model_container.analyse import Clock, analyse, decode
from model_container.engines.engine import Reading
from readfirst.domain.analysis.messages import AnalysisRequest
from readfirst.domain.analysis.models import default_model
from readfirst.domain.analysis.series_selection import Selection, run_key, select_series
from readfirst.domain.instance_facts import facts_of


class Says:
    """An engine whose answer is given: what is tested is what becomes of the answer."""

    device = "test"

    def __init__(self, *detections, risk):
        self.answer = Reading(detections, risk if detections else 0.1)

    def read(self, volume, progress):
        progress(1.0)
        return self.answer


def outputs(contents, *detections, model=None, risk=0.7, unwritable="", accounting=None):
    """The analysis and its files; the store refuses the one that is `unwritable`. `model`: the default one.
    `accounting`: the study's books, as they come with the order."""
    model = model or default_model()
    paths = {hashlib.sha256(content).hexdigest(): content for content in contents}
    facts = [facts_of(pydicom.dcmread(io.BytesIO(content)), path=d, digest=d) for d, content in paths.items()]
    selection = select_series(facts, model.gate)
    assert isinstance(selection, Selection), selection
    volume = decode(selection.instances, paths)
    order = AnalysisRequest(
        token="ab" * 16, handle="ABCD1234", run_key=run_key(selection, model.digest), model_name=model.name,
        model_digest=model.digest, series_uid=selection.series_uid, instances=selection.instances, receipts=(),
        accounting=accounting,
    )  # fmt: skip
    files = {}

    def put(name, content, _):
        if name == unwritable:
            raise ConnectionError(name)
        files[name] = content
        return name

    return analyse(order, volume, model, Says(*detections, risk=risk), put, lambda *_: None, Clock()), files
