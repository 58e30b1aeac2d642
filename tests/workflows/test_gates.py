"""Gates and information as tasks: nothing starts before its gate is decided; information that is due now has a clock.

Parts C and D of the register: SE-3.1, SE-15.1, SE-24.1, SE-31.1, SE-37.3, DZ-9.2, DZ-14.7.2, DZ-15.1, GJ-transfers,
GJ-sanctions; and DZ-14.1, SE-5.2.1, GJ-calls-notice.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from models.errors import Refusal
from operations.gates import Gate, gates, may_start
from rules.recurrence import turn
from rules.rulebook import book
from tests.workflows.test_task import closed, code, filed
from tests.world import RIGA, VILNIUS, Refused, World

MONDAY = datetime(2027, 3, 8, 9, 0, tzinfo=VILNIUS)
SECOND = timedelta(seconds=1)
DECIDED: dict[str, Any] = {"decided_on": "2027-03-08", "document": "dms/2027-3", "may_start": True}
GATES = [
    *(("SE", duty) for duty in ("SE-3.1", "SE-24.1", "SE-31.1", "SE-37.3")),
    *(("DZ", duty) for duty in ("DZ-9.2", "DZ-14.7.2", "DZ-15.1")),
    *(("GJ", duty) for duty in ("GJ-transfers", "GJ-sanctions")),
]


async def asked(world: World, duty: str, about: str) -> Gate:
    """How the gate stands."""
    return await may_start(world.sessions, {"organisation": duty.partition("-")[0], "duty": duty, "about": about})


def enough(duty: str) -> dict[str, Any]:
    """All that the rulebook wants of a gate."""
    terms = book(duty.partition("-")[0]).tasks[duty]
    return {"met": list(terms.points), **({"ground": next(iter(terms.grounds))} if terms.grounds else {})}


@pytest.mark.parametrize(("organisation", "duty"), GATES, ids=[duty for _, duty in GATES])
async def test_nothing_starts_before_its_gate_is_decided(world: World, organisation: str, duty: str) -> None:
    """No task: no. An open one: no. Decided with all that the clause wants: yes. A new one about it: no again."""
    about = code("g")
    assert (await asked(world, duty, about)).state == "never asked"
    case = await filed(world, duty, content={"about": about})
    assert await world.clocks(case) == {}, "a gate has no term"
    stands = await asked(world, duty, about)
    assert (stands.may_start, stands.state, stands.case) == (False, "open", case)
    terms = book(organisation).tasks[duty]
    with pytest.raises(Refused) as refused:
        await world.say(case, "decide_gate", **DECIDED)
    said = str(refused.value)
    assert all(f"met: {point} is missing ({clause})" in said for point, clause in terms.points.items())
    assert ("ground: missing" in said) == bool(terms.grounds)
    await world.say(case, "decide_gate", **DECIDED, **enough(duty))
    await closed(world, case, "may_start")
    stands = await asked(world, duty, about)
    assert (stands.may_start, str(stands.decided_on), stands.n) == (True, "2027-03-08", 1)
    assert stands.ground == enough(duty).get("ground")
    again = await filed(world, duty, MONDAY + timedelta(days=1), content={"about": about})
    stands = await asked(world, duty, about)
    assert (stands.may_start, stands.case, stands.n) == (False, again, 2)
    assert not (await asked(world, duty, code("other"))).may_start


async def test_a_gate_can_be_refused_or_given_up_and_stays_shut(world: World) -> None:
    about = code("g")
    refused = await filed(world, "SE-31.1", content={"about": about})
    with pytest.raises(Refused, match="not what was said"):
        await world.say(refused, "decide_gate", **{**DECIDED, "may_start": False}, met=["a_promise"])
    with pytest.raises(Refused, match="the clause asks for none"):
        await world.say(refused, "decide_gate", **{**DECIDED, "may_start": False}, ground="legal_claims")
    with pytest.raises(Refused, match="lies in the future"):
        await world.say(refused, "decide_gate", decided_on="2027-03-09", document="dms/1", may_start=False)
    with pytest.raises(Refused, match="before that on which it began"):
        await world.say(refused, "decide_gate", decided_on="2027-03-07", document="dms/1", may_start=False)
    await world.say(refused, "decide_gate", **{**DECIDED, "may_start": False}, met=["audits"])
    await closed(world, refused, "may_not_start")
    assert (await asked(world, "SE-31.1", about)).state == "may not start"
    dropped = await filed(world, "SE-24.1", content={"about": about})
    await world.say(dropped, "drop_processing", dropped_on="2027-03-08", document="dms/2")
    await closed(world, dropped, "processing_dropped")
    assert (await asked(world, "SE-24.1", about)).state == "dropped"


async def test_a_transfer_of_gjensidige_needs_a_claim_an_event_outside_and_a_ground(world: World) -> None:
    """GJ line 153: every other purpose excludes transfers, so without a claim there is no ground that helps."""
    case = await filed(world, "GJ-transfers", content={"about": code("t")})
    with pytest.raises(Refused, match=r"data_of_a_claim is missing \(line 153\)"):
        await world.say(case, "decide_gate", **DECIDED, met=["event_outside_the_eea"], ground="legal_claims")
    with pytest.raises(Refused, match="ground: performance_of_the_contract"):
        await world.say(case, "decide_gate", **DECIDED, met=list(enough("GJ-transfers")["met"]), ground="convenience")
    story = await world.details(case)
    assert "**All of:** data_of_a_claim (line 153), event_outside_the_eea (line 153)" in story
    assert "‹data_of_a_claim›" in story, "each condition is confirmed by whoever says it"
    assert "‹one of: performance_of_the_contract, legal_claims," in story


async def test_the_impact_assessment_is_a_gate_too_and_a_clause_of_it_means_it(world: World) -> None:
    """SE-26.1, SE-27.2: one gate; the answer of the authority opens it."""
    about = code("g")
    case = await filed(world, "SE-26.1", content={"about": about})
    assert (await asked(world, "SE-27.2", about)).case == case
    await world.say(case, "approve_assessment", approved_on="2027-03-08", document="dms/1", consult=True)
    await world.stage(case, "consulting")
    assert not (await asked(world, "SE-26.1", about)).may_start
    await world.say(case, "start_consultation", started_on="2027-03-08", document="dms/2")
    await world.stage(case, "awaiting_advice")
    await world.say(case, "record_advice", answered_on="2027-03-08", document="dms/3", may_start=True)
    await closed(world, case, "may_start")
    assert (await asked(world, "SE-26.1", about)).may_start


async def test_a_question_about_a_gate_names_every_fault(world: World) -> None:
    with pytest.raises(Refusal) as refused:
        await may_start(world.sessions, {"organisation": "SE", "duty": "consult", "about": "12 34"})
    assert [fault.partition(":")[0] for fault in refused.value.faults] == ["duty", "about"]
    with pytest.raises(Refusal, match=r"no gate.*SE-31.1"):
        await may_start(world.sessions, {"organisation": "SE", "duty": "SE-3.2", "about": "lab"})
    with pytest.raises(Refusal, match="no rulebook"):
        await may_start(world.sessions, {"organisation": "QQ", "duty": "SE-3.2", "about": "lab"})


async def test_gates_are_listed_by_what_they_were_asked_about(world: World) -> None:
    about = code("g")
    case = await filed(world, "DZ-15.1", datetime(2027, 3, 8, 9, tzinfo=RIGA), content={"about": about})
    listed = [one for one in await gates(world.sessions, "DZ") if one.about == about]
    assert [(one.duty, one.state, one.case) for one in listed] == [("DZ-15.1", "open", case)]


# ---- information ----------------------------------------------------------------------------------------------------

GIVEN: dict[str, Any] = {"version": "notice/4", "way": "in_person", "document": "dms/7"}


async def informed(world: World, duty: str, zone: Any = RIGA) -> str:
    """Data were collected on a Monday at nine."""
    return await filed(world, duty, datetime(2027, 3, 8, 9, tzinfo=zone), content={"about": code("i")})


@pytest.mark.parametrize(
    ("duty", "zone", "due", "late"),
    [
        ("DZ-14.1", RIGA, timedelta(hours=4), datetime(2027, 3, 10, tzinfo=RIGA)),
        ("SE-5.2.1", VILNIUS, timedelta(hours=4), datetime(2027, 3, 10, tzinfo=VILNIUS)),
        ("GJ-calls-notice", VILNIUS, timedelta(hours=1), None),
    ],
)
async def test_information_is_given_at_once_or_escalates_and_is_late(
    world: World, duty: str, zone: Any, due: timedelta, late: datetime | None
) -> None:
    """DZ-14.1, SE-5.2.1, GJ-calls-notice: the last second before the delay is in time, the first after it overdue."""
    start = datetime(2027, 3, 8, 9, tzinfo=zone)
    said = {**GIVEN, "met": list(book(duty.partition("-")[0]).tasks[duty].points)}
    timely, missed = await informed(world, duty, zone), await informed(world, duty, zone)
    clock = await world.clock(timely, duty)
    assert (clock.due, clock.latest) == (start + due, late or start + due)
    await world.advance(timely, start + due - SECOND)
    await world.say(timely, "give_information", given_at=(start + due - SECOND).isoformat(), **said)
    await closed(world, timely, "done")
    assert (await world.clock(timely, duty)).status == "kept"
    assert await world.notices(timely) == {}, "nobody is written to about every call"
    await world.begin(start)
    await world.advance(missed, start + due)
    assert (await world.clock(missed, duty)).status == "overdue"
    assert [key for key in await world.notices(missed) if key.endswith("overdue")]
    end = late or start + due
    await world.advance(missed, end)
    await world.say(missed, "give_information", given_at=end.isoformat(), **said)
    await closed(world, missed, "done")
    assert (await world.clock(missed, duty)).status == "late"


async def test_what_stood_in_the_advertisement_was_in_time(world: World) -> None:
    """SE-5.2.1: the information may stand there already; its version and way are recorded (product)."""
    case = await informed(world, "SE-5.2.1", VILNIUS)
    with pytest.raises(Refused, match=r"given_at: lies in the future"):
        await world.say(case, "give_information", given_at="2027-03-08T09:05:00+02:00", **GIVEN)
    before: dict[str, Any] = {**GIVEN, "way": "advertisement"}
    await world.say(case, "give_information", given_at="2027-02-01T08:00:00+02:00", **before)
    await closed(world, case, "done")
    assert (await world.clock(case, "SE-5.2.1")).status == "kept"
    given = (await world.timeline(case))[-1]
    assert given.duty == "SE-5.2.1"
    assert given.facts["given_at"] == "2027-02-01T08:00:00+02:00"
    assert (given.facts["version"], given.facts["way"]) == ("notice/4", "advertisement")


async def test_a_call_that_names_no_other_way_was_not_announced(world: World) -> None:
    """GJ lines 204 and 210; and no ground frees anybody of saying it."""
    case = await informed(world, "GJ-calls-notice", VILNIUS)
    now = "2027-03-08T09:00:00+02:00"
    with pytest.raises(Refused, match=r"other_ways is missing \(line 210\)"):
        await world.say(case, "give_information", given_at=now, **GIVEN, met=["call_is_recorded"])
    with pytest.raises(Refused, match="must be given"):
        await world.say(case, "waive_information", decided_on="2027-03-08", ground="has_it_already", document="dms/1")


async def test_processing_waits_for_the_information(world: World) -> None:
    """SE-15.1 is a gate: open until the information is given, or the person has it (15.6)."""
    for given in (True, False):
        case = await informed(world, "SE-15.1", VILNIUS)
        about = (await world.row(case)).state["body"]["about"]  # type: ignore[union-attr]
        assert not (await asked(world, "SE-15.1", about)).may_start
        if given:
            with pytest.raises(Refused, match=r"complaint is missing \(15.1.7\)"):
                await world.say(case, "give_information", given_at="2027-03-08T09:00:00+02:00", **GIVEN)
            met = enough("SE-15.1")["met"]
            await world.say(case, "give_information", given_at="2027-03-08T09:00:00+02:00", **GIVEN, met=met)
        else:
            with pytest.raises(Refused, match=r"has_it_already \(15.6\)"):
                await world.say(case, "waive_information", decided_on="2027-03-08", ground="secret", document="dms/1")
            await world.say(
                case, "waive_information", decided_on="2027-03-08", ground="has_it_already", document="dms/1"
            )
        await closed(world, case, "may_start")
        assert (await asked(world, "SE-15.1", about)).may_start


async def test_who_has_the_information_already_need_not_be_given_it(world: World) -> None:
    """DZ-14.1: the clock ends without a judgment, with the ground and its clause."""
    case = await informed(world, "DZ-14.1")
    await world.say(case, "waive_information", decided_on="2027-03-08", ground="has_it_already", document="dms/1")
    await closed(world, case, "not_needed")
    assert (await world.clock(case, "DZ-14.1")).status == "void"
    assert (await world.timeline(case))[-1].facts["ground_clause"] == "14.1"


async def test_information_that_came_back_was_not_given(world: World) -> None:
    """DZ-14.1: the same clock runs on by its due instant, and only that can come back."""
    case = await informed(world, "DZ-14.1")
    given = {**GIVEN, "way": "e_mail", "given_at": "2027-03-08T09:00:00+02:00"}
    await world.say(case, "give_information", **given)
    await closed(world, case, "done")
    back = {"actor": "system:mail", "bounced_at": "2027-03-08T09:00:00+02:00"}
    await world.intake.submit_event(case, f"{case}-x", "report_bounce", {**back, "notice": "information"})
    await world.stage(case, "informing")
    clock = await world.clock(case, "DZ-14.1")
    assert (clock.status, clock.due) == ("running", datetime(2027, 3, 8, 13, tzinfo=RIGA))
    await world.say(case, "give_information", **{**given, "way": "post"})
    await closed(world, case, "done")


def test_the_clinics_journal_of_sign_ins_is_reviewed_every_month() -> None:
    """SE-33.4.2: a recurring task, counted from the last review; 31 January leads to the last of February."""
    rulebook = book("SE")
    one = turn(rulebook, rulebook.find("SE-33.4.2"), 1, datetime(2027, 1, 31, tzinfo=VILNIUS), first=False)
    assert one.last_day == date(2027, 2, 28)
    assert one.opens_at.astimezone(VILNIUS).date() == date(2027, 2, 18)
