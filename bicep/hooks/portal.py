"""After `azd provision`: tells the portal where its apps are, and Entra where the portal is. Safe to repeat."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from preprovision import Stop, az, rest, say

CONFIG = Path(__file__).resolve().parents[2] / "portal_static" / "public" / "config.json"


def main() -> None:
    """Writes config.json, which holds addresses and no secret, and the redirect addresses of the sign-in."""
    values = os.environ
    missing = [n for n in ("PORTAL_URL", "API_URL", "IDENTITY_URL", "READFIRST_ENTRA_CLIENT_ID") if n not in values]
    if missing:
        raise Stop(f"{', '.join(missing)} not set: run `azd provision` first.")
    client_id, portal = values["READFIRST_ENTRA_CLIENT_ID"], values["PORTAL_URL"]
    tenant = az("account", "show")["tenantId"]
    config = {
        "issuer": f"https://login.microsoftonline.com/{tenant}/v2.0",
        "clientId": client_id,
        "scope": f"openid profile offline_access api://{client_id}/access",
        "api": values["API_URL"],
        "identity": values["IDENTITY_URL"],
    }
    CONFIG.write_text(json.dumps(config, indent=2) + "\n")
    app = az("ad", "app", "show", "--id", client_id)
    rest(
        "patch",
        f"https://graph.microsoft.com/v1.0/applications/{app['id']}",
        {"spa": {"redirectUris": [portal, f"{portal}/"]}},
    )
    say(f"the portal is {portal}")


if __name__ == "__main__":
    try:
        main()
    except Stop as stop:
        sys.exit(f"readfirst: {stop}")
