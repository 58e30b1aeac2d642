"""Breaches: 72 hours whatever the calendar says, phases, people told in batches, the register (GDPR 33, 34; part D)."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from sqlmodel import col, select

from activities.notice import NoticeActivities
from integrations.mail import Letter, Proof
from models.breach import BATCH, Recipient
from models.errors import Refusal
from models.tables import BreachEntryRow, NoticeRow, PartyRow, RecipientListRow
from operations.breach import Breaches, Loaded, affected, form, register
from operations.reading import NotFound
from operations.reading_json import Item
from tests.world import RIGA, VILNIUS, Refused, World

MONDAY = datetime(2027, 3, 1, 10, 0, tzinfo=RIGA)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
NOTIFY, TELL = "DZ-17.2", "DZ-17.3"
SAID = {
    "nature": "Nozagts dators ar pacientu izrakstiem",
    "contact": "Datu aizsardzības speciāliste, das@klinika.example",
    "consequences": "Veselības dati var nonākt pie svešiem",
    "measures": "Pieejas slēgtas, ziņots policijai",
}
TEXT = {"nature": "Nozagts dators", "consequences": "Dati var nonākt pie svešiem", "measures": "Uzmanieties"}
_people = count(1)


def present(world: World) -> datetime:
    """An instant that is over in the case too: its clock is a moment behind."""
    return world.now() - timedelta(minutes=1)


async def reported(world: World, organisation: str = "BTA", at: datetime = MONDAY, **more: Any) -> str:
    """A breach that was noticed and received at this instant, a little before the present; the case."""
    if more.pop("begin", True):
        await world.begin(at + timedelta(minutes=2))
    content = {"noticed_at": at.isoformat(), "text": "Nozagts dators", **more}
    case = await world.file("breach", organisation, content, received_at=at)
    await world.until(lambda: has(world, case, "reported"), "it is reported")
    await world.settled(case)
    return case


async def has(world: World, case: str, entry: str) -> bool:
    """Whether this step is recorded."""
    return entry in await world.entries(case)


async def assess(world: World, case: str, risk: str, at: datetime | None = None) -> None:
    """The officer judges the risk."""
    when = (at or present(world)).isoformat()
    await world.say(case, "assess_risk", risk=risk, assessed_at=when, reason="Veselības dati")


async def notify(world: World, case: str, at: datetime, phase: int = 1, **more: Any) -> None:
    """The authority was notified."""
    said: dict[str, Any] = {"phase": phase, "sent_at": at.isoformat(), "reference": "DVI-1"}
    await world.say(case, "notify_authority", **said, **more)


async def write(world: World, case: str, *languages: str) -> None:
    """The letter to the people is written."""
    await world.say(case, "tell_subjects", letter=dict.fromkeys(languages or ("lv",), TEXT), contact=SAID["contact"])


async def finish(world: World, case: str) -> None:
    """Measures, register, end."""
    await world.say(case, "confirm_measures", done_at=present(world).isoformat(), reference="dms/7")
    entry = {"facts": "Nozagts dators", "effects": "Nav zināmas", "corrective_action": "Diski šifrēti"}
    await world.say(case, "enter_register", **entry)
    await world.say(case, "close_breach")
    await world.stage(case, "resting")


def people(n: int, **more: Any) -> list[dict[str, Any]]:
    """People whom nobody knows yet."""
    numbers = [next(_people) for _ in range(n)]
    return [
        {"name": f"Zelma Ābele-Šķēle {k}", "email": f"zelma.{k}@pasts.example", "language": "lv", **more}
        for k in numbers
    ]


async def load(world: World, case: str, *rows: dict[str, Any], by: str = "op-1") -> Loaded:
    """Load who is to be told."""
    breaches = Breaches(world.sessions, world.keyring, world.intake, world.now)
    return await breaches.load(case, [Item(line=n, value=row) for n, row in enumerate(rows, 2)], by)


async def numbers(world: World, case: str) -> dict[str, int]:
    """How many people are known, told, failed, without mail."""
    row = await world.row(case)
    assert row is not None
    return {name: row.state["body"]["people"][name] for name in ("known", "told", "failed", "no_mail")}


async def told(world: World, case: str, n: int) -> None:
    """Wait until so many are told."""

    async def there() -> bool:
        return (await numbers(world, case))["told"] == n

    await world.until(there, f"{n} are told", seconds=120)
    await world.settled(case)


async def high(world: World, *rows: dict[str, Any], at: datetime = MONDAY, **more: Any) -> str:
    """A breach of high risk that the authority knows of, with these people to be told."""
    case = await reported(world, at=at, **more)
    await world.say(case, "add_facts", **SAID)
    await assess(world, case, "high")
    await notify(world, case, at)
    if rows:
        await load(world, case, *rows)
    return case


# ---- the 72 hours ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("organisation", "at"),
    [
        ("BTA", datetime(2027, 3, 26, 16, 0, tzinfo=RIGA)),  # Easter weekend, and on the 28th an hour less
        ("GJ", datetime(2027, 10, 29, 16, 15, tzinfo=VILNIUS)),  # a weekend with an hour more, then a holiday
        ("BL", datetime(2027, 11, 17, 23, 30, tzinfo=RIGA)),  # the national holiday, and a weekend in between
        ("DZ", datetime(2028, 2, 28, 9, 0, tzinfo=RIGA)),  # the end of a February with 29 days
    ],
)
async def test_the_72_hours_are_hours(world: World, organisation: str, at: datetime) -> None:
    """Neither a weekend nor a holiday nor the change of the clocks moves them; in the last second it runs."""
    case = await reported(world, organisation, at)
    clock = await world.clock(case, NOTIFY)
    assert clock.due == clock.latest == at.astimezone(UTC) + 72 * HOUR
    await world.advance(case, clock.due - SECOND)
    assert (await world.clock(case, NOTIFY)).status == "running"
    await world.advance(case, clock.due)
    assert (await world.clock(case, NOTIFY)).status == "overdue"
    assert f"{NOTIFY}::1:overdue" in await world.notices(case)


async def test_the_last_second_is_in_time_and_the_next_one_says_why(world: World) -> None:
    """33(1): where it is not within 72 hours, the notification comes with reasons for the delay."""
    due = (MONDAY.astimezone(UTC)) + 72 * HOUR
    case = await reported(world)
    await world.advance(case, due - SECOND)
    await notify(world, case, due - SECOND)
    assert (await world.clock(case, NOTIFY)).status == "kept"

    late = await reported(world)
    await world.advance(late, due + HOUR)
    with pytest.raises(Refused, match=r"phase: the next one is 1.*delay_reasons: sent after 72 hours"):
        await notify(world, late, due, phase=2)
    with pytest.raises(Refused, match=r"correction: the 72 hours are over"):
        await notify(world, late, due - SECOND)
    await notify(world, late, due, delay_reasons="Apjoms kļuva zināms trešajā dienā")
    assert (await world.clock(late, NOTIFY)).status == "late"

    corrected = await reported(world)
    await world.advance(corrected, due + HOUR)
    why = {"reason": "Nosūtīts laikā", "document": "dms/12", "second_person": "op-2"}
    with pytest.raises(Refused, match="another person"):
        await notify(world, corrected, due - SECOND, correction={**why, "second_person": "op-1"})
    await notify(world, corrected, due - SECOND, correction=why)
    assert (await world.clock(corrected, NOTIFY)).status == "kept"


async def test_what_was_known_before_it_was_filed_counts_from_then(world: World) -> None:
    """Overdue on arrival is a normal case; who may hear of it at once is told by letter."""
    known = MONDAY - 80 * HOUR
    await world.begin(MONDAY)
    content = {"noticed_at": known.isoformat(), "told": {"officer": known.isoformat()}, "text": "x y"}
    case = await world.file("breach", "BTA", content, received_at=MONDAY)

    async def overdue() -> bool:
        return await has(world, case, "due")

    await world.until(overdue, "it is overdue on arrival")
    assert (await world.clock(case, NOTIFY)).due == known.astimezone(UTC) + 72 * HOUR
    letters = await world.notices(case)
    assert {letters[f"{NOTIFY}:R1:{role}"].party for role in ("data_protection_officer", "manager")} == {
        "data_protection_officer",
        "manager",
    }
    later, early = (MONDAY + HOUR).isoformat(), {"manager": (known - HOUR).isoformat()}
    with pytest.raises(Refusal, match=r"noticed_at: lies after.*told.officer: lies after"):
        await world.file("breach", "BTA", {**content, "noticed_at": later, "told": {"officer": later}})
    with pytest.raises(Refusal, match=r"told\.manager: lies before it was noticed"):
        await world.file("breach", "BTA", {**content, "told": early})


async def test_the_earliest_awareness_of_all_reports_counts(world: World) -> None:
    """A joined report of the same hour changes nothing; an earlier one moves the term, and tells the officer."""
    case = await reported(world)
    known = {"received_at": MONDAY.isoformat(), "noticed_at": MONDAY.isoformat(), "text": "tas pats"}
    await world.say(case, "join_report", **known)
    assert (await world.clock(case, NOTIFY)).n == 1
    sooner, future = (MONDAY - 5 * HOUR).isoformat(), (MONDAY + 9 * HOUR).isoformat()
    with pytest.raises(Refused, match=r"received_at: lies in the future.*aware_at: lies before it was noticed"):
        await world.say(case, "join_report", **{**known, "received_at": future, "aware_at": sooner})
    await world.say(case, "join_report", **{**known, "noticed_at": sooner, "aware_at": sooner})
    clock = await world.clock(case, NOTIFY)
    assert (clock.n, clock.due) == (2, (MONDAY - 5 * HOUR).astimezone(UTC) + 72 * HOUR)
    assert (await world.clock(case, NOTIFY, n=1)).status == "void"
    letter = (await world.notices(case))[f"{NOTIFY}:R3:data_protection_officer"]
    assert "known earlier" in letter.facts["text"]["en"]
    assert "kļuvis zināms agrāk" in letter.facts["text"]["lv"]
    assert (await register(world.sessions, "BTA"))[0].organisation == "BTA"
    found = next(one for one in await register(world.sessions, "BTA") if one.case == case)
    assert (found.reports, found.known_at) == (3, MONDAY - 5 * HOUR)


async def test_an_earlier_report_judges_what_was_notified_anew(world: World) -> None:
    """In time by what was known, late by what came to light: then a phase says why, before the breach is closed."""
    case = await reported(world)
    await world.say(case, "add_facts", **SAID)
    await assess(world, case, "risk")
    await world.advance(case, MONDAY + 70 * HOUR)
    await notify(world, case, MONDAY + 70 * HOUR)
    assert (await world.clock(case, NOTIFY)).status == "kept"
    sooner = (MONDAY - 5 * HOUR).isoformat()
    report = {"received_at": MONDAY.isoformat(), "noticed_at": sooner, "aware_at": sooner, "text": "agrāk"}
    await world.say(case, "join_report", **report)
    assert (await world.clock(case, NOTIFY)).status == "late"
    with pytest.raises(Refused, match="delay_reasons: the notification was late"):
        await world.say(case, "close_breach")
    await notify(world, case, MONDAY + 70 * HOUR, phase=2, delay_reasons="Ziņojums atradās vēlāk")
    await finish(world, case)


async def test_a_breach_that_was_filed_twice_joins_the_other_case(world: World) -> None:
    """Its clocks end without a judgment, its reports go over; what it knew earlier counts there."""
    stays = await reported(world, "SE", told={"officer": MONDAY.isoformat()})
    sooner = (MONDAY - 5 * HOUR).isoformat()
    again = await reported(world, "SE", noticed_at=sooner, aware_at=sooner, text="Tas pats dators")
    elsewhere = await reported(world, "DZ")
    for into, why in (
        (again, "this is that case"),
        (elsewhere, "no breach of this organisation"),
        ("breach:SE:NOBODY", "no such breach"),
    ):
        with pytest.raises(Refused, match=why):
            await world.say(again, "join_breach", into=into)
    await world.say(again, "join_breach", into=stays)
    assert (await world.stage(again, "closed")).outcome == "joined"
    assert set((await world.clocks(again)).values()) == {"void"}
    entry = next(one for one in await register(world.sessions, "SE") if one.case == again)
    assert entry.authority == "joined another case"
    await world.intake.deliver_waiting()
    await world.until(lambda: has(world, stays, "report_joined"), "its report has joined")
    assert (await world.clock(stays, NOTIFY)).due == (MONDAY - 5 * HOUR).astimezone(UTC) + 72 * HOUR
    assert (await world.clock(stays, "SE-30.1", "R2")).anchor_at == MONDAY - 5 * HOUR
    told_here = await high(world)
    with pytest.raises(Refused, match="let the other case join this one"):
        await world.say(told_here, "join_breach", into=stays)


async def test_phases_follow_each_other_until_nothing_is_left_to_say(world: World) -> None:
    """33(4): what is found after a phase is owed in the next; what is missing at the end is named, all of it."""
    case = await reported(world)
    with pytest.raises(Refused, match="at least one of nature"):
        await world.say(case, "add_facts")
    await world.say(case, "add_facts", nature=SAID["nature"])
    await assess(world, case, "risk")
    await notify(world, case, present(world))
    row = await world.stage(case, "registering")
    assert row.waits_for == "the measures; the entry in the register"
    await world.say(case, "add_facts", subjects=140, contact=SAID["contact"])
    with pytest.raises(Refused) as refused:
        await world.say(case, "close_breach")
    assert [fault.split(":")[0] for fault in refused.value.faults] == [
        *("facts", "facts", "measures", "DZ-17.4"),
    ]
    assert "consequences, measures" in refused.value.faults[0]
    assert "subjects, contact" in refused.value.faults[1]
    await world.say(case, "add_facts", consequences=SAID["consequences"], measures=SAID["measures"])
    with pytest.raises(Refused, match="lies before the phase before it"):
        await notify(world, case, MONDAY, phase=2)
    await notify(world, case, present(world), phase=2)
    row = await world.stage(case, "registering")
    assert [len(phase["facts"]) for phase in row.state["body"]["phases"]] == [1, 5]
    await finish(world, case)
    await world.advance(case, world.now() + timedelta(days=9))
    assert (await world.stage(case, "closed")).outcome == "notified"


async def test_a_notification_that_comes_back_was_none(world: World) -> None:
    """The 72 hours run as they did, what it said is unsaid, and the next one is the first phase again."""
    case = await reported(world)
    await world.say(case, "add_facts", **SAID)
    await assess(world, case, "risk")
    with pytest.raises(Refused, match="the last phase is still to come"):
        await world.say(case, "report_bounce", notice="authority:1", bounced_at=MONDAY.isoformat())
    await notify(world, case, MONDAY)
    assert (await world.clock(case, NOTIFY)).status == "kept"
    with pytest.raises(Refused, match="the last phase is 1"):
        await world.say(case, "report_bounce", notice="authority:2", bounced_at=MONDAY.isoformat())
    await world.say(case, "report_bounce", notice="authority:1", bounced_at=MONDAY.isoformat())
    row = await world.stage(case, "notifying")
    clock = await world.clock(case, NOTIFY)
    assert (clock.n, clock.status, clock.due) == (1, "running", MONDAY.astimezone(UTC) + 72 * HOUR)
    assert set(row.state["body"]["unsaid"]) == set(SAID)
    await notify(world, case, present(world))
    assert (await world.clock(case, NOTIFY)).status == "kept"
    await finish(world, case)


# ---- risk -----------------------------------------------------------------------------------------------------------


async def test_no_risk_is_decided_by_a_person_with_reasons_and_can_turn_out_otherwise(world: World) -> None:
    """33(1), 33(5): the clock ends without a judgment; a risk found later finds the 72 hours where they were."""
    case = await reported(world)
    with pytest.raises(Refused, match=r"only where no risk is likely.*not yet"):
        await world.say(case, "decide_not_to_notify", reason="nav")
    with pytest.raises(Refused, match="a person decides"):
        await world.say(case, "assess_risk", "system:robot", risk="none", assessed_at=MONDAY.isoformat(), reason="x")
    await assess(world, case, "none")
    assert (await world.row(case)).waits_for.startswith("the decision not to notify")  # type: ignore[union-attr]
    await world.say(case, "decide_not_to_notify", reason="Vēstule izdzēsta neizlasīta")
    assert (await world.clock(case, NOTIFY)).status == "void"
    await finish(world, case)
    await assess(world, case, "risk")
    await world.stage(case, "notifying")
    clock = await world.clock(case, NOTIFY)
    assert (clock.n, clock.status, clock.due) == (2, "running", MONDAY.astimezone(UTC) + 72 * HOUR)
    assert (await world.clocks(case))[("T-rest", "")] == "void"


async def test_risk_that_rises_starts_the_notice_to_people_then_and_one_that_falls_ends_it(world: World) -> None:
    """34(1): without undue delay from when the high risk was found: a day, late after three."""
    case = await reported(world)
    await assess(world, case, "risk")
    assert (TELL, "") not in await world.clocks(case)
    await world.advance(case, MONDAY + 10 * HOUR)
    await assess(world, case, "high", MONDAY + 9 * HOUR)
    clock = await world.clock(case, TELL)
    found = (MONDAY + 9 * HOUR).astimezone(UTC)
    assert (clock.due, clock.latest) == (found + 24 * HOUR, found + 72 * HOUR)
    await assess(world, case, "risk")
    assert (await world.clock(case, TELL)).status == "void"
    await world.advance(case, MONDAY + 20 * HOUR)
    await assess(world, case, "high")
    assert (await world.clock(case, TELL)).n == 2
    with pytest.raises(Refused, match="assessed_at: lies before the breach was known"):
        await assess(world, case, "high", MONDAY - HOUR)


async def test_what_ended_without_a_judgment_stands_in_nobodys_way(world: World) -> None:
    """A notification that nobody owed, then an earlier report; people who are found after the risk fell and rose."""
    case = await reported(world)
    await assess(world, case, "none")
    await world.say(case, "decide_not_to_notify", reason="Nav riska")
    await notify(world, case, MONDAY)
    assert (await world.clock(case, NOTIFY)).status == "void"
    sooner = (MONDAY - HOUR).isoformat()
    report = {"received_at": MONDAY.isoformat(), "noticed_at": sooner, "aware_at": sooner, "text": "agrāk"}
    await world.say(case, "join_report", **report)
    assert (await world.clock(case, NOTIFY)).status == "void"
    await assess(world, case, "high")
    await load(world, case, *people(1))
    await write(world, case)
    await told(world, case, 1)
    for risk in ("risk", "high"):
        await assess(world, case, risk)
    assert (await world.clock(case, TELL)).status == "kept"
    await load(world, case, *people(1))
    await told(world, case, 2)
    assert ((await world.clock(case, TELL)).n, (await world.clock(case, TELL)).status) == (1, "kept")


@pytest.mark.parametrize(
    ("ground", "status"), [("encrypted", "void"), ("measures_taken", "void"), ("disproportionate", "kept")]
)
async def test_people_need_not_be_told_one_by_one_on_three_grounds(world: World, ground: str, status: str) -> None:
    """34(3): with a reason; a public communication takes the place of letters where they are out of proportion."""
    case = await high(world)
    said: dict[str, Any] = {"ground": ground, "reason": "Disks bija šifrēts"}
    if ground == "disproportionate":
        with pytest.raises(Refused, match="published_at, where: both for disproportionate"):
            await world.say(case, "decide_not_to_tell", **said)
        said |= {"published_at": present(world).isoformat(), "where": "mājaslapā"}
    await world.say(case, "decide_not_to_tell", **said)
    assert (await world.clock(case, TELL)).status == status
    page = await form(world.sessions, world.now(), case, personal=False, language="lv")
    assert "34. panta 3. punkta" in page
    assert ground not in page, "the form is in words"
    await world.stage(case, "registering")
    with pytest.raises(Refused, match="nobody is left who must be told"):
        await world.say(case, "decide_not_to_tell", **said)
    await finish(world, case)


# ---- the people -----------------------------------------------------------------------------------------------------


async def test_people_are_told_in_their_language_once_and_the_duty_is_kept(world: World) -> None:
    """34(2): what happened, whom to ask, what may come of it, what was done; who is on two lists gets one letter."""
    first, second = people(2)
    lithuanian = people(1, language="lt")[0]
    case = await high(world, first, second, lithuanian, {**first, "name": first["name"].upper()})
    assert await numbers(world, case) == {"known": 3, "told": 0, "failed": 0, "no_mail": 0}
    with pytest.raises(Refused, match="letter: not in lt"):
        await write(world, case, "lv")
    details = await world.details(case)
    assert "0 of 3" in details
    assert "**Known since:** Mon 2027-03-01 08:00 UTC" in details
    assert '"lt": {' in details
    await write(world, case, "lv", "lt")
    await told(world, case, 3)
    clock = await world.clock(case, TELL)
    assert (clock.status, clock.proof) == ("kept", "data_subjects_told")
    [mail] = world.mails(first["email"])
    text = str(mail.get_content())
    assert all(part in text for part in (*TEXT.values(), SAID["contact"], "34. panta 1. un 2. punkts"))
    [mail] = world.mails(lithuanian["email"])
    assert "34 straipsnio 1 ir 2 dalys" in str(mail.get_content())
    # the same list again, and one with somebody more: only that one is written to
    assert (await load(world, case, first, second, lithuanian)).before
    with pytest.raises(Refusal, match="everybody on it is known already"):
        await load(world, case, second)
    another = people(1)[0]
    await load(world, case, first, another)
    await told(world, case, 4)
    assert len(world.mails(first["email"])) == len(world.mails(another["email"])) == 1
    assert (await world.clock(case, TELL)).status == "kept"
    assert (await world.clock(case, TELL)).n == 1
    with pytest.raises(Refused, match="everybody is told already"):
        await write(world, case, "lv", "lt")
    await finish(world, case)


async def test_who_has_no_mail_or_does_not_get_it_is_told_by_post(world: World) -> None:
    """The duty ends with the last of them, by when that was; one whose letter came back is not told."""
    with_mail, bounced = people(2)
    by_post = {"name": "Oto Vītoliņš-Ērglis", "address": "Liepu iela 1, Valmiera"}
    gone = people(1)[0]
    case = await high(world, with_mail, bounced, by_post, gone)
    await write(world, case, "lv")
    await told(world, case, 3)
    assert (await world.clock(case, TELL)).status == "running"
    row = await world.stage(case, "notifying")
    assert row.waits_for.startswith("post or another address, for 1 whom mail does not reach")
    at = {"bounced_at": present(world).isoformat()}
    await world.say(case, "report_bounce", "system:mail", notice="tell:P2:1", **at)
    await world.say(case, "report_bounce", "system:mail", notice="tell:P4:1", **at)
    with pytest.raises(Refused, match="it came back before"):
        await world.say(case, "report_bounce", "system:mail", notice="tell:P4:1", **at)
    assert await numbers(world, case) == {"known": 4, "told": 1, "failed": 2, "no_mail": 1}
    left = await affected(world.sessions, case, left=True)
    assert [(one.party, one.state, one.name) for one in left] == [
        ("P2", "failed", None),
        ("P3", "no e-mail", None),
        ("P4", "failed", None),
    ]
    [named] = [one for one in await affected(world.sessions, case, personal=True) if one.party == "P3"]
    assert (named.name, named.address) == (by_post["name"], by_post["address"])
    with pytest.raises(Refused, match=r"not an address"):
        await world.say(case, "correct_address", party="P2", email="nekur")
    with pytest.raises(Refused, match=r"this person is told"):
        await world.say(case, "correct_address", party="P1", email="cita@pasts.example")
    with pytest.raises(Refused, match=r"no such person"):
        await world.say(case, "correct_address", party="R1", email="cita@pasts.example")
    await world.say(case, "correct_address", party="P2", email="jauna.adrese@pasts.example")
    await told(world, case, 2)
    assert len(world.mails("jauna.adrese@pasts.example")) == 1
    with pytest.raises(Refusal, match="everybody on it is known already"):
        await load(world, case, bounced)
    posted = {"sent_at": present(world).isoformat(), "reference": "dms/post-9"}
    with pytest.raises(Refused, match=r"told, on the way, or not on the lists: P1, P9"):
        await world.say(case, "confirm_posted", people=["P1", "P9"], **posted)
    await world.say(case, "confirm_posted", people=["P4"], **posted)
    assert (await world.clock(case, TELL)).status == "running"
    await world.say(case, "confirm_posted", **posted)
    assert await numbers(world, case) == {"known": 4, "told": 4, "failed": 0, "no_mail": 0}
    assert (await world.clock(case, TELL)).status == "kept"
    assert await affected(world.sessions, case, left=True) == []


async def test_a_letter_that_comes_back_at_the_end_opens_the_duty_again(world: World) -> None:
    """While it rests, and once it is closed; by the same due instant."""
    case = await high(world, *people(2))
    await write(world, case)
    await told(world, case, 2)
    before = await world.clock(case, TELL)
    await finish(world, case)
    at = {"bounced_at": present(world).isoformat()}
    await world.say(case, "report_bounce", "system:mail", notice="tell:P1:1", **at)
    await world.stage(case, "notifying")
    clock = await world.clock(case, TELL)
    assert (clock.n, clock.status, clock.due) == (1, "running", before.due)
    with pytest.raises(Refused, match=r"DZ-17.3: 1 of 2 people are not told"):
        await world.say(case, "close_breach")
    await world.say(case, "correct_address", party="P1", email="pareizi@pasts.example")
    await told(world, case, 2)
    await world.say(case, "close_breach")
    await world.stage(case, "resting")
    await world.advance(case, world.now() + timedelta(days=9))
    assert (await world.stage(case, "closed")).outcome == "told"
    event = {"actor": "system:mail", "notice": "tell:P2:1", "bounced_at": present(world).isoformat()}
    await world.intake.submit_event(case, "bounce-2", "report_bounce", event)
    await world.stage(case, "notifying")
    assert (await world.clock(case, TELL)).status == "overdue"


async def test_five_hundred_are_told_once_each_though_the_worker_dies_twice(worker_world: World) -> None:
    """It dies between the hand-over and the proof of a letter, and is shut down in the middle of a batch."""
    world = worker_world
    send = next(a for a in world.activities if isinstance(getattr(a, "__self__", None), NoticeActivities))
    post = send.__self__._post  # type: ignore[attr-defined]  # a bound method
    mail, taken = post._mail, Counter[str]()

    class Dying:
        async def send(self, letter: Letter, at: datetime) -> Proof:
            proof: Proof = await mail.send(letter, at)
            if "#tell:" in letter.id:
                taken[letter.id] += 1
            if sum(taken.values()) == 3 * BATCH + 20:
                raise RuntimeError("died after the carrier took it")
            return proof

    post._mail = Dying()
    rows = people(500)
    async with world.serving():
        case = await high(world, *rows)
        await write(world, case)

        async def some() -> bool:
            return (await numbers(world, case))["told"] >= BATCH

        await world.until(some, "the first batch is told")
    assert (await numbers(world, case))["told"] < len(rows)
    async with world.serving():
        await told(world, case, len(rows))
        assert await numbers(world, case) == {"known": 500, "told": 500, "failed": 0, "no_mail": 0}
        for sought in ("500 of 500", "0 letters failed"):
            assert sought in await world.details(case)
    assert len(taken) == len(rows)
    assert max(taken.values()) == 2, "one was handed over again, to a carrier that knows it"
    by_address = Counter(str(mail["To"]) for mail in world.mails("@pasts.example"))
    assert by_address == dict.fromkeys((row["email"] for row in rows), 1)
    assert (await world.clock(case, TELL)).status == "kept"
    batches = [entry for entry in await world.entries(case) if entry == "people_told"]
    assert len(batches) == len(rows) / BATCH, "a step a batch"


async def test_nobody_who_is_affected_is_named_in_history_id_or_attributes(world: World) -> None:
    """The people go from the list into sealed columns; the history knows codes. What is said in it is sealed too."""
    row = people(1)[0] | {"address": "Slepenā iela 13"}
    case = await high(world, row)
    await write(world, case)
    await told(world, case, 1)
    history = await world.everything_told(case)
    assert "tell:P1:1" in history
    secret = (row["name"], row["email"], row["address"])
    assert not [text for text in secret if text in history]
    described = await world.handle(case).describe()
    assert not [text for text in secret if text in f"{described.id}{described.typed_search_attributes}"]
    raw = (await world.handle(case).fetch_history()).to_json()
    assert not [text for text in (*secret, *SAID.values(), *TEXT.values()) if text in raw]
    details = await world.details(case)
    assert not [text for text in (*secret, *SAID.values()) if text in details]
    async with world.sessions() as session:
        loaded = (await session.exec(select(RecipientListRow).where(RecipientListRow.case == case))).all()
        letters = (await session.exec(select(NoticeRow).where(NoticeRow.case == case, NoticeRow.party == "P1"))).all()
    assert [(one.size, one.people, one.loaded_by) for one in loaded] == [(1, [], "op-1")]
    assert [set(letter.facts) for letter in letters] == [{"letter_of", "controller", "authority"}]


async def test_a_list_that_is_bad_says_so_row_by_row(world: World) -> None:
    """Good rows go in; the same file again changes nothing; a case that is no breach has no list."""
    case = await high(world)
    good = people(2)
    bad = [{"name": "Nav adreses"}, {"name": "Slikta", "email": "x y"}, {"email": "a@b.example", "phone": "1"}]
    loaded = await load(world, case, *good, *bad, {**good[0]})
    assert (loaded.people, loaded.again, [one.row for one in loaded.bad]) == (2, 1, [4, 5, 6])
    assert [len(one.faults) for one in loaded.bad] == [1, 1, 2]
    assert (await load(world, case, *good, *bad, {**good[0]})).before
    assert await numbers(world, case) == {"known": 2, "told": 0, "failed": 0, "no_mail": 0}
    with pytest.raises(NotFound):
        await load(world, "breach:BTA:NOBODY", *good)
    with pytest.raises(Refusal, match="more than 10000 rows"):
        await load(world, case, *([{}] * 10_001))
    with pytest.raises(Refused, match="no such list"):
        await world.say(case, "add_recipients", list="L-0123456789abcdef")


# ---- staff, the register, the end -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("organisation", "sort", "duty", "who"),
    [
        ("SE", "breach", "SE-30.1", ("manager",)),
        ("SE", "threat", "SE-2.9.3", ("controller", "officer")),
        ("DZ", "breach", "DZ-16.5", ("manager", "officer")),
    ],
)
async def test_staff_tell_at_once_whom_their_document_names(
    world: World, organisation: str, sort: str, duty: str, who: tuple[str, ...]
) -> None:
    """From noticing to the last of those who must hear of it: four hours, late after a day."""
    case = await reported(world, organisation, sort=sort)
    clock = await world.clock(case, duty, "R1")
    start = MONDAY.astimezone(UTC)
    assert (clock.due, clock.latest) == (start + 4 * HOUR, start + 24 * HOUR)
    await world.advance(case, MONDAY + 3 * HOUR)
    for one in who:
        assert (await world.clock(case, duty, "R1")).status == "running"
        future = (MONDAY + 9 * HOUR).isoformat()
        with pytest.raises(Refused, match="lies in the future"):
            await world.say(case, "confirm_told", report="R1", who=one, told_at=future)
        await world.say(case, "confirm_told", report="R1", who=one, told_at=present(world).isoformat())
    assert (await world.clock(case, duty, "R1")).status == "kept"
    with pytest.raises(Refused, match="nobody is left"):
        await world.say(case, "confirm_told", report="R1", who=who[0], told_at=present(world).isoformat())
    late = dict.fromkeys(who, (MONDAY + 25 * HOUR).isoformat())
    await world.advance(case, MONDAY + 26 * HOUR)
    report = {"received_at": present(world).isoformat(), "noticed_at": MONDAY.isoformat(), "text": "tas pats"}
    await world.say(case, "join_report", sort=sort, told=late, **report)
    assert (await world.clock(case, duty, "R2")).status == "late"


async def test_every_breach_is_in_the_register_and_amended_entries_stay(world: World) -> None:
    """33(5), SE-30.2, SE-38.1.8: from the report on; with facts, effects and action only where they are asked for."""
    case = await reported(world, "SE", told={"officer": MONDAY.isoformat()})
    entry = next(one for one in await register(world.sessions, "SE") if one.case == case)
    assert (entry.risk, entry.entries, entry.stage) == (None, 0, "assessing")
    assert entry.authority.startswith("by ")
    await assess(world, case, "none")
    await world.say(case, "decide_not_to_notify", reason="Neradīs risku")
    for n in (1, 2):
        said = {"facts": f"Fakti {n}", "effects": "Nav", "corrective_action": "Apmācība"}
        await world.say(case, "enter_register", **said)
    entry = next(one for one in await register(world.sessions, "SE", personal=True) if one.case == case)
    assert (entry.entries, entry.facts, entry.authority) == (2, "Fakti 2", "not to be notified")
    assert entry.reasons == "Neradīs risku"
    entry = next(one for one in await register(world.sessions, None) if one.case == case)
    assert (entry.facts, entry.effects, entry.corrective_action, entry.reasons) == (None, None, None, None)
    async with world.sessions() as session:
        kept = await session.exec(
            select(BreachEntryRow).where(BreachEntryRow.case == case).order_by(col(BreachEntryRow.n))
        )
        assert [one.facts for one in kept.all()] == ["Fakti 1", "Fakti 2"]
    cited = {row.entry: row.duty for row in await world.timeline(case)}
    assert (cited["reported"], cited["assessed"], cited["registered"]) == ("DZ-17.4", "SE-30.2", "SE-38.1.8")


async def test_what_is_missing_at_the_end_is_named_all_at_once(world: World) -> None:
    """A breach of which nothing is done yet."""
    case = await reported(world, "SE", sort="threat")
    with pytest.raises(Refused) as refused:
        await world.say(case, "close_breach")
    assert [fault.partition(":")[0] for fault in refused.value.faults] == [
        "SE-2.9.3 R1",
        "risk",
        "DZ-17.2",
        "measures",
        "SE-38.1.8",
    ]
    await assess(world, case, "high")
    with pytest.raises(Refused, match=r"DZ-17\.3: nobody is loaded who is to be told"):
        await world.say(case, "close_breach")
    with pytest.raises(Refused, match="a person decides"):
        await world.say(case, "close_breach", "system:robot")


async def test_who_noticed_it_is_kept_sealed(world: World) -> None:
    """A reporter's name is a party of the case, and not part of its state."""
    case = await reported(world, reporter="Rasa Mockutė")
    async with world.sessions() as session:
        party = await session.get_one(PartyRow, (case, "R1"))
    assert (party.name, party.role) == ("Rasa Mockutė", "reporter")
    row = await world.row(case)
    assert row is not None
    assert "Mockutė" not in str(row.state)


def test_a_recipient_can_be_reached() -> None:
    assert Recipient.model_validate({"name": "A", "address": "B"}).email is None
    with pytest.raises(ValueError, match="email or address"):
        Recipient.model_validate({"name": "A"})
