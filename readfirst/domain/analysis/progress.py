"""How far an analysis is, as people are told it: what the job wrote last, or that it is waited for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from readfirst.domain.analysis.messages import Progress

STALE = timedelta(minutes=2)  # a job that works writes far more often; what is older is a job that has ended or hangs


class ProgressView(BaseModel):
    """What the portal shows of an analysis under way."""

    model_config = ConfigDict(frozen=True)

    stage: Literal["waiting", "download", "decode", "infer", "write", "done"]
    share: float  # of the whole, 0 to 1


WAITING = ProgressView(stage="waiting", share=0.0)


def progress_view(written: Progress | None, now: datetime) -> ProgressView:
    """What the job wrote if that is fresh; else that the analysis is waited for, whatever was done of it before."""
    if written is None or now - datetime.fromisoformat(written.at) > STALE:
        return WAITING
    return ProgressView(stage=written.stage, share=min(1.0, max(0.0, written.share)))
