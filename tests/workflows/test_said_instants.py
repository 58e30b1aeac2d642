"""An instant that somebody says lies where the calendars reach: every message and every filing, one clear fault."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel, ValidationError

from models.case import AHEAD, FIRST_YEAR, LAST_YEAR, AdoptRecord, Hearing, Message, heard, parse
from models.claim import read_claim
from models.countable import COUNTABLE_FROM, COUNTABLE_UNTIL, TOO_EARLY, TOO_LATE
from models.errors import Refusal
from models.keepable import in_words, path_of
from models.tables import IntakeRow
from operations.filings import CONTENT, check
from rules.calendar import load
from rules.period import Period, Unit, count
from tests.workflows.test_claim import MONDAY, content
from tests.world import Refused, World
from workflows import registry
from workflows.case import Case, utc

WORKFLOWS = Path(registry.__file__).parent

EVERY: list[type[Any]] = list(registry.ALL)
ADOPT: tuple[type[Message], ...] = (AdoptRecord,)
MESSAGES: dict[str, type[Message]] = {
    m.update_name(): m
    for kind in EVERY
    if issubclass(kind, Case)
    for messages in (*kind.stages.values(), kind.always, ADOPT)
    for m in messages
}
OLDER = {"first_made_at", "notice_received_at", "obtained_at"}
"""Facts from which no term of a case is counted: they may lie before the calendars."""
EARLY = ("1990-01-01T00:00:00+02:00", "2019-12-31T23:59:59+02:00", "2020-01-01T23:59:59+00:00")
LATE = ("2040-01-01T00:00:00+00:00", "2199-12-31T00:00:00+02:00")
NOW = datetime(2027, 3, 1, 8, tzinfo=UTC)
HEARD = Hearing(NOW, new=True)
BEYOND = ("0001-01-01T00:00:00+14:00", "1899-12-31T00:00:00+02:00", "2200-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00")


def _leaves(kind: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[type, tuple[Any, ...]]]:
    """Every date and instant within a type, with the way to it; a list's first place, a dict's first key."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind in (datetime, date):
        yield kind, path
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            yield from _leaves(field.annotation, (*path, name))
    elif origin is Annotated:
        yield from _leaves(inner[0], path)
    elif origin in (Union, UnionType):
        for one in inner:
            yield from _leaves(one, path)
    elif origin in (tuple, list):
        yield from _leaves(inner[0], (*path, 0))
    elif origin is dict:
        key = get_args(inner[0])[0] if get_origin(inner[0]) is Literal else "x"
        yield from _leaves(inner[1], (*path, key))


def _at(path: tuple[Any, ...], value: Any) -> Any:
    """JSON that has nothing but this value, there."""
    for step in reversed(path):
        value = [value] if step == 0 else {step: value}
    return value


def _faults(model: type[BaseModel], said: Any, context: Hearing | None = HEARD) -> list[str]:
    try:
        model.model_validate(said, context=context)
    except ValidationError as e:
        return [f"{path_of(error['loc'])}: {in_words(error)}" for error in e.errors()]
    return []


WHOLE: dict[str, type[BaseModel]] = {**MESSAGES, **CONTENT}
INSTANTS = sorted((name, path) for name, model in WHOLE.items() for leaf, path in _leaves(model) if leaf is datetime)
DAYS = sorted(
    (name, path)
    for name, model in WHOLE.items()
    for leaf, path in _leaves(model)
    # what proves a loss is read by the head of loss that stands beside it
    if leaf is date and "facts" not in path
)


def _named(fields: list[tuple[str, tuple[Any, ...]]]) -> list[str]:
    return [".".join(map(str, (name, *path))) for name, path in fields]


def test_the_walk_finds_what_people_say() -> None:
    assert ("complete_line", ("received_at",)) in INSTANTS
    assert ("breach", ("told", "officer")) in INSTANTS
    assert ("report_recipients", ("recipients", 0, "told_at")) in INSTANTS
    assert ("agree_instalments", ("schedule", 0, "due_on")) in DAYS


@pytest.mark.parametrize(("name", "path"), INSTANTS, ids=_named(INSTANTS))
def test_an_instant_lies_where_its_term_can_be_counted(name: str, path: tuple[Any, ...]) -> None:
    """A term from before the calendars would fail at every try: the case would stand still for ever."""
    model, where = WHOLE[name], ".".join(map(str, path))
    for at in (*EARLY, *LATE):
        fault = f"{where}: {TOO_EARLY if at in EARLY else TOO_LATE}"
        assert (fault in _faults(model, _at(path, at))) is (path[-1] not in OLDER), at
        # a history that holds it replays, and what the store holds is read
        assert not [f for f in _faults(model, _at(path, at), None) if f.startswith(f"{where}: ")]
    for at in BEYOND:
        assert f"{where}: an instant lies in the years {FIRST_YEAR} to {LAST_YEAR}" in _faults(model, _at(path, at))
    for at in (COUNTABLE_FROM.isoformat(), "2026-11-23T10:00:00+02:00", "2039-12-31T23:59:59+00:00"):
        assert not [f for f in _faults(model, _at(path, at)) if f.startswith(f"{where}: ")]


@pytest.mark.parametrize(("name", "path"), DAYS, ids=_named(DAYS))
def test_a_day_lies_within_the_years_that_people_say(name: str, path: tuple[Any, ...]) -> None:
    """Somebody was born in 1950; at the ends of time one more day is an error."""
    model, where = WHOLE[name], ".".join(map(str, path))
    for day in ("0001-01-01", "1899-12-31", "2200-01-01", "9999-12-31"):
        assert f"{where}: a day lies in the years {FIRST_YEAR} to {LAST_YEAR}" in _faults(model, _at(path, day))
    for day in ("1990-01-01", "2019-12-31", "2199-12-31"):
        assert not [f for f in _faults(model, _at(path, day)) if f.startswith(f"{where}: ")]


def test_every_fault_is_named_at_once() -> None:
    said = {"case": "breach:SE:1", "actor": "op-1", "risk": "some", "assessed_at": EARLY[0]}
    parsed, faults = parse(MESSAGES["assess_risk"], said, context=HEARD)
    assert parsed is None
    assert [fault.split(":")[0] for fault in faults] == ["risk", "assessed_at", "reason"]


@pytest.mark.parametrize("calendar", ["LV", "LT", "EE"])
@pytest.mark.parametrize("at", [COUNTABLE_FROM, COUNTABLE_UNTIL], ids=["the first", "the last"])
def test_from_what_may_be_said_a_term_can_be_counted(calendar: str, at: datetime) -> None:
    for zone in ("Europe/Riga", "Europe/Vilnius", "Europe/Tallinn"):
        for unit, amount in ((Unit.working_days, 10), (Unit.months, 3), (Unit.hours, 72), (Unit.calendar_days, 30)):
            counted = count(at, Period(amount=amount, unit=unit), zone, load(calendar))
            assert counted.due > at


def test_a_breach_that_was_noticed_before_the_calendars_is_not_filed() -> None:
    filing = {"kind": "breach", "organisation": "SE", "reference": "B-1990", "sender": "system:tests"}
    said = {"noticed_at": EARLY[0], "told": {"officer": LATE[0]}, "text": "a lost laptop"}
    with pytest.raises(Refusal) as refusal:
        check({**filing, "received_at": "2026-11-23T10:00:00+02:00", "content": said}, COUNTABLE_UNTIL)
    assert set(refusal.value.faults) == {f"content.noticed_at: {TOO_EARLY}", f"content.told.officer: {TOO_LATE}"}


def test_a_document_of_after_the_claim_is_taken_with_it_and_named() -> None:
    """The clock of the decision would have begun in that year."""
    document = {"document": "proof_of_amount", "received_at": "2101-01-01T00:00:00+02:00"}
    claim, faults = read_claim(content("P-1", documents=[document]), date(2026, 11, 23))
    assert claim.documents[0].received_at is None
    assert "documents.0.received_at: lies after the day of receipt; the receipt is taken" in faults


async def test_a_message_that_cannot_be_counted_from_changes_nothing(world: World) -> None:
    """Through the door of a running case: refused with the field, and the case goes on."""
    case = await world.file("claim", "BTA", content(await world.policy()))
    await world.stage(case, "collecting")
    before = await world.entries(case)
    for at in (*EARLY, *LATE, *BEYOND):
        with pytest.raises(Refused, match=r"in_force_at: (lies|an instant lies)") as refusal:
            await world.say(case, "report_ruling", awards=[], in_force_at=at, reference="C-1")
        assert refusal.value.type == "BadMessage"
    assert await world.entries(case) == before
    await world.say(case, "assign_case", handler="op-7")


# ---- clocks of senders ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        (-AHEAD, -AHEAD),
        (timedelta(0), timedelta(0)),
        (timedelta(microseconds=1), timedelta(0)),
        (AHEAD, timedelta(0)),
        (AHEAD + timedelta(microseconds=1), AHEAD + timedelta(microseconds=1)),
    ],
)
def test_what_was_said_a_moment_ahead_of_our_clock_is_heard_as_now(said: timedelta, taken: timedelta) -> None:
    assert heard(NOW + said, NOW) == NOW + taken


@pytest.mark.parametrize(("name", "path"), INSTANTS, ids=_named(INSTANTS))
def test_every_instant_of_a_message_is_heard_so(name: str, path: tuple[Any, ...]) -> None:
    if name not in MESSAGES:
        return
    hearing = Hearing(NOW)
    _faults(WHOLE[name], _at(path, (NOW + AHEAD).isoformat()), hearing)
    assert hearing.ahead


async def test_a_message_of_a_clock_that_is_ahead_happened_now(world: World) -> None:
    """Half a minute ahead is taken as now; two minutes are a fault, as a day is."""
    await world.begin(MONDAY)
    case = await world.file("claim", "BTA", content(await world.policy()))
    await world.stage(case, "collecting")
    document = {"document": "proof_of_amount", "reference": "dms/1"}
    with pytest.raises(Refused, match="received_at: lies in the future"):
        await world.say(case, "add_document", received_at=(world.now() + 2 * AHEAD).isoformat(), **document)
    answer = await world.say(case, "add_document", received_at=(world.now() + AHEAD / 2).isoformat(), **document)
    row = await world.row(case)
    assert row is not None
    came = next(r for r in row.state["body"]["requirements"] if r["document"] == "proof_of_amount")
    assert datetime.fromisoformat(came["received_at"]) <= datetime.fromisoformat(answer["at"])


async def test_a_filing_of_a_clock_that_is_ahead_was_received_as_it_came(world: World) -> None:
    """Sent again it is the same; what differs by more is another one."""
    await world.begin(MONDAY)
    said = content(await world.policy())
    ahead = world.now() + AHEAD / 2
    case = await world.file("claim", "BTA", said, reference="CLOCK-1", received_at=ahead)
    await world.stage(case, "collecting")
    async with world.sessions() as session:
        row = await session.get_one(IntakeRow, case)
    assert row.received_at <= row.recorded_at < ahead
    assert not row.faults
    assert await world.file("claim", "BTA", said, reference="CLOCK-1", received_at=ahead) == case
    with pytest.raises(Refusal, match="received_at: differs"):
        await world.file("claim", "BTA", said, reference="CLOCK-1", received_at=row.received_at - AHEAD)


async def test_a_clock_of_ours_may_be_ahead_of_the_engines(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written down by it was received when the case began: a message of the same instant is not before it."""
    await world.begin(MONDAY)
    monkeypatch.setattr(world.intake, "_now", lambda: world.now() + AHEAD / 2)
    ahead = world.now() + AHEAD / 2
    said = content(await world.policy())
    case = await world.file("claim", "BTA", said, reference="CLOCK-2", received_at=ahead)
    await world.stage(case, "collecting")
    document = {"document": "proof_of_amount", "reference": "dms/1"}
    await world.say(case, "add_document", received_at=ahead.isoformat(), **document)
    row = await world.row(case)
    assert row is not None
    received = datetime.fromisoformat(row.state["body"]["received_at"])
    came = next(r for r in row.state["body"]["requirements"] if r["document"] == "proof_of_amount")
    assert received <= datetime.fromisoformat(came["received_at"]) < ahead
    assert await world.file("claim", "BTA", said, reference="CLOCK-2", received_at=ahead) == case


# ---- as people see them ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("2026-11-23T00:30:00+02:00", "Sun 2026-11-22 22:30 UTC"),
        ("2026-07-01T10:00:00+03:00", "Wed 2026-07-01 07:00 UTC"),
        ("2026-10-25T03:30:00+03:00", "Sun 2026-10-25 00:30 UTC"),
        ("2026-10-25T03:30:00+02:00", "Sun 2026-10-25 01:30 UTC"),
        ("2026-11-22T19:07:00Z", "Sun 2026-11-22 19:07 UTC"),
    ],
)
def test_an_instant_is_shown_in_utc_whatever_offset_it_was_said_with(said: str, shown: str) -> None:
    assert utc(datetime.fromisoformat(said)) == shown


def test_no_kind_writes_instants_in_a_way_of_its_own() -> None:
    own = [path.name for path in WORKFLOWS.glob("*.py") if "%H:%M" in path.read_text(encoding="utf-8")]
    assert own == ["case.py"]
