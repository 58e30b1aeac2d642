"""A mail server in a process of its own: what it accepted lies in a folder, whoever dies when."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from uuid import uuid4

from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.chaos.points import Journal


class Keeper:
    """Keeps every letter before it says that it has it; between the two it can die."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self._folder = folder
        self._journal = journal

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  # the name the server calls
        assert isinstance(envelope.content, bytes)
        whose = message_from_bytes(envelope.content, policy=policy.SMTP)["Subject"]
        self._journal.passes(f"{envelope.rcpt_tos} {whose}", "mail offered")
        name = f"{time.time_ns()}-{uuid4().hex}"
        (self._folder / f".{name}").write_bytes(envelope.content)
        (self._folder / f".{name}").rename(self._folder / f"{name}.eml")
        self._journal.passes(f"{envelope.rcpt_tos} {whose}", "mail taken")
        return "250 2.0.0 taken"


class Letters:
    """What lies in a folder of letters. Each is read once: a campaign of thousands of runs asks for its own again."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._read: set[str] = set()
        self._of: dict[str | None, list[EmailMessage]] = {}

    def of(self, token: str, folder: Path) -> list[EmailMessage]:
        """The letters of a run, in the order in which they were accepted where names say so."""
        names = {path.name for path in folder.glob("[!.]*") if path.is_file()}
        for name in sorted(names - self._read):
            message = message_from_bytes((folder / name).read_bytes(), policy=policy.SMTP)
            assert isinstance(message, EmailMessage)
            self._of.setdefault(self._journal.whose(f"{message['To']} {message['Subject']}"), []).append(message)
        self._read |= names
        return self._of.get(token, [])


def serve(folder: Path, port: int, chaos: Path) -> None:
    """Be the mail server until somebody kills it; it ends with the process that wanted it."""
    os.setsid()
    asyncio.run(_serve(folder, port, Journal(chaos)))


async def _serve(folder: Path, port: int, journal: Journal) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    asyncio.get_running_loop().add_reader(parent.sentinel, os.kill, os.getpid(), signal.SIGKILL)
    folder.mkdir(parents=True, exist_ok=True)
    keeper = Keeper(folder, journal)
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(keeper), "127.0.0.1", port)
    await server.serve_forever()
