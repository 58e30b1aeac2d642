"""Reminders of a contract's end (GJ-renewal): in time, of that contract only, and none to whoever objected."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from models.errors import Refusal
from operations.policies import Policies
from operations.renewal import open_renewals
from tests.world import RIGA, VILNIUS, Refused, World, text_of

MONDAY = datetime(2027, 3, 1, 10, 0, tzinfo=RIGA)
LEAD = datetime(2027, 3, 1, 0, 0, tzinfo=RIGA)
DUE = datetime(2027, 3, 16, 0, 0, tzinfo=RIGA)
SECOND = timedelta(seconds=1)
REMIND, CONTENT, OBJECTION = "GJ-renewal", "GJ-renewal-content", "GJ-renewal-objection"
LETTER = "GJ-renewal:policyholder:1"
_numbers = count(1)


def policies(world: World) -> Policies:
    """The policies of the world."""
    return Policies(world.sessions, world.keyring, world.now, world.intake)


async def policy(world: World, **more: Any) -> str:
    """A policy that ends thirty days after the lead was reached; its number."""
    number = next(_numbers)
    company = {"name": f"SIA Atjaunojam {number}", "email": f"renew{number}@atjaunojam.example", "language": "lv"}
    filing = {
        "policy": f"RNW-{number}",
        "organisation": "BTA",
        "policyholder": company,
        "insured": company,
        "starts_on": "2026-04-01",
        "ends_on": "2027-03-31",
        "terms": {"limit_per_occurrence": "50000.00", "limit_aggregate": "100000.00"},
        "premium": [{"due_on": "2026-04-15", "amount": "300.00"}, {"due_on": "2026-10-15", "amount": "300.00"}],
        "payments": [{"reference": "B1", "paid_on": "2026-04-10", "amount": "600.00"}],
        **more,
    }
    await policies(world).register(filing)
    return str(filing["policy"])


async def reminded(world: World, at: datetime = MONDAY, **more: Any) -> str:
    """A contract whose end nears, found by the sweep; the case."""
    await world.begin(at)
    number = await policy(world, **more)
    await open_renewals(world.sessions, world.intake, world.now)
    case = f"renewal:{more.get('organisation', 'BTA')}:{number}"
    world.filed.append(case)
    return case


def nobody() -> dict[str, Any]:
    """A policyholder without an address."""
    return {"name": f"SIA Bez Adreses {next(_numbers)}"}


async def undelivered(world: World) -> str:
    """A reminder that could not be sent; the case."""
    case = await reminded(world, policyholder=nobody())
    await world.until(lambda: _letter(world, case, LETTER, "refused"), "the letter has no address")
    return case


async def _letter(world: World, case: str, key: str, status: str) -> bool:
    row = await world.row(case)
    return row is not None and row.state["body"]["notices"].get(key) == status


async def _holder(world: World, case: str) -> str:
    shown = await policies(world).show(case.split(":")[2].split(".", maxsplit=1)[0], personal=True)
    return str(shown.people[0]["email"])


# ---- in time --------------------------------------------------------------------------------------------------------


async def test_a_reminder_goes_out_at_the_lead_time_and_holds_this_contract_only(world: World) -> None:
    """GJ lines 61-75: counted from thirty days before the end; the end, an offer for the next term, nothing else."""
    case = await reminded(world)
    await world.stage(case, "resting")
    clock = await world.clock(case, REMIND)
    assert (clock.anchor_at, clock.due, clock.status, clock.proof) == (LEAD, DUE, "kept", "reminder_sent")
    (mail,) = world.mails(await _holder(world, case))
    said = text_of(mail)
    for part in (
        "2027. gada 31. marts",
        "pirmā diena: 2027. gada 1. aprīlis; pēdējā diena: 2028. gada 31. marts",
        "600,00\N{NO-BREAK SPACE}EUR",
    ):
        assert part in said
    facts = (await world.notices(case))[LETTER].facts
    assert set(facts) == {"policy", "insurer", "ends_on", "next_from", "next_to", "premium"}
    assert CONTENT in {e.duty for e in await world.timeline(case)}
    await world.advance(case, (await world.clock(case, "T-rest")).due)
    assert (await world.stage(case, "closed")).outcome == "reminded"


async def test_one_case_for_each_end_and_none_before_the_lead_time(world: World) -> None:
    """A second before the lead is reached nothing is opened; the sweep opens it once."""
    await world.begin(LEAD - timedelta(minutes=1))
    number = await policy(world)
    case = f"renewal:BTA:{number}"
    await open_renewals(world.sessions, world.intake, world.now)
    assert await world.row(case) is None
    await world.begin(LEAD)
    assert await open_renewals(world.sessions, world.intake, world.now) >= 1
    world.filed.append(case)
    await world.stage(case, "resting")
    assert await open_renewals(world.sessions, world.intake, world.now) == 0
    with pytest.raises(Refusal, match="named by its policy"):
        await world.file("renewal", "BTA", {"policy": number, "ends_on": "2027-03-31"})
    with pytest.raises(Refusal, match="ends on another day"):
        await world.file("renewal", "BTA", {"policy": number, "ends_on": "2027-03-30"}, reference=number)


async def test_gjensidige_reminds_in_its_own_zone_and_language(world: World) -> None:
    """The row is GJ's own; BTA adopted it."""
    company = {"name": f"UAB Tęsiame {next(_numbers)}", "email": "tesiame@tesiame.example", "language": "lt"}
    case = await reminded(world, organisation="GJ", policyholder=company)
    await world.stage(case, "resting")
    assert (await world.clock(case, REMIND)).anchor_at == datetime(2027, 3, 1, 0, 0, tzinfo=VILNIUS)
    (mail,) = world.mails("tesiame@tesiame.example")
    assert "2027 m. kovo 31 d." in text_of(mail)


async def test_what_cannot_be_sent_escalates_before_the_contract_ends(world: World) -> None:
    """Overdue after fourteen days, while there is still time; an address then gets it out, late."""
    case = await undelivered(world)
    await world.advance(case, DUE - SECOND)
    assert (await world.clock(case, REMIND)).status == "running"
    await world.advance(case, DUE)
    assert (await world.clock(case, REMIND)).status == "overdue"
    assert DUE.date() < date(2027, 3, 31)
    with pytest.raises(Refused, match="party: only policyholder"):
        await world.say(case, "correct_address", party="insured", email="a@b.example")
    await world.say(case, "correct_address", party="policyholder", email="jauns@atjaunojam.example")
    await world.stage(case, "resting")
    assert (await world.clock(case, REMIND)).status == "late"


async def test_an_address_in_time_keeps_the_term(world: World) -> None:
    case = await undelivered(world)
    await world.say(case, "correct_address", party="policyholder", email="jauns@atjaunojam.example")
    await world.stage(case, "resting")
    assert (await world.clock(case, REMIND)).status == "kept"


async def test_a_bounce_opens_it_again_by_the_same_due_date(world: World) -> None:
    """Also after the case closed."""
    case = await reminded(world)
    await world.stage(case, "resting")
    await world.say(case, "report_bounce", notice=LETTER, bounced_at=MONDAY.isoformat())
    await world.stage(case, "reminding")
    clock = await world.clock(case, REMIND)
    assert (clock.status, clock.due) == ("running", DUE)
    await world.say(case, "correct_address", party="policyholder", email="jauns@atjaunojam.example")
    await world.stage(case, "resting")


async def test_a_reminder_that_has_no_point_any_more_is_dropped_with_a_reason(world: World) -> None:
    case = await undelivered(world)
    await world.say(case, "drop_reminder", reason="renewed at the counter")
    row = await world.stage(case, "closed")
    assert (row.outcome, (await world.clock(case, REMIND)).status) == ("dropped", "void")


# ---- objections -----------------------------------------------------------------------------------------------------


async def test_whoever_objected_gets_no_reminder_for_any_contract(world: World) -> None:
    """Lines 61-75: told about one contract, it holds for every other one of that person, of later ones too."""
    await world.begin(MONDAY - timedelta(days=40))
    company = {"name": f"SIA Nevēlas {next(_numbers)}", "email": "nevelas@nevelas.example", "language": "lv"}
    one, other = [await policy(world, policyholder=company) for _ in range(2)]
    assert await policies(world).object_to_reminders(one, world.now()) == ()
    await world.begin(MONDAY)
    later = await policy(world, policyholder={**company, "name": company["name"].upper()})
    await open_renewals(world.sessions, world.intake, world.now)
    assert [await world.row(f"renewal:BTA:{n}") for n in (one, other, later)] == [None, None, None]
    assert not world.mails(company["email"])


async def test_an_objection_stops_what_is_under_way_at_once_and_the_case_proves_it(world: World) -> None:
    """GJ-renewal-objection: received at ten, stopped in the same commit; a letter with a new address goes nowhere."""
    case = await undelivered(world)
    number = case.split(":")[2]
    received = world.now()
    assert await policies(world).object_to_reminders(number, received) == (case,)
    await world.handle(case).signal("look_again")
    row = await world.stage(case, "closed")
    assert row.outcome == "objected"
    clock = await world.clock(case, OBJECTION)
    assert (clock.status, clock.proof, clock.anchor_at) == ("kept", "reminders_stopped", received)
    assert (await world.clock(case, REMIND)).status == "void"
    assert await policies(world).object_to_reminders(number, received) == ()


async def test_an_objection_after_the_letter_is_recorded_where_the_reminder_rests(world: World) -> None:
    case = await reminded(world)
    await world.stage(case, "resting")
    await policies(world).object_to_reminders(case.split(":")[2], world.now())
    await world.handle(case).signal("look_again")
    await world.until(lambda: _kept(world, case), "the objection is recorded")
    assert (await world.row(case)).stage == "resting"  # type: ignore[union-attr]  # it is there


async def _kept(world: World, case: str) -> bool:
    return (await world.clocks(case)).get((OBJECTION, "")) == "kept"


async def test_a_client_objects_by_its_own_number_and_nobody_by_an_unknown_one(world: World) -> None:
    await world.begin(MONDAY)
    client = await world.customer()
    assert await policies(world).object_to_reminders(client, world.now()) == ()
    with pytest.raises(Refusal, match="no policy and no client"):
        await policies(world).object_to_reminders("none", world.now())
    with pytest.raises(Refusal, match="lies in the future"):
        await policies(world).object_to_reminders(client, world.now() + timedelta(minutes=1))


# ---- nothing to renew -----------------------------------------------------------------------------------------------


async def test_a_contract_that_ended_early_is_not_to_be_renewed(world: World) -> None:
    """11.1: neither opened nor, once it is open, sent."""
    case = await undelivered(world)
    number = case.split(":")[2]
    end = {"by": "policyholder", "last_day": "2027-03-10", "reason": "business sold"}
    await policies(world).end(number, end)
    await world.handle(case).signal("look_again")
    assert (await world.stage(case, "closed")).outcome == "contract_ended"
    other = await policy(world)
    await policies(world).end(other, end)
    await open_renewals(world.sessions, world.intake, world.now)
    assert await world.row(f"renewal:BTA:{other}") is None
