"""A codec endpoint for a tests' world, and a caller who asks it over real HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientSession, DummyCookieJar
from google.protobuf import json_format
from temporalio.api.common.v1 import Payload, Payloads

from models.now import Now
from operations.operators import Operators
from security.endpoint import Endpoint, serving
from tests.world import World


@dataclass
class Door:
    """Where the endpoint answers, and the token of whoever asks."""

    url: str
    http: ClientSession
    operators: Operators

    async def token(self, code: str) -> str:
        """A good token of an operator."""
        return (await self.operators.renew(code)).token

    async def ask(self, path: str, payloads: list[Any], token: str | None, **headers: str) -> tuple[int, Any]:
        """Status and answer."""
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        async with self.http.post(f"{self.url}{path}", json={"payloads": payloads}, headers=headers) as came:
            return came.status, await came.json()

    async def encode(self, message: Any, token: str) -> dict[str, Any]:
        """A message, sealed: a payload as JSON."""
        status, answer = await self.ask("/encode", [plain(message)], token)
        assert status == 200, answer
        payload: dict[str, Any] = answer["payloads"][0]
        return payload

    async def decode(self, payload: Any, token: str) -> Any:
        """What an operator reads of a payload."""
        status, answer = await self.ask("/decode", [payload], token)
        assert status == 200, answer
        return json.loads(base64.b64decode(answer["payloads"][0]["data"]))


def plain(message: Any) -> dict[str, Any]:
    """A message in clear: a payload as JSON."""
    data = json.dumps(message).encode()
    return as_json(Payload(metadata={"encoding": b"json/plain"}, data=data))


def as_json(payload: Payload) -> dict[str, Any]:
    """A payload as the UI and the command line send it."""
    found: dict[str, Any] = json_format.MessageToDict(payload)
    return found


def of_json(payload: dict[str, Any]) -> Payload:
    """The same back."""
    return json_format.ParseDict({"payloads": [payload]}, Payloads()).payloads[0]


@asynccontextmanager
async def opened(world: World, *, ui: str | None = None, now: Now | None = None) -> AsyncIterator[Door]:
    """An endpoint at a free port."""
    operators = Operators(world.sessions, now or world.now)
    endpoint = Endpoint(world.keyring, operators, url="http://127.0.0.1:8234", ui=ui)
    async with (
        serving(endpoint, "127.0.0.1:0") as url,
        ClientSession(cookie_jar=DummyCookieJar()) as http,
    ):
        yield Door(url, http, operators)
