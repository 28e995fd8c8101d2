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
ARRIVALS = "arrivals"
QUARANTINE = "quarantine"

# Studies account (pseudonymous).
CLEAN = "clean"
ANALYSIS = "analysis"
REVIEWS = "reviews"

# Vault account.
IDENTITIES = "identities"

# Audit account: one hash-chained log per app and day.
AUDIT_LOG = "audit"

# Queues, all in the studies account.
INFERENCE_REQUESTS = "inference-requests"
INFERENCE_RESULTS = "inference-results"
COMMANDS = "commands"

# Cosmos DB.
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
