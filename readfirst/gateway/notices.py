"""What modalities and the PACS say besides images: procedure steps (MPPS), availability, storage commitment.

Of a procedure step the gateway keeps its state and the UIDs that it names, nothing else: no name, no date.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from readfirst.domain.gateway import contexts
from readfirst.domain.gateway.completion import COMPLETED, FINAL, IN_PROGRESS
from readfirst.gateway.association import FAILURE, N_SET, SUCCESS, Notice
from readfirst.gateway.journal import Journal

_INVALID, _NO_SUCH, _DUPLICATE, _MISSING = 0x0106, 0x0112, 0x0111, 0x0120  # PS3.7 Annex C
_OTHERS = "ReferencedNonImageCompositeSOPInstanceSequence"
_STATES = (IN_PROGRESS, *FINAL)


class Notices:
    """Takes them. `changed` is called with the studies of which something new is known."""

    def __init__(self, journal: Journal, changed: Callable[..., None]) -> None:
        self._journal, self._changed = journal, changed

    def take(self, notice: Notice) -> int:
        """Keeps what a message says, durably, and gives the status of its answer."""
        try:
            ds = _dataset(notice)
            if notice.class_uid == contexts.COMMITMENT:
                return self._committed(ds, notice)
            if notice.class_uid == contexts.AVAILABILITY:
                return self._available(ds, notice)
            return self._modified(ds, notice) if notice.field == N_SET else self._created(ds, notice)
        except Exception:  # pydicom raises many kinds at values that are not what their VR says
            return FAILURE

    def _created(self, ds: Dataset, notice: Notice) -> int:
        """N-CREATE of a step (PS3.4 F.7.2.1)."""
        studies = {uid for item in ds.get("ScheduledStepAttributesSequence") or () if (uid := _uid(item))}
        if not studies:
            return _MISSING
        if ds.get("PerformedProcedureStepStatus") != IN_PROGRESS:
            return _INVALID
        if self._journal.step(notice.instance_uid) is not None:
            return _DUPLICATE
        named = dict.fromkeys(studies, _named(ds))
        self._journal.say(notice.instance_uid, "step", IN_PROGRESS, named)
        return SUCCESS

    def _modified(self, ds: Dataset, notice: Notice) -> int:
        """N-SET of a step: what it names replaces what it named; a final one stays as it is (PS3.4 F.7.2.2)."""
        known = self._journal.step(notice.instance_uid)
        if known is None:
            return _NO_SUCH
        before, named = known
        state = str(ds.get("PerformedProcedureStepStatus") or before)
        if before in FINAL:
            return FAILURE
        if state not in _STATES:
            return _INVALID
        if "PerformedSeriesSequence" in ds:
            named = dict.fromkeys(named, _named(ds))
        self._journal.say(notice.instance_uid, "step", state, named)
        self._changed(*named)
        return SUCCESS

    def _available(self, ds: Dataset, notice: Notice) -> int:
        """N-CREATE of an Instance Availability Notification (PS3.4 R.3.2): the study, and all its instances."""
        study = _uid(ds)
        if not study:
            return _MISSING
        there = [
            str(item.ReferencedSOPInstanceUID)
            for series in ds.get("ReferencedSeriesSequence") or ()
            for item in series.get("ReferencedSOPSequence") or ()
            if item.get("InstanceAvailability") != "UNAVAILABLE"
        ]
        self._journal.say(notice.instance_uid, "availability", COMPLETED, {study: there})
        self._changed(study)
        return SUCCESS

    def _committed(self, ds: Dataset, notice: Notice) -> int:
        """N-EVENT-REPORT of storage commitment (PS3.4 J.3.3): what failed in it is asked about again later."""
        there = [str(item.ReferencedSOPInstanceUID) for item in ds.get("ReferencedSOPSequence") or ()]
        return SUCCESS if self._journal.committed(str(ds.get("TransactionUID") or ""), there) else _NO_SUCH


def _dataset(notice: Notice) -> Dataset:
    implicit = notice.transfer_syntax == contexts.IMPLICIT
    return read_dataset(io.BytesIO(notice.data), is_implicit_VR=implicit, is_little_endian=True)


def _uid(ds: Dataset) -> str:
    return str(ds.get("StudyInstanceUID") or "")


def _named(ds: Dataset) -> list[str]:
    """The instances that a step names, images and others (PS3.3 C.4.15)."""
    found: dict[str, None] = {}
    for series in ds.get("PerformedSeriesSequence") or ():
        for item in (*_items(series, "ReferencedImageSequence"), *_items(series, _OTHERS)):
            found[str(item.ReferencedSOPInstanceUID)] = None
    return list(found)


def _items(ds: Dataset, keyword: str) -> Iterable[Any]:
    return ds.get(keyword) or ()
