"""What had been published: other controllers are to remove links and copies, and the answer says what was done."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.workflows.test_privacy_request import MONDAY, person
from tests.workflows.test_privacy_rights import begun, decide, text_of
from tests.world import Refused, World


def step(**more: Any) -> dict[str, Any]:
    """A search engine was asked."""
    return {"controller": "UAB Paieška", "outcome": "asked", "done_at": MONDAY.isoformat(), **more}


async def test_the_steps_are_recorded_before_the_answer_which_tells_them(world: World) -> None:
    """SE-17.3, GDPR 17(2): after the erasure the answer waits for them; it names whom, what, and why not."""
    who = person()
    case = await begun(world, "SE", "erasure", who=who)
    await world.stage(case, "assessing")
    with pytest.raises(Refused, match="not in stage assessing"):
        await world.say(case, "record_steps", steps=[step()], reference="dms/1")
    await decide(world, case, "erasure", published=True)
    await world.stage(case, "carrying_out")
    assert "the steps about what was published" in await world.details(case)
    early, later = MONDAY - timedelta(days=9), MONDAY + timedelta(days=99)
    with pytest.raises(Refused) as refused:
        await world.say(
            case,
            "record_steps",
            steps=[step(done_at=early.isoformat()), step(done_at=later.isoformat(), outcome="not_feasible")],
            reference="dms/1",
        )
    assert refused.value.faults == (
        "steps.1.done_at: lies before the receipt of the request",
        "steps.2.done_at: lies in the future",
        "steps.2.reason: said where nothing reasonable could be done, and only there",
    )
    why = "the archive names no contact"
    await world.say(
        case,
        "record_steps",
        steps=[step(), step(controller="MB Archyvas", outcome="not_feasible", reason=why)],
        reference="dms/17-3",
    )
    await world.stage(case, "resting")
    [entry] = [row for row in await world.timeline(case) if row.entry == "steps_recorded"]
    assert entry.duty == "SE-17.3"
    answer = " ".join(text_of(world.mails(who["email"])[-1]).split())
    assert "UAB Paieška: lūgts dzēst saites un kopijas" in answer
    assert f"MB Archyvas: saprātīgi pasākumi nav iespējami ({why})" in answer


async def test_nothing_waits_where_nothing_was_published(world: World) -> None:
    who = person()
    case = await begun(world, "SE", "erasure", who=who)
    await world.stage(case, "assessing")
    with pytest.raises(Refused, match="published: only for an erasure that is granted"):
        await world.say(
            case,
            "assess_right",
            right="erasure",
            outcome="refused",
            ground="legal_duty",
            reason="Įstatymas.",
            published=True,
        )
    await decide(world, case, "erasure")
    await world.stage(case, "resting")
    assert "steps_recorded" not in await world.entries(case)
