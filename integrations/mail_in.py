"""Mail in: what comes back to the letters' sender, read from a maildir or an IMAP mailbox, and what a report says.

The mailbox itself remembers what was done. A message that is not flagged is new, whether or not somebody has opened it.
What was understood is moved to the folder `Termins`; what is left for people stays where it is and is flagged, until a
person deletes it or moves it away. So a crash at any point makes a message be read again, and loses none.
"""

import asyncio
import hashlib
import os
import re
import ssl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal, Protocol, cast, get_args

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError
from pydantic import AwareDatetime, Field

from integrations.mail import is_this_machine
from models.common import Model

TAKEN = "Termins"
"""The folder beside the mailbox to which goes what was understood."""

AT_ONCE = 50
"""Messages of one look; a mailbox that was full of them is worked off look by look."""

LARGEST = 5_000_000
"""Bytes. A report quotes a letter of ours, and the largest of those are smaller; the rest is for people."""

Action = Literal["failed", "delayed", "delivered", "relayed", "expanded"]
"""What a report says became of a letter (RFC 3464, 2.3.3)."""

_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_BY_CLASS: dict[str, Action] = {"5": "failed", "4": "delayed", "2": "delivered"}
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,500}>")


class MailboxUnavailable(Exception):
    """The mailbox cannot be read now: try again."""


class Arrived(Model):
    """A message in the mailbox."""

    id: str
    """By which this mailbox knows it."""
    at: AwareDatetime
    """When the mailbox got it; the same each time it is asked."""
    content: bytes | None = Field(repr=False)
    """None if it is larger than `LARGEST`."""


class Box(Model):
    """What a look found: new messages, oldest first, and how many are left for people."""

    arrived: tuple[Arrived, ...]
    aside: int


class MailIn(Protocol):
    """A mailbox to which mail servers report."""

    async def look(self) -> Box:
        """The next new messages. Raises `MailboxUnavailable`."""
        ...

    async def settle(self, taken: Sequence[str], aside: Sequence[str]) -> None:
        """Move away what was understood and flag what is left for people, by id; what is gone already is no fault.

        Raises `MailboxUnavailable`.
        """
        ...


# ---- what a report says ---------------------------------------------------------------------------------------------


class Report(Model):
    """A delivery report (RFC 3464) about one letter."""

    id: str
    """Of the report itself: the same one read again has the same."""
    letter: str | None
    """The Message-ID of the letter, with its angle brackets; None if the report does not say which."""
    action: Action
    status: str | None = None
    """Enhanced status code (RFC 3463), such as 5.1.1."""
    at: AwareDatetime | None = None
    """When the mail server gave up or last tried, else when it wrote the report."""


def delivery_report(content: bytes) -> Report | None:
    """What a message reports about a letter, or None where it is no delivery report.

    Where it speaks of several recipients, one that failed decides: a letter of ours has only one, and the others are
    addresses to which that one passes its mail on.
    """
    message = message_from_bytes(content)
    if message.get_content_type() != "multipart/report":
        return None
    status = next((part for part in message.walk() if part.get_content_type() == "message/delivery-status"), None)
    fields = [block for block in (status.get_payload() if status is not None else ()) if isinstance(block, Message)]
    told = [(action, block) for block in fields if (action := _action(block)) is not None]
    if not told:
        return None
    action, block = next((one for one in told if one[0] == "failed"), told[0])
    code = _STATUS.search(_text(block, "Status"))
    return Report(
        id=hashlib.sha256(_text(message, "Message-ID").encode() or content).hexdigest()[:32],
        letter=_letter(message),
        action=action,
        status=code.group() if code else None,
        at=_instant(_text(block, "Last-Attempt-Date")) or _instant(_text(message, "Date")),
    )


def _text(of: Message, name: str) -> str:
    """A header as text; with bytes that are no ASCII it comes as an object of its own, with folds it has breaks."""
    return " ".join(str(of.get(name, "")).split())


def _action(block: Message) -> Action | None:
    """The action of a recipient's fields; a server that leaves it out says as much by the class of the status."""
    said = _text(block, "Action").partition(" ")[0].lower()
    if said in get_args(Action):
        return cast("Action", said)
    return _BY_CLASS.get(_text(block, "Status")[:1]) if block["Final-Recipient"] else None


def _letter(message: Message) -> str | None:
    """The Message-ID of the letter: from what was returned of it, else from what the report says it answers."""
    for part in message.walk():
        if part.get_content_type() == "message/rfc822":
            returned = part.get_payload()
            inner = returned[0] if isinstance(returned, list) and returned else None
            if isinstance(inner, Message) and (found := _MESSAGE_ID.search(_text(inner, "Message-ID"))):
                return found.group()
        elif part.get_content_type() == "text/rfc822-headers":
            headers = part.get_payload(decode=True)
            if isinstance(headers, bytes):
                inner = message_from_bytes(headers)
                if found := _MESSAGE_ID.search(_text(inner, "Message-ID")):
                    return found.group()
    answered = _MESSAGE_ID.search(_text(message, "In-Reply-To"))
    if answered is None:
        answered = next(iter(list(_MESSAGE_ID.finditer(_text(message, "References")))[-1:]), None)
    return answered.group() if answered else None


def _instant(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    try:
        # a date without a zone is said to be of none (RFC 5322, 3.3: -0000); it is UTC all the same
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        return None


# ---- where reports come in ------------------------------------------------------------------------------------------


class MaildirIn:
    """A maildir into which a mail server on this machine delivers; its folder `Termins` is a Maildir++ one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def look(self) -> Box:
        """See `MailIn`."""
        return await asyncio.to_thread(self._look)

    def _look(self) -> Box:
        with _readable():
            found = [(_unique(path), path) for path in self._messages()]
            aside = sum("F" in _flags(path) for _, path in found)
            new = sorted((path.stat().st_mtime_ns, name, path) for name, path in found if "F" not in _flags(path))
            return Box(arrived=tuple(self._arrived(name, path) for _, name, path in new[:AT_ONCE]), aside=aside)

    def _arrived(self, id: str, path: Path) -> Arrived:
        facts = path.stat()
        content = path.read_bytes() if facts.st_size <= LARGEST else None
        return Arrived(id=id, at=datetime.fromtimestamp(facts.st_mtime, UTC), content=content)

    async def settle(self, taken: Sequence[str], aside: Sequence[str]) -> None:
        """See `MailIn`."""
        await asyncio.to_thread(self._settle, frozenset(taken), frozenset(aside))

    def _settle(self, taken: frozenset[str], aside: frozenset[str]) -> None:
        with _readable():
            away = self._folder / f".{TAKEN}"
            for part in ("tmp", "new", "cur"):
                (away / part).mkdir(parents=True, exist_ok=True, mode=0o700)
            (self._folder / "cur").mkdir(exist_ok=True, mode=0o700)
            for path in list(self._messages()):
                name, flags = _unique(path), _flags(path)
                if name in taken:
                    path.rename(away / "cur" / f"{name}:2,{''.join(sorted({*flags, 'S'}))}")
                elif name in aside:
                    path.rename(self._folder / "cur" / f"{name}:2,{''.join(sorted({*flags, 'F'}))}")

    def _messages(self) -> Iterator[Path]:
        for part in ("new", "cur"):
            if (self._folder / part).is_dir():
                yield from (path for path in (self._folder / part).iterdir() if not path.name.startswith("."))


def _unique(path: Path) -> str:
    """A file's name without its flags: it stays when a mail program moves it from `new` to `cur`."""
    return path.name.partition(":")[0]


def _flags(path: Path) -> str:
    return path.name.partition(":2,")[2]


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as failure:
        # a file that a mail program moved meanwhile is one too: it is found again with the next look
        raise MailboxUnavailable(f"the maildir cannot be used: {os.strerror(failure.errno or 0)}") from None


class ImapIn:
    """A mailbox on an IMAP server (RFC 3501). Each call is a connection of its own."""

    def __init__(
        self,
        host: str,
        port: int,
        username: str,
        password: str,
        security: Literal["tls", "starttls", "none"] = "tls",
        mailbox: str = "INBOX",
        timeout: float = 30.0,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """`timeout` in seconds for each answer; `trust` in place of the machine's own certificates.

        A sign-in without TLS is refused, except on this machine.
        """
        if security == "none" and not is_this_machine(host):
            raise ValueError("a password goes to a mail server only with TLS")
        self._host = host
        self._port = port
        self._username = username
        self._password = password
        self._security = security
        self._mailbox = mailbox
        self._timeout = timeout
        self._trust = trust

    async def look(self) -> Box:
        """See `MailIn`."""
        return await asyncio.to_thread(self._look)

    def _look(self) -> Box:
        with self._connected() as (server, validity):
            aside = server.search(["FLAGGED", "UNDELETED"])
            new = sorted(server.search(["UNFLAGGED", "UNDELETED"]))[:AT_ONCE]
            sizes = server.fetch(new, ["INTERNALDATE", "RFC822.SIZE"]) if new else {}
            small = [uid for uid, facts in sizes.items() if facts[b"RFC822.SIZE"] <= LARGEST]
            # not marked as seen: that is for the people who read this mailbox
            texts = server.fetch(small, ["BODY.PEEK[]"]) if small else {}
            return Box(
                arrived=tuple(
                    Arrived(
                        id=f"{validity}:{uid}",
                        at=sizes[uid][b"INTERNALDATE"],
                        content=texts[uid][b"BODY[]"] if uid in texts else None,
                    )
                    for uid in sorted(sizes)
                ),
                aside=len(aside),
            )

    async def settle(self, taken: Sequence[str], aside: Sequence[str]) -> None:
        """See `MailIn`."""
        await asyncio.to_thread(self._settle, taken, aside)

    def _settle(self, taken: Sequence[str], aside: Sequence[str]) -> None:
        with self._connected() as (server, validity):
            if flagged := list(_of(aside, validity)):
                server.add_flags(flagged, [rb"\Flagged"], silent=True)
            if done := list(_of(taken, validity)):
                if not server.folder_exists(TAKEN):
                    server.create_folder(TAKEN)
                if server.has_capability("MOVE"):
                    server.move(done, TAKEN)
                else:
                    server.copy(done, TAKEN)
                    server.delete_messages(done, silent=True)
                    server.expunge(done)

    @contextmanager
    def _connected(self) -> Iterator[tuple[IMAPClient, int]]:
        """A connection with the mailbox selected, and the number that tells this mailbox from one made anew."""
        try:
            trust = self._trust or ssl.create_default_context()
            server = IMAPClient(
                self._host,
                self._port,
                ssl=self._security == "tls",
                ssl_context=trust if self._security == "tls" else None,
                timeout=self._timeout,
            )
            # with their offset, as the server gives them
            server.normalise_times = False
            try:
                if self._security == "starttls":
                    server.starttls(trust)
                server.login(self._username, self._password)
                selected = server.select_folder(self._mailbox)
                yield server, int(selected[b"UIDVALIDITY"])
            finally:
                # of a connection that broke: what broke it says more
                with suppress(OSError):
                    server.shutdown()
        except (IMAPClientError, OSError, KeyError) as failure:
            # never the server's words: they can hold the user's name
            raise MailboxUnavailable(f"the mailbox cannot be used: {type(failure).__name__}") from None


def _of(ids: Iterable[str], validity: int) -> Iterator[int]:
    """The numbers of those messages in the mailbox as it is now."""
    for known in ids:
        made, _, uid = known.partition(":")
        if made == str(validity):
            yield int(uid)
