"""Settings are read once, name everything that is missing, and never show a value."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from readfirst.adapters import clients
from readfirst.adapters.settings import Settings, SettingsError, settings
from readfirst.local.environment import settings_of

ROOT = Path(__file__).resolve().parents[2]
SAMPLE: dict[str, str] = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]


def test_the_sample_settings_are_complete() -> None:
    with settings_of(SAMPLE):
        assert settings().clinic("lakeside").radiologist == "radiologist@lakeside.example"


def test_every_missing_setting_is_named_at_once() -> None:
    with (
        settings_of({**SAMPLE, "VAULT": "", "EMAIL_SENDER": "", "PORTAL_URL": ""}),
        pytest.raises(SettingsError) as told,
    ):
        settings()
    assert all(name in str(told.value) for name in ("VAULT", "EMAIL_SENDER", "PORTAL_URL"))


def test_the_api_needs_neither_uploads_nor_vault() -> None:
    alone = {**SAMPLE, "READFIRST_APPS": "api", "UPLOADS": "", "VAULT": "", "KEY_VAULT_URI": "", "EMAIL_ENDPOINT": ""}
    with settings_of(alone):
        assert settings().apps == ("api",)


@pytest.mark.parametrize("clinic_id", ["North", "a_b", "-a", "a" * 60, ""])
def test_a_clinic_id_that_cannot_name_a_container_is_refused(clinic_id: str) -> None:
    clinics = json.dumps([{"id": clinic_id, "name": "x", "radiologist": "x@y.example"}])
    with settings_of({**SAMPLE, "CLINICS": clinics}), pytest.raises(SettingsError):
        settings()


def test_an_unknown_clinic_is_a_key_error() -> None:
    with settings_of(SAMPLE), pytest.raises(KeyError):
        settings().clinic("elsewhere")


def test_the_sample_names_no_setting_that_the_code_does_not_read() -> None:
    platform = {"FUNCTIONS_WORKER_RUNTIME", "PYTHON_SCRIPT_FILE_NAME", "AzureWebJobsStorage", "IDENTITY_ENDPOINT",
                "IDENTITY_HEADER", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"}  # fmt: skip
    assert set(SAMPLE) - platform <= {str(field.alias) for field in Settings.model_fields.values()}


def test_an_app_uses_its_managed_identity_and_an_operators_machine_its_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    with settings_of(SAMPLE):
        assert type(clients.credential()).__name__ == "ManagedIdentityCredential"
    with settings_of({k: v for k, v in SAMPLE.items() if k != "IDENTITY_ENDPOINT"}):
        monkeypatch.delenv("IDENTITY_ENDPOINT", raising=False)
        assert type(clients.credential()).__name__ == "ChainedTokenCredential"


INDEX = """
import json, main
functions = main.app.get_functions()
print(json.dumps({f.get_function_name(): f.get_trigger().type for f in functions}))
"""


@pytest.mark.parametrize("apps", ["intake", "api", "identity", "intake,api,identity"])
def test_the_app_can_be_indexed_by_a_host(apps: str) -> None:
    """A function that fails at indexing leaves a real host with no function at all, and no word about it."""
    clinics = json.dumps([{"id": c, "name": c, "radiologist": "r@c.example"} for c in ("lakeside", "hill-crest")])
    environment = {**os.environ, **SAMPLE, "READFIRST_APPS": apps, "CLINICS": clinics}
    done = subprocess.run([sys.executable, "-c", INDEX], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    functions = json.loads(done.stdout)
    if "intake" in apps:
        assert functions["receive_lakeside"] == functions["receive_hill_crest"] == "blobTrigger"
        assert functions["run_study"] == functions["read_study"] == functions["analyse"] == "orchestrationTrigger"
    else:
        assert not any(kind in ("blobTrigger", "orchestrationTrigger") for kind in functions.values())
