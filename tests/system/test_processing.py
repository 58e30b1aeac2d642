"""Records of processing: what holds now, in the seven points of the clause, in the controller's language."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from models.errors import Refusal
from operations.processing import page, records_of_processing
from rules.rulebook import RulebookError, book, books, parse
from tests.system.test_starter import Environment, ask, cli
from tests.system.test_story import Parsed
from tests.workflows.test_gates import DECIDED, enough
from tests.workflows.test_task import closed, code, filed
from tests.world import World

BOOK = Path(__file__).parents[2] / "rules" / "books" / "se.toml"


async def test_the_records_say_the_seven_points_and_what_was_decided_since(world: World) -> None:
    """SE-22.1.1 to SE-22.1.7: a processor stands in them from the day on which its gate was decided, and not before."""
    about = code("p")
    case = await filed(world, "SE-31.1", content={"about": about})
    before = await records_of_processing(world.sessions, (), world.now(), "SE", "en")
    assert about in [one.about for one in before.open]
    assert about not in [one.about for one in before.processors]
    await world.say(case, "decide_gate", **DECIDED, **enough("SE-31.1"))
    await closed(world, case, "may_start")
    made = await records_of_processing(world.sessions, (), world.now(), "SE", "en")
    assert [(one.case, str(one.decided_on)) for one in made.processors if one.about == about] == [(case, "2027-03-08")]
    assert about not in [one.about for one in made.open]
    assert "klinika@segosta.lt" in made.contact
    assert made.keeper == "records_keeper"
    assert "Dental care" in made.purposes
    assert "health data" in made.categories
    assert "Insurers" in made.recipients
    terms = {one.duty: (one.purpose, one.ground, one.term) for one in made.activities}
    assert terms["SE-11.2.3"] == ("dental care", "contract", "15 years, from: last visit")
    assert set(terms) == set(book("SE").values["storage"]), "every purpose of the rulebook"
    assert [one.name for one in made.systems] == ["termins"]
    assert {"SE-33.3.4.2", "SE-33.4.5"} <= {one.duty for one in made.security}
    assert not any(one.duty == "SE-34.1" for one in made.security)


async def test_the_records_are_written_in_the_controllers_language(world: World) -> None:
    made = await records_of_processing(world.sessions, (), world.now(), "SE")
    assert "Sveikatos priežiūros" in made.purposes
    parsed = Parsed(page(made))
    assert "Sveikatos priežiūros" in str(parsed.text)


async def test_who_has_no_such_row_has_no_records(world: World) -> None:
    with pytest.raises(Refusal, match="those that do: SE"):
        await records_of_processing(world.sessions, (), datetime.now().astimezone(), "BL")
    with pytest.raises(Refusal, match="it has no rulebook"):
        await records_of_processing(world.sessions, (), datetime.now().astimezone(), "QQ")
    assert [code_ for code_, one in books().items() if one.processing is not None] == ["SE"]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('records = "SE-22.1"', 'records = "SE-22.9"', "values.processing.records: SE-22.9 is not in this file"),
        ('security = "33."', 'security = "all"', "values.processing.security"),
    ],
)
def test_a_faulty_table_of_the_rulebook_is_named(old: str, new: str, fault: str) -> None:
    text = BOOK.read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(RulebookError, match=fault):
        parse(text.replace(old, new), "se.toml")


async def test_records_and_gates_on_the_command_line(where: Environment, world: World, tmp_path: Path) -> None:
    """A table, JSON and a page; a gate's answer is its exit code, and every fault of a question is said."""
    made = await ask(where, "processing", "SE", "--language", "en")
    assert made["row"] == "SE-22.1"
    assert "Purposes and terms" in (await cli(where, "processing", "SE")).stdout
    file = tmp_path / "records.html"
    await cli(where, "processing", "SE", "--out", str(file))
    assert "Records of processing" in file.read_text(encoding="utf-8")
    await cli(where, "processing", "SE", "--out", "records.pdf", code=2)
    await cli(where, "processing", "QQ", code=1)
    about = code("c")
    no = await cli(where, "gates", "may", "SE", "SE-31.1", about, code=1)
    assert "no: never asked (SE-31.1, clause 31.1)" in no.stdout
    case = await filed(world, "SE-24.1", content={"about": about})
    await world.say(case, "decide_gate", **DECIDED, ground="explicit_consent")
    await closed(world, case, "may_start")
    yes = await cli(where, "gates", "may", "SE", "SE-24.5", about)
    assert f"yes: may start since 2027-03-08, explicit consent (SE-24.1, clause 24.1, {case})" in yes.stdout
    listed = await ask(where, "gates", "list", "--organisation", "SE")
    assert (about, "may start") in [(one["about"], one["state"]) for one in listed]
    assert about in (await cli(where, "gates", "list")).stdout
    assert len((await ask(where, "gates", "may", "SE", "x", "12 34", code=1))["faults"]) == 2
    await cli(where, "gates", "list", "--organisation", "QQ", code=2)
