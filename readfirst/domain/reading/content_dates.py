"""When the content of a result was made, as DICOM says it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from pydicom.dataset import Dataset


def in_zone_of(ds: Dataset, at: datetime) -> datetime:
    """The moment in the time zone that an object names, in which all of its times are read (PS3.3 C.12.1.1.6)."""
    zone = re.fullmatch(r"([+-])(\d\d)(\d\d)", str(ds.get("TimezoneOffsetFromUTC") or ""))
    if zone is None or at.tzinfo is None:
        return at
    offset = timedelta(hours=int(zone[2]), minutes=int(zone[3]))
    return at.astimezone(timezone(-offset if zone[1] == "-" else offset))


def date_content(ds: Dataset, made: datetime) -> None:
    """Says in a result when it was made, in place: what it has of content and creation (PS3.3 C.17.2, C.12.1).

    The dates of the study, the series and the acquisition stay as they are.
    """
    made = in_zone_of(ds, made)
    for name in ("Content", "InstanceCreation"):
        if f"{name}Date" in ds:
            setattr(ds, f"{name}Date", made.strftime("%Y%m%d"))
            setattr(ds, f"{name}Time", made.strftime("%H%M%S"))
