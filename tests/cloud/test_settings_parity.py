"""The app settings that Bicep writes and the Settings that the code reads name the same things, in both directions."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from bicep import generate
from bicep.generate import Resource
from readfirst.adapters.settings import Settings
from tests.cloud.conftest import app_settings, of_type

READ = {str(field.alias) for field in Settings.model_fields.values()}
# The host reads these, not our code.
HOST = re.compile(
    r"AzureWebJobsStorage__|AzureFunctionsJobHost__|APPLICATIONINSIGHTS_|PYTHON_SCRIPT_FILE_NAME$"
    r"|(UPLOADS|STUDIES|VAULT|AUDIT)__(credential|clientId)$|UPLOADS__queueServiceUri$"
)
# What the code reads and Azure does not set, and why.
NOT_IN_AZURE = {
    "UPLOADS": "a connection string: developer's machine only",
    "STUDIES": "a connection string: developer's machine only",
    "VAULT": "a connection string: developer's machine only",
    "AUDIT": "a connection string: developer's machine only",
    "COSMOS_KEY": "the emulator's key; key access is off in Azure",
    "ARM_ENDPOINT": "the default is the public cloud",
    "DEID_PROFILE": "the default is the safe one; an operator may choose",
    "SETTLE_SECONDS": "the default is by modality",
    "INFERENCE_DEADLINE_MINUTES": "tuning",
    "INFERENCE_LOOK_SECONDS": "tuning",
    "INFERENCE_STALL_MINUTES": "tuning",
    "INFERENCE_FALLBACK_MINUTES": "tuning",
    "RECONCILE_SCHEDULE": "tuning",
    "RECONCILE_AGE_SECONDS": "tuning",
    "HISTORY_DAYS": "tuning",
    "ESCALATE_MINUTES": "tuning",
}
APPS = ("intake", "api", "identity")


def test_every_setting_of_an_app_is_read_by_the_code_or_by_the_host(resources: list[Resource]) -> None:
    for app, settings in app_settings(resources).items():
        unread = [name for name in settings if name not in READ and not HOST.match(name)]
        assert unread == [], app


def test_every_setting_that_the_code_reads_is_set_for_some_app_or_is_not_for_azure(resources: list[Resource]) -> None:
    written = {name for settings in app_settings(resources).values() for name in settings}
    assert READ - written == NOT_IN_AZURE.keys()


def test_no_app_or_job_setting_holds_a_key_or_a_connection_string(resources: list[Resource]) -> None:
    job = of_type(resources, "Microsoft.App/jobs")[0]["properties"]["template"]["containers"][0]["env"]
    every = {**app_settings(resources), "job": {e["name"]: e["value"] for e in job}}
    for who, settings in every.items():
        for name, value in settings.items():
            if name != "APPLICATIONINSIGHTS_CONNECTION_STRING":  # names the resource; ingestion needs an Entra token
                assert not re.search(r"listKeys|AccountKey|SharedAccess|[Pp]assword|list[A-Z]\w*\(", value), (
                    f"{who} {name}"
                )


def test_the_jobs_environment_is_what_the_job_reads(resources: list[Resource]) -> None:
    for job in of_type(resources, "Microsoft.App/jobs"):
        assert {e["name"] for e in job["properties"]["template"]["containers"][0]["env"]} == {
            "STUDIES__blobServiceUri",
            "STUDIES__queueServiceUri",
            "AZURE_CLIENT_ID",
            "IDLE_SECONDS",
        }


def test_intake_knows_both_jobs_where_there_are_two(resources: list[Resource], profile: str) -> None:
    settings = app_settings(resources)["intake"]
    known = [settings[name].rsplit("/", 1)[-1] for name in ("JOB_RESOURCE_ID", "FALLBACK_JOB_RESOURCE_ID")]
    made = sorted(job["name"] for job in of_type(resources, "Microsoft.App/jobs"))
    assert made == [name for name in known if name]
    assert len(made) == (1 if profile == "student" else 2), "a student's job runs on CPUs already"


def test_each_app_knows_only_the_stores_that_it_may_use(resources: list[Resource]) -> None:
    stores = {
        app: {name.split("__")[0] for name in settings if name.endswith("__blobServiceUri")} - {"AzureWebJobsStorage"}
        for app, settings in app_settings(resources).items()
    }
    assert stores["api"] == {"STUDIES", "AUDIT"}
    assert stores["intake"] == stores["identity"] == {"UPLOADS", "STUDIES", "VAULT", "AUDIT"}


INDEX = """
import json, main
found = {}
for f in main.app.get_functions():
    f.get_dict_repr()
    found[f.get_function_name()] = [[b.type, getattr(b, "queue_name", "")] for b in f.get_bindings()]
print(json.dumps(found))
"""


def indexed(resources: list[Resource], app: str) -> dict[str, list[list[str]]]:
    """Loads main.app with the evaluated settings, what Azure fills in at run time replaced by a plausible address."""
    values = {
        name: re.sub(r"^\[[a-z].*\]$", "https://example.invalid/", value, flags=re.DOTALL)
        for name, value in app_settings(resources)[app].items()
    }
    if "JOB_RESOURCE_ID" in values:
        assert values["JOB_RESOURCE_ID"].endswith("-analyse")
    done = subprocess.run(
        [sys.executable, "-c", INDEX], cwd=generate.ROOT, env=values, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, list[list[str]]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("app", APPS)
def test_each_app_loads_with_the_settings_that_bicep_writes_and_may_read_the_queues_that_wake_it(
    app: str, evaluated: Callable[..., list[Resource]]
) -> None:
    bindings = [b for function in indexed(evaluated("clinic"), app).values() for b in function]
    assert bindings
    assert "blobTrigger" not in {kind for kind, _ in bindings}, "Flex Consumption has no polling blob trigger"
    wakes = {queue for kind, queue in bindings if kind == "queueTrigger"}
    may = {
        (g.on.rsplit(" ", 1)[1], g.role)
        for g in generate.grants(evaluated("clinic"))
        if g.who == app and "queue" in g.on
    }
    contributes = {queue for queue, role in may if role == "Storage Queue Data Contributor"}
    parks = {queue for queue, role in may if queue.endswith("-poison") and role != "Readfirst queue counter"}
    assert contributes == wakes
    assert parks == {f"{queue}-poison" for queue in wakes}
    assert bool(wakes) == (app != "api")
