"""`python -m model_container`: one execution of the GPU job."""

from __future__ import annotations

import sys

from model_container.job import main
from model_container.storage import MissingSetting, studies

if __name__ == "__main__":
    try:
        main(studies())
    except MissingSetting as error:
        sys.exit(str(error))
