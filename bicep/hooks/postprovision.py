"""After `azd provision`: the job's image, then Entra's redirect addresses. Safe to repeat."""

from __future__ import annotations

import sys

import image
import portal
from preprovision import Stop

if __name__ == "__main__":
    try:
        image.main()
        portal.redirects()
    except Stop as stop:
        sys.exit(f"readfirst: {stop}")
