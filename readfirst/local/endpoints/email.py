"""Communication Services e-mail: takes messages, keeps them as .eml files, shows them on a page, reports delivery."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape
from pathlib import Path
from typing import Any

from aiohttp import web

from readfirst.domain import resource_names
from readfirst.local.certificates import write_private
from readfirst.local.endpoints.event_grid import EventGrid
from readfirst.local.endpoints.faults import Faults
from readfirst.local.endpoints.tokens import Refused, Tokens

_RESOURCE = "https://communication.azure.com"
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Readfirst outbox</title>
<style>body{{font:16px system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}}td,th{{text-align:left;padding:.3rem}}
pre{{white-space:pre-wrap;background:#f4f4f4;padding:1rem}}</style>{body}</html>"""


@dataclass(frozen=True)
class Email:
    """The outbox folder and its routes."""

    outbox: Path
    tokens: Tokens
    faults: Faults
    address: str
    events: EventGrid

    def routes(self) -> list[web.RouteDef]:
        """What the SDK calls."""
        return [web.post("/emails:send", self.send), web.get("/emails/operations/{operation}", self.status)]

    def pages(self) -> list[web.RouteDef]:
        """What a person looks at."""
        return [web.get("/", self.list_page), web.get("/outbox/{operation}", self.mail_page)]

    async def send(self, request: web.Request) -> web.Response:
        """Keep a mail; the same Operation-Id twice keeps one."""
        if refused := self._refusal(request):
            return refused
        try:
            operation = str(uuid.UUID(request.headers.get("Operation-Id") or str(uuid.uuid4())))
            asked = await request.json()
            mail = _mail(asked)
        except (ValueError, KeyError, TypeError) as error:
            body = {"error": {"code": "BadRequest", "message": f"not an e-mail request: {error}"}}
            return web.json_response(body, status=400)
        file = self._file(operation)
        if not file.exists():
            self.outbox.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(file, bytes(mail))
            self._report(operation, asked)
        location = f"{self.address}/emails/operations/{operation}?api-version=2023-03-31"
        headers = {"Operation-Location": location, "Retry-After": "1"}
        return web.json_response({"id": operation, "status": "Running"}, status=202, headers=headers)

    async def status(self, request: web.Request) -> web.Response:
        """Succeeded for every mail that was kept."""
        if refused := self._refusal(request):
            return refused
        operation = request.match_info["operation"]
        if not self._file(operation).exists():
            return web.json_response({"error": {"code": "NotFound", "message": "no such operation"}}, status=404)
        return web.json_response({"id": operation, "status": "Succeeded"})

    async def list_page(self, _: web.Request) -> web.Response:
        """All mails, newest first."""
        rows = [_row(file) for file in sorted(self.outbox.glob("*.eml"), key=lambda f: f.stat().st_mtime, reverse=True)]
        table = "<table><tr><th>Sent<th>To<th>Subject</tr>" + "".join(rows) + "</table>"
        return _html(f"<h1>Outbox</h1>{table if rows else '<p>No mail was sent.'}")

    async def mail_page(self, request: web.Request) -> web.Response:
        """One mail as text."""
        file = self._file(request.match_info["operation"])
        if not file.exists():
            return web.Response(status=404, text="no such mail")
        mail = message_from_bytes(file.read_bytes(), policy=policy.default)
        headers = "".join(f"{escape(name)}: {escape(str(value))}\n" for name, value in mail.items())
        part = mail.get_body(preferencelist=("plain", "html"))
        body = escape(part.get_content()) if part else ""
        return _html(f"<p><a href='/'>Outbox</a><h1>{escape(mail['Subject'])}</h1><pre>{headers}\n{body}</pre>")

    def _report(self, operation: str, asked: Mapping[str, Any]) -> None:
        """Tells of each recipient what became of the mail. The fault "bounce" has the whole mail come back."""
        came_back = self.faults.strikes("email", "bounce")
        status, why = ("Bounced", "550 5.1.1 no such mailbox") if came_back else ("Delivered", "No error.")
        sender, to = asked["senderAddress"], asked["recipients"]
        for person in [one for name in ("to", "cc", "bcc") for one in to.get(name) or ()]:
            data = {
                "sender": sender, "recipient": person["address"], "messageId": operation, "status": status,
                "deliveryStatusDetails": {"statusMessage": why},
                "deliveryAttemptTimeStamp": datetime.now(UTC).isoformat(),
            }  # fmt: skip
            self.events.publish(
                resource_names.DELIVERIES,
                "Microsoft.Communication.EmailDeliveryReportReceived",
                f"sender/{sender}/message/{operation}",
                data,
            )

    def _refusal(self, request: web.Request) -> web.Response | None:
        try:
            self.tokens.check(request, _RESOURCE)
        except Refused as error:
            return web.json_response({"error": {"code": "Denied", "message": str(error)}}, status=401)
        return self.faults.http_error("email")

    def _file(self, operation: str) -> Path:
        return self.outbox / f"{Path(operation).name}.eml"


def _mail(request: Mapping[str, Any]) -> EmailMessage:
    if not any(request["recipients"].get(name) for name in ("to", "cc", "bcc")):
        raise ValueError("no recipient")
    mail = EmailMessage()
    mail["From"] = request["senderAddress"]
    for header, name in (("To", "to"), ("Cc", "cc"), ("Bcc", "bcc")):
        if people := request["recipients"].get(name):
            mail[header] = [Address(person.get("displayName", ""), addr_spec=person["address"]) for person in people]
    mail["Subject"] = request["content"]["subject"]
    mail["Date"] = format_datetime(datetime.now(UTC))
    for name, value in (request.get("headers") or {}).items():
        mail[name] = value
    mail.set_content(request["content"].get("plainText") or "")
    if html := request["content"].get("html"):
        mail.add_alternative(html, subtype="html")
    for attachment in request.get("attachments") or []:
        kind, _, subkind = attachment["contentType"].partition("/")
        content = base64.b64decode(attachment["contentInBase64"])
        mail.add_attachment(content, maintype=kind, subtype=subkind, filename=attachment["name"])
    return mail


def _row(file: Path) -> str:
    mail = message_from_bytes(file.read_bytes(), policy=policy.default)
    cells = (mail["Date"], mail["To"], mail["Subject"])
    sent, to, subject = (escape(str(cell)) for cell in cells)
    return f"<tr><td>{sent}<td>{to}<td><a href='/outbox/{escape(file.stem)}'>{subject}</a></tr>"


def _html(body: str) -> web.Response:
    return web.Response(
        text=_PAGE.format(body=body),
        content_type="text/html",
        headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
    )
