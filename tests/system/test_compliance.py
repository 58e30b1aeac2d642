"""The compliance report: each duty of a span counted once, to the second, and what was late named."""

from __future__ import annotations

import csv
import shutil
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import async_playwright
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from models.tables import ClockRow, ConsentRow
from operations import compliance as reporting
from operations.intake import Sessions
from operations.local import Postgres
from operations.store import engine
from operations.store import sessions as sessions_of
from tests.system.test_starter import Environment, ask, cli, complete
from tests.system.test_story import CHROMIUM, Parsed
from tests.workflows.test_claim import MONDAY, deciding
from tests.world import World

RIGA = ZoneInfo("Europe/Riga")
FIRST, LAST = date(1999, 3, 1), date(1999, 3, 31)
"""A span in which nothing else ever was. On 28 March the clocks changed."""
LONG_AFTER = datetime(1999, 12, 31, tzinfo=UTC)


@pytest.fixture
async def alone(world: World, postgres: Postgres) -> AsyncIterator[Sessions]:
    """Sessions in one transaction that nobody sees and that leaves nothing."""
    own = engine(postgres.url("world"), world.keyring)
    async with own.connect() as connection:
        outer = await connection.begin()
        # a clock without its case is enough here
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        yield async_sessionmaker(
            connection, class_=AsyncSession, join_transaction_mode="create_savepoint", expire_on_commit=False
        )
        await outer.rollback()
    await own.dispose()


def at(day: date, hour: int = 12) -> datetime:
    """An instant of a day in Riga."""
    return datetime.combine(day, time(hour), RIGA)


def clock(case: str, began: datetime, days: int = 30, **more: Any) -> ClockRow:
    """A clock of the decision on a claim."""
    last = (began + timedelta(days=days)).astimezone(RIGA).date()
    due = datetime.combine(last + timedelta(days=1), time(0), RIGA)
    what = {"duty": "BTA-10.5a", "subject": "", "n": 1, "organisation": "BTA", "kind": "hard", "can_be_late": True}
    when = {"anchor_at": began, "due": due, "latest": due, "last_day": last, "latest_day": last}
    how = {"status": "running", "reminders": [], "spans": [], "derivation": []}
    versions = {"rulebook_version": "1", "calendar_version": "1"}
    return ClockRow(case=f"claim:BTA:1999-{case}", **{**what, **when, **how, **versions, **more})


def ended(case: str, began: datetime, happened: datetime, status: str = "kept", **more: Any) -> ClockRow:
    """A clock that ended, recorded when it happened."""
    return clock(case, began, status=status, **{"ended_at": happened, "happened_at": happened, **more})


async def report(
    sessions: Sessions, *clocks: ClockRow, now: datetime = LONG_AFTER, **span: Any
) -> reporting.Compliance:
    async with sessions() as session:
        session.add_all(clocks)
        await session.commit()
    span = {"since": FIRST, "until": LAST, "organisation": "BTA", **span}
    return await reporting.compliance(sessions, now, **span)


def line(found: reporting.Compliance, duty: str = "BTA-10.5a") -> reporting.DutyLine | None:
    return next((one for one in found.duties if one.duty == duty), None)


def counts(found: reporting.Compliance, duty: str = "BTA-10.5a") -> dict[str, int]:
    """What is counted of a duty, without what is nought."""
    one = line(found, duty)
    names = ("started", "kept", "late", "void", "running", "overdue")
    return {name: getattr(one, name) for name in names if one is not None and getattr(one, name)}


# ---- what a span counts ---------------------------------------------------------------------------------------------


BEGIN = datetime.combine(FIRST, time(0), RIGA)
END = datetime.combine(LAST + timedelta(days=1), time(0), RIGA)
SECOND = timedelta(seconds=1)
LONG_AGO = at(date(1999, 2, 10))


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (lambda: clock("1", BEGIN - SECOND), {"running": 1, "overdue": 1}),
        (lambda: clock("1", BEGIN), {"started": 1, "running": 1, "overdue": 1}),
        (lambda: clock("1", END - SECOND), {"started": 1, "running": 1}),
        (lambda: clock("1", END), {}),
        (lambda: ended("1", LONG_AGO, BEGIN - SECOND), {}),
        (lambda: ended("1", LONG_AGO, BEGIN), {"kept": 1}),
        (lambda: ended("1", LONG_AGO, END - SECOND, "late"), {"late": 1}),
        (lambda: ended("1", LONG_AGO, END, "late"), {"running": 1, "overdue": 1}),
        (lambda: ended("1", BEGIN, END - SECOND, "void"), {"started": 1, "void": 1}),
        (lambda: clock("1", LONG_AGO, status="held", held_since=BEGIN), {"running": 1}),
        (lambda: clock("1", LONG_AGO, can_be_late=False), {"running": 1}),
        # its last day is the last day of the span: it is over when the span is
        (lambda: clock("1", at(LAST), days=0), {"started": 1, "running": 1, "overdue": 1}),
        (lambda: clock("1", at(LAST), days=1), {"started": 1, "running": 1}),
    ],
    ids=[
        *("begun the second before", "begun with the span", "begun in its last second", "begun after it"),
        *("ended before", "ended in its first second", "ended in its last second", "ended after it"),
        *("void", "held", "cannot be late", "its last day ends the span", "its last day follows the span"),
    ],
)
async def test_a_span_has_both_its_days_in_the_organisations_zone(
    alone: Sessions, one: Any, expected: dict[str, int]
) -> None:
    """Both days whole, also where summer time begins between them."""
    assert counts(await report(alone, one())) == expected


async def test_a_span_that_is_not_over_ends_now(alone: Sessions) -> None:
    """What is due later this month is not overdue, and what begins later has not begun."""
    begun = at(date(1999, 2, 20))
    clocks = [clock("1", begun), clock("2", at(date(1999, 3, 20)))]
    due = clocks[0].due
    before = await report(alone, *clocks, now=due - SECOND)
    assert counts(before) == {"started": 1, "running": 2}
    found = await report(alone, now=due)
    assert counts(found) == {"started": 1, "running": 2, "overdue": 1}
    assert (found.missed[0].how, found.missed[0].day, found.missed[0].days) == ("overdue", date(1999, 3, 23), 1)


async def test_each_organisation_and_duty_is_counted_apart_and_the_products_terms_last(alone: Sessions) -> None:
    other: dict[str, Any] = {"organisation": "GJ", "duty": "GJ-claims-review"}
    began, happened = at(date(1999, 3, 2)), at(date(1999, 3, 4))
    found = await report(
        alone,
        ended("1", began, happened),
        ended("2", began, happened),
        ended("2", began, happened, duty="T-rest", kind="internal"),
        clock("3", began, **other),
        organisation=None,
    )
    assert [(one.organisation, one.duty) for one in found.duties] == [
        ("BTA", "BTA-10.5a"),
        ("GJ", "GJ-claims-review"),
        ("BTA", "T-rest"),
    ]
    assert counts(found) == {"started": 2, "kept": 2}
    assert line(await report(alone), "GJ-claims-review") is None
    assert "BTA-10.5c" in found.idle["BTA"]
    assert "BTA-10.5a" not in found.idle["BTA"]
    assert not any(duty.startswith("T-") for duties in found.idle.values() for duty in duties)


# ---- how long it took -----------------------------------------------------------------------------------------------


async def test_median_and_worst_are_days_from_the_start_to_what_ended_it(alone: Sessions) -> None:
    """By the evidence, not by when somebody typed it; what became void has no length."""
    began = at(date(1999, 3, 2))
    took = {"1": 2, "2": 9, "3": 5}
    found = await report(
        alone,
        *(ended(case, began, began + timedelta(days=n), ended_at=at(date(1999, 3, 30))) for case, n in took.items()),
        ended("4", began, began + timedelta(days=20), "void"),
    )
    one = line(found)
    assert one is not None
    assert (one.median, one.worst, one.worst_case) == (5.0, 9.0, "claim:BTA:1999-2")


async def test_where_only_the_day_is_known_whole_days_are_counted(alone: Sessions) -> None:
    """A bank says the day of execution: nobody knows its hour."""
    began = datetime(1999, 3, 2, 23, 30, tzinfo=RIGA)
    on: dict[str, Any] = {"happened_at": None, "happened_on": date(1999, 3, 5)}
    found = await report(alone, ended("1", began, at(date(1999, 3, 6)), **on))
    one = line(found)
    assert one is not None
    assert one.worst == 3.0


@pytest.mark.parametrize(
    ("took", "said"),
    [(None, "–"), (0.0, "at once"), (0.5, "12.0 h"), (1.99, "47.8 h"), (2.0, "2.0 d"), (31.4, "31.4 d")],
)
def test_a_length_is_said_in_hours_below_two_days(took: float | None, said: str) -> None:
    assert reporting.days(took) == said


# ---- by name --------------------------------------------------------------------------------------------------------


async def test_what_is_late_is_named_with_its_last_day_and_by_how_much(alone: Sessions) -> None:
    began = at(date(1999, 2, 1))
    late = ended("1", began, at(date(1999, 3, 9)), "late", subject="C1", n=2)
    of_a_day: dict[str, Any] = {"happened_at": None, "happened_on": date(1999, 3, 4)}
    by_day = ended("2", began, at(date(1999, 3, 20)), "late", **of_a_day)
    found = await report(alone, late, by_day, clock("3", began), ended("4", began, at(date(1999, 3, 2))))
    assert [(m.case[-1], m.how, m.subject, m.n, m.due, m.day, m.days) for m in found.missed] == [
        ("1", "late", "C1", 2, "Wed 1999-03-03", date(1999, 3, 9), 6),
        ("2", "late", "", 1, "Wed 1999-03-03", date(1999, 3, 4), 1),
        ("3", "overdue", "", 1, "Wed 1999-03-03", LAST, 28),
    ]


# ---- over time ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "until", "every", "first", "number"),
    [
        (date(1999, 3, 1), date(1999, 3, 7), "week", date(1999, 3, 1), 1),
        (date(1999, 2, 28), date(1999, 3, 8), "week", date(1999, 2, 22), 3),
        (date(1999, 1, 1), date(1999, 4, 2), "week", date(1998, 12, 28), 14),
        (date(1999, 1, 1), date(1999, 4, 3), "month", date(1999, 1, 1), 4),
        (date(1998, 12, 31), date(1999, 12, 31), "month", date(1998, 12, 1), 13),
    ],
)
async def test_what_ended_is_drawn_by_week_and_in_long_spans_by_month(
    alone: Sessions, since: date, until: date, every: str, first: date, number: int
) -> None:
    """Every period of the span has its bar, also an empty one, and all bars together are what was counted."""
    began = at(date(1998, 11, 1))
    ends = [date(1999, 2, 28), date(1999, 3, 1), date(1999, 3, 7), date(1999, 3, 8)]
    clocks = [ended(str(n), began, at(day), "late" if n else "kept") for n, day in enumerate(ends)]
    found = await report(alone, *clocks, since=since, until=until)
    assert (found.every, found.bars[0].begins, len(found.bars)) == (every, first, number)
    one = line(found)
    assert one is not None
    assert (sum(b.kept for b in found.bars), sum(b.late for b in found.bars)) == (one.kept, one.late)
    assert one.judged == sum(since <= day <= until for day in ends)


async def test_the_last_second_of_a_sunday_is_drawn_in_its_week(alone: Sessions) -> None:
    monday = datetime(1999, 3, 8, tzinfo=RIGA)
    found = await report(alone, ended("1", LONG_AGO, monday - SECOND), ended("2", LONG_AGO, monday))
    assert [(b.begins.day, b.kept) for b in found.bars if b.kept] == [(1, 1), (8, 1)]


# ---- what it costs, and whom it names -------------------------------------------------------------------------------


async def test_a_report_is_four_statements_and_opens_nothing_sealed(world: World, postgres: Postgres) -> None:
    await deciding(world)
    own = engine(postgres.url("world"), world.keyring)
    of, said = sessions_of(own), list[str]()
    async with of() as session:
        await session.exec(select(func.count(col(ClockRow.case))))  # what a new connection asks first
    event.listen(own.sync_engine, "before_cursor_execute", lambda *a: said.append(a[2]))
    found = await reporting.compliance(of, world.now(), MONDAY.date(), world.now().date())
    await own.dispose()
    assert len(said) == 4
    assert not any(name in statement for statement in said for name in ("evidence", "reason"))
    assert counts(found)["started"] >= 1


# ---- as a command ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("present")
async def test_the_command_gives_a_table_json_csv_and_a_page(world: World, where: Environment, tmp_path: Path) -> None:
    """The same numbers in each; the page is one file that fetches nothing."""
    filed = datetime.now(RIGA) - timedelta(days=60)
    case = await complete(world, where, filed)
    words = ("compliance", "--since", f"{filed - timedelta(days=5):%Y-%m-%d}", "--organisation", "BTA")
    told = await ask(where, *words)
    one = next(d for d in told["duties"] if d["duty"] == "BTA-10.5a")
    assert one["started"] >= 1
    assert (one["within"], one["clause"]) == ("30 calendar days", "10.5")
    assert "BTA-10.5a" in (await cli(where, *words)).stdout
    file = tmp_path / "report.csv"
    await cli(where, *words, "--out", str(file))
    rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    assert {r["duty"] for r in rows} == {d["duty"] for d in told["duties"]}
    page = tmp_path / "report.html"
    assert str(page) in (await cli(where, *words, "--out", str(page))).stdout
    parsed = Parsed(page.read_text(encoding="utf-8"))
    assert (parsed.open, parsed.fetched) == ([], [])
    assert "BTA-10.5a" in parsed.text
    assert [m["days"] for m in told["missed"] if m["case"] == case and m["duty"] == "BTA-10.5a"] == [30]
    assert case in parsed.text
    empty = await cli(where, "compliance", "--since", "1980-01-01", "--until", "1980-01-31")
    assert empty.stdout.strip() == "no duty ran from 1980-01-01 to 1980-01-31"


@pytest.mark.parametrize(
    ("words", "faults"),
    [
        (("--since", "soon", "--until", "2026-13-01"), ("--since: a day", "--until: a day")),
        (("--since", "2026-02-02", "--until", "2026-02-01"), ("not after --until",)),
        (("--organisation", "XX"), ("organisation: there are BL, BTA",)),
        (("--out", "report.pdf"), (".html or .csv",)),
        (("--out", "report.csv", "--json"), ("either --json or --out",)),
        (("--until", "9999-12-31"), ("between 1970 and 2999",)),
        (("--out", "/nowhere/report.csv"), ("No such file",)),
    ],
    ids=["days", "order", "organisation", "ending", "two forms", "far", "no folder"],
)
async def test_a_wrong_question_is_answered_with_every_fault(
    where: Environment, words: tuple[str, ...], faults: Iterable[str]
) -> None:
    said = (await cli(where, "compliance", *words, code=2)).stderr
    assert not [fault for fault in faults if fault not in said.replace("\n", " ")]


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
async def test_the_page_is_as_wide_as_the_screen_and_the_paper(alone: Sessions, tmp_path: Path) -> None:
    """With a year of bars and a long name of a case nothing is cut off."""
    began = at(date(1999, 1, 5))
    clocks = [
        ended(f"{n}-{'9' * 40}", began, began + timedelta(days=n), "late" if n > 30 else "kept") for n in range(60)
    ]
    found = await report(alone, *clocks, since=date(1999, 1, 1), until=date(1999, 12, 31), organisation=None)
    file = tmp_path / "report.html"
    file.write_text(reporting.page(found), encoding="utf-8")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = await browser.new_page()
        await page.goto(file.as_uri())
        shown: tuple[tuple[Literal["screen", "print"], int], ...] = (("screen", 1280), ("print", 703))
        for media, width in shown:  # A4 less its margins, at 96 dots an inch
            await page.emulate_media(media=media)
            await page.set_viewport_size({"width": width, "height": 900})
            wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide == 0
        assert await page.locator("svg[role=img] g").count() == 12
        await browser.close()


# ---- what is taken back without a case ------------------------------------------------------------------------------


VILNIUS = ZoneInfo("Europe/Vilnius")


def taken_back(received: datetime, recorded: datetime, **more: Any) -> ConsentRow:
    """A statement of the register of consents."""
    said = {"organisation": "GJ", "what": "withdrawn", "consent": "K-1", "purpose": "marketing", "channels": []}
    return ConsentRow(**{**said, "at": received, "recorded_at": recorded, "said_by": "op-1", "by": "link", **more})


async def test_withdrawals_by_command_are_counted_beside_those_of_requests(alone: Sessions) -> None:
    """GJ-marketing-stop: kept before the later reading, late from it on; one in a request has a clock of its own."""
    friday = datetime(2021, 3, 5, 18, tzinfo=VILNIUS)
    late_from = datetime(2021, 3, 9, tzinfo=VILNIUS)
    async with alone() as session:
        session.add_all(
            (
                taken_back(friday, friday),
                taken_back(friday, late_from - SECOND, consent="K-2"),
                taken_back(friday, late_from, consent="K-3"),
                taken_back(friday, friday, consent=None, what="objected", said_by="system:portal"),
                taken_back(friday, friday, consent="K-4", source="privacy_request:GJ:1"),
                taken_back(friday, datetime(2021, 4, 1, tzinfo=VILNIUS), consent="K-5"),
            )
        )
        await session.commit()
    span: dict[str, Any] = {"since": date(2021, 3, 1), "until": date(2021, 3, 31)}
    found = await report(alone, organisation="GJ", now=datetime(2021, 6, 1, tzinfo=VILNIUS), **span)
    stops = [one for one in found.duties if one.title.endswith("(register of consents)")]
    assert [(one.duty, one.started, one.kept, one.late) for one in stops] == [("GJ-marketing-stop", 4, 3, 1)]
    assert (stops[0].worst_case, round(stops[0].worst or 0, 2)) == ("consent:GJ:K-3", 3.25)
    [missed] = found.missed
    assert (missed.how, missed.case, missed.subject, missed.days) == ("late", "consent:GJ:K-3", "marketing", 1)
    assert sum(bar.kept for bar in found.bars) == 3
    assert sum(bar.late for bar in found.bars) == 1
    assert "GJ-marketing-stop" not in found.idle["GJ"]
