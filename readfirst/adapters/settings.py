"""Settings: every app setting that the Functions apps read, read once, in one place.

The same names stand in `local.settings.sample.json`, in the local stack and in Bicep; tests hold them together.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from readfirst.adapters.process_cache import once
from readfirst.domain import resource_names
from readfirst.domain.access.rules import Grant
from readfirst.domain.operations.costs import Profile

App = Literal["intake", "api", "identity"]


class SettingsError(Exception):
    """Settings that are missing or wrong, each named with what it should hold."""


class Clinic(BaseModel):
    """One clinic of the clinic list: its id names its containers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    radiologist: str  # who gets the e-mail when the risk is high
    escalation: str = ""  # who gets it when nobody acknowledged in time

    @field_validator("id")
    @classmethod
    def _valid_container_suffix(cls, value: str) -> str:
        if not resource_names.CLINIC_ID.fullmatch(value):
            raise ValueError("a clinic id has 1 to 40 of a-z, 0-9 and single inner '-'")
        return value


class Settings(BaseSettings):
    """The app settings. `from_environment` reads them; every default is safe for production."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    apps: Annotated[tuple[App, ...], NoDecode] = Field(("intake", "api", "identity"), alias="READFIRST_APPS")
    clinics: tuple[Clinic, ...] = Field(alias="CLINICS")

    # An account is named by a connection string (developer's machine) or by its address (Azure, managed identity).
    uploads: str = Field("", alias="UPLOADS")
    uploads_blob_uri: str = Field("", alias="UPLOADS__blobServiceUri")
    studies: str = Field("", alias="STUDIES")
    studies_blob_uri: str = Field("", alias="STUDIES__blobServiceUri")
    studies_queue_uri: str = Field("", alias="STUDIES__queueServiceUri")
    vault: str = Field("", alias="VAULT")
    vault_blob_uri: str = Field("", alias="VAULT__blobServiceUri")
    audit: str = Field("", alias="AUDIT")
    audit_blob_uri: str = Field("", alias="AUDIT__blobServiceUri")
    client_id: str = Field("", alias="AZURE_CLIENT_ID")

    cosmos_endpoint: str = Field(alias="COSMOS_ENDPOINT")
    cosmos_database: str = Field("readfirst", alias="COSMOS_DATABASE")
    cosmos_key: str = Field("", alias="COSMOS_KEY", repr=False)  # the emulator's; key access is off in Azure
    key_vault_uri: str = Field("", alias="KEY_VAULT_URI")

    arm_endpoint: str = Field("https://management.azure.com", alias="ARM_ENDPOINT")
    job_resource_id: str = Field("", alias="JOB_RESOURCE_ID")
    fallback_job_resource_id: str = Field("", alias="FALLBACK_JOB_RESOURCE_ID")  # a job on CPUs, beside one on a GPU
    email_endpoint: str = Field("", alias="EMAIL_ENDPOINT")
    email_sender: str = Field("", alias="EMAIL_SENDER")
    portal_url: str = Field("", alias="PORTAL_URL")
    oidc_issuer: str = Field("", alias="OIDC_ISSUER")
    oidc_audience: str = Field("", alias="OIDC_AUDIENCE")
    grants: tuple[Grant, ...] = Field((), alias="ACCESS")  # Entra groups -> roles and clinics (domain/access.py)

    profile: str = Field("triage-default", alias="DEID_PROFILE")
    settle_seconds: float | None = Field(None, alias="SETTLE_SECONDS")  # None: by modality (domain/settling.py)
    inference_deadline_minutes: float = Field(60, alias="INFERENCE_DEADLINE_MINUTES")
    inference_look_seconds: float = Field(30, alias="INFERENCE_LOOK_SECONDS")
    stall_minutes: float = Field(10, alias="INFERENCE_STALL_MINUTES")  # an execution without a sign of life is stopped
    fallback_minutes: float = Field(10, alias="INFERENCE_FALLBACK_MINUTES")  # then the job on CPUs is tried
    escalate_minutes: float = Field(30, alias="ESCALATE_MINUTES")
    reconcile_schedule: str = Field("0 */15 * * * *", alias="RECONCILE_SCHEDULE")
    reconcile_age_seconds: float = Field(300, alias="RECONCILE_AGE_SECONDS")
    cost_profile: Profile = Field("clinic", alias="COST_PROFILE")  # whose prices the portal shows (domain/costs.py)
    history_days: int = Field(30, alias="HISTORY_DAYS")

    @field_validator("apps", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _complete_for_its_apps(self) -> Settings:
        needed = {"studies": self.studies or self.studies_blob_uri}
        if "intake" in self.apps:
            needed |= {
                "uploads": self.uploads or self.uploads_blob_uri,
                "vault": self.vault or self.vault_blob_uri,
                "key_vault_uri": self.key_vault_uri,
                "job_resource_id": self.job_resource_id,
                "email_endpoint": self.email_endpoint,
                "email_sender": self.email_sender,
                "portal_url": self.portal_url,
            }
        if "api" in self.apps or "identity" in self.apps:
            needed |= {
                "audit": self.audit or self.audit_blob_uri,
                "oidc_issuer": self.oidc_issuer,
                "oidc_audience": self.oidc_audience,
            }
        if "identity" in self.apps:
            needed |= {"vault": self.vault or self.vault_blob_uri, "key_vault_uri": self.key_vault_uri}
        missing = [str(type(self).model_fields[name].alias) for name, value in needed.items() if not value]
        if missing:
            raise ValueError("missing: " + ", ".join(missing))
        if len({c.id for c in self.clinics}) != len(self.clinics):
            raise ValueError("CLINICS names a clinic twice")
        return self

    def clinic(self, clinic_id: str) -> Clinic:
        """The clinic of that id (KeyError where the list has none)."""
        for clinic in self.clinics:
            if clinic.id == clinic_id:
                return clinic
        raise KeyError("no such clinic")


@once
def settings() -> Settings:
    """The process's settings, read from the environment at the first call.

    Raises SettingsError that names every missing or wrong setting, never a value.
    """
    try:
        return Settings()  # type: ignore[call-arg]  # the environment fills the fields
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in error.errors())
        raise SettingsError(f"Readfirst's settings are incomplete: {problems}") from None
