"""A SCIM server in this process for tests: `scim2-server` on a free port, and what it holds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from scim2_server.memory import InMemoryStorage
from scim2_server.testserver.application import BearerTokenApplication
from scim2_server.testserver.cli import ThreadingWSGIServer
from scim2_server.utils import load_default_provider

TOKEN = "scim-test-token"


class Quiet(WSGIRequestHandler):
    """Writes nothing to the tests' output."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@dataclass
class ScimServer:
    """The server, by whose storage tests see what it holds."""

    url: str
    storage: InMemoryStorage
    token: str = TOKEN

    def users(self, external_id: str) -> list[dict[str, Any]]:
        """The users of this external id, with what no answer shows."""
        found = (resource.model_dump(mode="json", by_alias=True) for resource in self.storage.resources)
        return [user for user in found if user.get("externalId") == external_id]


@contextmanager
def scim_server() -> Iterator[ScimServer]:
    """Serve for as long as the block runs."""
    storage = InMemoryStorage()
    application = BearerTokenApplication(storage, load_default_provider(), bearer_tokens=[TOKEN])
    with make_server("127.0.0.1", 0, application, ThreadingWSGIServer, Quiet) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            yield ScimServer(f"http://127.0.0.1:{server.server_port}/v2", storage)
        finally:
            server.shutdown()
            serving.join()
