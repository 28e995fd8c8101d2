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
from readfirst.domain.faults import WrongCall
from readfirst.domain.operations.costs import Profile

App = Literal["intake", "api", "identity"]


class SettingsError(WrongCall):
    """Settings that are missing or wrong, each named with what it should hold."""


class Clinic(BaseModel):
    """One clinic of the clinic list: its id names its containers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    radiologist: str  # who gets the e-mail when the risk is high
    escalation: str = ""  # who gets it when nobody acknowledged in time
    webhook: str = ""  # secret in Key Vault that holds the address (https) of a second channel

    @field_validator("id")
    @classmethod
    def _valid_container_suffix(cls, value: str) -> str:
        if not resource_names.CLINIC_ID.fullmatch(value):
            raise ValueError("a clinic id has 1 to 40 of a-z, 0-9 and single inner '-'")
        return value


class Settings(BaseSettings):
    """The app settings. `from_environment` reads them; every default is safe for production."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    apps: Annotated[tuple[App, ...], NoDecode] = Field(
        ("intake", "api", "identity"),
        alias="READFIRST_APPS",
        description="Which of the three apps this process is, separated by commas. Each needs settings of its own.",
    )
    clinics: tuple[Clinic, ...] = Field(
        alias="CLINICS",
        description="The clinics, as JSON: `id` (names its containers), `name`, `radiologist` (who gets the alert), "
        "and if wanted `escalation` (who gets it when nobody acknowledged in time) and `webhook` (the secret in Key "
        "Vault that holds the https address of a second channel, for what e-mail does not bring).",
    )

    # An account is named by a connection string (developer's machine) or by its address (Azure, managed identity).
    uploads: str = Field(
        "",
        alias="UPLOADS",
        description="Connection string of the account of originals and arrivals, on a developer's machine.",
    )
    uploads_blob_uri: str = Field(
        "",
        alias="UPLOADS__blobServiceUri",
        description="In Azure instead: address of its Blob service, reached by managed identity.",
    )
    studies: str = Field(
        "",
        alias="STUDIES",
        description="Connection string of the account of clean studies and results, on a developer's machine.",
    )
    studies_blob_uri: str = Field(
        "",
        alias="STUDIES__blobServiceUri",
        description="In Azure instead: address of its Blob service, reached by managed identity.",
    )
    studies_queue_uri: str = Field(
        "",
        alias="STUDIES__queueServiceUri",
        description="In Azure: address of the Queue service of the same account.",
    )
    vault: str = Field(
        "",
        alias="VAULT",
        description="Connection string of the account of sealed identities, on a developer's machine.",
    )
    vault_blob_uri: str = Field(
        "",
        alias="VAULT__blobServiceUri",
        description="In Azure instead: address of its Blob service, reached by managed identity.",
    )
    audit: str = Field(
        "",
        alias="AUDIT",
        description="Connection string of the account of the audit chains, on a developer's machine.",
    )
    audit_blob_uri: str = Field(
        "",
        alias="AUDIT__blobServiceUri",
        description="In Azure instead: address of its Blob service, reached by managed identity.",
    )
    client_id: str = Field(
        "",
        alias="AZURE_CLIENT_ID",
        description="Client id of the app's user-assigned identity.",
    )

    cosmos_endpoint: str = Field(
        alias="COSMOS_ENDPOINT",
        description="Address of the Cosmos DB account that holds the index.",
    )
    cosmos_database: str = Field(
        "readfirst",
        alias="COSMOS_DATABASE",
        description="Its database.",
    )
    cosmos_key: str = Field(
        "",
        alias="COSMOS_KEY",
        repr=False,
        description="Key of a local emulator. Key access is off in Azure.",
    )
    key_vault_uri: str = Field(
        "",
        alias="KEY_VAULT_URI",
        description="Address of the Key Vault with the keys of identities, pseudonyms and receipts.",
    )

    arm_endpoint: str = Field(
        "https://management.azure.com",
        alias="ARM_ENDPOINT",
        description="Address of Azure Resource Manager, which starts the job.",
    )
    job_resource_id: str = Field(
        "",
        alias="JOB_RESOURCE_ID",
        description="Resource id of the GPU job.",
    )
    fallback_job_resource_id: str = Field(
        "",
        alias="FALLBACK_JOB_RESOURCE_ID",
        description="Resource id of the job on CPUs that is tried when there is no GPU; empty: there is none.",
    )
    email_endpoint: str = Field(
        "",
        alias="EMAIL_ENDPOINT",
        description="Address of Communication Services, which sends the alerts.",
    )
    email_sender: str = Field(
        "",
        alias="EMAIL_SENDER",
        description="Sender of the alerts.",
    )
    portal_url: str = Field(
        "",
        alias="PORTAL_URL",
        description="Where the portal is: alerts link to it.",
    )
    oidc_issuer: str = Field(
        "",
        alias="OIDC_ISSUER",
        description="Issuer whose tokens the API accepts.",
    )
    oidc_audience: str = Field(
        "",
        alias="OIDC_AUDIENCE",
        description="Audience that these tokens must name.",
    )
    grants: tuple[Grant, ...] = Field(
        (),
        alias="ACCESS",
        description="Which roles and clinics an Entra group gives, as JSON: `group`, `roles`, `clinics` "
        "(`*`: all). Empty: group `clinic-{id}` gives that clinic and group `clinics` all.",
    )

    profile: str = Field(
        "triage-default",
        alias="DEID_PROFILE",
        description="De-identification profile: the name of a ready one, or the path of a TOML file.",
    )
    settle_seconds: float | None = Field(
        None,
        alias="SETTLE_SECONDS",
        description="Seconds of silence after which a study is taken; empty: by modality.",
    )
    inference_deadline_minutes: float = Field(
        60,
        alias="INFERENCE_DEADLINE_MINUTES",
        description="Minutes after its seal in which a study without a result is reported as NOT ANALYSED meanwhile.",
    )
    inference_look_seconds: float = Field(
        30,
        alias="INFERENCE_LOOK_SECONDS",
        description="Seconds until the watchdog first looks at a waiting analysis.",
    )
    stall_minutes: float = Field(
        10,
        alias="INFERENCE_STALL_MINUTES",
        description="Minutes without a sign of life after which an execution of the job is stopped.",
    )
    fallback_minutes: float = Field(
        10,
        alias="INFERENCE_FALLBACK_MINUTES",
        description="Minutes without progress after which the job on CPUs is tried.",
    )
    escalate_minutes: float = Field(
        30,
        alias="ESCALATE_MINUTES",
        description="Minutes without an acknowledgement after which an alert goes to the clinic's escalation address.",
    )
    reconcile_schedule: str = Field(
        "0 */15 * * * *",
        alias="RECONCILE_SCHEDULE",
        description="When inboxes are looked through for events that were lost (NCRONTAB with seconds).",
    )
    reconcile_age_seconds: float = Field(
        300,
        alias="RECONCILE_AGE_SECONDS",
        description="How old an upload must be, in seconds, to count as lost.",
    )
    cost_profile: Profile = Field(
        "clinic",
        alias="COST_PROFILE",
        description="Deployment profile whose prices the portal shows.",
    )
    history_days: int = Field(
        30,
        alias="HISTORY_DAYS",
        description="Days after which the histories of finished orchestrations are deleted.",
    )

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
