"""Rectification by the systems in a request: granted, corrected, proven; people correct what no system can."""

from __future__ import annotations

from typing import Any

import pytest

from models.tables import PartyRow, RectificationRow
from tests.workflows.test_person_system import ARCHIVE, CARD, asking, clock, gathering, handled, searched
from tests.workflows.test_privacy_request import MONDAY, file, person
from tests.workflows.test_privacy_rights import begun, carry_out, entered, no_recipients
from tests.world import Refused, World


def wrong(who: dict[str, Any]) -> dict[str, Any]:
    """The address on file is wrong."""
    return {"party": "subject", "category": "user.contact.email", "was": who["email"], "now": f"new.{who['email']}"}


async def before(world: World, organisation: str, who: dict[str, Any]) -> str:
    """An earlier request, which is on file."""
    await world.begin(MONDAY)
    case = await file(world, organisation, "access", who=who)
    await world.stage(case, "identifying")
    await world.say(case, "withdraw_request", withdrawn_at=MONDAY.isoformat(), document="dms/w")
    await world.stage(case, "closed")
    return case


async def test_what_the_systems_corrected_carries_the_right_out_by_itself(world: World) -> None:
    """DZ-14.4.1 ends by the correction, proven by the case; DZ-14.10.1 begins; nobody confirms what was done."""
    who = person()
    former = await before(world, "DZ", who)
    case = await begun(world, "DZ", "rectification", who=who, answer_channel="portal")
    await world.stage(case, "assessing")
    await world.say(case, "assess_right", right="rectification", outcome="fulfilled", corrections=[wrong(who)])
    await entered(world, case, "rectified")
    row = await world.stage(case, "carrying_out")
    assert row.waits_for.endswith(": recipients of the rectification")
    now = await world.clocks(case)
    assert now[("DZ-14.4.1", "rectification")] == "kept"
    assert now[("DZ-14.10.1", "rectification")] == "running"
    ended = await world.clock(case, "DZ-14.4.1", "rectification")
    assert ended.evidence is not None
    assert (ended.evidence["reference"], ended.evidence["by_person"]) == (case, False)
    async with world.sessions() as session:
        party = await session.get_one(PartyRow, (former, "subject"))
        ledger = await session.get_one(RectificationRow, case)
    assert party.email == f"new.{who['email']}"
    assert ledger.plan["records"] == {former: ["subject.email"]}
    steps = {r.entry: r for r in await world.timeline(case)}
    assert steps["assessed"].facts["corrections"] == ["user.contact.email"]
    assert who["email"] not in f"{steps['rectified'].facts}{row.state['body']['assessments']}"
    with pytest.raises(Refused, match="carried out already"):
        await carry_out(world, case, "rectification")
    await no_recipients(world, case, "rectification")
    await world.stage(case, "answering")


async def test_what_a_system_leaves_waits_for_a_person(world: World) -> None:
    """An account number is changed by the case that pays: named, and confirmed by hand."""
    who = person()
    number = await world.customer(responsible={"name": who["name"], "email": who["email"]})
    case = await begun(world, "BL", "rectification", who=who)
    await world.stage(case, "assessing")
    await world.say(case, "assess_right", right="rectification", outcome="fulfilled", corrections=[wrong(who)])
    await entered(world, case, "rectified")
    row = await world.stage(case, "carrying_out")
    assert row.state["body"]["rectified"]["left"] == [f"client:{number}"]
    assert f"by hand: client:{number}" in await world.details(case)
    await carry_out(world, case, "rectification")
    await world.stage(case, "resting")


async def test_people_correct_beside_the_systems_and_the_last_one_ends_the_clock(world: World) -> None:
    who = person()
    with asking(world, ARCHIVE):
        case = await gathering(world, "DZ", "rectification", who=who, answer_channel="portal")
    await searched(world, case, "archive", CARD)
    await world.stage(case, "assessing")
    await world.say(case, "assess_right", right="rectification", outcome="fulfilled", corrections=[wrong(who)])
    await entered(world, case, "rectified")
    await world.stage(case, "carrying_out")
    assert (await world.clocks(case))[("DZ-14.4.1", "rectification")] == "running"
    await handled(world, case, "archive", "rectify")
    assert await clock(world, case, "archive:rectify") == "kept"
    assert (await world.clocks(case))[("DZ-14.4.1", "rectification")] == "kept"


async def test_corrections_belong_to_a_rectification_that_is_granted_and_are_decided_once(world: World) -> None:
    who = person()
    case = await begun(world, "SE", "rectification", "objection", who=who)
    await world.stage(case, "assessing")
    with pytest.raises(Refused, match="corrections: only for a rectification that is granted"):
        await world.say(case, "assess_right", right="objection", outcome="fulfilled", corrections=[wrong(who)])
    with pytest.raises(Refused, match="corrections: only for a rectification that is granted"):
        await world.say(
            case,
            *("assess_right",),
            right="rectification",
            outcome="refused",
            ground="accurate",
            reason="Ir pareizi.",
            corrections=[wrong(who)],
        )
    code = {"party": "subject", "category": "user.government_id.national_identification_number", "now": "1"}
    with pytest.raises(Refused) as refused:
        await world.say(case, "assess_right", right="rectification", outcome="fulfilled", corrections=[code])
    assert refused.value.type == "BadMessage"
    await world.say(case, "assess_right", right="rectification", outcome="fulfilled", corrections=[wrong(who)])
    await entered(world, case, "rectified")
    with pytest.raises(Refused, match="carried out already"):
        await world.say(case, "assess_right", right="rectification", outcome="fulfilled")
