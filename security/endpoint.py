"""The codec endpoint: operators sign in here, open the Temporal UI behind it, and read and say what is sealed.

`/decode` shows what an operator may see; `/encode` seals a message under its case's key and writes who says it. Programs
send their token as `Authorization: Bearer …`. A browser gets a cookie for it and reaches the UI through this server, at
the same origin: the UI of an embedded server sends no cookie anywhere else (docs/decisions/0022).
"""

from __future__ import annotations

import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from html import escape
from http import HTTPStatus
from pathlib import Path
from string import Template
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import structlog
from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, web
from google.protobuf import json_format
from multidict import CIMultiDict
from temporalio.api.common.v1 import Payload, Payloads

from models.case import BY_ENDPOINT
from models.keepable import unkeepable
from models.names import split_case_id
from models.operator import Operator
from security.codec import ENCODING, ERASED, KEY, USE, seal
from security.keys import INSTALLATION, KeyDestroyed, Keyring, NoKey, Unreadable

log = structlog.get_logger()

COOKIE = "termins_operator"
SIGNED_IN_FOR = 12 * 3600
"""Seconds after which a browser must sign in again."""
LARGEST = 4 * 2**20
"""Bytes of a request; the engine itself takes no payload above 2 MiB."""
MOST = 2000
"""Payloads of a request."""

JSON_PLAIN = b"json/plain"
NOT_YOURS = Payload(metadata={"encoding": JSON_PLAIN}, data=b'"<not yours to see>"')
"""What is read of a case of another organisation, or without the role `see`."""

FILE_FIRST = 'a filing is not sealed here: file it (python starter.py file), then start with {"case": "…"} if need be'

OPERATOR = web.RequestKey("operator", Operator)
_COOKIE_USE = b"signed in"
_HOP_BY_HOP = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade host".split()
)
_OWN = frozenset({"cookie", "authorization", "origin", "referer", "content-length"})
_PAGE = Template((Path(__file__).parent / "sign_in.html").read_text(encoding="utf-8"))


class Operators(Protocol):
    """Where operators are found."""

    async def by_token(self, token_hash: bytes) -> Operator | None:
        """Whose token has this SHA-256; None if nobody's, or nobody's any more."""
        ...


class Endpoint:
    """One endpoint: its keys, its operators, the UI behind it, and the origins that may ask it."""

    def __init__(self, keyring: Keyring, operators: Operators, *, url: str, ui: str | None) -> None:
        """`url` is where browsers reach this endpoint, `ui` where this endpoint reaches the UI."""
        self._keyring = keyring
        self._operators = operators
        self._url = url
        self._ui = ui
        self._secure = url.startswith("https://")
        self._origins = {_origin(url), *(_spellings(ui) if ui else ())}

    def application(self) -> web.Application:
        """The server."""
        made = web.Application(middlewares=[self._guard], client_max_size=LARGEST)
        made.cleanup_ctx.append(self._client)
        made.add_routes(
            [
                web.get("/livez", _livez),
                web.post("/decode", self.decode),
                web.post("/encode", self.encode),
                web.get("/sign-in", self.sign_in_page),
                web.post("/sign-in", self.sign_in),
                web.post("/sign-out", self.sign_out),
                web.route("*", "/{path:.*}", self.ui),
            ]
        )
        return made

    async def _client(self, _: web.Application) -> AsyncIterator[None]:
        timeout = ClientTimeout(total=None, sock_connect=5)
        async with ClientSession(timeout=timeout, cookie_jar=DummyCookieJar(), auto_decompress=False) as self._http:
            yield

    # ---- who asks ---------------------------------------------------------------------------------------------------

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """No page of another origin is answered, and every failure is JSON without what was sent."""
        origin = request.headers.get("Origin")
        if origin is not None and origin not in self._origins:
            return _failure(HTTPStatus.FORBIDDEN, "this origin is not the Temporal UI of this endpoint")
        try:
            if request.method == "OPTIONS" and request.path in {"/decode", "/encode"}:
                answer: web.StreamResponse = web.Response(status=HTTPStatus.NO_CONTENT)
            else:
                answer = await handler(request)
        except web.HTTPRedirection:
            raise
        except web.HTTPException as e:
            answer = _failure(HTTPStatus(e.status), e.text or e.reason)
        except Exception as e:  # noqa: BLE001  # whatever it is, its text could hold what was sent
            log.exception("the endpoint failed") if False else log.error("the endpoint failed", problem=type(e).__name__)
            answer = _failure(HTTPStatus.SERVICE_UNAVAILABLE, "the store or the key store does not answer")
        if origin is not None and request.path in {"/decode", "/encode"}:
            answer.headers.update(
                {
                    "Access-Control-Allow-Origin": origin,
                    "Access-Control-Allow-Credentials": "true",
                    "Access-Control-Allow-Methods": "POST, OPTIONS",
                    "Access-Control-Allow-Headers": "content-type, x-namespace, authorization",
                    "Vary": "Origin",
                }
            )
        return answer
