"""How a study is named to people, where it is in the portal, and where the API is.

`addresses.json` is the one definition: the e-mail, the API and the command line read it here, and the portal's router
(portal_static/src/address.ts) is built from the same file. `study` is the address that is given away; it names the
study by its handle and nothing else. The `older` ones are in e-mails and bookmarks: they lead to the same page.
Routes of the API are relative to `api`; `olderApi` is where version 1.0 had the same routes, and they work there too.
"""

from __future__ import annotations

import json
import re
from importlib.resources import files

_DEFINED: dict[str, str] = json.loads((files(__package__) / "addresses.json").read_text())
HANDLE = f"[{_DEFINED['handleCharacters']}]{{8}}"
TOKEN = _DEFINED["token"]
API = _DEFINED["api"]
OLDER_API = _DEFINED["olderApi"]


def study_link(portal_url: str, handle: str) -> str:
    """The address of a study's page in the portal at `portal_url` (with or without a slash at its end)."""
    return portal_url.rstrip("/") + _DEFINED["study"].replace("{handle}", handle)


def study_named(text: str) -> dict[str, str]:
    """The field and value of a record by which a person or an address names a study: its handle, typed in any case, or
    its token (`id`). Empty where the text can be neither."""
    if re.fullmatch(TOKEN, text.lower()):
        return {"id": text.lower()}
    if re.fullmatch(HANDLE, text.upper()):
        return {"handle": text.upper()}
    return {}
