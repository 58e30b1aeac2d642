"""A data system that answers by HTTP: what it is asked, and what becomes of answers that are not as agreed."""

from __future__ import annotations

import json
import traceback
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from integrations.data_systems import Found, Subject, SystemDown
from integrations.http_system import HttpSystem
from models.settlement import Label
from tests.world import RIGA

AT = datetime(2027, 3, 1, 10, 0, tzinfo=RIGA)
TITLE = Label(lv="Zvanu ieraksti", lt="Skambučių įrašai", en="Call recordings")
WITHOUT_ROWS = json.dumps({"records": [{"record": "Anna Bērziņa"}]})
ANNA = Subject(name="Anna Bērziņa", personal_code="120390-12345", email="anna@example.lv")


class Calls:
    """A system with one record of Anna's, that answers what a test puts in `instead` when there is something."""

    def __init__(self) -> None:
        self.erased = False
        self.marks: set[str] = set()
        self.tokens: set[str | None] = set()
        self.instead: web.Response | None = None
        self.circles = False

    async def answer(self, request: web.Request) -> web.Response:
        """As docs/data-systems.md says."""
        self.tokens.add(request.headers.get("Authorization"))
        if self.instead is not None:
            return self.instead
        asked = await request.json()
        if request.match_info["question"] == "people":
            last = asked["after"] == "1" and not self.circles
            one = {"name": "", "personal_code": f"12039{int(last)}-12345", "email": None}
            return web.json_response({"people": [one], **({} if last else {"after": "1"})})
        theirs = asked["person"]["personal_code"] == ANNA.personal_code and not self.erased
        match request.match_info["question"]:
            case "locate":
                return web.json_response({"records": [{"record": "C7", "rows": 2}] if theirs else []})
            case "export":
                return web.json_response({"recorded_at": "2027-01-02", "record": asked["record"]})
            case "erase":
                self.erased = True
            case "restrict":
                self.marks.add(asked["mark"])
            case "release":
                self.marks.discard(asked["mark"])
        return web.json_response({"done": True})


@pytest.fixture
def calls() -> Calls:
    """The other side."""
    return Calls()


@pytest.fixture
async def system(calls: Calls) -> AsyncIterator[HttpSystem]:
    """The same as Termins sees it."""
    app = web.Application()
    app.router.add_post("/privacy/{question}", calls.answer)
    async with TestServer(app) as server:
        yield HttpSystem("calls", TITLE, ("GJ",), str(server.make_url("/privacy")), "a-token")


async def test_a_person_is_located_copied_restricted_and_erased(system: HttpSystem, calls: Calls) -> None:
    assert await system.locate("GJ", ANNA, AT) == (Found(record="calls:C7", rows=2),)
    assert await system.export(ANNA, "calls:C7") == {
        "record": "calls:C7",
        "rows": [{"recorded_at": "2027-01-02", "record": "C7"}],
    }
    assert await system.restrict(ANNA, "calls:C7", "legal_claim")
    assert await system.restrict(ANNA, "calls:C7", "restriction", by="privacy_request:GJ:1")
    assert calls.marks == {"legal_claim", "privacy_request:GJ:1"}
    assert await system.release(ANNA, "calls:C7", by="privacy_request:GJ:1")
    assert calls.marks == {"legal_claim"}
    assert await system.erase(ANNA, "calls:C7", AT)
    assert await system.erase(ANNA, "calls:C7", AT), "asked again after a crash"
    assert await system.locate("GJ", ANNA, AT) == ()
    assert calls.tokens == {"Bearer a-token"}


async def test_it_says_whom_it_knows_a_part_at_a_time(system: HttpSystem, calls: Calls) -> None:
    """One that goes in a circle, or answers something else, is down: it would never end."""
    found = [[one.personal_code for one in part] async for part in system.people("GJ")]
    assert found == [["120390-12345"], ["120391-12345"]]
    assert [part async for part in system.people("SE")] == []
    calls.circles = True
    with pytest.raises(SystemDown, match="not as agreed"):
        [part async for part in system.people("GJ")]
    for instead in ({"people": ["Anna"]}, {}):
        calls.instead = web.json_response(instead)
        with pytest.raises(SystemDown, match="not as agreed"):
            [part async for part in system.people("GJ")]


async def test_it_is_asked_about_its_own_controllers_and_records_only(system: HttpSystem, calls: Calls) -> None:
    assert await system.locate("SE", ANNA, AT) == ()
    assert await system.erase(ANNA, "clinic:visits", AT)
    assert not await system.restrict(ANNA, "clinic:visits", "legal_claim")
    assert not await system.release(ANNA, "clinic:visits", "privacy_request:GJ:1")
    assert calls.tokens == set()


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 500, "text": "Anna Bērziņa is locked"},
        {"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}},
        {"status": 200, "text": "Anna Bērziņa", "content_type": "application/json"},
        {
            "status": 200,
            "text": json.dumps({"records": [{"record": "Anna Bērziņa"}]}),
            "content_type": "application/json",
        },
        {"status": 200, "text": "<html>", "content_type": "text/html"},
    ],
    ids=["fails", "sends elsewhere", "no JSON", "not as agreed", "a page"],
)
async def test_an_answer_that_is_none_is_an_outage_that_names_nobody(
    system: HttpSystem, calls: Calls, answer: dict[str, Any]
) -> None:
    calls.instead = web.Response(**answer)
    with pytest.raises(SystemDown, match=r"^calls does not answer: ") as down:
        await system.locate("GJ", ANNA, AT)
    assert "Anna" not in "".join(traceback.format_exception(down.value))


async def test_whoever_does_not_answer_at_all_is_down() -> None:
    system = HttpSystem("calls", TITLE, ("GJ",), "http://127.0.0.1:1", "t")
    with pytest.raises(SystemDown, match="calls does not answer"):
        await system.erase(ANNA, "calls:C7", AT)


def test_personal_data_go_elsewhere_by_tls_only() -> None:
    with pytest.raises(ValueError, match="https only"):
        HttpSystem("calls", TITLE, ("GJ",), "http://calls.example/privacy", "t")
    HttpSystem("calls", TITLE, ("GJ",), "https://calls.example/privacy", "t")
