"""The one definition of every container, queue and function name that two parts of Readfirst share.

Bicep, the Functions apps, the GPU job and the local stack all follow these names.
"""

from __future__ import annotations

import re

# Connections: the prefix of the app settings that say where an account is (`UPLOADS` holds a connection string
# on a developer's machine; `UPLOADS__blobServiceUri`, `UPLOADS__credential`, `UPLOADS__clientId` name it in Azure).
UPLOADS = "UPLOADS"
STUDIES = "STUDIES"
VAULT = "VAULT"
AUDIT = "AUDIT"

# Uploads account (identifiers inside; restricted).
ORIGINALS = "originals"
TARS = "tars/"  # prefix in ORIGINALS of uploads that are tars: their members are found by their first byte
ARRIVALS = "arrivals"
QUARANTINE = "quarantine"
DONE = {"state": "done"}  # index tag of an original whose study succeeded: only tagged ones are deleted by age
UNDELIVERED = "undelivered-events"  # what Event Grid could not deliver: blob names of clinics inside
UPLOAD_EVENTS = "upload-events"  # queue beside them, for the same reason; Azure only (locally a blob trigger)

# Studies account (pseudonymous).
CLEAN = "clean"
ANALYSIS = "analysis"
LETTERS = "letters/"  # prefix in ANALYSIS: which alert an e-mail was for, by its operation id
REVIEWS = "reviews"
MODEL_CHANGES = "model-changes"  # which models run, and who changed that: written by app `identity` alone

# Vault account.
IDENTITIES = "identities"
DOORS = "doors"  # who asked to see an identity, why, and the other person's word

# Queues in the studies account.
INFERENCE_REQUESTS = "inference-requests"
STAT_INFERENCE_REQUESTS = "inference-requests-stat"  # a queue has no priorities: these are taken first
INFERENCE_RESULTS = "inference-results"
COMMANDS = "commands"
RETURNS = "returns"  # tokens of studies whose results can go home
ERASURES = "erasures"  # studies whose identities and reviews app `identity` has to erase
INTAKE_ROTATION = "rotate-intake"  # Key Vault's events for pseudonym-kek and receipt-signing-key
IDENTITY_ROTATION = "rotate-identity"  # Key Vault's events for identity-kek
DELIVERIES = "deliveries"  # Communication Services' events: what became of an e-mail
# These wake a function: what fails there for hours, or cannot be read, is parked in `{queue}-poison`.
WAKING_QUEUES = (INFERENCE_RESULTS, COMMANDS, RETURNS, ERASURES, INTAKE_ROTATION, IDENTITY_ROTATION, DELIVERIES)
STUDIES_QUEUES = (INFERENCE_REQUESTS, STAT_INFERENCE_REQUESTS, *WAKING_QUEUES)

# Cosmos DB.
DATABASE = "readfirst"
STUDIES_CONTAINER = "studies"  # partition key /clinic

# Key Vault.
IDENTITY_KEK = "identity-kek"
PSEUDONYM_KEK = "pseudonym-kek"
ROOT_SECRET = "pseudonym-root"  # noqa: S105 - a name, no secret: the root pseudonym secret, wrapped by PSEUDONYM_KEK
RECEIPT_KEY = "receipt-signing-key"

CLINIC_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


def inbox(clinic: str) -> str:
    """The container that a clinic uploads into (its SAS: create and list)."""
    return f"clinic-{clinic}"


def results(clinic: str) -> str:
    """The container that a clinic reads (its SAS: read and list)."""
    return f"results-{clinic}"


def audit(app: str) -> str:
    """The container of the audit account that an app (intake, api, identity) appends to; no other app can."""
    return f"audit-{app}"
