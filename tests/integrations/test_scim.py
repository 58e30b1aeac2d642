"""What is SCIM's own of the identity provider: token and TLS, the duty to change, and servers that behave oddly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
from aiohttp import web

from integrations.identity import IdentityRefused, IdentityUnavailable, NewAccount, one_time_secret
from integrations.scim import Scim
from tests.scim import ScimServer, scim_server

TOKEN = "scim-test-token"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
MUST_CHANGE = "urn:example:User:mustChangePassword"
_numbers = count(1)

Answer = Callable[[web.Request, Any], web.Response]


@pytest.fixture(scope="module")
def scim() -> Iterator[ScimServer]:
    """A SCIM server for these tests."""
    with scim_server() as server:
        yield server


@asynccontextmanager
async def odd(answer: Answer) -> AsyncIterator[str]:
    """A server that answers so; its address."""

    async def handle(request: web.Request) -> web.Response:
        return answer(request, await request.json() if request.can_read_body else None)

    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v2"
    finally:
        await runner.cleanup()


def account() -> NewAccount:
    """An account that no test had before."""
    return NewAccount(client="K000001", username=f"S-{next(_numbers)}-U1")


def user(version: str | None = None, **more: Any) -> dict[str, Any]:
    """A user as a server answers."""
    return {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "id": "7",
        "userName": "S-0-U1",
        "meta": {"resourceType": "User", **({"version": version} if version else {})},
        **more,
    }


async def test_a_wrong_token_is_an_outage_until_somebody_has_mended_it(scim: ScimServer) -> None:
    with pytest.raises(IdentityUnavailable, match="401"):
        await Scim(scim.url, "another-token").answers()
    await Scim(scim.url, scim.token).answers()


@pytest.mark.parametrize("url", ["http://idp.example/scim/v2", "ftp://idp.example", "idp.example/v2"])
def test_token_and_secrets_leave_this_machine_only_under_tls(url: str) -> None:
    with pytest.raises(ValueError, match="https only"):
        Scim(url, TOKEN)


async def test_a_server_whose_certificate_nobody_vouches_for_gets_nothing() -> None:
    """The token goes out after the handshake, which fails."""
    asked = []

    def answer(request: web.Request, said: Any) -> web.Response:
        asked.append(request.path)
        return web.json_response({})

    async with odd(answer) as url:
        with pytest.raises(IdentityUnavailable):
            await Scim(url.replace("http://", "https://"), TOKEN).answers()
    assert asked == []


async def test_the_name_of_an_account_that_somebody_else_made_is_refused(scim: ScimServer) -> None:
    new = account()
    await Scim(scim.url, scim.token).make(NewAccount(client="K000002", username=new.username))
    with pytest.raises(IdentityRefused, match="user name") as refused:
        await Scim(scim.url, scim.token).make(new)
    assert new.username not in str(refused.value)


async def test_the_duty_to_change_is_set_in_one_request_with_the_password() -> None:
    """SE-33.3.4.4, by the attribute that means it at this server."""
    said: list[Any] = []

    def answer(request: web.Request, body: Any) -> web.Response:
        if request.method == "PATCH":
            said.append(body)
        return web.json_response(user())

    async with odd(answer) as url:
        new = one_time_secret()
        await Scim(url, TOKEN, must_change=MUST_CHANGE).set_secret("7", new, must_change=True)
    [body] = said
    assert {o["path"]: o["value"] for o in body["Operations"]} == {"password": new, MUST_CHANGE: True}


async def test_a_request_that_is_carried_out_late_changes_nothing_that_was_set_since() -> None:
    """Each change names the version that it was made for; one that was overtaken in between is made for the next."""
    versions, changes = iter(['W/"1"', 'W/"2"']), []

    def answer(request: web.Request, body: Any) -> web.Response:
        if request.method == "GET":
            return web.json_response(user(next(versions)))
        changes.append(request.headers["If-Match"])
        if len(changes) == 1:
            error = {"schemas": [ERROR], "status": "412"}
            return web.json_response(error, status=412)
        return web.Response(status=204)

    async with odd(answer) as url:
        await Scim(url, TOKEN).set_active("7", active=False)
    assert changes == ['W/"1"', 'W/"2"']


async def test_a_server_that_ignores_the_filter_does_not_lend_another_account() -> None:
    everybody = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": 2,
        "Resources": [user(externalId="K1/other"), user(externalId="K1/mine", id="8")],
    }
    async with odd(lambda request, body: web.json_response(everybody)) as url:
        assert await Scim(url, TOKEN).find("K1/mine") == "8"
        assert await Scim(url, TOKEN).find("K1/nobody") is None


async def test_a_filter_cannot_be_broken_out_of(scim: ScimServer) -> None:
    assert await Scim(scim.url, scim.token).find('x" or userName pr or externalId eq "') is None


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (500, "secret", IdentityUnavailable),
        (503, json.dumps({"detail": "secret"}), IdentityUnavailable),
        (429, "", IdentityUnavailable),
        (403, "<html>secret</html>", IdentityUnavailable),
        (400, json.dumps({"schemas": [ERROR], "detail": "secret"}), IdentityRefused),
        (302, "", IdentityRefused),
        (200, "secret", IdentityRefused),
        (200, "[]", IdentityRefused),
    ],
)
async def test_whatever_a_server_answers_is_told_without_its_words(
    status: int, text: str, error: type[Exception]
) -> None:
    def answer(request: web.Request, body: Any) -> web.Response:
        return web.Response(status=status, text=text, content_type="application/scim+json")

    async with odd(answer) as url:
        for call in (Scim(url, TOKEN).find("x"), Scim(url, TOKEN).set_secret("7", "secret", must_change=True)):
            with pytest.raises(error) as told:
                await call
            assert "secret" not in repr(told.value)
            assert told.value.__cause__ is None


async def test_a_server_that_hangs_counts_as_down() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(IdentityUnavailable, match="Timeout"):
            await Scim(f"http://127.0.0.1:{port}/v2", TOKEN, timeout=0.2).set_secret(
                "7", one_time_secret(), must_change=True
            )
