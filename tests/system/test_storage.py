"""Storage terms: how long the file of a closed claim is kept, counted from its closing (GJ-claims)."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from operations import storage
from rules.rulebook import BOOKS, Rulebook, parse
from tests.workflows.test_claim import MONDAY, deciding
from tests.world import RIGA, World

CLOSED = datetime(2027, 3, 1, 23, 30, tzinfo=RIGA)
CASE = "claim:BTA:2027-1"


def with_value(years: int) -> Rulebook:
    """BTA's book after the controller gave a value for its line of business."""
    text = (BOOKS / "bta.toml").read_text(encoding="utf-8")
    start = text.index('id = "GJ-claims"\n')
    return parse(
        text[:start]
        + text[start:].replace('amount_from = "controller_by_line"', f'amount = {years}\nunit = "years"', 1),
        "bta.toml",
    )


def test_without_the_controllers_value_no_end_is_counted_and_nothing_is_erased() -> None:
    """Line 163 says 10 to 30 years by line: which of them is the controller's to say."""
    term = storage.term_of(CASE, "claim", "BTA", CLOSED, CLOSED + timedelta(days=20000))
    assert term is not None
    assert (term.duty, term.adopted_from, term.last_day, term.due) == ("GJ-claims", "GJ-claims", None, False)
    assert term.fault is not None
    assert "controller by line" in term.fault


def test_with_a_value_the_term_runs_from_the_day_of_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last second of the last day, and the first after it; with its derivation."""
    monkeypatch.setattr(storage, "book", lambda _: with_value(10))
    over = datetime(2037, 3, 2, tzinfo=RIGA)
    before = storage.term_of(CASE, "claim", "BTA", CLOSED, over - timedelta(seconds=1))
    after = storage.term_of(CASE, "claim", "BTA", CLOSED, over)
    assert before is not None
    assert after is not None
    assert (before.last_day, before.due, after.due) == (date(2037, 3, 1), False, True)
    assert any("10 years" in line for line in before.derivation)


def test_kinds_without_such_a_duty_have_no_term() -> None:
    assert storage.term_of("renewal:BTA:1", "renewal", "BTA", CLOSED, CLOSED) is None
    assert storage.term_of("claim:SE:1", "claim", "SE", CLOSED, CLOSED) is None


async def test_a_closed_claim_is_listed_and_an_open_one_is_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --due only what is over, or cannot be counted."""
    open_one = await deciding(world)
    closed = await deciding(world)
    await world.say(closed, "withdraw_claim", withdrawn_at=MONDAY.isoformat(), reference="dms/w")
    await world.stage(closed, "closed")

    async def listed(at: datetime, *, due: bool) -> dict[str, storage.StorageTerm]:
        return {t.case: t for t in await storage.terms(world.sessions, at, "BTA", due=due)}

    found = await listed(MONDAY, due=True)
    assert found[closed].fault is not None
    assert open_one not in found
    monkeypatch.setattr(storage, "book", lambda _: with_value(30))
    assert closed not in await listed(MONDAY, due=True)
    assert (await listed(MONDAY, due=False))[closed].last_day == date(2057, 3, 1)
    assert (await listed(datetime(2057, 3, 2, tzinfo=RIGA), due=True))[closed].due
