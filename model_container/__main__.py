"""`python -m model_container`: one execution of the GPU job."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # Before numpy is imported: our products of matrices are small, and OpenBLAS's idle threads would spin between them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from model_container.job import main
    from model_container.storage import MissingSetting, studies

    try:
        account = studies()
    except MissingSetting as error:
        sys.exit(str(error))
    main(account)
