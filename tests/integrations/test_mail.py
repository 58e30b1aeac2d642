"""Mail out: what is proven sent was sent once, to one person, and nothing a sender types can become a header."""

import asyncio
import mailbox
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP as SMTP_POLICY
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from pydantic import ValidationError

from integrations.mail import Attachment, Letter, MaildirOut, MailRefused, MailUnavailable, SmtpOut, message_id

AT = datetime(2026, 12, 21, 23, 59, 59, 250_000, tzinfo=timezone(timedelta(hours=2)))
ROOT = Path(__file__).parents[2]


def letter(**changes: object) -> Letter:
    facts: dict[str, object] = {
        "id": "notice:claim:BTA:2026-000123:1",
        "to": "Žanete Ķirse <zanete.kirse@example.org>",
        "sender": "BTA <atlidzibas@bta.example>",
        "subject": "Lēmums par apdrošināšanas atlīdzību, atsauce 2026-000123",
        "text": "Glāžšķūņa rūķīši. Įlinkdama fechtuotojo špaga ąžuolų.\n",
        "language": "lv",
    }
    return Letter.model_validate(facts | changes)


class Server:
    """A real mail server that keeps what it accepts; `answer` is its reply to each recipient."""

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.accepted: list[EmailMessage] = []

    async def handle_RCPT(  # noqa: N802 - the name the server calls
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.answer.format(address=address)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        assert isinstance(envelope.content, bytes)
        mail = BytesParser(policy=SMTP_POLICY).parsebytes(envelope.content)
        assert isinstance(mail, EmailMessage)
        self.accepted.append(mail)
        return "250 2.0.0 taken"


@pytest.fixture
def loopback(unused_tcp_port_factory: Callable[[], int]) -> int:
    return unused_tcp_port_factory()


@asynccontextmanager
async def serving(port: int, answer: str = "250 2.1.5 ok") -> AsyncIterator[Server]:
    handler = Server(answer)
    loop = asyncio.get_running_loop()

    def speak() -> SMTP:
        return SMTP(
            handler,
            hostname="mail.example",
            loop=loop,
            auth_require_tls=False,
            authenticator=lambda *_: AuthResult(success=False, handled=False),
        )

    listener = await loop.create_server(speak, "127.0.0.1", port)
    async with listener:
        yield handler


def smtp(port: int) -> SmtpOut:
    return SmtpOut("127.0.0.1", port, start_tls=False, timeout=5)


async def test_an_accepted_letter_is_proven_with_its_message_id(loopback: int) -> None:
    async with serving(loopback) as server:
        proof = await smtp(loopback).send(letter(), AT)
    (mail,) = server.accepted
    assert proof.carrier == "smtp"
    assert proof.reference == mail["Message-ID"] == message_id(letter())
    assert AT <= proof.accepted_at < AT + timedelta(seconds=5)
    assert proof.accepted_at.tzinfo is UTC


async def test_a_letter_arrives_with_its_letters_and_says_that_a_machine_wrote_it(loopback: int) -> None:
    attached = Attachment(name="aprēķins.pdf", media_type="application/pdf", content=bytes(range(256)))
    async with serving(loopback) as server:
        await smtp(loopback).send(letter(attachments=(attached,)), AT)
    (mail,) = server.accepted
    body = mail.get_body(("plain",))
    assert isinstance(body, EmailMessage)
    assert body.get_content().replace("\r\n", "\n") == letter().text
    assert mail["Subject"] == letter().subject
    assert mail["To"] == letter().to
    assert mail["Date"].datetime == AT.replace(microsecond=0)
    assert (mail["Auto-Submitted"], mail["Content-Language"]) == ("auto-generated", "lv")
    (file,) = mail.iter_attachments()
    assert (file.get_filename(), file.get_content()) == ("aprēķins.pdf", bytes(range(256)))


async def test_a_repeat_has_the_same_message_id_and_another_letter_another(loopback: int) -> None:
    async with serving(loopback) as server:
        await smtp(loopback).send(letter(), AT)
        await smtp(loopback).send(letter(), AT + timedelta(hours=1))
        await smtp(loopback).send(letter(id="notice:2"), AT)
    first, repeat, other = (mail["Message-ID"] for mail in server.accepted)
    assert first == repeat != other


async def test_a_temporary_refusal_is_tried_again(loopback: int) -> None:
    async with serving(loopback, "451 4.3.0 <{address}> later"):
        with pytest.raises(MailUnavailable, match=r"451 4\.3\.0$"):
            await smtp(loopback).send(letter(), AT)


async def test_an_unknown_mailbox_is_permanent_and_the_error_names_nobody(loopback: int) -> None:
    async with serving(loopback, "550 5.1.1 <{address}> unknown"):
        with pytest.raises(MailRefused, match=r"550 5\.1\.1$") as refusal:
            await smtp(loopback).send(letter(), AT)
    assert "zanete" not in str(refusal.value)
    assert refusal.value.__suppress_context__, "the server's words, which hold the address, must not reach a log"


async def test_no_connection_is_tried_again() -> None:
    with socket.socket() as bound:
        # Bound but not listening: the port is ours and refuses.
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(MailUnavailable):
            await smtp(bound.getsockname()[1]).send(letter(), AT)


async def test_a_refused_sign_in_does_not_condemn_the_letter(loopback: int) -> None:
    async with serving(loopback):
        with pytest.raises(MailUnavailable, match="sign-in: 535"):
            await SmtpOut("127.0.0.1", loopback, "termins", "wrong", start_tls=False, timeout=5).send(letter(), AT)


async def test_a_server_without_tls_gets_nothing_when_tls_is_asked_for(loopback: int) -> None:
    async with serving(loopback) as server:
        with pytest.raises(MailUnavailable):
            await SmtpOut("127.0.0.1", loopback, start_tls=True, timeout=5).send(letter(), AT)
    assert server.accepted == []


def test_neither_letters_nor_a_password_leave_this_machine_in_clear() -> None:
    """SE-33.3.12: nothing is sent; login data are among the letters."""
    with pytest.raises(ValueError, match="start_tls"):
        SmtpOut("mail.example", 25, "termins", "password", start_tls=False)
    with pytest.raises(ValueError, match="start_tls"):
        SmtpOut("mail.example", 25, start_tls=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": "Lēmums\r\nBcc: other@example.org"},
        {"subject": "Lēmums\nX: y"},
        {"subject": "Lēmums\u2028X: y"},
        {"to": "a@example.org\r\nBcc: other@example.org"},
        {"to": "a@example.org, other@example.org"},
        {"to": "Žanete"},
        {"to": "žanete@example.org"},
        {"to": ""},
        {"sender": "BTA <a@bta.example>\nX: y"},
        {"id": "1\n2"},
    ],
)
def test_header_injection_and_second_recipients_are_refused_without_showing_them(changes: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as refusal:
        letter(**changes)
    assert "example.org" not in str(refusal.value)
    assert refusal.value.errors()[0]["loc"] == tuple(changes)


@pytest.mark.parametrize(
    "changes", [{"name": "a\r\nX: y"}, {"media_type": "message/rfc822"}, {"media_type": "a/b\nX: y"}]
)
def test_an_attachment_brings_no_header_of_its_own(changes: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Attachment.model_validate({"name": "a.txt", "media_type": "text/plain", "content": b"a"} | changes)


def test_a_letter_shows_nobody_in_a_log_and_survives_json() -> None:
    attached = Attachment(name="a.bin", media_type="application/octet-stream", content=b"\xff\x00")
    written = letter(attachments=(attached,))
    assert not any(word in repr(written) for word in ("zanete", "Lēmums", "Glāžšķūņa"))
    assert Letter.model_validate_json(written.model_dump_json()) == written


async def test_a_maildir_gets_a_letter_exactly_once_and_keeps_its_first_proof(tmp_path: Path) -> None:
    out = MaildirOut(tmp_path)
    first = await out.send(letter(), AT)
    assert await out.send(letter(), AT + timedelta(days=1)) == first
    assert first.accepted_at == AT
    box = mailbox.Maildir(tmp_path, create=False)
    (key,) = box.keys()
    # A mail program moves what was read to `cur`: it is still the same letter.
    read = box[key]
    read.set_subdir("cur")
    read.set_flags("S")
    box[key] = read
    assert await out.send(letter(), AT + timedelta(days=2)) == first
    assert len(mailbox.Maildir(tmp_path, create=False)) == 1


async def test_two_senders_at_once_leave_one_file(tmp_path: Path) -> None:
    instants = [AT + timedelta(seconds=n) for n in range(8)]
    proofs = await asyncio.gather(*(MaildirOut(tmp_path).send(letter(), at) for at in instants))
    assert len({proof.accepted_at for proof in proofs}) == 1
    assert len(mailbox.Maildir(tmp_path, create=False)) == 1


CRASH = """
import asyncio, os, sys
from datetime import datetime
from pathlib import Path
from integrations.mail import Letter, MaildirOut
os.link = lambda *_: os._exit(9)
folder, letter, at = sys.argv[1:]
asyncio.run(MaildirOut(Path(folder)).send(Letter.model_validate_json(letter), datetime.fromisoformat(at)))
"""


def crash(folder: Path) -> None:
    """Send the letter from a process that dies between writing the file and giving it its name."""
    arguments = [str(folder), letter().model_dump_json(), AT.isoformat()]
    assert subprocess.run([sys.executable, "-c", CRASH, *arguments], cwd=ROOT, check=False).returncode == 9


async def test_a_crash_before_the_file_has_its_name_loses_and_doubles_nothing(tmp_path: Path) -> None:
    crash(tmp_path)
    assert len(mailbox.Maildir(tmp_path, create=False)) == 0
    later = AT + timedelta(minutes=1)
    assert (await MaildirOut(tmp_path).send(letter(), later)).accepted_at == later
    assert len(mailbox.Maildir(tmp_path, create=False)) == 1


async def test_a_maildir_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "box").write_text("a file where the folder should be")
    with pytest.raises(MailUnavailable):
        await MaildirOut(tmp_path / "box").send(letter(), AT)
