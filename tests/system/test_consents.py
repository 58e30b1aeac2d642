"""The register of consents against a real store: given with proof, taken back at once, over in time; the commands."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlmodel import col, select, update

from integrations.data_systems import Subject
from models.consent import Answer, Stopped
from models.errors import Refusal
from models.storage import StorageReport
from models.tables import ConsentRow, OperatorRow, RecordFactRow, RecordRow, StorageItemRow
from operations import storage
from operations.consent_store import empty_again, erase_over
from operations.consents import Consents
from operations.erase import LEDGER, destroy_again
from operations.local import Postgres
from operations.operators import Operators
from operations.own_store import OwnStore
from operations.reading import NotFound
from operations.records import Records
from operations.samples import SAMPLES
from operations.storage import begin, end, look, report, step
from security.keys import KeyDestroyed
from tests.conftest import make_world, virtual_temporal
from tests.system.test_starter import Environment, ask, cli
from tests.world import VILNIUS, World

GIVEN = datetime(2025, 3, 3, 10, 0, tzinfo=VILNIUS)
OVER = datetime(2027, 3, 4, 0, 0, tzinfo=VILNIUS)
"""Two years after it: the last day is 3 March 2027."""
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
TEXT = hashlib.sha256(b"Sutinku gauti naujienas.").hexdigest()
_numbers = count(1)
_runs = count(1)


@pytest.fixture(scope="module")
async def own(postgres: Postgres) -> AsyncIterator[World]:
    """A world of this file alone: a night looks at all that there is, and erases it."""
    async with await virtual_temporal() as environment, make_world(postgres, environment, "consents") as world:
        yield world


def somebody(**more: Any) -> dict[str, Any]:
    """A person whom no other test knows."""
    n = next(_numbers)
    return {
        "name": f"Jonas Petrauskas {n}",
        "personal_code": f"39{n:04d}-1{n:04d}",
        "email": f"jonas.{n}@pastas.example",
        "phone": f"+370612{n:05d}",
        **more,
    }


def consent(organisation: str = "GJ", **more: Any) -> dict[str, Any]:
    """A consent that no other test knows."""
    purpose = (
        {"purpose": "marketing", "channels": ["email", "sms"]} if organisation == "GJ" else {"purpose": "contests"}
    )
    return {
        "organisation": organisation,
        "consent": f"K-{next(_numbers)}",
        "person": somebody(),
        **purpose,
        "given_at": GIVEN.isoformat(),
        "given_by": "portal",
        "text_version": "rinkodara-3",
        "text_sha256": TEXT,
        "notice_version": "pranesimas-7",
        "informed_at": (GIVEN - SECOND).isoformat(),
        "proof": "crm/sutikimai/1",
        **more,
    }


def consents(world: World, at: datetime = GIVEN + DAY) -> Consents:
    """The register at this instant."""
    return Consents(world.sessions, world.keyring, lambda: at)


async def given(world: World, **more: Any) -> dict[str, Any]:
    """A consent that was written down."""
    said = consent(**more)
    assert (await consents(world).give(said)).new
    return said


async def may(world: World, said: dict[str, Any], at: datetime = GIVEN + DAY, by: str = "email", **more: Any) -> Answer:
    """May the person be contacted, who is known by this alone?"""
    question = {
        "organisation": said["organisation"],
        "purpose": said["purpose"],
        "person": {by: said["person"][by]},
        "channel": "email" if said.get("channels") else None,
        "at": at.isoformat(),
        **more,
    }
    return await consents(world).may(question)


async def withdraw(world: World, at: datetime = GIVEN + DAY, organisation: str = "GJ", **more: Any) -> Stopped:
    """Consents are taken back."""
    return await consents(world, at).withdraw({"organisation": organisation, "withdrawn_by": "link", **more})


async def night(world: World, at: datetime) -> StorageReport:
    """A whole run over the storage terms, judged for this instant."""
    n = await begin(world.sessions, f"consents-{next(_runs)}", lambda: at)
    while await step(world.sessions, world.keyring, world.var / "backups", lambda: at, n):
        pass
    await end(world.sessions, lambda: at, n)
    return await report(world.sessions, n)


async def found(world: World, key: str, at: datetime) -> storage.Judged:
    """What the run of this instant would find."""
    [one] = [one async for one in look(world.sessions, world.keyring, at) if one.key == key]
    return one


async def rows(world: World, said: dict[str, Any]) -> list[ConsentRow]:
    """All that was said of one consent."""
    query = select(ConsentRow).where(ConsentRow.consent == said["consent"]).order_by(col(ConsentRow.n))
    async with world.sessions() as session:
        return list((await session.exec(query)).all())


def key_of(said: dict[str, Any]) -> str:
    """How a consent is called as a record."""
    return f"consent:{said['organisation']}:{said['consent']}"


# ---- given ----------------------------------------------------------------------------------------------------------


async def test_a_consent_is_kept_with_who_when_text_and_proof(own: World) -> None:
    """SE-23.2: who, when, which text, for what; the same again is the same."""
    said = await given(own, organisation="SE")
    assert not (await consents(own).give(said)).new
    shown = await consents(own).show("SE", said["consent"], personal=True)
    assert shown.person is not None
    assert shown.person["name"] == said["person"]["name"]
    assert (shown.text_sha256, shown.notice_version, shown.line.proof) == (TEXT, "pranesimas-7", "crm/sutikimai/1")
    assert (shown.line.state, shown.line.given_at) == ("given", GIVEN)
    assert (await consents(own).show("SE", said["consent"])).person is None
    assert (await may(own, said)).clause == "SE-23.2"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("channels", ["email"]),
        ("given_at", (GIVEN + HOUR).isoformat()),
        ("text_sha256", "0" * 64),
        ("notice_version", "pranesimas-8"),
        ("proof", "crm/sutikimai/2"),
        ("purpose", "surveys"),
    ],
)
async def test_a_consent_that_is_said_otherwise_is_refused_by_name(own: World, field: str, value: Any) -> None:
    said = await given(own)
    with pytest.raises(Refusal) as refused:
        await consents(own).give({**said, field: value})
    assert refused.value.faults == (f"{field}: {said['consent']} was given otherwise",)
    assert len(await rows(own, said)) == 1


async def test_without_proof_it_is_no_consent_until_there_is_one(own: World) -> None:
    """SE-23.2: if missed, without proof there is no consent."""
    said = await given(own, proof=None)
    assert (await may(own, said)).reason == "without_proof"
    assert (await consents(own).give({**said, "proof": "dms/forma-9"})).proved
    assert not (await consents(own).give({**said, "proof": "dms/forma-9"})).proved
    assert (await may(own, said)).may
    with pytest.raises(Refusal, match="proof"):
        await consents(own).give({**said, "proof": "dms/forma-10"})
    assert (await consents(own).show("GJ", said["consent"])).line.proof == "dms/forma-9"


@pytest.mark.parametrize("missing", ["notice_version", "informed_at"])
async def test_a_consent_without_the_information_that_comes_first_is_refused(own: World, missing: str) -> None:
    """SE-15.12: information after the consent is as none; nothing is written."""
    with pytest.raises(Refusal, match=r"SE-15\.12: the information comes first"):
        await consents(own).give({**consent("SE"), missing: None})
    late = {**consent("SE"), "informed_at": (GIVEN + SECOND).isoformat()}
    with pytest.raises(Refusal, match="lies after the consent"):
        await consents(own).give(late)
    assert await rows(own, late) == []
    assert (await consents(own).give({**late, "informed_at": GIVEN.isoformat()})).new


async def test_every_fault_is_named_at_once(own: World) -> None:
    faulty = {
        **consent(
            channels=["email", "post", "fax"], purpose="spam", given_at="soon", text_sha256="abc", informed_at=None
        ),
        "person": {"name": " ", "phone": "12"},
        "extra": 1,
    }
    with pytest.raises(Refusal) as refused:
        await consents(own).give(faulty)
    named = {fault.partition(":")[0] for fault in refused.value.faults}
    assert named >= {"extra", "person.name", "person.phone", "channels.2", "given_at", "text_sha256", "informed_at"}
    assert any(
        fault.startswith("purpose: on consent this organisation has: marketing") for fault in refused.value.faults
    )
    with pytest.raises(Refusal, match=r"person\.email: missing; the channel email needs it"):
        await consents(own).give({**consent(channels=["email"]), "person": somebody(email=None)})
    with pytest.raises(Refusal, match="channels: none; each is consented to by itself"):
        await consents(own).give(consent(channels=[]))
    with pytest.raises(Refusal, match=r"channels: email: for unfinished_purchases only phone \(GJ-purchase-contact\)"):
        await consents(own).give(consent(purpose="unfinished_purchases", channels=["email", "phone"], about="casco"))
    with pytest.raises(Refusal, match="about: which product"):
        await consents(own).give(consent(purpose="unfinished_purchases"))
    with pytest.raises(Refusal, match="nothing in its rulebook rests on consent"):
        await consents(own).give(consent("DZ"))
    with pytest.raises(Refusal, match="given_at: lies in the future"):
        await consents(own, GIVEN - SECOND).give(consent())


async def test_people_are_not_readable_in_the_store(own: World) -> None:
    """Sealed under a key of the consent's own, and found by keyed hashes."""
    said = await given(own)
    query = "SELECT row_to_json(c)::text, encode(who, 'escape'), encode(email, 'escape') FROM consent c"
    async with own.sessions() as session:
        stored = "".join(str(part) for row in (await session.exec(text(query))).all() for part in row)  # type: ignore[call-overload]  # no table
    for plain in said["person"].values():
        assert plain not in stored
    await own.keyring.of(key_of(said))


# ---- asked ----------------------------------------------------------------------------------------------------------


async def test_may_is_one_read_by_whatever_is_known(own: World) -> None:
    """GJ-marketing-channel: by code, address or number; a channel that was not consented to is no."""
    said = await given(own)
    for by in ("personal_code", "email", "phone"):
        assert (await may(own, said, by=by)).consent == said["consent"]
    assert (await may(own, said, by="email", person={"email": said["person"]["email"].upper()})).may
    assert (await may(own, said, channel="post")).reason == "other_channel"
    statements: list[str] = []

    def count_it(_: Any, __: Any, statement: str, *___: Any) -> None:
        if "consent" in statement:
            statements.append(statement)

    engine = own.sessions.kw["bind"].sync_engine
    event.listen(engine, "before_cursor_execute", count_it)
    try:
        await may(own, said)
    finally:
        event.remove(engine, "before_cursor_execute", count_it)
    assert len(statements) == 1
    async with own.sessions() as session:
        await session.exec(text("SET LOCAL enable_seqscan = off"))  # type: ignore[call-overload]  # no table
        plan = await session.exec(
            text("EXPLAIN SELECT n FROM consent WHERE organisation = 'GJ' AND (person = '\\x00' OR email = '\\x00')")  # type: ignore[call-overload]  # no table
        )
        assert "Seq Scan" not in "\n".join(str(line) for line in plan.all())


async def test_a_question_names_its_faults(own: World) -> None:
    with pytest.raises(Refusal) as refused:
        await consents(own).may({"organisation": "GJ", "purpose": "marketing", "person": {}})
    assert {fault.partition(":")[0] for fault in refused.value.faults} == {"person", "channel"}


async def test_somebody_else_with_the_same_address_is_somebody_else(own: World) -> None:
    """A family shares a mailbox: who is known by a code is asked for by that code."""
    said = await given(own)
    other = somebody(email=said["person"]["email"])
    question: dict[str, Any] = {"person": {"personal_code": other["personal_code"], "email": other["email"]}}
    assert (await may(own, said, **question)).reason == "none"
    await withdraw(own, person=question["person"])
    assert (await may(own, said, by="personal_code")).may


# ---- taken back -----------------------------------------------------------------------------------------------------


async def test_a_withdrawal_by_reference_stops_at_once_and_again_is_the_same(own: World) -> None:
    """SE-23.4: nobody is asked who it is; before it, what was done was allowed."""
    said = await given(own)
    at = GIVEN + 30 * DAY
    stopped = await withdraw(own, at, consent=said["consent"])
    assert (stopped.consents, stopped.stopped_at, stopped.late) == ((said["consent"],), at, False)
    assert (await may(own, said, at - SECOND)).may
    no = await may(own, said, at, by="phone")
    assert (no.may, no.reason, no.since, no.clause) == (False, "withdrawn", at, "GJ-marketing-stop")
    assert not (await withdraw(own, at + HOUR, consent=said["consent"])).anything
    assert [row.what for row in await rows(own, said)] == ["given", "withdrawn"]
    with pytest.raises(NotFound, match="K-none"):
        await withdraw(own, consent="K-none")


async def test_a_withdrawal_by_person_stops_all_and_is_known_under_every_name(own: World) -> None:
    """Taken back by a link in a letter, which knows the address only; asked later by the personal code."""
    said = await given(own)
    person = said["person"]
    buying = await given(own, purpose="unfinished_purchases", channels=["phone"], about="casco", person=person)
    at = GIVEN + 2 * DAY
    stopped = await withdraw(own, at, person={"email": person["email"]})
    assert set(stopped.consents) == {said["consent"], buying["consent"]}
    for by in ("personal_code", "email", "phone"):
        assert (await may(own, said, at, by=by)).reason == "withdrawn"
    assert not (await may(own, buying, at, by="phone", channel="phone", about="casco")).may


async def test_a_withdrawal_of_one_channel_leaves_the_others(own: World) -> None:
    said = await given(own)
    at = GIVEN + DAY
    assert (await withdraw(own, at, consent=said["consent"], channels=["sms"])).consents == (said["consent"],)
    assert (await may(own, said, at, channel="sms")).reason == "withdrawn"
    assert (await may(own, said, at)).may
    with pytest.raises(Refusal, match="it was not given for post"):
        await withdraw(own, at, consent=said["consent"], channels=["post"])
    assert (await found(own, key_of(said), at + DAY)).result == "kept"
    await withdraw(own, at, person={"phone": said["person"]["phone"]}, channels=["email"])
    assert (await found(own, key_of(said), at)).result == "erased"


async def test_what_was_taken_back_stays_so_when_an_older_consent_is_loaded(own: World) -> None:
    """A list from elsewhere still has it; a consent that is given anew counts."""
    said = consent()
    await withdraw(own, GIVEN + DAY, person={"email": said["person"]["email"]}, purpose="marketing")
    await consents(own, GIVEN + 2 * DAY).give(said)
    assert (await may(own, said, GIVEN + 2 * DAY)).reason == "withdrawn"
    anew = GIVEN + 3 * DAY
    await consents(own, anew).give({**said, "consent": f"{said['consent']}b", "given_at": anew.isoformat()})
    assert (await may(own, said, anew)).consent == f"{said['consent']}b"


@pytest.mark.parametrize(("later", "late"), [(-SECOND, False), (timedelta(0), True)])
async def test_a_withdrawal_that_is_entered_late_says_so(own: World, later: timedelta, late: bool) -> None:
    """GJ-marketing-stop: received on a Friday evening, late from Tuesday on."""
    said = await given(own)
    friday = datetime(2025, 3, 7, 18, 0, tzinfo=VILNIUS)
    entered = datetime(2025, 3, 11, 0, 0, tzinfo=VILNIUS) + later
    stopped = await withdraw(own, entered, consent=said["consent"], received_at=friday.isoformat())
    assert (stopped.due, stopped.late) == (friday + 4 * HOUR, late)
    assert (await may(own, said, friday)).reason == "withdrawn"
    given_, back = (await consents(own).show("GJ", said["consent"])).history
    assert (given_.clause, given_.due, given_.late) == ("GDPR 7(1)", None, False)
    assert (back.clause, back.due, back.late) == ("GJ-marketing-stop", friday + 4 * HOUR, late)
    assert (back.by, back.at, back.recorded_at) == ("link", friday, entered)


async def test_a_faulty_withdrawal_names_every_fault_and_changes_nothing(own: World) -> None:
    said = await given(own)
    faulty = {"consent": said["consent"], "person": {"email": "x"}, "received_at": "now", "purpose": "spam"}
    with pytest.raises(Refusal) as refused:
        await withdraw(own, **faulty)
    assert {fault.partition(":")[0] for fault in refused.value.faults} >= {"person.email", "received_at", "purpose"}
    with pytest.raises(Refusal, match="exactly one of them"):
        await withdraw(own)
    with pytest.raises(Refusal, match="lies in the future"):
        await withdraw(own, consent=said["consent"], received_at=(GIVEN + 3 * DAY).isoformat())
    with pytest.raises(Refusal, match="lies before the consent"):
        await withdraw(own, consent=said["consent"], received_at=(GIVEN - DAY).isoformat())
    assert (await may(own, said)).may


async def test_only_who_may_handle_it_writes(own: World) -> None:
    async with own.sessions() as session, session.begin():
        session.add(OperatorRow(code="op-dz", organisations=["DZ"], roles=["handle"], created_at=GIVEN))
    with pytest.raises(Refusal, match="op-dz"):
        await consents(own).give(consent(), "op-dz")
    said = await given(own)
    with pytest.raises(Refusal, match="op-dz"):
        await consents(own).withdraw(
            {"organisation": "GJ", "consent": said["consent"], "withdrawn_by": "phone"}, "op-dz"
        )


# ---- what rested on it ----------------------------------------------------------------------------------------------


async def record(world: World, said: dict[str, Any], *purposes: dict[str, Any]) -> str:
    """A record elsewhere about the person of a consent."""
    reference = f"r-{said['consent']}-{next(_numbers)}"
    facts = {"organisation": said["organisation"], "record": reference, "system": "crm", "purposes": list(purposes)}
    await Records(world.sessions, world.keyring, lambda: GIVEN).say(
        {**facts, "person": said["person"]["personal_code"]}
    )
    return reference


async def test_a_record_that_only_the_consent_carried_is_over_at_once(own: World) -> None:
    """SE-23.4 with 17.2.2: erased if nothing else carries the data; the night asks for it."""
    said = await given(own)
    since = GIVEN.isoformat()
    only = await record(own, said, {"duty": "GJ-marketing-term", "since": since})
    both = await record(
        own, said, {"duty": "GJ-marketing-term", "since": since}, {"duty": "GJ-sanctions-term", "since": None}
    )
    at = GIVEN + 50 * DAY
    stopped = await withdraw(own, at, person={"email": said["person"]["email"]})
    assert stopped.records == tuple(sorted((only, both)))
    assert (await found(own, only, at)).result == "asked"
    assert (await found(own, both, at)).result == "kept"
    async with own.sessions() as session:
        facts = (await session.exec(select(RecordFactRow).where(RecordFactRow.record == only))).all()
        assert [fact.data["purposes"][0]["withdrawn_at"] is None for fact in facts] == [True, False]
        assert (await session.get_one(RecordRow, ("GJ", only))).facts == 2


async def test_a_record_stays_while_another_consent_carries_it(own: World) -> None:
    said = await given(own)
    second = {**consent(person=said["person"], channels=["sms"]), "given_at": (GIVEN + HOUR).isoformat()}
    await consents(own).give(second)
    only = await record(own, said, {"duty": "GJ-marketing-term", "since": GIVEN.isoformat()})
    at = GIVEN + 2 * DAY
    assert (await withdraw(own, at, consent=said["consent"])).records == ()
    assert (await found(own, only, at)).result == "kept"
    assert (await withdraw(own, at, consent=second["consent"])).records == (only,)


# ---- over -----------------------------------------------------------------------------------------------------------


async def test_the_night_erases_a_consent_when_its_two_years_are_over(own: World) -> None:
    """GJ-marketing-term: not a second before; then nobody can read whom it names, and what was agreed to stays."""
    said = await given(own)
    assert (await found(own, key_of(said), OVER - SECOND)).result == "kept"
    judged = await found(own, key_of(said), OVER)
    assert (judged.result, judged.duty, judged.last_day) == ("erased", "GJ-marketing-term", date(2027, 3, 3))
    done = await night(own, OVER)
    line = next(line for line in done.lines if line.what == "consent" and line.result == "erased")
    assert (line.organisation, line.duty) == ("GJ", "GJ-marketing-term")
    assert key_of(said) in {one.case for one in done.erased}
    statements = await rows(own, said)
    assert [row.what for row in statements] == ["given", "erased"]
    assert all((row.person, row.email, row.phone, row.who) == (None, None, None, None) for row in statements)
    assert statements[0].text_sha256 == TEXT
    with pytest.raises(KeyDestroyed):
        await own.keyring.of(key_of(said))
    assert key_of(said) in (own.var / "backups" / LEDGER).read_text()
    assert await destroy_again(own.sessions, own.keyring, ()) == []
    assert (await may(own, said, OVER)).reason == "none"
    assert (await consents(own).show("GJ", said["consent"], personal=True)).line.state == "erased"
    # the same list loaded again brings nobody back
    assert not (await consents(own, OVER).give(said)).new
    assert (await rows(own, said))[0].who is None
    with pytest.raises(Refusal, match="was erased; what is given anew has another reference"):
        await consents(own, OVER).give({**said, "given_at": OVER.isoformat()})
    assert not (await withdraw(own, OVER, consent=said["consent"])).anything


async def test_what_is_withdrawn_goes_with_the_next_night(own: World) -> None:
    said = await given(own)
    at = GIVEN + 3 * DAY
    await withdraw(own, at, consent=said["consent"])
    assert key_of(said) in {one.case for one in (await night(own, at)).erased}


async def test_a_contest_is_over_with_the_withdrawal_only(own: World) -> None:
    """SE-11.2.6 is counted from the contest, which the consent does not know."""
    said = await given(own, organisation="SE")
    assert (await found(own, key_of(said), GIVEN + 9000 * DAY)).result == "kept"
    await withdraw(own, organisation="SE", consent=said["consent"])
    assert (await found(own, key_of(said), GIVEN + DAY)).result == "erased"


async def test_a_legal_hold_and_a_restriction_keep_what_is_over(own: World) -> None:
    said, other = await given(own), await given(own)
    hold = {"organisation": "GJ", "hold": f"suit-{said['consent']}", "document": "dms/suit"}
    register = Records(own.sessions, own.keyring, lambda: GIVEN)
    await register.hold({**hold, "person": said["person"]["personal_code"]})
    store = OwnStore(own.sessions, own.keyring)
    assert await store.restrict(subject(other), key_of(other), "restriction", by="privacy_request:GJ:1")
    assert (await found(own, key_of(said), OVER)).why == "legal_hold"
    assert (await found(own, key_of(other), OVER)).why == "restriction"
    with pytest.raises(Refusal, match="the legal hold"):
        await erase_over(own.sessions, own.keyring, key_of(said), own.var / "backups", lambda: OVER)
    with pytest.raises(Refusal, match="restricted"):
        await erase_over(own.sessions, own.keyring, key_of(other), own.var / "backups", lambda: OVER)
    assert not await store.erase(subject(said), key_of(said), OVER)
    await register.lift("GJ", str(hold["hold"]))
    assert await store.release(subject(other), key_of(other), by="privacy_request:GJ:1")
    assert {key_of(said), key_of(other)} <= {one.case for one in (await night(own, OVER)).erased}


async def test_a_consent_given_between_judging_and_erasing_keeps_the_other_one(own: World) -> None:
    """The night has written it down as over; until then the person consents again."""
    said = await given(own)
    at = OVER - HOUR
    again = {**consent(person=said["person"]), "given_at": at.isoformat()}
    n = await begin(own.sessions, f"consents-{next(_runs)}", lambda: OVER)
    async with own.sessions() as session, session.begin():
        session.add(
            StorageItemRow(
                run=n, key=key_of(said), organisation="GJ", duty="GJ-marketing-term", what="consent", due=OVER
            )
        )
    await consents(own, at).give(again)
    while await step(own.sessions, own.keyring, own.var / "backups", lambda: OVER, n):
        pass
    async with own.sessions() as session:
        item = await session.get_one(StorageItemRow, (n, key_of(said)))
    assert (item.result, (await rows(own, said))[0].erased_at) == ("held", None)
    assert (await may(own, said, OVER)).may


async def test_a_crash_between_the_store_and_the_key_is_made_good(own: World) -> None:
    """The store forgot, the key is still there: the same step again destroys it."""
    said = await given(own)
    async with own.sessions() as session, session.begin():
        gone = update(ConsentRow).where(col(ConsentRow.consent) == said["consent"])
        await session.exec(gone.values(person=None, email=None, phone=None, who=None, erased_at=OVER))
    await own.keyring.of(key_of(said))
    await erase_over(own.sessions, own.keyring, key_of(said), own.var / "backups", lambda: OVER)
    with pytest.raises(KeyDestroyed):
        await own.keyring.of(key_of(said))


async def test_a_consent_that_was_erased_since_the_dump_is_emptied_after_the_restore(own: World) -> None:
    """The store is from before the erasure, the key is gone: a question would still find it by its hashes."""
    said, other = await given(own), await given(own)
    await own.keyring.destroy(key_of(said))
    assert (await may(own, said)).may
    assert key_of(said) in await empty_again(own.sessions, own.keyring, OVER, dry_run=True)
    assert (await may(own, said)).may
    assert await empty_again(own.sessions, own.keyring, OVER, dry_run=False) == (key_of(said),)
    assert (await may(own, said)).reason == "none"
    assert (await may(own, other)).may
    assert await empty_again(own.sessions, own.keyring, OVER, dry_run=False) == ()


async def test_a_refusal_is_forgotten_once_it_can_matter_no_more(own: World) -> None:
    """Two years after it every consent from before is over by itself; what contests wait for is not counted so."""
    person = somebody()
    await withdraw(own, GIVEN, person={"email": person["email"]}, purpose="marketing")
    await withdraw(own, GIVEN, organisation="SE", person={"email": person["email"]}, purpose="contests")
    said = {"organisation": "GJ", "purpose": "marketing", "person": person, "channels": ["email"]}
    await night(own, OVER - SECOND)
    assert (await may(own, said, OVER)).reason == "withdrawn"
    await night(own, OVER)
    assert (await may(own, said, OVER)).reason == "none"
    assert (await may(own, {**said, "organisation": "SE", "purpose": "contests"}, OVER, channel=None)).may is False


# ---- the own store, which privacy requests ask ----------------------------------------------------------------------


def subject(said: dict[str, Any]) -> Subject:
    """The person of a consent as a request knows them."""
    person = said["person"]
    return Subject(name=person["name"], personal_code=person["personal_code"], email=person["email"])


async def test_a_consent_is_located_handed_out_restricted_and_erased(own: World) -> None:
    """One with a code by that, one without by name and address; nobody else's."""
    said = await given(own)
    nameless = {name: said["person"][name] for name in ("name", "email")}
    second = await given(own, person=nameless, channels=["email"])
    await given(own, person={**nameless, "name": "Ona Kita"}, channels=["email"])
    store, who = OwnStore(own.sessions, own.keyring), subject(said)
    assert [f.record for f in await store.locate("GJ", who, OVER)] == [key_of(said), key_of(second)]
    assert await store.locate("SE", who, OVER) == ()
    copy = await store.export(who, key_of(said))
    assert copy["person"] == [said["person"]]
    assert (copy["filed"]["purpose"], copy["filed"]["channels"]) == ("marketing", ["email", "sms"])
    request = "privacy_request:GJ:9"
    assert await store.restrict(who, key_of(said), "restriction", by=request)
    assert await store.restrict(who, key_of(said), "restriction", by=request)
    assert [row.what for row in await rows(own, said)] == ["given", "restricted"]
    now = datetime.now(UTC) + HOUR
    assert (await may(own, said, now, by="phone", channel="sms")).reason == "restricted"
    assert await store.release(who, key_of(said), by=request)
    assert not await store.release(who, key_of(said), by=request)
    assert await store.erase(who, key_of(said), now)
    assert await store.erase(who, key_of(said), now)
    assert [f.record for f in await store.locate("GJ", who, OVER)] == [key_of(second)]
    with pytest.raises(KeyDestroyed):
        await own.keyring.of(key_of(said))
    assert (await rows(own, said))[-1].source == "GDPR 17"


async def test_the_samples_are_consents_of_each_state(own: World) -> None:
    """What the demo loads: one stands, one is about to end, one lacks its proof, one is bound to a product."""
    at = datetime(2026, 11, 23, 12, tzinfo=UTC)
    said = json.loads((SAMPLES / "consents.json").read_text(encoding="utf-8"))
    assert all([(await consents(own, at).give(one)).new for one in said])
    assert not any([(await consents(own, at).give(one)).new for one in said])
    states = {line.consent: (line.state, line.until) for line in await consents(own, at).lines()}
    assert states["rinkodara-2026-0418"][0] == "given"
    assert states["rinkodara-2024-1130"] == ("given", datetime(2026, 12, 1, tzinfo=VILNIUS))
    assert states["rinkodara-2025-0207"][0] == "without_proof"
    assert states["pirkimas-2026-88120"] == ("given", datetime(2026, 11, 29, tzinfo=VILNIUS))
    assert states["zaidimas-2026-17"] == ("given", None)


# ---- commands -------------------------------------------------------------------------------------------------------

COLUMNS = (
    "consent;organisation;purpose;channels;name;email;given_at;given_by;text_version;text_sha256;"
    "notice_version;informed_at;proof"
)
ROW = "{consent};GJ;marketing;{channels};Rasa Lapė;rasa@pastas.example;2026-11-02T10:00+02:00;form;v3;{text};{informed}"


async def test_commands_give_ask_take_back_and_show(where: Environment) -> None:
    """As easy as giving: one object in, one line out; answers carry their reason, and a no is exit code 1."""
    said = consent(given_at="2026-11-02T10:00:00+02:00", informed_at="2026-11-02T09:00:00+02:00")
    question = {"organisation": "GJ", "purpose": "marketing", "channel": "email", "person": {"email": ""}}
    question["person"] = {"email": said["person"]["email"]}
    assert (await ask(where, "consents", "give", data=json.dumps(said)))["new"] == 1
    [yes] = await ask(where, "consents", "may", data=json.dumps(question))
    assert (yes["may"], yes["until"]) == (True, "2028-11-02T22:00:00Z")
    assert "yes: given" in (await cli(where, "consents", "may", data=json.dumps(question))).stdout
    back = {"organisation": "GJ", "consent": said["consent"], "withdrawn_by": "link"}
    assert "is withdrawn" in (await cli(where, "consents", "withdraw", data=json.dumps(back))).stdout
    assert "nothing stood any more" in (await cli(where, "consents", "withdraw", data=json.dumps(back))).stdout
    said_no = await cli(where, "consents", "may", data=json.dumps(question), code=1)
    assert "no: withdrawn since" in said_no.stdout
    assert "GJ-marketing-stop" in said_no.stdout
    shown = await cli(where, "consents", "show", "GJ", said["consent"])
    assert "state withdrawn since" in shown.stdout
    assert "GJ-marketing-stop, to stop by" in shown.stdout
    assert said["person"]["name"] not in shown.stdout
    assert said["person"]["name"] in (await cli(where, "consents", "show", "GJ", said["consent"], "--personal")).stdout
    lines = await ask(where, "consents", "list", "--organisation", "GJ", "--purpose", "marketing")
    assert next(line["state"] for line in lines if line["consent"] == said["consent"]) == "withdrawn"
    assert said["consent"] in (await cli(where, "consents", "list")).stdout
    await cli(where, "consents", "show", "GJ", "K-none", code=3)
    assert (await ask(where, "consents", "may", data="[]", code=1))[0]["faults"]
    await cli(where, "consents", "withdraw", data="{", code=1)


async def test_a_list_is_loaded_and_its_bad_rows_are_named(where: Environment, tmp_path: Path) -> None:
    """Good rows go in, a bad one says all that is wrong with it; the same file again changes nothing."""
    file = tmp_path / "consents.csv"
    a, b = f"CSV-{next(_numbers)}-a", f"CSV-{next(_numbers)}-b"
    good = ROW.format(consent=a, channels="email", text=TEXT, informed="n7;2026-11-02T09:59+02:00;dms/1")
    bad = ROW.format(consent=b, channels="email|sms", text=TEXT, informed=";;")
    file.write_text(f"{COLUMNS}\n{good}\n{bad}", encoding="utf-8")
    loaded = await ask(where, "consents", "load", str(file), code=1)
    assert (loaded["new"], [bad["row"] for bad in loaded["bad"]], loaded["bad"][0]["consent"]) == (1, [3], b)
    assert {fault.partition(":")[0] for fault in loaded["bad"][0]["faults"]} == {
        "person.phone",
        "notice_version",
        "informed_at",
    }
    assert (await ask(where, "consents", "load", str(file), code=1))["unchanged"] == 1
    assert "Row" in (await cli(where, "consents", "load", str(file), code=1)).stdout


async def test_operators_speak_by_their_token(where: Environment, world: World) -> None:
    """A token of another organisation's operator writes nothing."""
    code = f"op-c{next(_numbers)}"
    token = (await Operators(world.sessions, world.now).add(code, ("SE",), ("handle",))).token
    refused = await cli({**where, "TERMINS_TOKEN": token}, "consents", "give", data=json.dumps(consent()), code=1)
    assert code in refused.stdout
