"""A person as a data system: asked act by act, each with its clock and proof; nothing is skipped (DZ-6.1, SE-4.3)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from activities.privacy import PrivacyActivities
from models.person_system import ASKED, PersonSystem
from models.settlement import Label
from models.tables import ArchiveRow
from operations.data_systems import people
from operations.demo import DATA_SYSTEMS
from operations.records import Records
from operations.samples import Samples, read
from settings import Settings
from tests.workflows.test_privacy_request import MONDAY, SECOND, file, identify, person
from tests.workflows.test_privacy_rights import carry_out, decide, entered, no_recipients, text_of
from tests.world import VILNIUS, Refused, World

HOUR = timedelta(hours=1)
ARCHIVE = PersonSystem(
    name="archive",
    title=Label(lv="Papīra arhīvs", lt="Popierinis archyvas", en="Paper archive"),
    organisations=("SE", "GJ", "DZ"),
    holder="records_keeper",
    holds="patients' cards on paper",
    medium="paper",
)
CABINET = PersonSystem(
    name="cabinet",
    title=Label(lv="Ārsta piezīmes", lt="Gydytojo užrašai", en="Doctor's notes"),
    organisations=("SE",),
    holder="head_doctor",
    holds="notes on a device without a network",
    medium="system",
)
CARD = {"document": "K-0117", "pages": 12, "where": "room 3, shelf 7", "category": "health", "since": "2019-04-02"}
FORM = {"document": "F-2231", "pages": 1, "where": "room 3, folder 2", "category": "contact"}


@contextmanager
def asking(world: World, *people: PersonSystem) -> Iterator[None]:
    """These people keep data, for as long as the block runs."""
    owners = [getattr(a, "__self__", None) for a in world.activities]
    activities = next(owner for owner in owners if isinstance(owner, PrivacyActivities))
    activities._people = people  # what a worker takes from the file of data systems
    try:
        yield
    finally:
        activities._people = ()


async def gathering(world: World, organisation: str, *rights: str, **more: Any) -> str:
    """A request whose person is identified, in which everybody has been asked."""
    await world.begin(MONDAY)
    case = await file(world, organisation, *rights, **more)
    await world.stage(case, "identifying")
    await identify(world, case, MONDAY)
    await entered(world, case, "people_asked")
    await entered(world, case, "systems_gathered")
    await world.settled(case)
    return case


async def since(world: World, case: str, subject: str) -> str:
    """When it was asked for: the case's own clock is a moment behind the present."""
    asked = (ASKED, subject) in await world.clocks(case)
    return ((await world.clock(case, ASKED, subject)).anchor_at if asked else MONDAY).isoformat()


async def searched(world: World, case: str, system: str, *items: dict[str, Any], **more: Any) -> None:
    """What its holder found."""
    said = {
        "searched_at": await since(world, case, f"{system}:search"),
        "by": "rk-1",
        "reference": f"dms/search-{system}",
        **more,
    }
    await world.say(case, "report_search", system=system, items=list(items), **said)


async def handled(world: World, case: str, system: str, act: str, **more: Any) -> None:
    """What its holder did."""
    said = {
        "done_at": await since(world, case, f"{system}:{act}"),
        "by": "rk-1",
        "reference": f"dms/{system}-{act}",
        **more,
    }
    await world.say(case, "report_handling", system=system, act=act, **said)


async def clock(world: World, case: str, subject: str) -> str:
    """How the clock of what was asked stands."""
    return (await world.clocks(case))[(ASKED, subject)]


async def test_the_request_waits_for_everybody_and_the_answer_lists_what_each_said(world: World) -> None:
    """SE-16.6, SE-16.10: nothing held is an answer too; copies on paper are named by page, never where they stand."""
    who = person(language="lt")
    with asking(world, ARCHIVE, CABINET):
        case = await gathering(world, "SE", "access", who=who, answer_channel="portal")
    for subject in ("archive:search", "cabinet:search"):
        assert await clock(world, case, subject) == "running"
    row = await world.row(case)
    assert row is not None
    assert row.stage == "gathering"
    assert row.waits_for == "people who keep data: archive:search from records_keeper, cabinet:search from head_doctor"
    letters = {key: n.party for key, n in (await world.notices(case)).items() if n.template == "internal-person-system"}
    assert letters == {
        f"{ASKED}:archive:search:asked": "records_keeper",
        f"{ASKED}:cabinet:search:asked": "head_doctor",
    }
    letter = await world.until(lambda: _letter(world, "head_doctor@se.example", case), "its holder is written to")
    assert "Gydytojo užrašai (cabinet)" in letter
    assert "Prašoma: surasti, kas saugoma apie šį asmenį" in letter
    assert "2027 m. kovo 4 d." in letter
    assert who["name"] not in letter
    assert who["personal_code"] not in letter
    await searched(world, case, "archive", CARD, FORM)
    assert await clock(world, case, "archive:search") == "kept"
    assert (await world.row(case)).stage == "gathering"  # type: ignore[union-attr]  # it is there
    assert (await world.clocks(case))[("SE-16.6", "access")] == "running"
    with pytest.raises(Refused, match="archive:search is answered already"):
        await searched(world, case, "archive")
    await searched(world, case, "cabinet")
    await entered(world, case, "gathered")
    assert (await world.clocks(case))[("SE-16.6", "access")] == "kept"
    row = await world.stage(case, "carrying_out")
    assert "archive: hand_out" in row.waits_for
    assert ("T-person-system", "cabinet:hand_out") not in await world.clocks(case), "nothing is to be handed out there"
    await handled(world, case, "archive", "hand_out")
    row = await world.stage(case, "answering")
    held = {s["system"]: s["held"] for s in row.state["body"]["systems"]}
    assert (held["archive"], held["cabinet"]) == (2, 0)
    async with world.sessions() as session:
        archive = await session.get_one(ArchiveRow, case)
    data = json.loads(archive.systems["files"]["personal-data.json"]["text"])
    papers = next(s for s in data["systems"] if s["system"] == "archive")["records"]
    assert [p["document"] for p in papers] == ["K-0117", "F-2231"]
    assert "shelf" not in json.dumps(data)
    await world.say(case, "confirm_answer_sent", channel="portal", sent_on="2027-03-01", reference="portal/1")
    await world.stage(case, "resting")


async def _letter(world: World, to: str, case: str) -> str | None:
    """What was written to somebody on the staff about a case."""
    return next((text for text in map(text_of, world.mails(to)) if case in text), None)


async def test_the_answers_letter_names_what_people_said(world: World) -> None:
    who = person(language="lv")
    with asking(world, ARCHIVE):
        case = await gathering(world, "GJ", "access", who=who)
    await searched(world, case, "archive", CARD)
    await world.stage(case, "carrying_out")
    await handled(world, case, "archive", "hand_out")
    await world.stage(case, "resting")
    letter = text_of(world.mails(who["email"])[-1])
    assert "Papīra arhīvs: ierakstu skaits: 1" in letter
    assert "Dokumentu kopijas (Papīra arhīvs), lappušu skaits: 12" in letter


@pytest.mark.parametrize(("late", "judged"), [(-SECOND, "kept"), (timedelta(0), "late")])
async def test_three_working_days_then_it_is_overdue_and_escalated(world: World, late: timedelta, judged: str) -> None:
    """Asked on a Tuesday; 11 March is a holiday in Lithuania, 12 March a Friday: the third working day is Monday."""
    tuesday = datetime(2027, 3, 9, 10, 0, tzinfo=VILNIUS)
    await world.begin(tuesday)
    with asking(world, ARCHIVE):
        case = await file(world, "SE", "access", at=tuesday)
        await world.stage(case, "identifying")
        await identify(world, case, tuesday)
        await entered(world, case, "systems_gathered")
    asked = await world.clock(case, ASKED, "archive:search")
    due = datetime(2027, 3, 16, 0, 0, tzinfo=VILNIUS)
    assert asked.due == due
    await world.advance(case, due + HOUR)
    assert await clock(world, case, "archive:search") == "overdue"
    escalated = [n for k, n in (await world.notices(case)).items() if k.endswith("archive:search:1:overdue")]
    assert [n.party for n in escalated] == ["privacy_handler"]
    assert "OVERDUE" in await world.details(case)
    correction = {"reason": "said late", "document": "dms/9", "second_person": "op-2"}
    at = (due + late).isoformat()
    await searched(world, case, "archive", searched_at=at, correction=correction)
    assert await clock(world, case, "archive:search") == judged


async def test_every_fault_of_an_answer_is_named_and_changes_nothing(world: World) -> None:
    with asking(world, ARCHIVE):
        case = await gathering(world, "SE", "erasure")
    before = await world.entries(case)
    early = (MONDAY - HOUR).isoformat()
    with pytest.raises(Refused) as refused:
        await searched(world, case, "archive", searched_at=early)
    assert "lies before it was asked" in refused.value.faults[0]
    with pytest.raises(Refused, match=r"it was not asked for search; open: archive:search"):
        await searched(world, case, "cellar")
    with pytest.raises(Refused, match="future"):
        await searched(world, case, "archive", searched_at=(world.now() + HOUR).isoformat())
    with pytest.raises(Refused) as refused:
        await searched(world, case, "archive", {**CARD, "document": "010190-12345", "pages": 0, "until": "2018-01-01"})
    assert {f.split(":")[0] for f in refused.value.faults} >= {"items.0.document", "items.0.pages"}
    with pytest.raises(Refused, match="it was not asked for erase"):
        await handled(world, case, "archive", "erase", way="shredded")
    assert await world.entries(case) == before


async def test_paper_is_shredded_with_proof_after_the_machines_and_what_stays_has_its_ground(world: World) -> None:
    """SE-12.3, SE-17.4: the clock of the destruction is its own; the answer says what is kept."""
    who = person(language="en")
    with asking(world, ARCHIVE, CABINET):
        case = await gathering(world, "SE", "erasure", who=who, answer_channel="portal")
    await searched(world, case, "archive", CARD, FORM)
    await searched(world, case, "cabinet", FORM)
    await world.stage(case, "assessing")
    await world.say(
        case,
        "assess_right",
        right="erasure",
        outcome="in_part",
        ground="legal_claim",
        reason="A court hears it.",
        keep=["cabinet:1"],
    )
    await world.stage(case, "erasing")
    await entered(world, case, "erased")
    await world.settled(case)
    assert (await world.row(case)).stage == "erasing"  # type: ignore[union-attr]  # paper is not destroyed yet
    assert ("T-person-system", "cabinet:erase") not in await world.clocks(case), "all of it is kept"
    kept = [{"record": "archive:2", "ground": "costs"}]
    with pytest.raises(Refused) as refused:
        await handled(world, case, "archive", "erase", way="beyond_recovery", kept=[*kept, {**kept[0], "record": "x"}])
    assert [f.split(":")[0] for f in refused.value.faults] == ["way", "kept.1.ground", "kept.2.record", "kept.2.ground"]
    kept[0]["ground"] = "legal_claim"
    await handled(world, case, "archive", "erase", way="shredded", kept=kept)
    row = await world.stage(case, "answering")
    assert await clock(world, case, "archive:erase") == "kept"
    step = next(r for r in await world.timeline(case) if r.entry == "handled")
    assert (step.facts["way"], step.facts["by"], step.facts["kept"]) == ("shredded", "rk-1", kept)
    await world.until(lambda: _letters(world, case), "the answer is due")
    assert "archive:2 (legal_claim)" in await world.details(case)
    assert row.state["body"]["asked"][-1]["kept"] == {"archive:2": "legal_claim"}


async def _letters(world: World, case: str) -> bool:
    return "handled" in await world.entries(case)


async def test_rectification_and_restriction_are_asked_of_people_and_the_mark_is_taken_away_by_them(
    world: World,
) -> None:
    """DZ-14.4.3, DZ-14.6.1: the right is carried out once every place has done it; lifting asks them again."""
    who = person()
    with asking(world, ARCHIVE):
        case = await gathering(world, "DZ", "rectification", "restriction", who=who, answer_channel="portal")
    await searched(world, case, "archive", CARD)
    await world.stage(case, "assessing")
    await decide(world, case, "restriction", "rectification")
    await world.stage(case, "carrying_out")
    await carry_out(world, case, "rectification", "restriction", at=MONDAY)
    await no_recipients(world, case, "rectification", "restriction")
    row = await world.stage(case, "carrying_out")
    assert row.waits_for.endswith("archive: rectify, archive: restrict")
    await handled(world, case, "archive", "rectify")
    await handled(world, case, "archive", "restrict")
    await world.stage(case, "answering")
    await world.say(case, "confirm_answer_sent", channel="portal", sent_on="2027-03-01", reference="portal/1")
    await world.stage(case, "resting")
    await world.say(case, "lift_restriction", reason="Strīds ir beidzies.")
    await world.stage(case, "lifting")
    await world.until(lambda: _asked(world, case, "archive:release"), "its holder is asked to take the mark away")
    row = await world.stage(case, "lifting")
    assert row.waits_for == "people who keep data: archive:release from records_keeper"
    await handled(world, case, "archive", "release")
    await world.stage(case, "resting")
    assert await clock(world, case, "archive:release") == "kept"


async def _asked(world: World, case: str, subject: str) -> bool:
    return (ASKED, subject) in await world.clocks(case)


async def test_a_controller_without_such_people_is_asked_nothing_more(world: World) -> None:
    """The people of one controller are not asked for another's."""
    await world.begin(MONDAY)
    with asking(world, ARCHIVE):
        case = await file(world, "BL", "access")
        await world.stage(case, "identifying")
        await identify(world, case, MONDAY)
        await world.stage(case, "resting")
    assert "people_asked" not in await world.entries(case)


async def test_a_refusal_waits_for_nobodys_search(world: World) -> None:
    """What is refused needs no data: the clocks of the search end without a judgment when it is answered."""
    with asking(world, ARCHIVE):
        case = await gathering(world, "GJ", "access")
    await world.say(
        case,
        "assess_right",
        right="access",
        outcome="refused",
        ground="statute",
        reason="Vyksta tyrimas.",
        cites="BPK 177 str.",
    )
    await world.stage(case, "resting")
    assert await clock(world, case, "archive:search") == "void"


async def test_a_withdrawn_request_asks_no_more(world: World) -> None:
    with asking(world, ARCHIVE):
        case = await gathering(world, "GJ", "access")
    await world.say(case, "withdraw_request", withdrawn_at=MONDAY.isoformat(), document="dms/w")
    await world.stage(case, "closed")
    assert await clock(world, case, "archive:search") == "void"


async def test_asked_once_however_often_the_worker_dies(worker_world: World) -> None:
    """The asking is a step of the record: after the worker's death nobody is written to twice, nobody left out."""
    world = worker_world
    await world.begin(MONDAY)
    with asking(world, ARCHIVE):
        async with world.serving():
            case = await file(world, "SE", "access")
            await world.stage(case, "identifying")
        async with world.serving():
            await identify(world, case, MONDAY)
            await entered(world, case, "people_asked")
        async with world.serving():
            await entered(world, case, "systems_gathered")
            await searched(world, case, "archive")
            await world.stage(case, "answering")
    assert (await world.entries(case)).count("people_asked") == 1
    letters = [n for n in (await world.notices(case)).values() if n.template == "internal-person-system"]
    assert len(letters) == 1


async def test_a_legal_hold_keeps_paper_too_and_nobody_is_asked_to_shred_it(world: World) -> None:
    """SE-11.4: what a holder found is in use while the hold stands; the answer says that it is kept, and on what."""
    who = person(language="en")
    records = Records(world.sessions, world.keyring, world.now)
    reference = f"suit-paper-{who['personal_code'][:6]}"
    await world.begin(MONDAY)
    held = {"organisation": "SE", "hold": reference, "document": "dms/s-1", "person": who["personal_code"]}
    await records.hold(held)
    with asking(world, ARCHIVE):
        case = await gathering(world, "SE", "erasure", who=who)
    await searched(world, case, "archive", CARD)
    await world.stage(case, "assessing")
    with pytest.raises(Refused, match="in use and kept: archive:1"):
        await world.say(case, "assess_right", right="erasure", outcome="fulfilled")
    part = {"outcome": "in_part", "ground": "legal_claim", "reason": "A suit."}
    await world.say(case, "assess_right", right="erasure", **part)
    await world.stage(case, "resting")
    assert (ASKED, "archive:erase") not in await world.clocks(case)
    (mail,) = world.mails(who["email"])
    assert "Kept: archive:1" in text_of(mail)
    await records.lift("SE", reference)


async def test_the_demo_has_a_request_that_waits_for_who_keeps_paper(world: World) -> None:
    """By the demo's own file of data systems."""
    [sample] = [s for s in read() if s.case == "privacy_request:BL:2026-3204"]
    # another test of this process may have filed the sample itself before
    sample = sample.model_copy(update={"filing": {**sample.filing, "reference": "2026-3204-paper"}})
    case = sample.case
    samples = Samples([sample], world.sessions, world.intake, world.now)
    with asking(world, *people(Settings(data_systems=DATA_SYSTEMS))):
        await samples.file()
        await samples.settle()
        await entered(world, case, "systems_gathered")
    row = await world.row(case)
    assert row is not None
    assert row.waits_for == "people who keep data: archive:search from records_keeper"
    assert await clock(world, case, "archive:search") == "running"
