"""Privacy requests: identified, gathered, decided, answered within the month, extended once (GDPR 12; part C)."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from itertools import count
from typing import Any

import pytest

from models.errors import Refusal
from models.privacy import SIGNED
from models.tables import PartyRow
from tests.replay.history import activity_of
from tests.signed import validated
from tests.world import RIGA, VILNIUS, Refused, VirtualNow, World

MONDAY = datetime(2027, 3, 1, 10, 0, tzinfo=RIGA)
"""A month later is Thursday, 1 April 2027: a working day in both countries."""
DUE = {
    "DZ": datetime(2027, 4, 2, 0, 0, tzinfo=RIGA),
    "GJ": datetime(2027, 4, 2, 0, 0, tzinfo=VILNIUS),
    "SE": datetime(2027, 4, 2, 0, 0, tzinfo=VILNIUS),
    "BL": datetime(2027, 4, 2, 0, 0, tzinfo=RIGA),
}
ANSWER = {"DZ": "DZ-14.11.3-answer", "GJ": "GJ-rights-answer", "SE": "SE-21.3", "BL": "BL-16-rights"}
GATE = {"DZ": "DZ-11.2.4", "GJ": "GJ-identity", "SE": "SE-14.3"}
WAY = {
    "DZ": ("email", "qualified_signature"),
    "GJ": ("email", "qualified_signature"),
    "SE": ("email", "signed_request_copy"),
    "BL": ("email", "qualified_signature"),
}
SECOND = timedelta(seconds=1)
_people = count(1)


def person(**more: Any) -> dict[str, Any]:
    """A person whom no other test knows."""
    n = next(_people)
    return {
        "name": f"Ieva Krūmiņa{_letters(n)}",
        "personal_code": f"{n:06d}-2{n:04d}",
        "email": f"ieva.{n}@example.lv",
        "language": "lv",
        **more,
    }


def _letters(n: int) -> str:
    return "".join(chr(ord("a") + int(d)) for d in str(n)) + "ska"


def content(organisation: str, *rights: str, who: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A request by e-mail, with what the controller accepts there."""
    channel, way = WAY[organisation]
    return {
        "rights": list(rights or ("access",)),
        "channel": channel,
        "identified_by": way,
        "person": who or person(),
        **more,
    }


def clocks_of(organisation: str, *rights: str) -> set[tuple[str, str]]:
    """The clocks of the first term."""
    own = {
        ("DZ", "access"): ["DZ-14.8.1"],
        ("DZ", "erasure"): ["DZ-14.5.4"],
        ("SE", "access"): ["SE-16.10"],
        ("SE", "erasure"): ["SE-17.2", "SE-17.5"],
    }
    return {(ANSWER[organisation], "")} | {
        (duty, right) for right in rights for duty in own.get((organisation, right), [ANSWER[organisation]])
    }


async def file(world: World, organisation: str, *rights: str, at: datetime = MONDAY, **more: Any) -> str:
    """A request received at this instant."""
    return await world.file("privacy_request", organisation, content(organisation, *rights, **more), received_at=at)


async def identify(world: World, case: str, at: datetime, **more: Any) -> dict[str, Any]:
    """The privacy handler has seen who asks."""
    _, way = WAY[case.split(":")[1]]
    said = {"way": way, "identified_at": at.isoformat(), "document": "dms/id-1", **more}
    if said["way"] == SIGNED and "signature" not in said and at <= world.now():
        said["signature"] = await validated(world, case, at)
    return await world.say(case, "identify_person", **said)


PERSONALLY = {"channel": "in_person", "way": "identity_document"}


def power_of_attorney(*rights: str, **more: Any) -> dict[str, Any]:
    """What a representative shows who was given a power of attorney on the day of the request."""
    said = {"kind": "power_of_attorney", "rights": list(rights), "form": "simple", "given_on": "2027-03-01", **more}
    return {"representation": "dms/poa-1", "authority": said}


async def status(world: World, case: str, wanted: str, *clocks: tuple[str, str]) -> None:
    """Wait until these clocks have this status."""

    async def there() -> bool:
        now = await world.clocks(case)
        return {now[key] for key in clocks} == {wanted}

    await world.until(there, f"{clocks} {wanted}")


async def gate_of(world: World, case: str, duty: str) -> list[str]:
    """The entries that cite a duty."""
    return [row.entry for row in await world.timeline(case) if row.duty == duty]


@pytest.mark.parametrize("organisation", ["DZ", "GJ", "SE", "BL"])
async def test_access_is_given_within_the_month(world: World, organisation: str) -> None:
    """Identified, gathered, answered; the proof of sending ends the answer's clock and the right's own."""
    await world.begin(MONDAY)
    who = person()
    case = await file(world, organisation, "access", who=who)
    await world.stage(case, "identifying")
    first = clocks_of(organisation, "access")
    assert {k: v for k, v in (await world.clocks(case)).items() if v == "running"}.keys() == first
    for duty, subject in first:
        assert (await world.clock(case, duty, subject)).due == DUE[organisation]
    await identify(world, case, MONDAY)
    if organisation in GATE:
        assert await gate_of(world, case, GATE[organisation]) == ["identified"]
    if organisation in ("DZ", "SE"):
        await world.stage(case, "answering")
        await world.until(lambda: _entry(world, case, "mail_refused"))
        assert not world.mails(who["email"]), "health data never leave by plain mail"
        with pytest.raises(Refused, match="encrypted"):
            await world.say(case, "confirm_answer_sent", channel="email", sent_on="2027-03-01", reference="x")
        await world.say(case, "confirm_answer_sent", channel="portal", sent_on="2027-03-01", reference="portal/1")
    await world.stage(case, "resting")
    clocks = await world.clocks(case)
    assert {clocks[key] for key in first} == {"kept"}
    if organisation == "SE":
        assert await gate_of(world, case, "SE-33.4.6") == ["mail_refused"]
        assert clocks[("SE-16.6", "access")] == "kept"
    if organisation in ("GJ", "BL"):
        mail = world.mails(who["email"])[0]
        files = {a.get_filename(): _text(a) for a in mail.iter_attachments()}
        data = json.loads(files["personal-data.json"])
        assert len(data["about"]) == 8
        assert who["personal_code"] in json.dumps(data, ensure_ascii=False)
        assert "<h2>8. Automatizēti lēmumi</h2>" in files["personal-data.html"]
    await world.advance(case, MONDAY + timedelta(days=9))
    await world.stage(case, "closed")
    row = await world.row(case)
    assert row is not None
    assert row.outcome == "fulfilled"


def _text(attachment: Any) -> str:
    return str(attachment.get_payload(decode=True), "utf-8")


async def _entry(world: World, case: str, entry: str) -> bool:
    return entry in await world.entries(case)


@pytest.mark.parametrize("organisation", ["DZ", "GJ", "SE"])
async def test_erasure_is_decided_carried_out_and_told(world: World, organisation: str) -> None:
    """A person decides; every closed case of the person loses its names; the answer itself goes last."""
    await world.begin(MONDAY)
    who = person()
    former = await file(world, organisation, "access", who=who)
    await world.stage(former, "identifying")
    await world.say(former, "withdraw_request", withdrawn_at=MONDAY.isoformat(), document="dms/w")
    case = await file(world, organisation, "erasure", who=who)
    await world.stage(case, "identifying")
    await identify(world, case, MONDAY)
    await world.stage(case, "assessing")
    await world.say(case, "assess_right", right="erasure", outcome="fulfilled")
    await told_of_erasure(world, case)
    await world.stage(case, "resting")
    first = clocks_of(organisation, "erasure")
    clocks = await world.clocks(case)
    assert {clocks[key] for key in first} == {"kept"}
    assert world.mails(who["email"]), "a letter without the data may go by mail"
    assert set(await hits(world, who)) <= {case}, "only the request itself still names the person"
    await world.advance(case, MONDAY + timedelta(days=9))
    await world.stage(case, "closed")
    assert await hits(world, who) == {}


async def told_of_erasure(world: World, case: str) -> None:
    """DZ-14.10.1: who had received the data is told before the answer; here nobody had."""
    if case.split(":")[1] == "DZ":
        await world.stage(case, "carrying_out")
        await world.say(case, "report_recipients", right="erasure", recipients=[], reference="dms/recipients")


async def hits(world: World, who: dict[str, Any]) -> dict[str, list[str]]:
    """Case → tables in whose dump the person's name, code or address still stands."""
    found: dict[str, list[str]] = {}
    for table, row in await world.everything_stored():
        dump = json.dumps(row, ensure_ascii=False, default=str).casefold()
        if any(str(who[k]).casefold() in dump for k in ("name", "personal_code", "email") if who.get(k)):
            found.setdefault(str(row.get("case", table)), []).append(table)
    return found


# ---- time -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("organisation", ["DZ", "GJ", "SE"])
async def test_overdue_at_the_due_instant_and_kept_only_with_a_correction(world: World, organisation: str) -> None:
    """Reminders before, escalation at the due instant; proof from before, told after, needs a second person."""
    await world.begin(MONDAY)
    due = DUE[organisation]
    case = await file(world, organisation, "access", channel="in_person", identified_by="signed_request")
    await world.stage(case, "identifying")
    way = "signed_request" if organisation == "SE" else "identity_document"
    await identify(world, case, MONDAY, way=way)
    await world.stage(case, "answering")
    await world.advance(case, due - SECOND * 20)
    first = clocks_of(organisation, "access")
    clocks = await world.clocks(case)
    assert {clocks[key] for key in first} == {"running"}
    assert [r.duty for r in await world.timeline(case) if r.entry == "reminded"].count(ANSWER[organisation]) >= 3
    await world.advance(case, due)
    await status(world, case, "overdue", *first)
    notices = await world.notices(case)
    told = [n for n in notices.values() if n.template == "internal-escalation"]
    assert {n.party for n in told} == {"data_protection_officer"}
    await world.advance(case, due + timedelta(days=1))
    before = (due - SECOND).isoformat()
    with pytest.raises(Refused, match="second_person"):
        await world.say(case, "confirm_answer_sent", channel="in_person", sent_at=before, reference="r/1")
    correction = {"reason": "the receipt came late", "document": "dms/9", "second_person": "op-1"}
    with pytest.raises(Refused, match="another person"):
        await world.say(
            case, "confirm_answer_sent", channel="in_person", sent_at=before, reference="r/1", correction=correction
        )
    correction["second_person"] = "op-2"
    await world.say(
        case, "confirm_answer_sent", channel="in_person", sent_at=before, reference="r/1", correction=correction
    )
    clocks = await world.clocks(case)
    assert {clocks[key] for key in first} == {"kept"}
    assert (await world.clock(case, ANSWER[organisation])).overdue_at is not None


@pytest.mark.parametrize("organisation", ["DZ", "GJ", "SE"])
async def test_an_answer_handed_over_at_the_due_instant_is_late(world: World, organisation: str) -> None:
    await world.begin(MONDAY)
    case = await file(world, organisation, "access", channel="in_person")
    await world.stage(case, "identifying")
    way = "signed_request" if organisation == "SE" else "identity_document"
    await identify(world, case, MONDAY, way=way)
    await world.stage(case, "answering")
    due = (await world.clock(case, ANSWER[organisation])).due
    await world.advance(case, due + timedelta(hours=2))
    await world.say(
        case, "confirm_answer_sent", channel="in_person", sent_at=due.astimezone(VILNIUS).isoformat(), reference="r/2"
    )
    clocks = await world.clocks(case)
    assert {clocks[key] for key in clocks_of(organisation, "access")} == {"late"}


@pytest.mark.parametrize("organisation", ["DZ", "GJ", "SE"])
async def test_an_answer_by_mail_one_second_before_the_due_instant_is_kept(
    world: World, organisation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The carrier's acceptance decides, whichever of proof and timer comes first."""
    await world.begin(MONDAY)
    who = person()
    case = await file(world, organisation, "erasure", who=who)
    await world.stage(case, "identifying")
    await identify(world, case, MONDAY)
    await world.stage(case, "assessing")
    due = DUE[organisation]
    await world.advance(case, due - SECOND)
    with monkeypatch.context() as frozen:
        frozen.setattr(VirtualNow, "__call__", lambda _: due - SECOND)
        ground = "legal_claim"
        try:
            await world.say(
                case, "assess_right", right="erasure", outcome="refused", ground=ground, reason="Notiek tiesvedība."
            )
            await world.stage(case, "resting")
        finally:
            frozen.undo()
    clocks = await world.clocks(case)
    assert {clocks[key] for key in clocks_of(organisation, "erasure")} == {"kept"}
    clock = await world.clock(case, ANSWER[organisation])
    assert clock.happened_at == due - SECOND


@pytest.mark.parametrize(
    ("organisation", "received", "due"),
    [
        # 28 February 2027 is a Sunday: the month rolls to Monday, 1 March
        ("DZ", datetime(2027, 1, 31, 12, 0, tzinfo=RIGA), datetime(2027, 3, 2, tzinfo=RIGA)),
        ("SE", datetime(2027, 1, 31, 12, 0, tzinfo=VILNIUS), datetime(2027, 3, 2, tzinfo=VILNIUS)),
        # half past eleven at night and half past midnight, winter and summer; the last in the caller's own offset
        ("DZ", datetime(2027, 1, 14, 23, 30, tzinfo=RIGA), datetime(2027, 2, 16, tzinfo=RIGA)),
        ("GJ", datetime(2027, 1, 18, 23, 30, tzinfo=VILNIUS), datetime(2027, 2, 19, tzinfo=VILNIUS)),
        ("SE", datetime(2027, 7, 14, 23, 30, tzinfo=VILNIUS), datetime(2027, 8, 17, tzinfo=VILNIUS)),
        ("GJ", datetime(2027, 7, 1, 23, 30, tzinfo=VILNIUS), datetime(2027, 8, 3, tzinfo=VILNIUS)),
        ("DZ", datetime(2027, 3, 3, 0, 30, tzinfo=RIGA), datetime(2027, 4, 6, tzinfo=RIGA)),
        ("SE", datetime(2027, 3, 2, 2, 30, tzinfo=timezone(timedelta(hours=5))), datetime(2027, 4, 2, tzinfo=VILNIUS)),
    ],
)
async def test_the_month_runs_from_the_local_day_of_receipt(
    world: World, organisation: str, received: datetime, due: datetime
) -> None:
    """Entered three days later, it still runs from the first receipt."""
    await world.begin(received + timedelta(days=3))
    case = await file(world, organisation, "erasure", at=received)
    await world.stage(case, "identifying")
    clock = await world.clock(case, ANSWER[organisation])
    assert (clock.anchor_at, clock.due) == (received, due)


async def test_overdue_on_arrival(world: World) -> None:
    """Received long before it was entered: overdue and escalated at once."""
    await world.begin(MONDAY)
    case = await file(world, "DZ", "access", at=MONDAY - timedelta(days=40))
    await world.stage(case, "identifying")
    await world.until(lambda: _overdue(world, case))
    clocks = await world.clocks(case)
    assert {clocks[key] for key in clocks_of("DZ", "access")} == {"overdue"}


async def _overdue(world: World, case: str) -> bool:
    return (await world.entries(case)).count("due") == 2


# ---- extension ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("organisation", ["DZ", "GJ"])
async def test_one_extension_until_the_last_second_of_the_first_month(
    world: World, organisation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three months from receipt, for the same subjects; a second extension is refused."""
    await world.begin(MONDAY)
    who = person()
    case = await file(world, organisation, "access", "erasure", who=who)
    await world.stage(case, "identifying")
    due = DUE[organisation]
    await world.advance(case, due - SECOND * 5)
    with monkeypatch.context() as frozen:
        frozen.setattr(VirtualNow, "__call__", lambda _: due - SECOND)
        await world.say(case, "extend_request", reason="complexity")

        async def told() -> bool:
            return (await world.clocks(case))[(ANSWER[organisation], "")] == "void"

        await world.until(told)
    extension = f"{'DZ-14.11.3' if organisation == 'DZ' else 'GJ-rights'}-extension"
    for subject in ("", "access", "erasure"):
        clock = await world.clock(case, extension, subject)
        assert (clock.status, clock.anchor_at) == ("running", MONDAY)
        assert clock.due == datetime(2027, 6, 2, 0, 0, tzinfo=RIGA)
    clocks = await world.clocks(case)
    assert {clocks[key] for key in clocks_of(organisation, "access", "erasure")} == {"void"}
    assert (await world.clock(case, ANSWER[organisation])).reason == "extended: complexity"
    assert any(
        "izskatīšan" in str(m.get_content()) or "sarežģīts" in str(m.get_content()) for m in world.mails(who["email"])
    )
    with pytest.raises(Refused, match="at most once"):
        await world.say(case, "extend_request", reason="number")
    way = {"DZ": "identity_document", "GJ": "identity_document"}[organisation]
    await world.advance(case, due + timedelta(days=30))
    await identify(world, case, due + timedelta(days=20), way=way, channel="in_person")
    await world.stage(case, "assessing")
    await world.say(case, "assess_right", right="erasure", outcome="fulfilled")
    await told_of_erasure(world, case)
    await world.stage(case, "answering" if organisation == "DZ" else "resting")
    if organisation == "DZ":
        day = (due + timedelta(days=30)).date().isoformat()
        await world.say(case, "confirm_answer_sent", channel="post", sent_on=day, reference="post/1")
    clocks = await world.clocks(case)
    assert {clocks[(extension, subject)] for subject in ("", "access", "erasure")} == {"kept"}


@pytest.mark.parametrize("organisation", ["DZ", "GJ"])
async def test_an_extension_at_the_due_instant_is_refused(world: World, organisation: str) -> None:
    await world.begin(MONDAY)
    case = await file(world, organisation, "access")
    await world.stage(case, "identifying")
    await world.advance(case, DUE[organisation])
    with pytest.raises(Refused, match="the first term stands"):
        await world.say(case, "extend_request", reason="number")
    await status(world, case, "overdue", *clocks_of(organisation, "access"))


@pytest.mark.parametrize(("organisation", "clause"), [("SE", "21.3"), ("BL", "16; GDPR")])
async def test_a_controller_without_an_extension_names_the_clause(world: World, organisation: str, clause: str) -> None:
    await world.begin(MONDAY)
    case = await file(world, organisation, "access")
    await world.stage(case, "identifying")
    with pytest.raises(Refused, match=clause):
        await world.say(case, "extend_request", reason="complexity")


async def test_an_extension_that_is_not_told_in_time_lapses(world: World) -> None:
    """The letter could not be sent before the first term ended: the first term stands, and is overdue."""
    await world.begin(MONDAY)
    case = await file(world, "DZ", "access", who=person(email=None), channel="post", identified_by="signed_request")
    await world.stage(case, "identifying")
    await world.say(case, "extend_request", reason="number")
    await world.until(lambda: _entry(world, case, "letters"))
    assert (await world.clock(case, "DZ-14.11.3-extension")).status == "running"
    assert (await world.clock(case, "DZ-14.11.3-answer")).status == "running"
    await world.advance(case, DUE["DZ"])
    await status(world, case, "overdue", *clocks_of("DZ", "access"))
    await status(world, case, "void", ("DZ-14.11.3-extension", ""), ("DZ-14.11.3-extension", "access"))
    assert "extension_lapsed" in await world.entries(case)
    with pytest.raises(Refused, match="at most once"):
        await world.say(case, "extend_request", reason="number")


async def test_an_extension_told_by_post_stands(world: World) -> None:
    await world.begin(MONDAY)
    case = await file(world, "GJ", "access", who=person(email=None), channel="post", identified_by="notarised_request")
    await world.stage(case, "identifying")
    await world.say(case, "extend_request", reason="number")
    await world.until(lambda: _entry(world, case, "letters"))
    await world.say(
        case,
        "confirm_letter_sent",
        notice="extension:subject:1",
        channel="post",
        sent_at=MONDAY.isoformat(),
        reference="post/7",
    )
    assert (await world.clock(case, "GJ-rights-answer")).status == "void"
    assert (await world.clock(case, "GJ-rights-extension")).status == "running"


# ---- identification -------------------------------------------------------------------------------------------------


async def test_a_scan_by_e_mail_is_refused_at_gj_and_the_clock_starts_again_on_identification(world: World) -> None:
    """The ways are named, the request stays open; both instants are kept."""
    await world.begin(MONDAY)
    who = person(language="lt")
    case = await file(world, "GJ", "access", who=who, identified_by="signed_request_copy")
    await world.stage(case, "identifying")
    await world.until(lambda: _entry(world, case, "letters"))
    letter = world.mails(who["email"])[0].get_content()
    assert "kvalifikuotu elektroniniu parašu" in letter
    assert "prisijungus prie portalo" in letter
    with pytest.raises(Refused) as refused:
        await identify(world, case, MONDAY, way="signed_request_copy")
    assert "qualified_signature" in str(refused.value)
    assert "in_person: identity_document" in str(refused.value)
    with pytest.raises(Refused, match="not accepted by phone"):
        await identify(world, case, MONDAY, way="call_back", channel="phone")
    seen = MONDAY + timedelta(days=10)
    await world.advance(case, seen)
    await identify(world, case, seen, way="identity_document", channel="in_person")
    await world.stage(case, "resting")
    for subject in ("", "access"):
        former = await world.clock(case, "GJ-rights-answer", subject, n=1)
        clock = await world.clock(case, "GJ-rights-answer", subject, n=2)
        assert (former.status, former.reason) == ("void", "identified_later")
        assert (clock.anchor_at, clock.due) == (seen, datetime(2027, 4, 13, 0, 0, tzinfo=VILNIUS))
        assert clock.status == "kept"
    facts = next(r.facts for r in await world.timeline(case) if r.entry == "identified")
    assert (facts["received_at"][:10], facts["identified_at"][:10]) == ("2027-03-01", "2027-03-11")


@pytest.mark.parametrize("organisation", ["DZ", "SE"])
async def test_elsewhere_the_clock_runs_from_receipt_whatever_happens(world: World, organisation: str) -> None:
    await world.begin(MONDAY)
    case = await file(world, organisation, "access", identified_by=None)
    await world.stage(case, "identifying")
    await world.until(lambda: _entry(world, case, "letters"))
    await world.say(case, "ask_identification")
    seen = MONDAY + timedelta(days=10)
    await world.advance(case, seen)
    await identify(world, case, seen)
    await world.stage(case, "answering")
    for duty, subject in clocks_of(organisation, "access"):
        clock = await world.clock(case, duty, subject)
        assert (clock.n, clock.status, clock.due) == (1, "running", DUE[organisation])
    if organisation == "SE":
        assert (await world.clock(case, "SE-16.6", "access")).anchor_at == seen
    assert {"identify:subject:1", "identify:subject:2"} <= set(await world.notices(case))


@pytest.mark.parametrize(
    ("right", "channel", "way"),
    [
        ("access", "in_person", None),
        ("access", "phone", None),
        ("access", "email", None),
        ("access", "post", "signed_request"),
        ("erasure", "post", None),
        ("erasure", "portal", None),
    ],
)
async def test_a_request_without_the_form_is_taken_and_nothing_waits_for_it(
    world: World, right: str, channel: str, way: str | None
) -> None:
    """SE-16.5, SE-21.5: free words, whatever the right and the channel. The clocks run from the receipt and stay so.

    What is asked for is who asks, never a form; identified, it goes on at once.
    """
    await world.begin(MONDAY)
    who = person()
    words = "Labdien, norėčiau žinoti, ką apie mane saugote, ir daugiau to nebenoriu."
    case = await file(world, "SE", right, who=who, channel=channel, identified_by=way, statement=words)
    await world.stage(case, "identifying")
    clocks = clocks_of("SE", right)
    for duty, subject in clocks:
        clock = await world.clock(case, duty, subject)
        assert (clock.anchor_at, clock.due, clock.status) == (MONDAY, DUE["SE"], "running")
    if way is None:
        await world.until(lambda: _entry(world, case, "letters"))
        (letter,) = world.mails(who["email"])
        assert "veidlap" not in letter.get_content().lower(), "no form is asked for"
    else:
        assert not world.mails(who["email"]), "a signed letter of any form shows who asks"
    seen = MONDAY + timedelta(days=10)
    await world.advance(case, seen)
    await identify(world, case, seen, way="signed_request", channel="in_person")
    await world.stage(case, "answering" if right == "access" else "assessing")
    for duty, subject in clocks:
        clock = await world.clock(case, duty, subject)
        assert (clock.n, clock.anchor_at, clock.due, clock.status) == (1, MONDAY, DUE["SE"], "running")
    if right == "access":
        said = {"channel": "post", "reference": "post/1", "sent_at": seen.isoformat()}
        await world.say(case, "confirm_answer_sent", **said)
        await world.stage(case, "resting")
        assert {(await world.clocks(case))[key] for key in clocks} == {"kept"}


@pytest.mark.parametrize("organisation", ["DZ", "GJ", "SE", "BL"])
async def test_a_wrong_way_is_refused_and_the_accepted_ones_are_named(world: World, organisation: str) -> None:
    await world.begin(MONDAY)
    case = await file(world, organisation, "access")
    await world.stage(case, "identifying")
    with pytest.raises(Refused, match=r"accepted: in_person: .*email: "):
        await identify(world, case, MONDAY, way="voice")
    with pytest.raises(Refused, match="future"):
        await identify(world, case, MONDAY + timedelta(days=1))
    with pytest.raises(Refused, match="before the receipt"):
        await identify(world, case, MONDAY - timedelta(days=1))
    with pytest.raises(Refused, match="not in stage identifying"):
        await world.say(case, "confirm_answer_sent", channel="post", sent_on="2027-03-01", reference="x")
    row = await world.row(case)
    assert row is not None
    assert row.stage == "identifying"


@pytest.mark.parametrize(("organisation", "gate"), [("GJ", "GJ-identity-representative"), ("SE", "SE-14.2")])
async def test_a_representative_proves_the_right_to_represent(world: World, organisation: str, gate: str) -> None:
    await world.begin(MONDAY)
    case = await file(world, organisation, "access", representative={"name": "Jonas Petraitis"})
    await world.stage(case, "identifying")
    way = PERSONALLY if organisation == "GJ" else {}
    with pytest.raises(Refused, match=gate):
        await identify(world, case, MONDAY, **way)
    await identify(world, case, MONDAY, **way, **power_of_attorney("access"))
    await world.until(lambda: _entry(world, case, "gathered"))
    assert await gate_of(world, case, gate) == ["representation_proved"]
    assert await gate_of(world, case, GATE[organisation]) == ["identified"]


async def test_the_portal_identifies_by_its_sign_in(world: World) -> None:
    """The straight way: nobody has to do anything. Its cost in history events and activities is kept low."""
    await world.begin(MONDAY)
    case = await file(world, "GJ", "access", channel="portal", identified_by="portal_sign_in", answer_channel="email")
    await world.stage(case, "resting")
    await world.advance(case, MONDAY + timedelta(days=9))
    await world.stage(case, "closed")
    assert await world.entries(case) == ["received_and_identified", "gathered", "answered", "closed"]
    assert await gate_of(world, case, "GJ-identity") == ["received_and_identified"]
    history = await world.handle(case).fetch_history()
    assert len([e for e in history.events if activity_of(e)]) == 8
    assert len(history.events) < 70


# ---- rights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("organisation", ["DZ", "GJ", "SE"])
async def test_two_rights_have_a_clock_each_and_one_answer(world: World, organisation: str) -> None:
    await world.begin(MONDAY)
    who = person()
    case = await file(world, organisation, "access", "erasure", who=who, answer_channel="portal")
    await world.stage(case, "identifying")
    await identify(world, case, MONDAY)
    await world.stage(case, "assessing")
    with pytest.raises(Refused, match="a person decides"):
        await world.say(case, "assess_right", actor="system:dms", right="erasure", outcome="fulfilled")
    with pytest.raises(Refused, match=r"one of the controller's: .*legal_claim"):
        await world.say(case, "assess_right", right="erasure", outcome="refused", ground="costs", reason="Par dārgu.")
    await world.say(
        case, "assess_right", right="erasure", outcome="refused", ground="legal_duty", reason="Glabāšanas pienākums."
    )
    await world.stage(case, "answering")
    await world.say(case, "confirm_answer_sent", channel="portal", sent_on="2027-03-01", reference="portal/2")
    clocks = await world.clocks(case)
    assert {clocks[key] for key in clocks_of(organisation, "access", "erasure")} == {"kept"}
    await world.advance(case, MONDAY + timedelta(days=9))
    row = await world.row(case)
    assert row is not None
    assert row.outcome == "in_part"
    assert await hits(world, who), "a refused erasure erases nothing"


async def test_what_is_in_use_is_kept_with_its_ground_and_named_in_the_answer(world: World) -> None:
    """An open case of the person stays, restricted; the closed one loses the person."""
    await world.begin(MONDAY)
    who = person()
    closed = await file(world, "GJ", "access", who=who)
    await world.stage(closed, "identifying")
    await world.say(closed, "withdraw_request", withdrawn_at=MONDAY.isoformat(), document="dms/w")
    still_open = await file(world, "GJ", "access", who=who)
    await world.stage(still_open, "identifying")
    case = await file(world, "GJ", "erasure", who=who)
    await world.stage(case, "identifying")
    await identify(world, case, MONDAY)
    await world.stage(case, "assessing")
    with pytest.raises(Refused, match=still_open):
        await world.say(case, "assess_right", right="erasure", outcome="fulfilled")
    await world.say(
        case, "assess_right", right="erasure", outcome="in_part", ground="legal_duty", reason="Lieta vēl atvērta."
    )
    await world.stage(case, "resting")
    letter = next(m for m in world.mails(who["email"]) if "atvērta" in _plain(m))
    assert still_open in _plain(letter)
    assert "VDAR 17. panta 3. punkta b) apakšpunkts" in _plain(letter)
    await world.advance(case, MONDAY + timedelta(days=9))
    found = await hits(world, who)
    # the request keeps whom to look for when the ground of what it left has ended, and nothing else of the person
    assert set(found) == {still_open, case}
    assert set(found[case]) == {"kept"}
    async with world.sessions() as session:
        party = await session.get(PartyRow, (still_open, "subject"))
    assert party is not None
    assert party.other["restricted"] == "legal_duty"


def _plain(mail: Any) -> str:
    body = mail.get_body(preferencelist=("plain",))
    return str(body.get_content())


async def test_access_may_be_refused_with_a_ground(world: World) -> None:
    """Nothing is attached, the ground and its clause are told."""
    await world.begin(MONDAY)
    who = person()
    case = await file(world, "SE", "access", who=who)
    await world.stage(case, "identifying")
    with pytest.raises(Refused, match=r"21\.7"):
        await world.say(case, "assess_right", right="access", outcome="refused", reason="Nepagrįsta.")
    await world.say(
        case,
        "assess_right",
        right="access",
        outcome="refused",
        ground="unfounded_or_excessive",
        reason="Jau teikta.",
        cites="dms/earlier-answers",
    )
    await identify(world, case, MONDAY)
    await world.stage(case, "resting")
    mail = world.mails(who["email"])[-1]
    assert "21.7" in _plain(mail)
    assert not list(mail.iter_attachments())


async def test_a_bounced_answer_runs_its_clocks_again_until_it_is_sent_to_another_address(world: World) -> None:
    await world.begin(MONDAY)
    who = person()
    case = await file(world, "GJ", "access", who=who)
    await world.stage(case, "identifying")
    await identify(world, case, MONDAY)
    await world.stage(case, "resting")
    await world.say(case, "report_bounce", notice="answer:subject:1", bounced_at=MONDAY.isoformat())
    await world.stage(case, "answering")
    clocks = await world.clocks(case)
    assert {clocks[key] for key in clocks_of("GJ", "access")} == {"running"}
    assert clocks[("T-rest", "")] == "void"
    with pytest.raises(Refused, match="subject"):
        await world.say(case, "correct_address", party="C1", email="cits@example.lv")
    await world.say(case, "correct_address", party="subject", email=f"jauns.{who['email']}")
    await world.stage(case, "resting")
    clocks = await world.clocks(case)
    assert {clocks[key] for key in clocks_of("GJ", "access")} == {"kept"}
    assert list(world.mails(f"jauns.{who['email']}")[0].iter_attachments())


async def test_a_bounce_after_the_close_opens_the_request_again(world: World) -> None:
    await world.begin(MONDAY)
    case = await file(world, "GJ", "access", channel="portal", identified_by="portal_sign_in", answer_channel="email")
    await world.stage(case, "resting")
    await world.advance(case, MONDAY + timedelta(days=9))
    await world.stage(case, "closed")
    bounce = {"actor": "system:mail", "notice": "answer:subject:1", "bounced_at": MONDAY.isoformat()}
    delivered = await world.intake.submit_event(case, "b-1", "report_bounce", bounce)
    assert delivered.answer is not None, delivered
    await world.stage(case, "answering")
    assert (await world.clock(case, "GJ-rights-answer")).status == "running"


async def test_a_withdrawn_request_ends_without_judgment(world: World) -> None:
    await world.begin(MONDAY)
    case = await file(world, "DZ", "access")
    await world.stage(case, "identifying")
    await world.say(case, "withdraw_request", withdrawn_at=MONDAY.isoformat(), document="dms/3")
    await world.stage(case, "closed")
    assert set((await world.clocks(case)).values()) == {"void"}


# ---- filing ---------------------------------------------------------------------------------------------------------


async def test_a_filing_is_refused_with_all_its_faults(world: World) -> None:
    """A right is asked for once; a controller without privacy terms takes none."""
    await world.begin(MONDAY)
    with pytest.raises(Refusal, match="asked for once"):
        await file(world, "DZ", "access", "access")
    with pytest.raises(Refusal, match="no terms for privacy requests"):
        await world.file("privacy_request", "BTA", content("DZ"))
    with pytest.raises(Refusal) as refused:
        await world.file("privacy_request", "DZ", {"rights": [], "channel": "fax", "person": {"name": "x"}})
    assert {f.split(":")[0] for f in refused.value.faults} == {
        "content.rights",
        "content.channel",
        "content.person.personal_code",
    }


async def test_nothing_personal_enters_the_history(world: World) -> None:
    """The whole history of a request names nobody: names, codes, addresses and the archive stay in the store."""
    await world.begin(MONDAY)
    who = person()
    case = await file(world, "GJ", "access", who=who)
    await world.stage(case, "identifying")
    await identify(world, case, MONDAY)
    await world.stage(case, "resting")
    written = await world.everything_told(case)
    assert "qualified_signature" in written, "the payloads are readable here"
    for key in ("name", "personal_code", "email"):
        assert who[key] not in written
        assert json.dumps(who[key])[1:-1] not in written


async def test_an_extension_whose_letter_came_back_stands_only_if_it_is_told_again_in_time(world: World) -> None:
    """The first term runs again from the same receipt, until another address took the letter."""
    await world.begin(MONDAY)
    who = person()
    case = await file(world, "GJ", "access", who=who)
    await world.stage(case, "identifying")
    await world.say(case, "extend_request", reason="number")
    first = clocks_of("GJ", "access")
    await status(world, case, "void", *first)
    await world.say(case, "report_bounce", notice="extension:subject:1", bounced_at=MONDAY.isoformat())
    await status(world, case, "running", *first, ("GJ-rights-extension", ""), ("GJ-rights-extension", "access"))
    assert (await world.clock(case, "GJ-rights-answer")).due == DUE["GJ"]
    await world.say(case, "correct_address", party="subject", email=f"otrs.{who['email']}")
    await status(world, case, "void", *first)
    await status(world, case, "running", ("GJ-rights-extension", ""), ("GJ-rights-extension", "access"))
    assert world.mails(f"otrs.{who['email']}")


async def test_the_operator_sees_where_it_stands_and_what_can_be_said(world: World) -> None:
    await world.begin(MONDAY)
    case = await file(world, "GJ", "erasure", identified_by=None)
    await world.stage(case, "identifying")
    await world.until(lambda: _entry(world, case, "letters"))
    await world.settled(case)
    metadata = await world.handle(case).query("__temporal_workflow_metadata")
    details = metadata.current_details
    assert "**Not identified.**" in details
    assert "accepted: in_person: identity_document" in details
    for name in ("identify_person", "ask_identification", "extend_request", "withdraw_request"):
        assert f"**{name}**" in details
    assert "confirm_letter_sent" not in details
    assert "assess_right" not in details, "erasure is decided once it is known what is held"
    with pytest.raises(Refused, match="once the data are gathered"):
        await world.say(case, "assess_right", right="erasure", outcome="fulfilled")


async def test_the_details_say_where_each_right_stands(world: World) -> None:
    """Whoever asked for themselves and was identified is not shown as not identified."""
    await world.begin(MONDAY)
    case = await file(world, "GJ", "access", "erasure", identified_by=None)
    await world.stage(case, "identifying")
    await identify(world, case, MONDAY)
    await world.stage(case, "assessing")
    details = await world.details(case)
    assert "**Access to the data** (access): needs no decision" in details
    assert "**Erasure of the data** (erasure): **not decided**" in details
    assert "**Identified:** Mon 2027-03-01" in details
    assert "Not identified" not in details
    said = {"right": "erasure", "outcome": "refused", "ground": "legal_duty", "reason": "Glabāšanas pienākums."}
    await world.say(case, "assess_right", **said)
    assert "(erasure): refused, legal duty" in await world.details(case)
