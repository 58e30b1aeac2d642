"""The codec endpoint: who may read what, whose name stands in a message, and how a browser signs in."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from io import BytesIO
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from structlog.testing import capture_logs
from temporalio.api.common.v1 import Payload
from yarl import URL

from operations.operators import Operators
from security.codec import USE, seal
from security.endpoint import COOKIE, LARGEST
from security.keys import INSTALLATION
from tests.door import Door, as_json, of_json, opened, plain
from tests.world import World

UI = "http://127.0.0.1:8233"
SECRET = "Anna Bērziņa, LV97HABA0012345678910"


@pytest.fixture(scope="module")
async def door(world: World) -> AsyncIterator[Door]:
    """An endpoint beside the world's own cases."""
    async with opened(world, ui=UI) as door:
        yield door


@pytest.fixture
async def case(world: World) -> str:
    """The id of a case that has a key."""
    case = f"claim:BTA:{uuid4().hex[:10]}"
    await world.keyring.create(case)
    return case


async def operator(door: Door, organisations: tuple[str, ...] = ("BTA",), roles: tuple[str, ...] = ("see",)) -> str:
    """The token of an operator with these rights."""
    return (await door.operators.add(f"op-{uuid4().hex[:8]}", organisations, roles)).token


async def sealed(world: World, owner: str, value: Any = SECRET) -> dict[str, Any]:
    """A payload of an owner."""
    payload = Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(value).encode())
    return as_json(seal(await world.keyring.of(owner), payload))


# ---- reading --------------------------------------------------------------------------------------------------------


async def test_who_sees_an_organisation_reads_its_cases(world: World, door: Door, case: str) -> None:
    assert await door.decode(await sealed(world, case), await operator(door)) == SECRET


@pytest.mark.parametrize(
    ("organisations", "roles"), [(("BL",), ("see",)), (("BTA",), ("handle",))], ids=["other organisation", "no role"]
)
async def test_nobody_else_reads_them(
    world: World, door: Door, case: str, organisations: tuple[str, ...], roles: tuple[str, ...]
) -> None:
    token = await operator(door, organisations, roles)
    assert await door.decode(await sealed(world, case), token) == "<not yours to see>"


async def test_policies_and_clients_are_read_by_nobody_here(world: World, door: Door) -> None:
    """Their keys seal columns, never payloads: what claims to be one is nothing that an operator needs."""
    await world.keyring.create("policy:P-1")
    assert await door.decode(await sealed(world, "policy:P-1"), await operator(door)) == "<not yours to see>"


async def test_what_belongs_to_no_case_is_read_by_every_operator(world: World, door: Door) -> None:
    assert await door.decode(await sealed(world, INSTALLATION), await operator(door, ("SE",), ("handle",))) == SECRET


async def test_an_erased_case_reads_as_erased(world: World, door: Door, case: str) -> None:
    payload = await sealed(world, case)
    await world.keyring.destroy(case)
    assert await door.decode(payload, await operator(door)) == "<erased>"


async def test_what_is_in_clear_unknown_or_changed_comes_back_as_it_is(world: World, door: Door, case: str) -> None:
    token = await operator(door)
    changed, unknown = of_json(await sealed(world, case)), of_json(await sealed(world, case))
    changed.data = changed.data[:-1] + bytes([changed.data[-1] ^ 1])
    unknown.metadata["key"] = b"00" * 16
    key, no_payload = await world.keyring.of(case), of_json(await sealed(world, case))
    no_payload.data = key.seal(b"\xff", USE)
    sent = [plain({"a": 1}), as_json(changed), as_json(unknown), as_json(no_payload)]
    assert await door.ask("/decode", sent, token) == (200, {"payloads": sent})


# ---- saying ---------------------------------------------------------------------------------------------------------


async def test_the_operator_is_written_into_the_message(world: World, door: Door, case: str) -> None:
    added = await door.operators.add(f"op-{uuid4().hex[:8]}", ("BTA",), ("handle",))
    payloads = [of_json(await door.encode({"case": case, "handler": "op-2"}, added.token)) for _ in range(2)]
    key = await world.keyring.of(case)
    said = [json.loads(Payload.FromString(key.open(p.data, b"payload")).data) for p in payloads]
    once = [message.pop("once") for message in said]
    assert said == [{"case": case, "handler": "op-2", "actor": added.operator}] * 2
    assert once[0] != once[1], "each message is sealed to be taken once"


FAULTY: dict[str, tuple[Any, list[str]]] = {
    "an actor": ({"case": "C", "actor": "op-2"}, ["actor: is written by this endpoint; leave it out"]),
    "a seal": ({"case": "C", "once": "0" * 32}, ["once: is written by this endpoint; leave it out"]),
    "no case": ({"handler": "op-2"}, ["case: is missing"]),
    "no case's id": ({"case": "lunch"}, ["case: a case is named kind:ORGANISATION:reference"]),
    "another organisation's case": ({"case": "access_request:BL:1"}, ["does not work for BL"]),
    "nobody's case": ({"case": "claim:BTA:nobody-filed-this"}, ["case: nothing was filed under this id"]),
    "a filing": ({"filing": {"kind": "claim"}}, ["a filing is not sealed here: file it"]),
    "a text": ("pay him", ["the message is no JSON object"]),
    "what nobody keeps": ({"case": "C", "reference": "a\0b"}, ["reference: holds the character U+0000"]),
    "several faults": (
        {"actor": "op-2", "reference": "a\0b"},
        ["reference: holds", "actor: is written by this endpoint", "case: is missing"],
    ),
}


@pytest.mark.parametrize(("message", "faults"), FAULTY.values(), ids=FAULTY.keys())
async def test_the_rest_is_refused_with_every_fault(door: Door, case: str, message: Any, faults: list[str]) -> None:
    if isinstance(message, dict) and message.get("case") == "C":
        message = {**message, "case": case}
    status, answer = await door.ask("/encode", [plain(message)], await operator(door, roles=("handle",)))
    assert status == 400
    assert len(answer["faults"]) == len(faults)
    assert all(fault in text for fault, text in zip(faults, answer["faults"], strict=True))


async def test_nothing_is_sealed_for_an_erased_case(world: World, door: Door, case: str) -> None:
    await world.keyring.destroy(case)
    status, answer = await door.ask("/encode", [plain({"case": case})], await operator(door))
    assert (status, answer["faults"]) == (400, ["case: it was erased"])


# ---- who asks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/decode", "/encode"])
async def test_without_a_good_token_nothing_is_answered(world: World, door: Door, case: str, path: str) -> None:
    left = await door.operators.add(f"op-{uuid4().hex[:8]}", ("BTA",), ("see", "handle"))
    await door.operators.end(left.operator)
    renewed = await door.operators.add(f"op-{uuid4().hex[:8]}", ("BTA",), ("see", "handle"))
    await door.operators.renew(renewed.operator)
    for token in (None, "", "who knows", left.token, renewed.token):
        status, answer = await door.ask(path, [await sealed(world, case)], token)
        assert (status, len(answer["faults"])) == (401, 1)


async def test_a_token_is_over_on_its_day(world: World, case: str) -> None:
    token = (await Operators(world.sessions, world.now).renew("op-11", days=30)).token
    async with opened(world, now=lambda: world.now() + timedelta(days=29)) as door:
        assert await door.decode(await sealed(world, case), token) == SECRET
    async with opened(world, now=lambda: world.now() + timedelta(days=30)) as door:
        assert (await door.ask("/decode", [], token))[0] == 401


@pytest.mark.parametrize("body", ["", "[]", "{}", "{", '{"payloads": 7}', "[" * 3000, "ÿ"], ids=lambda b: repr(b[:20]))
async def test_a_body_that_is_none_is_refused_as_json(door: Door, body: str) -> None:
    headers = {"Authorization": f"Bearer {await operator(door)}"}
    async with door.http.post(f"{door.url}/decode", data=body.encode("latin-1"), headers=headers) as came:
        assert (came.status, list(await came.json())) == (400, ["message", "faults"])


async def test_a_body_without_end_is_refused(door: Door) -> None:
    headers = {"Authorization": f"Bearer {await operator(door)}"}
    async with door.http.post(f"{door.url}/decode", data=BytesIO(b" " * (LARGEST + 1)), headers=headers) as came:
        assert came.status == 413


async def test_logs_say_who_read_which_case_and_nothing_that_was_read(world: World, door: Door, case: str) -> None:
    token = await operator(door, roles=("see", "handle"))
    with capture_logs() as logs:
        await door.decode(await sealed(world, case), token)
        await door.encode({"case": case, "name": SECRET}, token)
        await door.ask("/encode", [plain({"case": case, "actor": SECRET})], token)
    assert [(line["event"], line["cases"]) for line in logs] == [("read", [case]), ("sealed", [case])]
    assert SECRET not in str(logs)
    assert token not in str(logs)


# ---- browsers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", [UI, "http://localhost:8233", "http://127.0.0.1:8234"])
async def test_pages_of_the_ui_may_ask(door: Door, origin: str) -> None:
    async with door.http.options(f"{door.url}/decode", headers={"Origin": origin}) as came:
        assert came.status == 204
        assert came.headers["Access-Control-Allow-Origin"] == origin
        assert came.headers["Access-Control-Allow-Credentials"] == "true"
        assert set(came.headers["Access-Control-Allow-Headers"].split(", ")) >= {"content-type", "x-namespace"}


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:9999", "null", "https://127.0.0.1:8233"])
async def test_no_other_page_may(door: Door, origin: str) -> None:
    for method, path in (("OPTIONS", "/decode"), ("POST", "/decode"), ("POST", "/sign-in"), ("POST", "/api/v1/x")):
        async with door.http.request(method, f"{door.url}{path}", headers={"Origin": origin}) as came:
            assert came.status == 403
            assert "Access-Control-Allow-Origin" not in came.headers


async def sign_in(door: Door, token: str, to: str = "/") -> tuple[int, str, str]:
    """Status, where it leads, and the cookie."""
    form = {"token": token, "to": to}
    async with door.http.post(f"{door.url}/sign-in", data=form, allow_redirects=False) as came:
        return came.status, came.headers.get("Location", ""), came.headers.get("Set-Cookie", "")


async def test_a_browser_gets_a_cookie_that_is_no_token(world: World, door: Door, case: str) -> None:
    token = await operator(door)
    status, to, cookie = await sign_in(door, token, "/namespaces/default")
    assert (status, to) == (303, "/namespaces/default")
    value, *attributes = cookie.split("; ")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(attributes)
    assert token not in cookie
    payload = await sealed(world, case)
    status, answer = await door.ask("/decode", [payload], None, Cookie=value, Origin="http://127.0.0.1:8234")
    assert (status, json.loads(base64.b64decode(answer["payloads"][0]["data"]))) == (200, SECRET)


async def test_a_cookie_ends_with_its_token_and_cannot_be_changed(door: Door) -> None:
    added = await door.operators.add(f"op-{uuid4().hex[:8]}", ("BTA",), ("see",))
    cookie = (await sign_in(door, added.token))[2].split("; ")[0]
    assert (await door.ask("/decode", [], None, Cookie=cookie))[0] == 200
    changed = cookie[:-6] + ("A" if cookie[-6] != "A" else "B") + cookie[-5:]
    for wrong in (changed, f"{COOKIE}=who-knows", f"{COOKIE}=é"):
        assert (await door.ask("/decode", [], None, Cookie=wrong))[0] == 401
    await door.operators.renew(added.operator)
    assert (await door.ask("/decode", [], None, Cookie=cookie))[0] == 401


async def test_a_wrong_token_signs_nobody_in(door: Door) -> None:
    status, to, cookie = await sign_in(door, "<script>alert(1)</script>")
    assert (status, to, cookie) == (401, "", "")


@pytest.mark.parametrize("to", ["//evil.example", "/\\evil.example", "http://evil.example", "/\tx", ""])
async def test_signing_in_leads_to_no_other_server(door: Door, to: str) -> None:
    assert (await sign_in(door, await operator(door), to))[:2] == (303, "/")


async def test_the_page_runs_no_script_but_its_own(door: Door) -> None:
    async with door.http.get(f"{door.url}/sign-in", params={"to": '/"><script>alert(1)</script>'}) as came:
        page = await came.text()
        policy = came.headers["Content-Security-Policy"]
    assert "<script>" not in page
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


# ---- the UI behind --------------------------------------------------------------------------------------------------


@pytest.fixture
async def behind(world: World) -> AsyncIterator[Door]:
    """An endpoint in front of a server that says what it was asked."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"path": request.raw_path, "headers": dict(request.headers)})

    ui = web.Application()
    ui.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(ui, max_line_size=2**20)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with opened(world, ui=f"http://127.0.0.1:{runner.addresses[0][1]}") as door:
        yield door
    await runner.cleanup()


async def test_nobody_sees_the_ui_before_signing_in(behind: Door) -> None:
    path = "/namespaces/default/workflows?query=a%3D'b'"
    headers = {"Accept": "text/html"}
    async with behind.http.get(f"{behind.url}{path}", headers=headers, allow_redirects=False) as came:
        assert (came.status, came.headers["Location"].partition("?")[0]) == (303, "/sign-in")
    async with behind.http.post(f"{behind.url}/api/v1/namespaces") as came:
        assert came.status == 401


async def test_the_ui_is_passed_on_as_it_is_without_who_asks(behind: Door) -> None:
    cookie = (await sign_in(behind, await operator(behind)))[2].split("; ")[0]
    path = "/api/v1/namespaces/default/workflows/claim%3ABTA%3A1?query=a%3D'b'"
    asking = URL(behind.url + path, encoded=True)
    async with behind.http.get(asking, headers={"Cookie": f"{cookie}; _csrf=x"}) as came:
        asked = await came.json()
    assert asked["path"] == path
    assert asked["headers"]["Cookie"] == "_csrf=x"


async def test_details_of_any_length_pass(behind: Door) -> None:
    """The UI asks for them to be set with all of them in the address: what stood there instead was an error."""
    cookie = (await sign_in(behind, await operator(behind)))[2].split("; ")[0]
    path = "/render?content=" + "%C4%81" * 20_000
    async with behind.http.get(URL(behind.url + path, encoded=True), headers={"Cookie": cookie}) as came:
        asked = await came.json()
    assert asked["path"] == path


async def test_one_name_of_this_machine_leads_to_the_other(behind: Door) -> None:
    """A cookie belongs to one name, and the UI asks the endpoint by the one that it was given."""
    headers = {"Accept": "text/html", "Host": "localhost:8234"}
    async with behind.http.get(f"{behind.url}/a?b=1", headers=headers, allow_redirects=False) as came:
        assert (came.status, came.headers["Location"]) == (307, "http://127.0.0.1:8234/a?b=1")
