"""The Functions app: registers blueprints, nothing else. READFIRST_APPS chooses which.

It is called main.py (PYTHON_SCRIPT_FILE_NAME=main.py) because a package named function_app cannot stand beside a
function_app.py.
"""

from __future__ import annotations

import azure.functions as func

from function_app import blueprints
from readfirst.adapters.settings import settings

app = func.FunctionApp()
for blueprint in blueprints(settings().apps):
    app.register_functions(blueprint)
