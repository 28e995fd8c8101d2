"""Writes docs/reference/weather.md: what the local services can be made to do, from the weather's own catalogue.

usage: python -m tools.weather_page. A test holds the page to the catalogue.
"""

from __future__ import annotations

from pathlib import Path

from readfirst.local.weather.catalogue import ROWS, SERVICES
from readfirst.local.weather.forecast import Spell

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "weather.md"
_HEAD = """# Weather

Made from `readfirst/local/weather` by `python -m tools.weather_page`.

`readfirst up --weather FILE` puts a proxy before each of the local servers, which makes them behave as the real
services are documented to on a bad day. Without it there is no proxy. A forecast is a TOML file: a `seed`, which
decides the chances, and one `[[spell]]` for each behaviour. What the table does not list is refused, and so is a wait
or a limit that no document allows. Ctrl-C prints what was met.

```toml
seed = 7

[[spell]]            # the index is away for an hour
service = "cosmos"
behaviour = "unavailable"
begins = 60
lasts = 3600

[[spell]]            # of every 50 answers of Blob storage one never arrives
service = "blob"
behaviour = "unanswered"
chance = 0.02
```

A test gives `Stack(…, forecast=…)` the same, or adds a `Spell` to `stack.weather.sky`; `stack.sheltered()` has the
settings of whoever looks past the weather. `readfirst.local.weather.layer.before` is the weather of one service.
"""


def page() -> str:
    """The page."""
    fields = ["## A spell", "", "| Field | Default | What it says |", "|---|---|---|"]
    for name, field in Spell.model_fields.items():
        default = "**required**" if field.is_required() else f"`{field.default}`" if field.default else ""
        fields.append(f"| `{name}` | {default} | {field.description} |")
    lines = ["## Behaviours", "", "| Service | Behaviour | What happens | Limit | Source |", "|---|---|---|---|---|"]
    for service in SERVICES:
        for row in (one for one in ROWS if one.service == service):
            lines.append(f"| {service} | `{row.behaviour}` | {row.what} | {row.limit} | [source]({row.source}) |")
    return "\n".join([_HEAD, *fields, "", *lines, ""])


if __name__ == "__main__":
    PAGE.write_text(page())
