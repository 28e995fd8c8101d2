"""What people may write: text without control characters, and something in it where something is asked for."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

_PLAIN = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"

Text = Annotated[str, StringConstraints(max_length=2000, pattern=_PLAIN)]
FullText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000, pattern=_PLAIN)]
Short = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=_PLAIN)]
Maybe = Annotated[str, StringConstraints(max_length=200, pattern=_PLAIN)]
Note = Annotated[str, StringConstraints(max_length=500, pattern=_PLAIN)]
Why = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500, pattern=_PLAIN)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=10, max_length=500, pattern=_PLAIN)]
