"""The blueprint that every orchestrator and activity registers with, and the retry policies by name."""

from __future__ import annotations

import azure.durable_functions as df

blueprint = df.Blueprint()

# Storage and Key Vault are back within seconds, or within the half hour of an incident.
STEP = df.RetryOptions(first_retry_interval_in_milliseconds=5_000, max_number_of_attempts=6)
# A run that gave up before it sealed would leave files that nobody looks for: it is the most patient of all.
SEALING = df.RetryOptions(first_retry_interval_in_milliseconds=30_000, max_number_of_attempts=60)
# An e-mail is limited per minute and per hour; it keeps its operation id, so trying again never sends it twice.
MAIL = df.RetryOptions(first_retry_interval_in_milliseconds=60_000, max_number_of_attempts=90)
