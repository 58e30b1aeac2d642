"""Mail in: what a mail server reports is found in maildir and IMAP alike, and nothing that lies there is lost."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Literal
from uuid import uuid4

import pytest
import trustme
from aiosmtpd.smtp import SMTP, Envelope, Session
from hypothesis import given
from hypothesis import strategies as st
from imapclient import IMAPClient

from integrations import mail_in
from integrations.mail import SmtpOut, message, message_id
from integrations.mail_in import ImapIn, MailboxUnavailable, MaildirIn, MailIn, Report, delivery_report
from tests.integrations.test_mail import letter
from tests.reports import report
from tests.system.test_deployment import free_port
from tests.tls import door

AT = datetime(2026, 12, 21, 9, 30, tzinfo=UTC)
LETTER = message(letter(), AT - timedelta(hours=1))


def said(content: bytes) -> Report:
    """The report that a message is."""
    found = delivery_report(content)
    assert found is not None
    return found


# ---- what a report says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
def test_a_report_names_the_letter_that_came_back(whole: bool) -> None:
    """Whether the server returns the letter or its headers only."""
    found = said(report(LETTER, AT, whole=whole))
    assert (found.letter, found.action, found.status, found.at) == (message_id(letter()), "failed", "5.1.1", AT)


@pytest.mark.parametrize(
    ("action", "status"),
    [("failed", "4.4.7"), ("delayed", "4.4.1"), ("delivered", "2.1.5"), ("relayed", "2.0.0"), ("expanded", "2.0.0")],
)
def test_the_action_decides_and_not_the_class_of_the_status(action: str, status: str) -> None:
    """A letter that was given up after days of trying has failed, with a status of its last attempt."""
    found = said(report(LETTER, AT, action, status))
    assert (found.action, found.status) == (action, status)


def test_a_server_that_names_no_action_is_understood_by_the_class() -> None:
    text = report(LETTER, AT).replace(b"Action: failed\r\n", b"")
    assert said(text).action == "failed"
    assert said(text.replace(b"Status: 5.1.1", b"Status: 4.2.2")).action == "delayed"


def test_one_of_several_recipients_that_failed_decides() -> None:
    """A mailbox that passes its mail on to two others, one of which is gone."""
    more = b"\r\nFinal-Recipient: rfc822; b@example.org\r\nAction: failed\r\nStatus: 5.2.1\r\n"
    text = report(LETTER, AT, "relayed", "2.0.0")
    end = text.index(b"Diagnostic-Code")
    end = text.index(b"\r\n", end) + 2
    found = said(text[:end] + more + text[end:])
    assert (found.action, found.status) == ("failed", "5.2.1")


def test_a_report_that_returns_nothing_is_matched_by_what_it_answers() -> None:
    bare = EmailMessage(policy=policy.SMTP)
    bare["From"] = LETTER["From"]
    bare["To"] = LETTER["To"]
    text = report(bare, AT).replace(b"Subject:", f"In-Reply-To: {message_id(letter())}\r\nSubject:".encode(), 1)
    assert said(text).letter == message_id(letter())
    by_thread = text.replace(b"In-Reply-To: ", b"References: <first@x.example> ")
    assert said(by_thread).letter == message_id(letter())
    assert said(report(bare, AT)).letter is None


def test_the_same_report_is_the_same_and_another_one_another() -> None:
    once, again = report(LETTER, AT), report(LETTER, AT)
    assert said(once).id == said(once).id != said(again).id


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"Subject: Out of office\r\n\r\nI am on holiday.\r\n",
        b"Content-Type: multipart/report; boundary=a\r\n\r\n--a\r\nContent-Type: text/plain\r\n\r\nx\r\n--a--\r\n",
        LETTER.as_bytes(),
    ],
)
def test_what_is_no_delivery_report_is_none(text: bytes) -> None:
    assert delivery_report(text) is None


@pytest.mark.parametrize(
    "date", ["", "yesterday", "Mon, 31 Feb 2026 09:00:00 +0200", "Fri, 31 Dec 9999 23:59:59 -1200"]
)
def test_a_date_that_is_none_is_left_out(date: str) -> None:
    text = report(LETTER, AT)
    line = next(line for line in text.split(b"\r\n") if line.startswith(b"Date:"))
    assert said(text.replace(line, f"Date: {date}".encode(), 1)).at is None


@given(st.binary(max_size=400), st.integers(0, 4000))
def test_no_message_however_broken_stops_the_reading(junk: bytes, at: int) -> None:
    text = report(LETTER, AT)
    delivery_report(text[:at] + junk + text[at + len(junk) :])


# ---- where reports come in ------------------------------------------------------------------------------------------


class Maildir:
    """A maildir, as a mail server delivers into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reader: MailIn = MaildirIn(folder)

    def deliver(self, content: bytes) -> None:
        """Put a message there."""
        for part in ("tmp", "new", "cur"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        name = uuid4().hex
        (self.folder / "tmp" / name).write_bytes(content)
        (self.folder / "tmp" / name).rename(self.folder / "new" / name)

    def open_all(self) -> None:
        """A person looks at everything with a mail program."""
        for path in (self.folder / "new").iterdir():
            path.rename(self.folder / "cur" / f"{path.name}:2,S")

    def taken(self) -> int:
        """How many were moved away."""
        return len(list((self.folder / ".Termins" / "cur").glob("*:2,*S*")))

    def remove_flagged(self) -> None:
        """A person is done with them."""
        for path in (self.folder / "cur").glob("*:2,*F*"):
            path.unlink()


class Imap:
    """A mailbox of a real IMAP server."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.reader: MailIn = ImapIn("127.0.0.1", port, "u", "p", security="none", timeout=10)

    def _server(self) -> IMAPClient:
        server = IMAPClient("127.0.0.1", self._port, ssl=False, timeout=10)
        server.login("u", "p")
        server.select_folder("INBOX")
        return server

    def deliver(self, content: bytes) -> None:
        """Put a message there."""
        with self._server() as server:
            server.append("INBOX", content)

    def open_all(self) -> None:
        """A person looks at everything with a mail program."""
        with self._server() as server:
            server.add_flags(server.search(), [rb"\Seen"])

    def taken(self) -> int:
        """How many were moved away."""
        with self._server() as server:
            return int(server.folder_status("Termins", ["MESSAGES"])[b"MESSAGES"])

    def remove_flagged(self) -> None:
        """A person is done with them."""
        with self._server() as server:
            server.delete_messages(server.search("FLAGGED"))
            server.expunge()


@pytest.fixture(scope="module")
def imap_server() -> Iterator[Callable[..., int]]:
    """Starts real IMAP servers, each with one empty mailbox and more words of its command line; gives their ports."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*own: str) -> int:
        port = free_port()
        words = ["--host", "127.0.0.1", "--port", str(port), *own]
        words += ["dict", "--demo-user", "u", "--demo-password", "p"]
        script = "import sys; from pymap.main import main; sys.exit(main())"
        running.append(
            subprocess.Popen(
                [sys.executable, "-c", script, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )
        while True:
            assert running[-1].poll() is None
            try:
                IMAPClient("127.0.0.1", port, ssl=False, timeout=10).shutdown()
            except OSError:
                continue
            return port

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture(params=["maildir", "imap"])
def box(request: pytest.FixtureRequest, tmp_path: Path, imap_server: Callable[[], int]) -> Maildir | Imap:
    return Maildir(tmp_path / "mail-in") if request.param == "maildir" else Imap(imap_server())


async def test_an_empty_mailbox_is_empty(box: Maildir | Imap) -> None:
    found = await box.reader.look()
    assert (found.arrived, found.aside) == ((), 0)


async def test_a_message_is_new_until_it_is_settled_also_when_somebody_opened_it(box: Maildir | Imap) -> None:
    text = report(LETTER, AT)
    before = datetime.now(UTC) - timedelta(seconds=2)
    box.deliver(text)
    (first,) = (await box.reader.look()).arrived
    assert first.content == text
    assert before < first.at <= datetime.now(UTC) + timedelta(seconds=1)
    box.open_all()
    (again,) = (await box.reader.look()).arrived
    assert (again.id, again.at, again.content) == (first.id, first.at, text)
    await box.reader.settle([first.id], [])
    await box.reader.settle([first.id], [])
    found = await box.reader.look()
    assert (found.arrived, found.aside) == ((), 0)
    assert box.taken() == 1


async def test_what_is_left_for_people_stays_flagged_until_they_take_it_away(box: Maildir | Imap) -> None:
    for n in range(3):
        box.deliver(f"Subject: {n}\r\n\r\nHello\r\n".encode())
    arrived = (await box.reader.look()).arrived
    assert len(arrived) == 3
    await box.reader.settle([arrived[0].id], [arrived[1].id, arrived[2].id])
    found = await box.reader.look()
    assert (found.arrived, found.aside) == ((), 2)
    box.remove_flagged()
    assert (await box.reader.look()).aside == 0


async def test_a_message_too_large_to_read_is_shown_without_its_text(
    box: Maildir | Imap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_in, "LARGEST", 30)
    box.deliver(b"Subject: small\r\n\r\nHello\r\n")
    box.deliver(b"Subject: large\r\n\r\n" + b"x" * 100 + b"\r\n")
    assert sorted(one.content is None for one in (await box.reader.look()).arrived) == [False, True]


async def test_a_full_mailbox_is_worked_off_look_by_look(box: Maildir | Imap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_in, "AT_ONCE", 2)
    for n in range(5):
        box.deliver(f"Subject: {n}\r\n\r\nHello\r\n".encode())
    seen = []
    while arrived := (await box.reader.look()).arrived:
        seen.append(len(arrived))
        await box.reader.settle([one.id for one in arrived], [])
    assert seen == [2, 2, 1]


async def test_a_mailbox_that_was_made_anew_is_never_mistaken_for_the_former_one(box: Maildir | Imap) -> None:
    """Numbers of messages begin again in a new mailbox: what was settled then is another message now."""
    box.deliver(b"Subject: now\r\n\r\nHello\r\n")
    (arrived,) = (await box.reader.look()).arrived
    await box.reader.settle([f"7{arrived.id}"], [f"7{arrived.id}"])
    assert [one.id for one in (await box.reader.look()).arrived] == [arrived.id]


async def test_a_mailbox_that_cannot_be_reached_is_unavailable(tmp_path: Path, unused_tcp_port: int) -> None:
    (tmp_path / "new").write_text("a file where the folder should be")
    (tmp_path / "cur").mkdir()
    (tmp_path / "cur" / "a:2,").mkdir()
    with pytest.raises(MailboxUnavailable):
        await MaildirIn(tmp_path).look()
    with pytest.raises(MailboxUnavailable):
        await ImapIn("127.0.0.1", unused_tcp_port, "u", "p", security="none", timeout=5).look()


async def test_a_refused_sign_in_shows_nobody(imap_server: Callable[[], int]) -> None:
    with pytest.raises(MailboxUnavailable) as refused:
        await ImapIn("127.0.0.1", imap_server(), "zanete", "wrong", security="none", timeout=10).look()
    assert "zanete" not in str(refused.value)
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_a_mailbox_is_read_over_tls_from_whom_the_machine_trusts_only(
    security: Literal["tls", "starttls"], imap_server: Callable[..., int], tmp_path: Path
) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "server.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "server.key")
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(own)
    starttls = imap_server("--cert", str(tmp_path / "server.pem"), "--key", str(tmp_path / "server.key"))
    async with door(own, f"127.0.0.1:{imap_server()}") as address:
        port = starttls if security == "starttls" else int(address.rpartition(":")[2])
        for trusted in (authority, stranger):
            trust = ssl.create_default_context()
            trusted.configure_trust(trust)
            box = ImapIn("127.0.0.1", port, "u", "p", security=security, timeout=10, trust=trust)
            if trusted is authority:
                assert (await box.look()).arrived == ()
            else:
                with pytest.raises(MailboxUnavailable, match="SSLCertVerificationError"):
                    await box.look()


def test_a_password_goes_nowhere_without_tls() -> None:
    with pytest.raises(ValueError, match="TLS"):
        ImapIn("imap.example", 143, "u", "p", security="none")


# ---- with a mail server that bounces later --------------------------------------------------------------------------


class Bouncing:
    """Accepts every letter and reports later that it could not be delivered, as a server behind another one does."""

    def __init__(self, deliver: Callable[[bytes], None]) -> None:
        self._deliver = deliver
        self.accepted: list[EmailMessage] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - the name the server calls
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.SMTP)
        assert isinstance(mail, EmailMessage)
        self.accepted.append(mail)
        return "250 2.0.0 taken"

    def bounce(self) -> None:
        """Give all of them up."""
        for mail in self.accepted:
            self._deliver(report(mail, datetime.now(UTC)))


@asynccontextmanager
async def bouncing(deliver: Callable[[bytes], None]) -> AsyncIterator[tuple[Bouncing, int]]:
    handler = Bouncing(deliver)
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(handler), "127.0.0.1", 0)
    async with server:
        yield handler, server.sockets[0].getsockname()[1]


async def test_a_letter_that_was_accepted_and_bounced_later_is_found_by_its_proof(box: Maildir | Imap) -> None:
    async with bouncing(box.deliver) as (server, port):
        proof = await SmtpOut("127.0.0.1", port, start_tls=False, timeout=5).send(letter(), AT)
        assert (await box.reader.look()).arrived == ()
        await asyncio.to_thread(server.bounce)
    (arrived,) = (await box.reader.look()).arrived
    assert arrived.content is not None
    found = said(arrived.content)
    assert (found.letter, found.action) == (proof.reference, "failed")


def test_the_maildir_names_what_is_wrong_with_it(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a").mkdir()
    with pytest.raises(MailboxUnavailable, match=os.strerror(21)):
        MaildirIn(tmp_path)._look()
