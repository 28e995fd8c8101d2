"""The Functions app: registers blueprints, nothing else.

It is called main.py (PYTHON_SCRIPT_FILE_NAME=main.py) because a package named function_app cannot stand beside
a function_app.py.
"""

from __future__ import annotations

import azure.functions as func

app = func.FunctionApp()
