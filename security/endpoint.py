"""The codec endpoint: operators sign in here, open the Temporal UI behind it, and read and say what is sealed.

`/decode` shows what an operator may see; `/encode` seals a message under its case's key and writes who says it.
Programs send their token as `Authorization: Bearer …`. A browser gets a cookie for it and reaches the UI through this
server, at the same origin: the UI of an embedded server sends no cookie anywhere else (docs/decisions/0022).
"""

from __future__ import annotations

import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from html import escape
from http import HTTPStatus
from pathlib import Path
from string import Template
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import structlog
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, web
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from multidict import CIMultiDict
from temporalio.api.common.v1 import Payload, Payloads
from yarl import URL

from models.case import BY_ENDPOINT
from models.errors import Unreadable
from models.keepable import unkeepable
from models.names import split_case_id
from models.operator import Operator
from security.codec import ENCODING, ERASED, KEY, USE, seal
from security.keys import INSTALLATION, KeyDestroyed, Keyring, NoKey

log = structlog.get_logger()

COOKIE = "termins_operator"
SIGNED_IN_FOR = 12 * 3600
"""Seconds after which a browser must sign in again."""
LARGEST = 4 * 2**20
"""Bytes of a request; the engine itself takes no payload above 2 MiB."""
MOST = 2000
"""Payloads of a request."""
LONGEST = 2**18
"""Bytes of an address: the UI puts the whole of a case's details into one, each letter beyond ASCII as six."""

JSON_PLAIN = b"json/plain"
NOT_YOURS = Payload(metadata={"encoding": JSON_PLAIN}, data=b'"<not yours to see>"')
"""What is read of a case of another organisation, or without the role `see`."""

FILE_FIRST = 'a filing is not sealed here: file it (python starter.py file), then start with {"case": "…"} if need be'

UI_PROGRAM = "/_app/"
"""Where the UI keeps its scripts and styles: some hundred files, the same for everybody, and nobody's data."""
UPDATE = "/update/"
"""In the paths by which the UI sends a message to a case."""
_COOKIE_USE = b"signed in"
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host"})
"""Headers between two neighbours: not passed on."""
_OWN = frozenset({"cookie", "authorization", "origin", "referer", "content-length"})
"""Headers of a request that are between the browser and this server."""
_LENGTH = frozenset({"content-length"})
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
        except web.RequestPayloadError:
            answer = _failure(HTTPStatus.BAD_REQUEST, "the body is not what its headers say")
        except Exception as e:  # noqa: BLE001  # whatever it is, its text could hold what was sent
            log.error("the endpoint failed", path=request.path, problem=type(e).__name__)  # noqa: TRY400  # as above
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

    async def _operator(self, request: web.Request) -> Operator | None:
        """Whoever asks, by the token of a program or the cookie of a browser."""
        sent = request.headers.get("Authorization")
        if sent is not None:
            return await self._operators.by_token(_hash(sent.removeprefix("Bearer ").strip()))
        token_hash = await self._signed_in(request.cookies.get(COOKIE, ""))
        return None if token_hash is None else await self._operators.by_token(token_hash)

    async def _needed(self, request: web.Request) -> Operator:
        operator = await self._operator(request)
        if operator is None:
            raise web.HTTPUnauthorized(text=f"sign in at {self._url}/sign-in, or send an operator's token")
        return operator

    # ---- reading ----------------------------------------------------------------------------------------------------

    async def decode(self, request: web.Request) -> web.Response:
        """The payloads, opened where the operator may see them; what came in clear comes back as it is."""
        operator = await self._needed(request)
        payloads = await _payloads(request)
        seen: set[str] = set()
        opened = [await self._open(payload, operator, seen) for payload in payloads]
        if seen:
            log.info("read", operator=operator.code, cases=sorted(seen))
        return _answer(opened)

    async def _open(self, payload: Payload, operator: Operator, seen: set[str]) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload
        try:
            key = await self._keyring.by_id(bytes.fromhex(payload.metadata[KEY].decode()))
            if not _may_see(operator, key.owner):
                return NOT_YOURS
            opened = Payload.FromString(key.open(payload.data, USE))
        except KeyDestroyed:
            return ERASED
        except (NoKey, Unreadable, ValueError, DecodeError):
            return payload
        if key.owner != INSTALLATION:
            seen.add(key.owner)
        return opened

    # ---- saying -----------------------------------------------------------------------------------------------------

    async def encode(self, request: web.Request) -> web.Response:
        """The messages, each sealed under the key of the case it names, with this operator as its actor."""
        operator = await self._needed(request)
        payloads = await _payloads(request)
        messages, faults = [], []
        for payload in payloads:
            message, found = _message(payload)
            messages.append(message)
            faults += found or [f for f in await self._case_faults(message["case"], operator) if f not in faults]
        if faults:
            return _failure(HTTPStatus.BAD_REQUEST, *faults)
        log.info("sealed", operator=operator.code, cases=sorted({m["case"] for m in messages}))
        return _answer([await self._seal(message, operator) for message in messages])

    async def _case_faults(self, case: str, operator: Operator) -> list[str]:
        try:
            organisation = split_case_id(case)[1]
        except ValueError as e:
            return [f"case: {e}"]
        if organisation not in operator.organisations:
            return [f"case: {operator.code} does not work for {organisation}"]
        try:
            await self._keyring.of(case)
        except NoKey:
            return ["case: nothing was filed under this id"]
        except KeyDestroyed:
            return ["case: it was erased"]
        return []

    async def _seal(self, message: Mapping[str, Any], operator: Operator) -> Payload:
        said = {**message, "actor": operator.code, "once": secrets.token_hex(16)}
        plain = Payload(metadata={"encoding": JSON_PLAIN}, data=json.dumps(said, ensure_ascii=False).encode())
        return seal(await self._keyring.of(message["case"]), plain)

    # ---- signing in -------------------------------------------------------------------------------------------------

    async def sign_in_page(self, request: web.Request) -> web.Response:
        """One field for the token; or who is signed in."""
        if (moved := self._elsewhere(request)) is not None:
            raise web.HTTPTemporaryRedirect(moved)
        return self._page(await self._operator(request), _safe(request.query.get("to")))

    async def sign_in(self, request: web.Request) -> web.Response:
        """Exchange the token for a cookie, and go to the UI."""
        try:
            form = await request.post()
        except (ValueError, LookupError):
            raise web.HTTPBadRequest(text="one form is needed, with the token") from None
        token_hash = _hash(str(form.get("token", "")).strip())
        to = _safe(str(form.get("to", "")))
        operator = await self._operators.by_token(token_hash)
        if operator is None:
            return self._page(None, to, "This token is not known, or is over. Ask your administrator for a new one.")
        log.info("signed in", operator=operator.code)
        answer = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": to})
        self._set_cookie(answer, await self._ticket(token_hash), SIGNED_IN_FOR)
        return answer

    async def sign_out(self, _: web.Request) -> web.Response:
        """Forget the browser."""
        answer = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": "/sign-in"})
        self._set_cookie(answer, "", 0)
        return answer

    def _set_cookie(self, answer: web.Response, value: str, seconds: int) -> None:
        answer.set_cookie(
            COOKIE, value, max_age=seconds, path="/", httponly=True, samesite="Strict", secure=self._secure
        )

    async def _ticket(self, token_hash: bytes) -> str:
        """What the cookie holds: not the token, but whose it is and until when, under the installation's key."""
        key = await self._keyring.of(INSTALLATION)
        plain = json.dumps({"token": token_hash.hex(), "until": time.time() + SIGNED_IN_FOR}).encode()
        return urlsafe_b64encode(key.seal(plain, _COOKIE_USE)).decode()

    async def _signed_in(self, ticket: str) -> bytes | None:
        if not ticket:
            return None
        key = await self._keyring.of(INSTALLATION)
        try:
            held = json.loads(key.open(urlsafe_b64decode(ticket.encode()), _COOKIE_USE))
        except (Unreadable, ValueError):
            return None
        return bytes.fromhex(held["token"]) if held["until"] > time.time() else None

    def _page(self, operator: Operator | None, to: str, problem: str = "") -> web.Response:
        nonce = secrets.token_urlsafe(16)
        who = ""
        if operator is not None:
            who = f"{operator.code} · {', '.join(operator.organisations)} · {', '.join(operator.roles)}"
        page = _PAGE.substitute(
            nonce=nonce,
            to=escape(to),
            problem=escape(problem),
            who=escape(who),
            state="in" if operator is not None else "out",
        )
        policy = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; form-action 'self'; "
            "base-uri 'none'; frame-ancestors 'none'"
        )
        return web.Response(
            text=page,
            content_type="text/html",
            status=HTTPStatus.UNAUTHORIZED if problem else HTTPStatus.OK,
            headers={"Content-Security-Policy": policy, "Cache-Control": "no-store", "Referrer-Policy": "same-origin"},
        )

    # ---- the UI behind ----------------------------------------------------------------------------------------------

    async def ui(self, request: web.Request) -> web.StreamResponse:
        """The Temporal UI, for whoever is signed in."""
        page = request.method == "GET" and "text/html" in request.headers.get("Accept", "")
        if page and (moved := self._elsewhere(request)) is not None:
            raise web.HTTPTemporaryRedirect(moved)
        if request.headers.get("Origin") not in {None, _origin(self._url)}:
            raise web.HTTPForbidden(text="the UI is asked by its own pages only")
        program = request.method == "GET" and request.path.startswith(UI_PROGRAM)
        operator = None if program else await self._operator(request)
        if operator is None and not program:
            if page:
                raise web.HTTPSeeOther(f"/sign-in?to={quote(request.raw_path, safe='')}")
            raise web.HTTPUnauthorized(text=f"sign in at {self._url}/sign-in")
        if self._ui is None:
            raise web.HTTPNotFound(text="no Temporal UI is named: TERMINS_TEMPORAL_UI")
        return await self._pass_on(request, self._ui, operator)

    async def _pass_on(self, request: web.Request, ui: str, operator: Operator | None) -> web.StreamResponse:
        sent = _headers(request.headers.items(), _OWN)
        if others := "; ".join(f"{name}={value}" for name, value in request.cookies.items() if name != COOKIE):
            sent["Cookie"] = others
        said = operator is not None and request.method == "POST" and UPDATE in request.path
        if said:
            sent["Accept-Encoding"] = "identity"
        try:
            async with self._http.request(
                request.method,
                URL(ui + request.raw_path, encoded=True),
                headers=sent,
                data=await request.read(),
                allow_redirects=False,
            ) as came:
                if said and operator is not None:
                    return await self._answered(came, operator)
                answer = web.StreamResponse(status=came.status, headers=_headers(came.headers.items()))
                await answer.prepare(request)
                async for chunk in came.content.iter_any():
                    await answer.write(chunk)
        except ClientError as e:
            raise web.HTTPBadGateway(text=f"the Temporal UI does not answer: {type(e).__name__}") from None
        return answer

    async def _answered(self, came: ClientResponse, operator: Operator) -> web.Response:
        """The answer to an update. The UI opens what is sealed in histories, but shows a refusal as it comes."""
        body = await came.read()
        with suppress(ValueError, AttributeError, KeyError):
            answer = json.loads(body)
            failure = answer["outcome"]["failure"]
            sealed = json_format.ParseDict(failure["encodedAttributes"], Payload())
            failure["message"] = json.loads((await self._open(sealed, operator, set())).data)["message"]
            body = json.dumps(answer, ensure_ascii=False).encode()
        return web.Response(body=body, status=came.status, headers=_headers(came.headers.items(), _LENGTH))

    def _elsewhere(self, request: web.Request) -> str | None:
        """The address of this page by the one name that its cookie and the UI's settings know; None if it has it."""
        asked = f"{urlsplit(self._url).scheme}://{request.host}"
        return self._url + request.raw_path if asked != self._url and asked in _spellings(self._url) else None


@asynccontextmanager
async def serving(endpoint: Endpoint, address: str) -> AsyncIterator[str]:
    """Answer at this address (`host:port`; port 0 takes a free one) while the block runs; gives the base URL.

    Raises:
        OSError: The address cannot be had.
    """
    host, _, port = address.rpartition(":")
    # no access log: a path can hold a token by mistake, and the UI asks a dozen times a second
    runner = web.AppRunner(endpoint.application(), access_log=None, max_line_size=LONGEST)
    await runner.setup()
    try:
        await web.TCPSite(runner, host.strip("[]"), int(port)).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _livez(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


# ---- payloads -------------------------------------------------------------------------------------------------------


async def _payloads(request: web.Request) -> list[Payload]:
    try:
        body = {"payloads": json.loads(await request.read())["payloads"]}
        found = list(json_format.ParseDict(body, Payloads(), ignore_unknown_fields=True).payloads)
    except (json_format.ParseError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise web.HTTPBadRequest(text='one JSON object is needed: {"payloads": […]}') from None
    if len(found) > MOST:
        raise web.HTTPRequestEntityTooLarge(max_size=MOST, actual_size=len(found), text=f"more than {MOST} payloads")
    return found


def _message(payload: Payload) -> tuple[dict[str, Any], list[str]]:
    """The message that a payload holds, or all that keeps it from being sealed; field names only."""
    if payload.metadata.get("encoding") != JSON_PLAIN:
        return {}, ["the message is no JSON"]
    try:
        message = json.loads(payload.data)
    except (ValueError, RecursionError):
        return {}, ["the message is no JSON, or holds what nobody can keep"]
    if not isinstance(message, dict):
        return {}, ["the message is no JSON object"]
    faults = unkeepable(message)
    faults += [f"{name}: is written by this endpoint; leave it out" for name in BY_ENDPOINT if name in message]
    if "filing" in message:
        faults.append(FILE_FIRST)
    elif not isinstance(message.get("case"), str):
        faults.append("case: is missing; take the JSON from the case's Current Details, which begins with it")
    return message, faults


def _may_see(operator: Operator, owner: str) -> bool:
    """The installation's own payloads hold no personal data; a case is seen with the role, in its organisation."""
    if owner == INSTALLATION:
        return True
    try:
        organisation = split_case_id(owner)[1]
    except ValueError:
        return False
    return not operator.lacks(organisation, "see")


def _answer(payloads: Iterable[Payload]) -> web.Response:
    text = json_format.MessageToJson(Payloads(payloads=payloads), indent=None)
    return web.Response(text=text, content_type="application/json", headers={"Cache-Control": "no-store"})


def _failure(status: HTTPStatus, *faults: str) -> web.Response:
    return web.json_response({"message": "; ".join(faults), "faults": list(faults)}, status=status)


# ---- HTTP -----------------------------------------------------------------------------------------------------------


def _hash(token: str) -> bytes:
    return sha256(token.encode("utf-8", "replace")).digest()


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _spellings(url: str) -> set[str]:
    """An origin; for this machine by both of its names."""
    origin = _origin(url)
    return {origin, origin.replace("//127.0.0.1:", "//localhost:"), origin.replace("//localhost:", "//127.0.0.1:")}


def _safe(to: str | None) -> str:
    """A path of this server to go to after signing in; never another server."""
    plain = to or "/"
    return plain if plain.startswith("/") and not plain.startswith(("//", "/\\")) and plain.isprintable() else "/"


def _headers(headers: Iterable[tuple[str, str]], more: frozenset[str] = frozenset()) -> CIMultiDict[str]:
    """Those that are passed on."""
    return CIMultiDict((n, v) for n, v in headers if n.lower() not in _HOP_BY_HOP and n.lower() not in more)
