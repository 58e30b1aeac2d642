"""Mail out: one letter handed to a carrier, once, with the proof of when the carrier took it.

A letter's id decides its file name and its Message-ID, so that a repeat (a retried activity, a crash after the
hand-over) is the same letter and not a second one. Logs and errors can show a letter's id, never who it is for.
"""

import asyncio
import hashlib
import ipaddress
import os
import re
import time
import unicodedata
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address, AddressHeader, HeaderRegistry
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Annotated, Literal, Protocol, cast
from uuid import uuid4

import aiosmtplib
from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, StringConstraints

from integrations.disk import sync_folder, write_through
from models.common import Model

Language = Literal["lv", "lt", "en"]

ACCEPTED = "X-Termins-Accepted"
"""Header of a maildir file: the instant of the first hand-over, to the microsecond, which `Date` cannot hold."""


class MailUnavailable(Exception):
    """The carrier could not take the letter now (4xx, no connection, sign-in refused, disk full): try again."""


class MailRefused(Exception):
    """The carrier will never take this letter (5xx, such as an unknown mailbox): a person has to act."""


def _header_text(value: str) -> str:
    """Refuse whatever could end a header line and start another one."""
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in value):
        raise ValueError("a control character or a line break is not allowed here")
    return value


def _addresses(value: str) -> tuple[Address, ...]:
    # The type of a header depends on its name at run time; "to" gives this one.
    header = HeaderRegistry()("to", value)
    return () if header.defects else cast("AddressHeader", header).addresses


def one_address(value: str) -> str:
    """One mailbox, `name@host` or `Some Name <name@host>`; an internationalised host comes in its ASCII form."""
    found = _addresses(_header_text(value))
    if len(found) != 1 or not found[0].username or not found[0].domain or not found[0].addr_spec.isascii():
        raise ValueError("exactly one e-mail address in ASCII is needed here")
    return value


HeaderText = Annotated[str, StringConstraints(min_length=1), AfterValidator(_header_text)]
OneAddress = Annotated[str, AfterValidator(one_address)]
MediaType = Annotated[
    # A nested message or multipart would bring headers of its own.
    str, StringConstraints(pattern=r"^(application|audio|font|image|text|video)/[a-z0-9][a-z0-9.+-]*$")
]
UtcInstant = Annotated[AwareDatetime, AfterValidator(lambda instant: instant.astimezone(UTC))]


class Attachment(Model):
    """A file that goes with a letter. `content` is base64 wherever the model is written as JSON."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", hide_input_in_errors=True)

    name: HeaderText = Field(repr=False)
    media_type: MediaType
    content: bytes = Field(repr=False)


class Letter(Model):
    """One letter to one mailbox. `id` is the notice's stable id: the same id is the same letter, whatever is retried.

    A line break in a header, a second recipient or an address that cannot be mailed is a `ValidationError`, which names
    the field and never shows its value.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    id: HeaderText
    to: OneAddress = Field(repr=False)
    sender: OneAddress
    subject: HeaderText = Field(repr=False)
    text: str = Field(min_length=1, repr=False)
    language: Language
    attachments: tuple[Attachment, ...] = ()


class Proof(Model):
    """That a carrier took a letter: when (UTC), which carrier, and the Message-ID under which it can be found there."""

    accepted_at: UtcInstant
    carrier: str
    reference: str


class MailOut(Protocol):
    """A carrier of letters."""

    async def send(self, letter: Letter, at: datetime) -> Proof:
        """Hand the letter over; `at` is the present instant, with a zone. Raises `MailUnavailable`, `MailRefused`."""
        ...


def _digest(letter: Letter) -> str:
    return hashlib.sha256(letter.id.encode()).hexdigest()[:40]


def message_id(letter: Letter) -> str:
    """The Message-ID of a letter: the same for each repeat, so that a receiver can drop the second copy."""
    return f"<{_digest(letter)}@{_addresses(letter.sender)[0].domain}>"


def message(letter: Letter, at: datetime) -> EmailMessage:
    """The letter as a MIME message dated `at` (must have a zone); equal input gives equal bytes."""
    if at.tzinfo is None:
        raise ValueError("the instant of sending needs a zone")
    mime = EmailMessage(policy=SMTP)
    mime["From"] = letter.sender
    mime["To"] = letter.to
    mime["Subject"] = letter.subject
    mime["Date"] = format_datetime(at.astimezone(UTC))
    mime["Message-ID"] = message_id(letter)
    # RFC 3834: keeps out-of-office replies from answering us.
    mime["Auto-Submitted"] = "auto-generated"
    # Quoted-printable passes every server unchanged, also one that knows no 8-bit mail.
    mime.set_content(letter.text, charset="utf-8", cte="quoted-printable")
    for attachment in letter.attachments:
        main, sub = attachment.media_type.split("/")
        mime.add_attachment(attachment.content, maintype=main, subtype=sub, filename=attachment.name)
    if letter.attachments:
        # "=_" occurs in neither quoted-printable nor base64, so no part can contain this line.
        mime.set_boundary(f"=_{_digest(letter)}")
    # Last, because a first attachment moves all Content-* headers there are into the part of the text.
    mime["Content-Language"] = letter.language
    return mime


class MaildirOut:
    """Letters as files in a maildir, which mail programs and `mailbox.Maildir` read: the carrier of a single machine.

    Exactly once: the file is named by the letter's id, and a repeat finds it in `new` or, once somebody read it, in
    `cur`, and answers with the first proof.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, letter: Letter, at: datetime) -> Proof:
        """See `MailOut`. The letter is on disk when this returns; a full or missing disk is `MailUnavailable`."""
        mime = message(letter, at)
        mime[ACCEPTED] = at.astimezone(UTC).isoformat()
        try:
            accepted_at = await asyncio.to_thread(self._deliver, _digest(letter), mime.as_bytes())
        except OSError as failure:
            raise MailUnavailable(f"the maildir cannot be written: {failure.strerror}") from None
        return Proof(accepted_at=accepted_at, carrier="maildir", reference=message_id(letter))

    def _deliver(self, name: str, content: bytes) -> datetime:
        for part in ("tmp", "new", "cur"):
            (self._folder / part).mkdir(parents=True, exist_ok=True, mode=0o700)
        if (found := self._find(name)) is not None:
            return _accepted_at(found.read_bytes())
        # Two senders at once must not write one file; `mailbox.Maildir.clean` sweeps what a crash leaves in `tmp`.
        draft = self._folder / "tmp" / f"{name}.{uuid4().hex}"
        write_through(draft, content)
        target = self._folder / "new" / name
        try:
            # A link, unlike a rename, never replaces what another sender has put there meanwhile.
            os.link(draft, target)
        except FileExistsError:
            return _accepted_at(target.read_bytes())
        finally:
            draft.unlink()
        sync_folder(target.parent)
        return _accepted_at(content)

    def _find(self, name: str) -> Path | None:
        new = self._folder / "new" / name
        return new if new.exists() else next((self._folder / "cur").glob(f"{name}*"), None)


def _accepted_at(content: bytes) -> datetime:
    return datetime.fromisoformat(str(BytesHeaderParser(policy=SMTP).parsebytes(content)[ACCEPTED]))


class SmtpOut:
    """Letters handed to a mail server. A repeat may reach the server twice; its Message-ID is the same."""

    def __init__(
        self,
        host: str,
        port: int,
        username: str | None = None,
        password: str | None = None,
        start_tls: bool = True,
        timeout: float = 30.0,
    ) -> None:
        """`timeout` in seconds, for each step. Without TLS nothing leaves this machine: letters name people."""
        if not start_tls and not is_this_machine(host):
            raise ValueError("letters and passwords go to a mail server elsewhere only with start_tls")
        self._host = host
        self._port = port
        self._username = username
        self._password = password
        self._start_tls = start_tls
        self._timeout = timeout

    async def send(self, letter: Letter, at: datetime) -> Proof:
        """See `MailOut`. The instant of acceptance is `at` and the time the server took."""
        mime = message(letter, at)
        started = time.monotonic()
        try:
            await aiosmtplib.send(
                mime,
                sender=_addresses(letter.sender)[0].addr_spec,
                recipients=[_addresses(letter.to)[0].addr_spec],
                hostname=self._host,
                port=self._port,
                username=self._username,
                password=self._password,
                start_tls=self._start_tls,
                timeout=self._timeout,
            )
        except aiosmtplib.SMTPRecipientsRefused as refusal:
            raise _failure(refusal.recipients[0].code, refusal.recipients[0].message) from None
        except aiosmtplib.SMTPAuthenticationError as refusal:
            # Our own account is at fault, not the letter: it must go out once somebody has mended the settings.
            raise MailUnavailable(f"the mail server refused the sign-in: {_status(refusal.code, '')}") from None
        except aiosmtplib.SMTPResponseException as refusal:
            raise _failure(refusal.code, refusal.message) from None
        except (aiosmtplib.SMTPException, OSError) as failure:
            raise MailUnavailable(f"the mail server cannot be used: {type(failure).__name__}") from None
        taken = at.astimezone(UTC) + timedelta(seconds=time.monotonic() - started)
        return Proof(accepted_at=taken, carrier="smtp", reference=message_id(letter))


def is_this_machine(host: str) -> bool:
    """Whether a host is this machine itself: what goes there passes no network."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _status(code: int, reply: str) -> str:
    """Code and enhanced status of a reply (RFC 3463); its words may contain the address and are left out."""
    enhanced = re.match(r"[245]\.\d{1,3}\.\d{1,3}\b", reply)
    return f"{code} {enhanced.group()}" if enhanced else str(code)


def _failure(code: int, reply: str) -> MailUnavailable | MailRefused:
    text = f"the mail server answered {_status(code, reply)}"
    return MailRefused(text) if str(code).startswith("5") else MailUnavailable(text)
