"""The portal's addresses, which exist only after `azd provision`. Safe to repeat.

Without an argument (of postprovision.py): tells Entra where the portal is. `config` (predeploy of the portal): writes
config.json into the built files, which azd uploads next. azd packages before or beside provisioning, so no step of the
build may need an address: the page asks for /config.json when it starts.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from preprovision import Stop, az, rest, say

BUILT = Path(__file__).resolve().parents[2] / "portal_static" / "dist"


def values(*names: str) -> list[str]:
    """What azd's environment holds after provisioning."""
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        raise Stop(f"{', '.join(missing)} not set: run `azd provision` first.")
    return [os.environ[name] for name in names]


def config() -> None:
    """Writes config.json, which holds addresses and no secret, beside the built page."""
    api, identity, client_id = values("API_URL", "IDENTITY_URL", "READFIRST_ENTRA_CLIENT_ID")
    built = Path(os.environ.get("READFIRST_PORTAL_BUILT", BUILT))
    if not (built / "index.html").exists():
        raise Stop(f"{built} holds no page: run `azd package portal` first.")
    tenant = os.environ.get("AZURE_TENANT_ID") or az("account", "show")["tenantId"]
    addresses = {
        "issuer": f"https://login.microsoftonline.com/{tenant}/v2.0",
        "clientId": client_id,
        "scope": f"openid profile offline_access api://{client_id}/access",
        "api": api.rstrip("/"),
        "identity": identity.rstrip("/"),
    }
    (built / "config.json").write_text(json.dumps(addresses, indent=2) + "\n")
    say(f"the portal will call {api} and {identity}")


def redirects() -> None:
    """Lets people come back from their sign-in to the portal."""
    portal, client_id = values("PORTAL_URL", "READFIRST_ENTRA_CLIENT_ID")
    app = az("ad", "app", "show", "--id", client_id)
    rest(
        "patch",
        f"https://graph.microsoft.com/v1.0/applications/{app['id']}",
        {"spa": {"redirectUris": [portal, f"{portal}/"]}},
    )
    say(f"the portal is {portal}")


if __name__ == "__main__":
    try:
        config() if "config" in sys.argv[1:] else redirects()
    except Stop as stop:
        sys.exit(f"readfirst: {stop}")
