"""A SCIM server in a process of its own: what it was told lies in a folder, whoever dies when."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from wsgiref.simple_server import make_server

from scim2_models import Resource, ResourceType, User
from scim2_server.memory import InMemoryStorage
from scim2_server.testserver.application import BearerTokenApplication
from scim2_server.testserver.cli import ThreadingWSGIServer
from scim2_server.utils import load_default_provider

from tests.chaos.points import Journal
from tests.scim import TOKEN, Quiet


class Kept(InMemoryStorage):
    """Keeps every change before it is answered; between the two, and before it, the server can die."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        super().__init__()
        # no version of before its death comes again
        self.versions = count(time.time_ns())
        self._folder = folder
        self._journal = journal
        self.resources = list(read(folder))

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        """As the base class."""
        whose = resource.external_id or ""
        with self.lock:
            self._journal.passes(whose, "scim asked to make")
            made = super().create(resource_type, resource)
            self._write(resource_type, made)
            self._journal.passes(whose, "scim has made")
            return made

    def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        """As the base class."""
        whose = resource.external_id or ""
        with self.lock:
            self._journal.passes(whose, "scim asked to change")
            updated = super().update(resource_type, resource, expected_version=expected_version)
            self._write(resource_type, updated)
            self._journal.passes(whose, "scim has changed")
            return updated

    def delete(self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None) -> None:
        """As the base class."""
        with self.lock:
            whose = self._stored(resource_type, resource_id).external_id or ""
            self._journal.passes(whose, "scim asked to remove")
            super().delete(resource_type, resource_id, expected_version=expected_version)
            (self._folder / f"{resource_id}.json").unlink(missing_ok=True)
            self._journal.passes(whose, "scim has removed")

    def _write(self, resource_type: ResourceType, resource: Resource[Any]) -> None:
        assert resource.id is not None
        # what no answer shows, the password, is kept as well
        kept = self._stored(resource_type, resource.id).model_dump_json(by_alias=True)
        new = self._folder / f".{resource.id}"
        new.write_text(kept)
        new.rename(self._folder / f"{resource.id}.json")


def read(folder: Path) -> list[User[Any]]:
    """Every user that the server keeps, with the password."""
    return [User[Any].model_validate_json(path.read_text()) for path in folder.glob("*.json")]


def serve(folder: Path, port: int, chaos: Path) -> None:
    """Be the SCIM server until somebody kills it; it ends with the process that wanted it."""
    os.setsid()
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    folder.mkdir(parents=True, exist_ok=True)
    storage = Kept(folder, Journal(chaos))
    application = BearerTokenApplication(storage, load_default_provider(), bearer_tokens=[TOKEN])
    with make_server("127.0.0.1", port, application, ThreadingWSGIServer, Quiet) as server:
        server.serve_forever()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGKILL)
