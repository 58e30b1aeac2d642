"""What recurs by the command line: said, listed, previewed, and excepted; bad input is named whole."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlmodel import select

from models.tables import IntakeRow, RecurrenceRow
from operations.operators import Operators
from tests.system.test_starter import ask, cli
from tests.workflows.test_task import begun
from tests.world import World

pytestmark = pytest.mark.usefixtures("present")

Environment = dict[str, str]


def of(about: str, days_ago: int, **more: Any) -> dict[str, Any]:
    """A department that was analysed so many days ago."""
    on = (datetime.now(UTC).date() - timedelta(days=days_ago)).isoformat()
    return {
        "organisation": "SE",
        "duty": "SE-3.2",
        "about": about,
        "what": "done",
        "on": on,
        "document": "dms/1",
    } | more


async def rows(world: World, about: str) -> tuple[int, list[str]]:
    """How much was said of a department, and its cases."""
    async with world.sessions() as session:
        said = (await session.exec(select(RecurrenceRow).where(RecurrenceRow.about == about))).all()
        cases = (await session.exec(select(IntakeRow.case).where(IntakeRow.kind == "task"))).all()
    return len(said), [case for case in cases if f"_{about}_" in case]


async def test_what_is_said_is_previewed_written_down_and_opened_at_once(world: World, where: Environment) -> None:
    about = f"cli-{uuid4().hex[:6]}"
    near, far = of(about, 340), of(f"{about}-b", 10)
    both = json.dumps([near, far])
    preview = await cli(where, "recurrences", "set", "--preview", data=both)
    assert preview.stdout.count("would be written down") == 2
    assert f"would open task:SE:SE-3.2_{about}_1" in preview.stdout
    assert await rows(world, about) == (0, [])

    done = await cli(where, "recurrences", "set", data=both)
    assert f"opened task:SE:SE-3.2_{about}_1" in done.stdout
    await begun(world, f"task:SE:SE-3.2_{about}_1")
    again = await cli(where, "recurrences", "set", data=json.dumps(far))
    assert "as it stood" in again.stdout
    assert await rows(world, about) == (1, [f"task:SE:SE-3.2_{about}_1"])

    listed = {line["about"]: line for line in await ask(where, "recurrences", "list", "--organisation", "SE")}
    assert (listed[about]["state"], listed[about]["case"]) == ("open", f"task:SE:SE-3.2_{about}_1")
    assert listed[f"{about}-b"]["state"] == "waits"
    assert date.fromisoformat(listed[f"{about}-b"]["opens_on"]) > datetime.now(UTC).date()
    table = await cli(where, "recurrences", "list")
    assert "DZ-16.7" in table.stdout
    assert "(recommended)" in table.stdout


async def test_bad_ones_are_named_and_hold_up_no_good_one(world: World, where: Environment) -> None:
    about = f"cli-{uuid4().hex[:6]}"
    lines = [json.dumps(of(about, 10)), "{", json.dumps(of("a b", -5, duty="SE-3.2", more=1))]
    said = await cli(where, "recurrences", "set", data="\n".join(lines), code=1)
    assert "line 2" in said.output
    assert "about: " in said.output
    assert "more: unknown field" in said.output
    assert (await rows(world, about))[0] == 1
    await cli(where, "recurrences", "list", "--organisation", "XX", code=2)
    agreed = ("--reason", "moved", "--document", "dms/2", "--second", "op-2")
    await cli(where, "recurrences", "except", "SE", "SE-3.2", "--about", about, *agreed, code=2)
    refused = await cli(
        where, "recurrences", "except", "SE", "SE-3.2", "--about", about, "--since", "soon", *agreed, code=1
    )
    assert "since: a date and time with offset is needed" in refused.output
    refused = await cli(where, "recurrences", "except", "SE", "SE-3.2", "--about", about, "--drop", *agreed, code=1)
    assert "only an operator drops or moves a turn" in refused.output
    assert await rows(world, about) == (1, [])


async def test_an_operator_drops_the_next_turn_with_another_who_agrees(world: World, where: Environment) -> None:
    about = f"cli-{uuid4().hex[:6]}"
    code = f"op-{uuid4().hex[:6]}"
    token = (await Operators(world.sessions, world.now).add(code, ["SE"], ["see", "handle"])).token
    await cli(where, "recurrences", "set", data=json.dumps(of(about, 10)))
    words = ("recurrences", "except", "SE", "SE-3.2", "--about", about, "--drop", "--reason", "The room is closed")
    dropped = await cli({**where, "TERMINS_TOKEN": token}, *words, "--document", "dms/2", "--second", "op-2")
    assert "dropped" in dropped.stdout
    assert "The room is closed" not in dropped.stdout
    row = await world.stage(f"task:SE:SE-3.2_{about}_1", "closed")
    assert row.outcome == "dropped"
