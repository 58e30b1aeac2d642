"""Every right of a privacy request: its clock, its decision, what is carried out, and what the answer says (part C)."""

from __future__ import annotations

import csv
import io
import json
from datetime import date, datetime, timedelta
from typing import Any, get_args

import pytest
from pypdf import PasswordType, PdfReader
from pypdf.errors import PdfReadError

from models import privacy
from models.citing import cited
from models.countable import FIRST_YEAR
from models.errors import Refusal
from models.tables import ArchiveRow, PartyRow, RequestRow
from operations.privacy import answer_password_of
from rules.rulebook import book
from tests.workflows.test_privacy_request import (
    ANSWER,
    DUE,
    MONDAY,
    SECOND,
    WAY,
    content,
    file,
    gate_of,
    identify,
    person,
    status,
)
from tests.world import RIGA, VILNIUS, Refused, World

HOUR = timedelta(hours=1)
OWN = {
    ("DZ", "rectification"): ["DZ-14.11.3-answer"],
    ("DZ", "restriction"): ["DZ-14.6.1"],
    ("DZ", "portability"): ["DZ-14.9.1"],
    ("DZ", "objection"): ["DZ-14.7.1"],
    ("GJ", "automated_decision_review"): ["GJ-automated"],
    ("SE", "rectification"): ["SE-17.1", "SE-17.5"],
    ("SE", "restriction"): ["SE-18.1"],
    ("SE", "portability"): ["SE-19.1"],
    ("SE", "objection"): ["SE-20.1"],
    ("SE", "statistics_objection"): ["SE-20.5"],
    ("SE", "automated_decision_review"): ["SE-21.1"],
}
"""The row of each right that has its own; else the answer's row with the right as subject."""
DECIDED = (
    "rectification",
    "restriction",
    "portability",
    "objection",
    "statistics_objection",
    "automated_decision_review",
    "information",
)
CARRIED = ("rectification", "restriction", "objection", "statistics_objection", "automated_decision_review")


def month_clocks(organisation: str, *rights: str) -> list[tuple[str, str]]:
    """The clocks with the month."""
    own = [(duty, right) for right in rights for duty in OWN.get((organisation, right), [ANSWER[organisation]])]
    return [(ANSWER[organisation], ""), *own]


async def entered(world: World, case: str, entry: str) -> None:
    """Wait for a step."""

    async def there() -> bool:
        return entry in await world.entries(case)

    await world.until(there, entry)


async def begun(world: World, organisation: str, *rights: str, at: datetime = MONDAY, **more: Any) -> str:
    """A request whose person is identified and whose data are gathered."""
    await world.begin(at)
    case = await file(world, organisation, *rights, at=at, **more)
    await world.stage(case, "identifying")
    await identify(world, case, at)
    await entered(world, case, "gathered")
    await world.settled(case)
    return case


async def decide(world: World, case: str, *rights: str, **more: Any) -> None:
    """Each of these is granted."""
    for right in rights:
        told = {"reason": "Pārskatīts."} if right in ("automated_decision_review", "information") else {}
        await world.say(case, "assess_right", right=right, outcome="fulfilled", **told, **more)


async def carry_out(world: World, case: str, *rights: str, at: datetime = MONDAY) -> None:
    """Each of these is done in the systems."""
    for right in rights:
        await world.say(case, "confirm_done", right=right, done_at=at.isoformat(), reference=f"dms/{right}")


async def no_recipients(world: World, case: str, *rights: str) -> None:
    """Nobody had received the data."""
    for right in rights:
        await world.say(case, "report_recipients", right=right, recipients=[], reference="dms/recipients")


def text_of(mail: Any) -> str:
    """The mail's text."""
    return str(mail.get_body(preferencelist=("plain",)).get_content())


def payload(attachment: Any) -> str:
    """What an attachment says."""
    return str(attachment.get_payload(decode=True), "utf-8")


# ---- each right -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("organisation", ["DZ", "GJ", "SE", "BL"])
async def test_each_right_has_its_own_clock_and_decision_and_is_carried_out_before_the_answer(
    world: World, organisation: str
) -> None:
    """Seven rights in one request: a clock each from the same receipt, all ended by the same answer."""
    who = person()
    case = await begun(world, organisation, *DECIDED, who=who, answer_channel="portal")
    await world.stage(case, "assessing")
    clocks = month_clocks(organisation, *DECIDED)
    for duty, subject in clocks:
        clock = await world.clock(case, duty, subject)
        assert (clock.status, clock.due, clock.anchor_at) == ("running", DUE[organisation], MONDAY), (duty, subject)
    with pytest.raises(Refused, match="not granted"):
        await carry_out(world, case, "objection")
    await decide(world, case, *DECIDED)
    row = await world.stage(case, "carrying_out")
    assert "objection" in row.waits_for
    with pytest.raises(Refused, match="carrying_out"):
        await world.say(case, "confirm_answer_sent", channel="portal", sent_on="2027-03-01", reference="portal/1")
    await carry_out(world, case, *CARRIED)
    if organisation == "DZ":
        await no_recipients(world, case, "rectification", "restriction")
    await world.stage(case, "answering")
    await world.say(case, "confirm_answer_sent", channel="portal", sent_on="2027-03-01", reference="portal/1")
    await world.stage(case, "resting")
    now = await world.clocks(case)
    assert {now[key] for key in clocks} == {"kept"}
    await world.advance(case, MONDAY + timedelta(days=9))
    row = await world.stage(case, "closed")
    assert row.outcome == "fulfilled"


@pytest.mark.parametrize(("late", "judged"), [(-SECOND, "kept"), (timedelta(0), "late")])
@pytest.mark.parametrize("organisation", ["DZ", "GJ", "SE"])
async def test_the_last_second_of_the_month_is_in_time_and_the_first_after_it_is_not(
    world: World, organisation: str, late: timedelta, judged: str
) -> None:
    """Every row with the month, at once: handed over in person, told a day later with a second person."""
    rights = ("restriction", "portability", "objection", "statistics_objection", "automated_decision_review")
    case = await begun(world, organisation, *rights, answer_channel="in_person")
    await decide(world, case, *rights)
    await carry_out(world, case, *(r for r in rights if r in CARRIED))
    if organisation == "DZ":
        await no_recipients(world, case, "restriction")
    await world.stage(case, "answering")
    due = DUE[organisation]
    await world.advance(case, due + timedelta(days=1))
    correction = {"reason": "the receipt came late", "document": "dms/9", "second_person": "op-2"}
    await world.say(
        case,
        "confirm_answer_sent",
        channel="in_person",
        sent_at=(due + late).isoformat(),
        reference="r/1",
        correction=correction,
    )
    now = await world.clocks(case)
    assert {now[key] for key in month_clocks(organisation, *rights)} == {judged}


@pytest.mark.parametrize(
    ("organisation", "received", "last_day"),
    [
        # no 31 February: the month ends with the last day of it, which is rolled where nobody works on it
        ("DZ", datetime(2028, 1, 31, 12, 0, tzinfo=RIGA), date(2028, 2, 29)),
        ("SE", datetime(2026, 12, 31, 12, 0, tzinfo=VILNIUS), date(2027, 2, 1)),
        ("SE", datetime(2028, 2, 29, 12, 0, tzinfo=VILNIUS), date(2028, 3, 29)),
        # 11 March: Lithuania's independence; 18 November: Latvia's, which Lithuania works on
        ("SE", datetime(2027, 2, 11, 12, 0, tzinfo=VILNIUS), date(2027, 3, 12)),
        ("GJ", datetime(2027, 10, 18, 12, 0, tzinfo=VILNIUS), date(2027, 11, 18)),
        ("DZ", datetime(2027, 10, 18, 12, 0, tzinfo=RIGA), date(2027, 11, 19)),
        # Midsummer is kept in Latvia for two days, in Lithuania for one
        ("DZ", datetime(2027, 5, 24, 12, 0, tzinfo=RIGA), date(2027, 6, 25)),
        # half past eleven at night of the day before the clocks change
        ("GJ", datetime(2027, 3, 27, 23, 30, tzinfo=VILNIUS), date(2027, 4, 27)),
    ],
)
async def test_month_ends_holidays_and_changes_of_the_clock(
    world: World, organisation: str, received: datetime, last_day: date
) -> None:
    await world.begin(received + timedelta(minutes=5))
    case = await file(world, organisation, "objection", "portability", at=received)
    await world.stage(case, "identifying")
    for duty, subject in month_clocks(organisation, "objection", "portability"):
        clock = await world.clock(case, duty, subject)
        assert clock.last_day == last_day, (duty, subject)
        zone = RIGA if organisation == "DZ" else VILNIUS
        midnight = datetime.combine(last_day + timedelta(days=1), datetime.min.time(), zone)
        assert clock.due == midnight


@pytest.mark.parametrize(
    ("organisation", "right", "ground", "clause"),
    [
        ("DZ", "rectification", "accurate", "14.4.3"),
        ("DZ", "restriction", "no_ground", "14.6.1"),
        ("DZ", "objection", "compelling_grounds", "GDPR 21(1)"),
        ("SE", "portability", "public_task", "19.3"),
        ("SE", "objection", "compelling_grounds", "20.2"),
        ("SE", "statistics_objection", "public_task", "20.5"),
        ("SE", "automated_decision_review", "not_automated", "21.1"),
        ("SE", "information", "professional_secret", "15.11.3"),
        ("GJ", "portability", "not_portable", "GDPR 20(1)"),
        ("GJ", "automated_decision_review", "not_automated", "lines 96–104"),
        ("BL", "restriction", "no_ground", "GDPR 18(1)"),
    ],
)
async def test_a_refusal_names_the_controllers_ground_the_reasons_the_authority_and_the_court(
    world: World, organisation: str, right: str, ground: str, clause: str
) -> None:
    who = person(language="en")
    case = await begun(world, organisation, right, who=who)
    with pytest.raises(Refused, match=rf"one of the controller's: .*{ground}"):
        await world.say(case, "assess_right", right=right, outcome="refused", ground="costs", reason="Too dear.")
    with pytest.raises(Refused, match="reason"):
        await world.say(case, "assess_right", right=right, outcome="refused", ground=ground)
    with pytest.raises(Refused, match="a person decides"):
        await world.say(
            case, "assess_right", actor="system:dms", right=right, outcome="refused", ground=ground, reason="No."
        )
    await world.say(case, "assess_right", right=right, outcome="refused", ground=ground, reason="It was looked at.")
    await world.stage(case, "resting")
    letter = text_of(world.mails(who["email"])[-1])
    assert f"Provision: {cited(clause, 'en')}" in letter
    assert "It was looked at." in letter
    assert "supervisory authority" in letter
    assert "go to court" in letter
    row = await world.row(case)
    assert row is not None
    assert (await world.clocks(case))[(ANSWER[organisation], "")] == "kept"


async def test_a_limit_cites_its_statute_and_an_unfounded_request_its_proof(world: World) -> None:
    """SE-13.2, SE-21.7, SE-21.8: without what it rests on no right is refused."""
    who = person(language="lt")
    case = await begun(world, "SE", "objection", who=who)
    for ground in ("statute", "unfounded_or_excessive"):
        with pytest.raises(Refused, match=f"cites: {ground}"):
            await world.say(case, "assess_right", right="objection", outcome="refused", ground=ground, reason="Ne.")
    with pytest.raises(Refused, match="cites: only with"):
        await world.say(
            case,
            *("assess_right",),
            right="objection",
            outcome="refused",
            ground="legal_claim",
            reason="Byla.",
            cites="dms/1",
        )
    statute = "Baudžiamojo proceso kodekso 177 straipsnis"
    await world.say(
        case,
        "assess_right",
        right="objection",
        outcome="refused",
        ground="statute",
        reason="Vyksta ikiteisminis tyrimas.",
        cites=statute,
    )
    await world.stage(case, "resting")
    assert statute in text_of(world.mails(who["email"])[-1])
    facts = next(r.facts for r in await world.timeline(case) if r.entry == "assessed")
    assert (facts["clause"], facts["cites"]) == ("13.2", statute)


@pytest.mark.parametrize("right", ["rectification", "restriction", "objection", "portability", "information"])
async def test_nothing_is_decided_or_carried_out_for_whoever_is_not_identified(world: World, right: str) -> None:
    await world.begin(MONDAY)
    case = await file(world, "GJ", right, identified_by=None)
    await world.stage(case, "identifying")
    with pytest.raises(Refused, match=r"identified|gathered"):
        await world.say(case, "assess_right", right=right, outcome="fulfilled")
    with pytest.raises(Refused, match="identified"):
        await carry_out(world, case, right)
    assert (await world.row(case)).stage == "identifying"  # type: ignore[union-attr]  # it is there


async def test_a_review_says_what_it_came_to_and_a_person_makes_it(world: World) -> None:
    """SE-21.1, SE-21.2: the person may state a view with the request; the result stands in the answer."""
    who = person(language="lt")
    case = await begun(world, "SE", "automated_decision_review", who=who, statement="Neatsižvelgta į mano ligą.")
    with pytest.raises(Refused, match="told what it came to"):
        await world.say(case, "assess_right", right="automated_decision_review", outcome="fulfilled")
    await world.say(
        case,
        "assess_right",
        right="automated_decision_review",
        outcome="fulfilled",
        reason="Sprendimas pakeistas Jūsų naudai.",
    )
    await carry_out(world, case, "automated_decision_review")
    await world.stage(case, "resting")
    assert "Sprendimas pakeistas Jūsų naudai." in text_of(world.mails(who["email"])[-1])


async def test_information_about_data_from_elsewhere_runs_from_when_they_were_obtained(world: World) -> None:
    """SE-15.8.1: a month from the receipt of the data, so a question that comes late is late."""
    obtained = MONDAY - timedelta(days=20)
    case = await begun(world, "SE", "information", "objection", who=person(language="lt"))
    told = {"right": "information", "outcome": "fulfilled", "reason": "Duomenis gavome iš ligonių kasų."}
    with pytest.raises(Refused, match="obtained_at"):
        await world.say(case, "assess_right", **told, obtained_at=(MONDAY + HOUR * 48).isoformat())
    with pytest.raises(Refused, match=f"before {FIRST_YEAR + 1}"):
        await world.say(case, "assess_right", **told, obtained_at="2019-12-31T12:00+02:00")
    await world.say(case, "assess_right", **told, obtained_at=obtained.isoformat())
    clock = await world.clock(case, "SE-15.8.1", "information")
    assert (clock.status, clock.last_day) == ("running", date(2027, 3, 9))
    await decide(world, case, "objection")
    await carry_out(world, case, "objection")
    await world.stage(case, "resting")
    assert (await world.clock(case, "SE-15.8.1", "information")).status == "kept"


def test_every_ground_of_a_rulebook_has_words_and_every_right_that_is_decided_has_grounds() -> None:
    """A ground without words would stop the answer's letter; a right without grounds could never be refused."""
    for organisation in ("BL", "DZ", "GJ", "SE"):
        values = book(organisation).values["privacy"]
        for right in (*privacy.DECIDED, *privacy.COPIES):
            grounds = values[f"{right}_grounds"]
            assert grounds
            assert grounds.keys() <= privacy.GROUNDS.keys()
        assert {duty.split("-")[0] for duty in values.get("rights", {}).values()} <= {organisation}
    assert set(privacy.RIGHTS) == set(get_args(privacy.Right))


# ---- marketing ------------------------------------------------------------------------------------------------------

STOP = {"SE": "SE-20.3", "GJ": "GJ-marketing-stop"}


@pytest.mark.parametrize("organisation", ["SE", "GJ"])
async def test_marketing_stops_at_once_without_identity_while_access_waits(world: World, organisation: str) -> None:
    """The clock ends by the deed; the person hears of it now, and the answer's clock runs on."""
    await world.begin(MONDAY)
    who = person(language="en")
    case = await file(world, organisation, "access", "marketing_objection", who=who, identified_by=None)
    await world.stage(case, "identifying")
    clock = await world.clock(case, STOP[organisation], "marketing_objection")
    assert (clock.status, clock.due) == ("running", MONDAY + 4 * HOUR)
    with pytest.raises(Refused, match="at once"):
        await world.say(case, "assess_right", right="marketing_objection", outcome="fulfilled")
    with pytest.raises(Refused, match="before the receipt"):
        await carry_out(world, case, "marketing_objection", at=MONDAY - SECOND)
    await world.advance(case, clock.due - SECOND)
    await carry_out(world, case, "marketing_objection", at=clock.due - SECOND)
    await status(world, case, "kept", (STOP[organisation], "marketing_objection"))
    await world.until(lambda: _mailed(world, who, "part of your request"), "the partial answer")
    letter = next(m for m in world.mails(who["email"]) if "part of your request" in m["Subject"])
    assert "Objection to direct marketing: fulfilled" in text_of(letter)
    now = await world.clocks(case)
    assert now[(ANSWER[organisation], "")] == "running"
    with pytest.raises(Refused, match="already"):
        await carry_out(world, case, "marketing_objection", at=clock.due - SECOND)
    assert (await world.row(case)).stage == "identifying"  # type: ignore[union-attr]  # it is there


async def _mailed(world: World, who: dict[str, Any], subject: str) -> bool:
    return any(subject in mail["Subject"] for mail in world.mails(who["email"]))


@pytest.mark.parametrize(("late", "judged"), [(-SECOND, "kept"), (timedelta(0), "late")])
async def test_marketing_is_late_after_a_working_day(world: World, late: timedelta, judged: str) -> None:
    """SE-20.3: four hours, escalated then; late from the end of the next working day on."""
    await world.begin(MONDAY)
    case = await file(world, "SE", "marketing_objection")
    await world.stage(case, "carrying_out")
    clock = await world.clock(case, "SE-20.3", "marketing_objection")
    assert clock.latest == datetime(2027, 3, 3, tzinfo=VILNIUS)
    await world.advance(case, clock.latest + HOUR)
    await status(world, case, "overdue", ("SE-20.3", "marketing_objection"))
    correction = {"reason": "told late", "document": "dms/9", "second_person": "op-2"}
    done = (clock.latest + late).isoformat()
    await world.say(
        case, "confirm_done", right="marketing_objection", done_at=done, reference="crm/1", correction=correction
    )
    await status(world, case, judged, ("SE-20.3", "marketing_objection"))


@pytest.mark.parametrize("organisation", ["DZ", "BL"])
async def test_marketing_alone_is_answered_whoever_asks(world: World, organisation: str) -> None:
    """Nobody is identified, nothing is gathered; where the stop has no row of its own the answer's ends it."""
    await world.begin(MONDAY)
    who = person()
    case = await file(world, organisation, "marketing_objection", who=who, identified_by=None)
    await world.stage(case, "carrying_out")
    await carry_out(world, case, "marketing_objection")
    await world.stage(case, "resting")
    now = await world.clocks(case)
    assert now[(ANSWER[organisation], "")] == now[(ANSWER[organisation], "marketing_objection")] == "kept"
    assert "gathered" not in await world.entries(case)
    assert not list(world.mails(who["email"])[0].iter_attachments())


async def test_a_partial_answer_ends_its_rights_clock_and_a_bounce_runs_it_again(world: World) -> None:
    """Marketing at DZ has the answer's row with a subject: the letter ends it; the whole answer waits for the rest."""
    await world.begin(MONDAY)
    who = person()
    case = await file(world, "DZ", "access", "marketing_objection", who=who, identified_by=None)
    await world.stage(case, "identifying")
    await carry_out(world, case, "marketing_objection")
    own = (ANSWER["DZ"], "marketing_objection")
    await status(world, case, "kept", own)
    await world.say(case, "report_bounce", notice="part:subject:1", bounced_at=MONDAY.isoformat())
    await status(world, case, "running", own)
    await world.say(case, "correct_address", party="subject", email=f"jauns.{who['email']}")
    await status(world, case, "kept", own)
    assert world.mails(f"jauns.{who['email']}")
    now = await world.clocks(case)
    assert (now[(ANSWER["DZ"], "")], now[("DZ-14.8.1", "access")]) == ("running", "running")


async def test_a_person_may_answer_a_settled_right_before_the_others(world: World) -> None:
    who = person(language="lt")
    case = await begun(world, "SE", "objection", "rectification", who=who)
    with pytest.raises(Refused, match="not decided"):
        await world.say(case, "answer_part", rights=["objection"])
    await world.say(
        case,
        "assess_right",
        right="objection",
        outcome="refused",
        ground="compelling_grounds",
        reason="Vyksta byla.",
    )
    with pytest.raises(Refused, match="whole answer"):
        await world.say(case, "answer_part", rights=["objection", "rectification"])
    await world.say(case, "answer_part", rights=["objection"])
    await status(world, case, "kept", ("SE-20.1", "objection"))
    with pytest.raises(Refused, match="told already"):
        await world.say(case, "answer_part", rights=["objection"])
    now = await world.clocks(case)
    assert {now[k] for k in (("SE-21.3", ""), ("SE-17.1", "rectification"))} == {"running"}
    await decide(world, case, "rectification")
    await carry_out(world, case, "rectification")
    await world.stage(case, "resting")
    now = await world.clocks(case)
    assert {now[k] for k in (("SE-21.3", ""), ("SE-17.1", "rectification"), ("SE-17.5", "rectification"))} == {"kept"}


async def test_an_extension_moves_the_months_and_no_stop_and_no_correction(world: World) -> None:
    """DZ: three months for the answer and for each right that waits; correcting and stopping stay at once."""
    await world.begin(MONDAY)
    case = await file(world, "DZ", "rectification", "objection", "marketing_objection", identified_by=None)
    await world.stage(case, "identifying")
    await carry_out(world, case, "marketing_objection")
    await status(world, case, "kept", (ANSWER["DZ"], "marketing_objection"))
    await world.say(case, "extend_request", reason="complexity")
    await status(world, case, "void", (ANSWER["DZ"], ""), (ANSWER["DZ"], "rectification"), ("DZ-14.7.1", "objection"))
    now = await world.clocks(case)
    assert now[("DZ-14.4.1", "rectification")] == "running"
    longer = {subject for duty, subject in now if duty == "DZ-14.11.3-extension"}
    assert longer == {"", "rectification", "objection"}


# ---- restriction ----------------------------------------------------------------------------------------------------


async def marks(world: World, case: str) -> list[str]:
    """By which requests the person of a case is only stored."""
    async with world.sessions() as session:
        party = await session.get_one(PartyRow, (case, "subject"))
    return list(party.other.get("restricted_by", ()))


async def test_a_restriction_is_marked_at_once_and_lifted_only_after_the_person_was_told(world: World) -> None:
    """SE-18.1, SE-18.3: marked while the objection is still weighed; after the close it is lifted, told first."""
    who = person(language="lt")
    await world.begin(MONDAY)
    other = await file(world, "SE", "access", who=who, channel="post", identified_by=None)
    await world.stage(other, "identifying")
    case = await begun(world, "SE", "restriction", "objection", who=who)
    assert await marks(world, other) == []
    await decide(world, case, "restriction")
    await entered(world, case, "restricted")
    assert await marks(world, other) == [case]
    with pytest.raises(Refused, match="carried out already"):
        await world.say(case, "withdraw_request", withdrawn_at=MONDAY.isoformat(), document="dms/w")
    await carry_out(world, case, "restriction")
    await decide(world, case, "objection")
    await carry_out(world, case, "objection")
    await world.stage(case, "resting")
    await world.advance(case, MONDAY + timedelta(days=9))
    await world.stage(case, "closed")
    lifting = {"actor": "op-1", "reason": "Prieštaravimas išnagrinėtas."}
    told = await world.intake.submit_event(case, "dms-lift", "lift_restriction", lifting)
    assert not told.refused
    await entered(world, case, "restriction_lifted")
    assert await marks(world, other) == []
    assert await gate_of(world, case, "SE-18.3") == ["lifting_planned", "restriction_lifted"]
    entries = await world.entries(case)
    told_at = max(n for n, entry in enumerate(entries) if entry == "letters")
    assert entries.index("lifting_planned") < told_at < entries.index("restriction_lifted")
    # the carrier's folder is in no order of time
    assert any("Prieštaravimas išnagrinėtas." in text_of(mail) for mail in world.mails(who["email"]))
    await world.stage(case, "resting")
    with pytest.raises(Refused, match="lifted already"):
        await world.say(case, "lift_restriction", reason="Dar kartą.")


async def test_a_restriction_of_whom_no_mail_reaches_stays_until_a_person_told_them(world: World) -> None:
    who = person(email=None)
    await world.begin(MONDAY)
    other = await file(world, "DZ", "access", who=who, channel="post", identified_by=None)
    await world.stage(other, "identifying")
    case = await file(world, "DZ", "restriction", who=who, channel="post", identified_by="signed_request")
    await world.stage(case, "identifying")
    await identify(world, case, MONDAY, way="signed_request")
    await world.stage(case, "assessing")
    await decide(world, case, "restriction")
    await carry_out(world, case, "restriction")
    await entered(world, case, "restricted")
    await no_recipients(world, case, "restriction")
    await world.stage(case, "answering")
    await world.say(case, "confirm_answer_sent", channel="post", sent_on="2027-03-01", reference="post/1")
    await world.say(case, "lift_restriction", reason="Strīds beidzies.")
    await world.until(lambda: _refused_letter(world, case, "lifting:subject:1"), "no address")
    assert await marks(world, other) == [case]
    sent = {"channel": "post", "sent_at": MONDAY.isoformat(), "reference": "post/2"}
    await world.say(case, "confirm_letter_sent", notice="lifting:subject:1", **sent)
    await entered(world, case, "restriction_lifted")
    assert await marks(world, other) == []


async def _refused_letter(world: World, case: str, key: str) -> bool:
    notice = (await world.notices(case)).get(key)
    return notice is not None and notice.refused is not None


# ---- recipients -----------------------------------------------------------------------------------------------------


async def test_recipients_are_told_or_named_with_the_reason_before_the_answer(world: World) -> None:
    """DZ-14.10.1: a clock from the change; each by name; whoever asked reads who they are."""
    who = person(language="en")
    case = await begun(world, "DZ", "rectification", who=who)
    await decide(world, case, "rectification")
    with pytest.raises(Refused, match="no data were changed"):
        await no_recipients(world, case, "rectification")
    await carry_out(world, case, "rectification")
    assert (await world.clock(case, "DZ-14.4.1", "rectification")).status == "kept"
    assert (await world.clock(case, "DZ-14.10.1", "rectification")).status == "running"
    assert (await world.row(case)).stage == "carrying_out"  # type: ignore[union-attr]  # it is there
    with pytest.raises(Refused, match=r"recipients\.1\.told_at.*recipients\.2\.reason"):
        await world.say(
            case,
            "report_recipients",
            right="rectification",
            recipients=[{"name": "SIA Audio", "outcome": "told"}, {"name": "SIA X", "outcome": "impossible"}],
            reference="dms/r",
        )
    await world.say(
        case,
        "report_recipients",
        right="rectification",
        recipients=[
            {"name": "SIA Dzirdes Centrs", "outcome": "told", "told_at": MONDAY.isoformat()},
            {"name": "SIA Vecais Partneris", "outcome": "impossible", "reason": "it no longer exists"},
        ],
        reference="dms/r",
    )
    await world.stage(case, "resting")
    assert (await world.clock(case, "DZ-14.10.1", "rectification")).status == "kept"
    letter = text_of(world.mails(who["email"])[-1])
    assert "Recipient SIA Dzirdes Centrs: told" in letter
    assert "Recipient SIA Vecais Partneris: could not be told (it no longer exists)" in letter


async def test_a_refused_rectification_corrects_nothing_and_tells_no_recipient(world: World) -> None:
    case = await begun(world, "DZ", "rectification")
    await world.say(
        case, "assess_right", right="rectification", outcome="refused", ground="accurate", reason="Pārbaudīts."
    )
    await world.stage(case, "resting")
    now = await world.clocks(case)
    assert now[("DZ-14.4.1", "rectification")] == "void"
    assert ("DZ-14.10.1", "rectification") not in now


# ---- portability ----------------------------------------------------------------------------------------------------


async def test_portability_gives_what_the_person_provided_in_json_and_csv(world: World) -> None:
    """Of an earlier request of theirs: what they filed; not its stage, not the letters. As JSON and as CSV."""
    who = person()
    await world.begin(MONDAY)
    earlier = await file(world, "GJ", "access", who=who, identified_by=None)
    await world.stage(earlier, "identifying")
    case = await begun(world, "GJ", "portability", who=who)
    await decide(world, case, "portability")
    await world.stage(case, "resting")
    mail = next(m for m in world.mails(who["email"]) if list(m.iter_attachments()))
    files = {a.get_filename(): payload(a) for a in mail.iter_attachments()}
    assert files.keys() == {"portable-data.json", "portable-data.csv"}
    (record,) = json.loads(files["portable-data.json"])["records"]
    assert record["record"] == earlier
    assert record["filed"]["person"]["personal_code"] == who["personal_code"]
    assert not {"stage", "letters", "closed_at"} & record.keys()
    rows = {(r["record"], r["field"]): r["value"] for r in csv.DictReader(io.StringIO(files["portable-data.csv"]))}
    assert rows[(earlier, "filed.person.name")] == who["name"]


async def test_a_direct_transfer_is_agreed_then_sent_then_confirmed_and_only_then_erased(world: World) -> None:
    """DZ-14.9.3: the format first; the erasure waits for the other controller's receipt."""
    who = person(language="en")
    case = await begun(
        world, "DZ", "portability", "erasure", who=who, transfer_to="SIA Cita Klīnika", answer_channel="portal"
    )
    with pytest.raises(Refused, match="say whether it is feasible"):
        await decide(world, case, "portability")
    await decide(world, case, "portability", transfer="feasible")
    await decide(world, case, "erasure")
    await world.stage(case, "carrying_out")

    async def report(step: str, **more: Any) -> None:
        await world.say(case, "report_transfer", step=step, at=MONDAY.isoformat(), reference="dms/t", **more)

    with pytest.raises(Refused, match="first agreed"):
        await report("sent")
    with pytest.raises(Refused, match="format"):
        await report("agreed")
    await report("agreed", format="CSV")
    await report("sent")
    assert "erased" not in await world.entries(case)
    await report("received")
    await entered(world, case, "erased")
    assert await gate_of(world, case, "DZ-14.9.3") == [
        *("assessed", "transfer_agreed", "transfer_sent", "transfer_received"),
    ]
    await no_recipients(world, case, "erasure")
    await world.stage(case, "answering")


async def test_a_transfer_that_is_not_feasible_is_said_and_the_person_gets_the_data(world: World) -> None:
    """SE-19.2: judged, and said either way."""
    who = person(language="en")
    case = await begun(world, "SE", "portability", who=who, transfer_to="UAB Kita Klinika", answer_channel="portal")
    with pytest.raises(Refused, match="feasible"):
        await decide(world, case, "portability")
    await decide(world, case, "portability", transfer="not_feasible")
    await world.stage(case, "answering")
    assert await gate_of(world, case, "SE-19.2") == ["assessed"]
    async with world.sessions() as session:
        archive = await session.get_one(ArchiveRow, case)
    assert archive.systems["files"].keys() == {"portable-data.json", "portable-data.csv"}


async def test_a_transfer_that_fails_is_decided_anew(world: World) -> None:
    who = person(language="lt")
    case = await begun(world, "GJ", "portability", who=who, transfer_to="UAB Kita")
    await decide(world, case, "portability", transfer="feasible")
    await world.stage(case, "carrying_out")
    await decide(world, case, "portability", transfer="not_feasible")
    await world.stage(case, "resting")
    assert "techniškai neįmanoma" in text_of(world.mails(who["email"])[-1])


# ---- what is withheld -----------------------------------------------------------------------------------------------


async def test_a_withheld_record_is_not_in_the_archive_and_the_answer_says_why_and_until_when(world: World) -> None:
    who = person(language="en")
    await world.begin(MONDAY)
    secret = await file(world, "GJ", "objection", who=who, identified_by=None)
    await world.stage(secret, "identifying")
    case = await file(world, "GJ", "access", who=who)
    await world.stage(case, "identifying")
    withheld = {
        "what": "notes of an investigation",
        "record": secret,
        "ground": "rights_of_others",
        "until": "2027-09-30",
    }
    part = {"right": "access", "outcome": "in_part", "ground": "rights_of_others", "reason": "Another person's secret."}
    with pytest.raises(Refused, match=r"withheld\.1\.ground"):
        await world.say(case, "assess_right", **part, withheld=[{**withheld, "ground": "costs"}])
    with pytest.raises(Refused, match="in part"):
        await world.say(case, "assess_right", right="access", outcome="fulfilled", withheld=[withheld])
    await world.say(case, "assess_right", **part, withheld=[withheld])
    await identify(world, case, MONDAY)
    await world.stage(case, "resting")
    mail = next(m for m in world.mails(who["email"]) if list(m.iter_attachments()))
    letter = text_of(mail)
    assert "Withheld: notes of an investigation (the rights and freedoms of others; GDPR 15(4))" in letter
    assert "until 2027-09-30" in letter
    for attachment in mail.iter_attachments():
        assert secret not in payload(attachment)


async def test_one_field_of_a_record_is_masked_and_one_that_is_not_there_stops_the_answer(world: World) -> None:
    """SE-16.9, DZ-11.2-c: a trade secret in a record goes, the rest of it does not; a wrong name masks nothing."""
    who = person(language="en")
    await world.begin(MONDAY)
    former = await file(world, "GJ", "objection", who=who, identified_by=None, statement="The formula of the glue.")
    await world.stage(former, "identifying")
    case = await file(world, "GJ", "access", who=who)
    await world.stage(case, "identifying")
    part = {"right": "access", "outcome": "in_part", "ground": "rights_of_others", "reason": "A trade secret."}
    withheld = {"what": "a formula", "ground": "rights_of_others", "record": former}
    with pytest.raises(Refused, match="field: only with the record"):
        await world.say(case, "assess_right", **part, withheld=[{**withheld, "record": None, "field": "filed"}])
    wrong = [{**withheld, "field": "filed.statements"}]
    await world.say(case, "assess_right", **part, withheld=wrong)
    await identify(world, case, MONDAY)
    row = await world.stage(case, "assessing")
    assert row.state["body"]["unfound"] == [f"{former} filed.statements"]
    assert not [mail for mail in world.mails(who["email"]) if list(mail.iter_attachments())]
    await world.say(case, "assess_right", **part, withheld=[{**withheld, "field": "filed.statement"}])
    await world.stage(case, "resting")
    mail = next(m for m in world.mails(who["email"]) if list(m.iter_attachments()))
    files = {str(a.get_filename()): payload(a) for a in mail.iter_attachments()}
    for name, written in files.items():
        assert "formula of the glue" not in written, name
        assert former in written or name.endswith(".html"), "the rest of the record is there"
    records = [r for s in json.loads(files["personal-data.json"])["systems"] for r in s["records"]]
    filed = next(r["filed"] for r in records if r["record"] == former)
    assert (filed["statement"], filed["rights"]) == ("[withheld]", ["objection"])
    assert "Withheld: a formula" in text_of(mail)


async def test_a_record_to_be_withheld_that_is_not_there_stops_the_answer(world: World) -> None:
    """A name that is wrong would withhold nothing: a person looks again before anything goes out."""
    who = person(language="en")
    await world.begin(MONDAY)
    case = await file(world, "GJ", "access", who=who)
    await world.stage(case, "identifying")
    part = {"right": "access", "outcome": "in_part", "ground": "rights_of_others", "reason": "A secret."}
    wrong = {"what": "a file", "record": "claim:GJ:no-such", "ground": "rights_of_others"}
    await world.say(case, "assess_right", **part, withheld=[wrong])
    await identify(world, case, MONDAY)
    await world.stage(case, "assessing")
    assert not world.mails(who["email"])
    await world.say(case, "assess_right", right="access", outcome="fulfilled")
    await world.stage(case, "resting")


@pytest.mark.parametrize("organisation", ["DZ", "SE"])
async def test_health_data_go_by_mail_only_encrypted_once_the_password_was_handed_over(
    world: World, organisation: str
) -> None:
    """SE-33.4.6: the password first and by another channel; the mail holds one file, which nothing else opens."""
    who = person(language="en")
    case = await begun(world, organisation, "access", who=who)
    await world.stage(case, "answering")
    await entered(world, case, "mail_refused")
    handed = {"channel": "phone", "handed_over_at": MONDAY.isoformat(), "reference": "calls/7"}
    with pytest.raises(Refused, match="channel"):
        await world.say(case, "send_encrypted", **{**handed, "channel": "email"})
    with pytest.raises(Refused, match="future"):
        await world.say(case, "send_encrypted", **{**handed, "handed_over_at": (MONDAY + 48 * HOUR).isoformat()})
    assert not world.mails(who["email"])
    await world.say(case, "send_encrypted", **handed)
    await world.stage(case, "resting")
    (mail,) = world.mails(who["email"])
    (attachment,) = mail.iter_attachments()
    sealed = bytes(attachment.get_payload(decode=True))
    password = await answer_password_of(world.sessions, world.keyring, case)
    assert password not in text_of(mail)
    for name in ("personal-data.json", who["name"], who["personal_code"]):
        assert name.encode() not in sealed
    with pytest.raises(PdfReadError):
        PdfReader(io.BytesIO(sealed), password="K3QD-AAAA-BBBB-CCCC").pages[0].extract_text()
    assert PdfReader(io.BytesIO(sealed)).decrypt(password) == PasswordType.OWNER_PASSWORD
    opened = PdfReader(io.BytesIO(sealed), password=password)
    assert "8. Automated decisions" in "".join(page.extract_text() for page in opened.pages)
    data = json.loads(opened.attachments["personal-data.json"][0])
    assert who["personal_code"] in json.dumps(data, ensure_ascii=False)
    assert who["name"] not in str(await world.everything_told(case))
    assert password not in str(await world.everything_told(case))
    now = await world.clocks(case)
    assert now[(ANSWER[organisation], "")] == "kept"
    if organisation == "SE":
        assert await gate_of(world, case, "SE-33.4.6") == ["mail_refused", "encrypted"]


async def test_an_answer_without_health_data_needs_no_password(world: World) -> None:
    await world.begin(MONDAY)
    case = await file(world, "GJ", "access", channel="in_person", identified_by="identity_document")
    await world.stage(case, "identifying")
    await identify(world, case, MONDAY, way="identity_document")
    await world.stage(case, "answering")
    handed = {"channel": "phone", "handed_over_at": MONDAY.isoformat(), "reference": "calls/7"}
    with pytest.raises(Refused, match="needs no encryption"):
        await world.say(case, "send_encrypted", **handed)
    with pytest.raises(Refusal, match="no privacy request"):
        await answer_password_of(world.sessions, world.keyring, "claim:BTA:no-such")


# ---- duplicates -----------------------------------------------------------------------------------------------------


async def test_a_second_request_of_the_same_person_is_found_and_joined_into_the_first(world: World) -> None:
    """Known by a keyed hash of the code; the first one's clock runs on from its receipt, the second ends unjudged."""
    who = person(language="en")
    await world.begin(MONDAY)
    first = await file(world, "GJ", "access", "rectification", who=who, identified_by=None)
    await world.stage(first, "identifying")
    later = MONDAY + timedelta(days=3)
    await world.advance(first, later)
    again = {**who, "personal_code": who["personal_code"].replace("-", " ")}
    second = await file(world, "GJ", "access", at=later, who=again)
    row = await world.stage(second, "identifying")
    assert row.state["body"]["duplicates"] == [first]
    stranger = await file(world, "GJ", "access", at=later, who=person())
    other = await file(world, "DZ", "access", at=later, who=who)
    for case in (stranger, other):
        row = await world.stage(case, "identifying")
        assert row.state["body"]["duplicates"] == []
        with pytest.raises(Refused, match=r"another person|no such request"):
            await world.say(case, "join_request", into=first)
    with pytest.raises(Refused, match="received later"):
        await world.say(first, "join_request", into=second)
    await world.say(second, "join_request", into=first)
    row = await world.stage(second, "closed")
    assert row.outcome == "joined"
    assert set((await world.clocks(second)).values()) == {"void"}
    letter = next(m for m in world.mails(who["email"]) if "joined" in m["Subject"])
    assert first.rsplit(":", 1)[1] in text_of(letter)
    clock = await world.clock(first, "GJ-rights-answer")
    assert (clock.status, clock.anchor_at) == ("running", MONDAY)
    assert not world.mails(who["email"])[-1].is_attachment()


async def test_a_request_that_asks_for_more_is_not_joined(world: World) -> None:
    who = person()
    await world.begin(MONDAY)
    first = await file(world, "SE", "access", who=who, identified_by=None)
    await world.stage(first, "identifying")
    second = await file(world, "SE", "access", "objection", who=who)
    await world.stage(second, "identifying")
    with pytest.raises(Refused, match="does not ask for: objection"):
        await world.say(second, "join_request", into=first)
    with pytest.raises(Refused, match="the request itself"):
        await world.say(second, "join_request", into=second)


async def test_the_hash_goes_with_the_person(world: World) -> None:
    who = person()
    case = await begun(world, "GJ", "erasure", who=who)
    await decide(world, case, "erasure")
    await world.stage(case, "resting")
    await world.advance(case, MONDAY + timedelta(days=9))
    await world.stage(case, "closed")
    async with world.sessions() as session:
        row = await session.get_one(RequestRow, case)
    assert row.person is None


# ---- what is filed --------------------------------------------------------------------------------------------------


async def test_what_belongs_to_another_right_is_refused(world: World) -> None:
    await world.begin(MONDAY)
    with pytest.raises(Refusal, match="only where portability"):
        await world.file("privacy_request", "SE", content("SE", "access", transfer_to="UAB Kita"), received_at=MONDAY)
    assert WAY["SE"] == ("email", "signed_request_copy")
