"""What the real services are documented to do that the local servers do not: one row for each, with its source.

The proxies act by these rows, a forecast may ask for nothing else, and `python -m tools.weather_page` makes
docs/reference/weather.md of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

Service = Literal["blob", "queue", "table", "cosmos", "vault", "arm", "email", "tokens", "events"]
SERVICES: tuple[Service, ...] = get_args(Service)

_LEARN = "https://learn.microsoft.com"
_STORAGE_ERRORS = f"{_LEARN}/rest/api/storageservices/common-rest-api-error-codes"
_BLOB_ERRORS = f"{_LEARN}/rest/api/storageservices/blob-service-error-codes"
_STORAGE_RETRIES = f"{_LEARN}/azure/storage/common/storage-retry-policy"
_COPY = f"{_LEARN}/rest/api/storageservices/copy-blob"
_APPEND = f"{_LEARN}/rest/api/storageservices/append-block"
_MESSAGES = f"{_LEARN}/rest/api/storageservices/get-messages"
_PUT_MESSAGE = f"{_LEARN}/rest/api/storageservices/put-message"
_COSMOS = f"{_LEARN}/rest/api/cosmos-db/http-status-codes-for-cosmosdb"
_COSMOS_LIMITS = f"{_LEARN}/azure/cosmos-db/concepts-limits"
_VAULT = f"{_LEARN}/azure/key-vault/general/overview-throttling"
_VAULT_ERRORS = f"{_LEARN}/azure/key-vault/general/rest-error-codes"
_VAULT_LIMITS = f"{_LEARN}/azure/key-vault/general/service-limits"
_ARM = f"{_LEARN}/azure/azure-resource-manager/management/request-limits-and-throttling"
_ARM_ERRORS = f"{_LEARN}/azure/azure-resource-manager/troubleshooting/common-deployment-errors"
_JOBS = f"{_LEARN}/azure/container-apps/jobs"
_PHANTOM = "https://github.com/microsoft/azure-container-apps/issues/1649"
_EMAIL = f"{_LEARN}/azure/communication-services/concepts/service-limits"
_EMAIL_WAITS = "https://github.com/Azure/azure-sdk-for-js/issues/25286"
_TOKENS = f"{_LEARN}/entra/identity/managed-identities-azure-resources/how-to-use-vm-token"
_TOKEN_LIFE = f"{_LEARN}/entra/identity-platform/configurable-token-lifetimes"
_EVENTS = f"{_LEARN}/azure/event-grid/delivery-and-retry"
_TRANSIENT = f"{_LEARN}/azure/architecture/best-practices/transient-faults"
_HOUR = 3600.0


@dataclass(frozen=True)
class Row:
    """One behaviour of one service."""

    service: Service
    behaviour: str
    what: str
    source: str
    status: int = 0  # of the answer, where the service refuses
    code: str = ""  # its error code
    seconds: float = 0.0  # as documented or, where nothing is, as long as is likely
    most_seconds: float = 0.0
    count: int = 0  # a documented limit: bytes, blocks, or requests in `window` seconds
    window: float = 0.0

    @property
    def limit(self) -> str:
        """The figures, as the page shows them."""
        parts = [f"{self.status} {self.code}".strip()] if self.status else []
        if self.window:
            parts.append(f"{self.count:,} in {self.window:,.0f} s")
        elif self.count:
            parts.append(f"{self.count:,}")
        if self.most_seconds:
            parts.append(f"{self.seconds:g} s, at most {self.most_seconds:g} s")
        return "; ".join(parts)


def _refusals() -> Iterator[Row]:
    """What a service answers in the place of the result; nothing was carried out."""
    busy = "Too much is asked of the partition or the account."
    for storage in ("blob", "queue", "table"):
        yield Row(storage, "throttled", busy, _STORAGE_RETRIES, 503, "ServerBusy")
        yield Row(
            storage, "unavailable", "The service cannot take requests for now.", _STORAGE_ERRORS, 503, "ServerBusy"
        )
        yield Row(storage, "error", "The service failed.", _STORAGE_ERRORS, 500, "InternalError")
    yield Row(
        "blob", "conflict", "Another operation on the blob has not ended.", _BLOB_ERRORS, 409, "PendingCopyOperation"
    )
    yield Row(
        "blob", "precondition", "A conditional write meets another version.", _BLOB_ERRORS, 412, "ConditionNotMet"
    )
    yield Row(
        "cosmos",
        "throttled",
        "More request units are asked for than are paid.",
        _COSMOS,
        429,
        "TooManyRequests",
        0.1,
        60,
    )
    yield Row("cosmos", "unavailable", "A replica moves, or the region is away.", _COSMOS, 503, "ServiceUnavailable")
    yield Row("cosmos", "error", "The service failed.", _COSMOS, 500, "InternalServerError")
    yield Row(
        "cosmos",
        "conflict",
        "A document of that id is there; or a retry meets its own write.",
        _COSMOS,
        409,
        "Conflict",
    )
    yield Row("cosmos", "precondition", "The document is another version.", _COSMOS, 412, "PreconditionFailed")
    yield Row("vault", "throttled", "More transactions than the vault serves.", _VAULT, 429, "Throttled", 10, 10)
    yield Row(
        "vault", "unavailable", "The service cannot take requests for now.", _VAULT_ERRORS, 503, "ServiceUnavailable"
    )
    yield Row("vault", "error", "The service failed.", _VAULT_ERRORS, 500, "InternalServerError")
    yield Row("vault", "conflict", "The object is being changed or deleted.", _VAULT_ERRORS, 409, "Conflict")
    yield Row(
        "arm", "throttled", "The subscription's bucket of tokens is empty.", _ARM, 429, "TooManyRequests", 60, _HOUR
    )
    yield Row("arm", "unavailable", "The service cannot take requests for now.", _ARM_ERRORS, 503, "ServiceUnavailable")
    yield Row("arm", "error", "The service failed.", _ARM_ERRORS, 500, "InternalServerError")
    yield Row("arm", "conflict", "The resource is being changed.", _ARM_ERRORS, 409, "ConflictError")
    yield Row(
        "email",
        "throttled",
        "The minute's or the hour's e-mails are sent.",
        _EMAIL_WAITS,
        429,
        "TooManyRequests",
        60,
        _HOUR,
    )
    yield Row("email", "unavailable", "The service cannot take requests for now.", _EMAIL, 503, "ServiceUnavailable")
    yield Row("email", "error", "The service failed.", _EMAIL, 500, "InternalServerError")
    yield Row("tokens", "throttled", "The endpoint is asked too often.", _TOKENS, 429, "Too Many Requests")
    yield Row(
        "tokens", "unavailable", "The endpoint is being updated (up to 70 s).", _TOKENS, 503, "Service Unavailable"
    )
    yield Row("tokens", "error", "The endpoint failed.", _TOKENS, 500, "Internal Server Error")


def _connections() -> Iterator[Row]:
    """What any connection to a service may do; an unanswered request may have been carried out."""
    for service in SERVICES:
        if service == "events":
            continue
        yield Row(service, "timeout", "No answer comes, and nothing was carried out.", _TRANSIENT, 0, "", 30, 240)
        yield Row(service, "unanswered", "Carried out; the answer never arrives.", _TRANSIENT)
        yield Row(service, "half_closed", "Carried out; the connection closes within the answer.", _TRANSIENT)
        yield Row(service, "slow", "The answer takes its time.", _TRANSIENT, 0, "", 2, 120)


def _states() -> Iterator[Row]:
    """What services do over several requests."""
    yield Row(
        "blob",
        "copy_pending",
        "Copy Blob answers 202; the target is there, and empty, until the copy ends.",
        _COPY,
        seconds=5,
        most_seconds=_HOUR,
    )
    yield Row(
        "blob",
        "copy_fails",
        "The copy is pending and then fails: the target stays, empty.",
        _COPY,
        seconds=2,
        most_seconds=_HOUR,
    )
    yield Row(
        "blob",
        "append_full",
        "An append blob holds so many blocks.",
        _APPEND,
        409,
        "BlockCountExceedsLimit",
        count=50_000,
    )
    yield Row("queue", "message_twice", "A message is visible again while it is worked on.", _MESSAGES)
    yield Row(
        "queue",
        "message_late",
        "A message is visible only after a while.",
        _PUT_MESSAGE,
        seconds=10,
        most_seconds=7 * 24 * _HOUR,
    )
    yield Row("arm", "list_lags", "Executions are listed late.", _JOBS, seconds=30, most_seconds=_HOUR)
    yield Row("arm", "phantom", "An execution that ended is listed as running.", _PHANTOM)
    yield Row(
        "tokens",
        "token_expires",
        "A token ends while it is in use: 401 from then on.",
        _TOKEN_LIFE,
        401,
        "invalid_token",
        600,
        _HOUR,
    )
    yield Row(
        "events",
        "event_doubled",
        "An event is delivered again (at least once).",
        _EVENTS,
        seconds=2,
        most_seconds=24 * _HOUR,
    )
    yield Row("events", "event_late", "An event is delivered late.", _EVENTS, seconds=10, most_seconds=24 * _HOUR)
    yield Row(
        "events", "event_reordered", "Events are delivered in any order.", _EVENTS, seconds=5, most_seconds=24 * _HOUR
    )
    yield Row("events", "event_lost", "An event is dropped after its retries.", _EVENTS)


def _limits() -> Iterator[Row]:
    """Documented limits of requests: bytes of one, or number in a window."""
    yield Row("queue", "too_large", "Bytes of a message.", _PUT_MESSAGE, 413, "RequestBodyTooLarge", count=64 << 10)
    yield Row(
        "cosmos", "too_large", "Bytes of a document.", _COSMOS_LIMITS, 413, "RequestEntityTooLarge", count=2 << 20
    )
    yield Row("vault", "too_large", "Bytes of a secret.", _VAULT_LIMITS, 400, "BadParameter", count=25_000)
    yield Row(
        "email",
        "too_large",
        "Bytes of a request with its attachments.",
        _EMAIL,
        413,
        "RequestEntityTooLarge",
        count=10 << 20,
    )
    yield Row(
        "vault",
        "too_many",
        "Secret and key transactions of a vault.",
        _VAULT_LIMITS,
        429,
        "Throttled",
        10,
        10,
        4_000,
        10,
    )
    yield Row(
        "email",
        "too_many",
        "E-mails in a minute from a custom domain.",
        _EMAIL,
        429,
        "TooManyRequests",
        60,
        _HOUR,
        30,
        60,
    )
    yield Row(
        "email",
        "too_many_an_hour",
        "E-mails in an hour from a custom domain.",
        _EMAIL,
        429,
        "TooManyRequests",
        _HOUR,
        _HOUR,
        100,
        _HOUR,
    )
    yield Row(
        "arm",
        "too_many",
        "Reads of a subscription: a bucket of 250, filled by 25 a second.",
        _ARM,
        429,
        "TooManyRequests",
        10,
        _HOUR,
        250,
        10,
    )


ROWS: tuple[Row, ...] = (*_refusals(), *_connections(), *_states(), *_limits())


def row(service: str, behaviour: str) -> Row | None:
    """The row of a service's behaviour; None where that service is not documented to do that."""
    return next((one for one in ROWS if (one.service, one.behaviour) == (service, behaviour)), None)
