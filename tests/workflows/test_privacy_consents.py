"""A consent withdrawn by a privacy request, and an objection to marketing: the register stops both at once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from activities.notice import Post
from integrations.mail import MaildirOut
from models.errors import Refusal
from models.tables import ConsentRow, NoticeRow, ObjectionRow, PolicyRow
from operations.consents import Consents
from operations.records import Records
from tests.system.test_consents import consent
from tests.workflows.test_privacy_request import ANSWER, MONDAY, SECOND, content, file, identify, person, status
from tests.workflows.test_privacy_rights import carry_out
from tests.workflows.test_renewal import LETTER, reminded
from tests.world import VILNIUS, World, text_of

STOP = {"GJ": "GJ-marketing-stop", "SE": "SE-23.4"}
DAY = timedelta(days=1)


async def consented(world: World, who: dict[str, Any], organisation: str = "GJ", **more: Any) -> str:
    """A consent of this person from six days before; its reference."""
    before = MONDAY - 6 * DAY
    said = consent(
        organisation,
        person={name: who[name] for name in ("name", "personal_code", "email", "phone") if name in who},
        given_at=before.isoformat(),
        informed_at=before.isoformat(),
        **{**({"channels": ["email"]} if organisation == "GJ" else {}), **more},
    )
    await Consents(world.sessions, world.keyring, lambda: before).give(said)
    return str(said["consent"])


async def asked(world: World, who: dict[str, Any], at: datetime = MONDAY + DAY, **more: Any) -> tuple[bool, str]:
    """May the person be contacted by e-mail for marketing?"""
    question = {
        "organisation": "GJ",
        "purpose": "marketing",
        "channel": "email",
        "person": {"personal_code": who["personal_code"]},
        "at": at.isoformat(),
        **more,
    }
    answer = await Consents(world.sessions, world.keyring, world.now).may(question)
    return answer.may, answer.reason


@pytest.mark.parametrize("language", ["lv", "lt", "en"])
async def test_a_withdrawn_consent_stops_at_once_and_is_answered_without_identity(world: World, language: str) -> None:
    """GJ-marketing-stop, GDPR 7(3): no identification, no person in between; the register ends the clock."""
    await world.begin(MONDAY)
    who = person(language=language)
    reference = await consented(world, who)
    assert await asked(world, who, MONDAY - SECOND) == (True, "given")
    case = await file(world, "GJ", "consent_withdrawal", who=who, identified_by=None)
    await world.stage(case, "resting")
    clock = await world.clock(case, STOP["GJ"], "consent_withdrawal")
    assert (clock.status, clock.due) == ("kept", MONDAY + timedelta(hours=4))
    assert clock.anchor_at == MONDAY
    assert await asked(world, who) == (False, "withdrawn")
    assert await asked(world, who, MONDAY - SECOND) == (True, "given")
    entries = await world.entries(case)
    assert {"received", "stopped", "answered"} <= set(entries)
    assert not {"gathered", "identification_asked"} & set(entries)
    (mail,) = world.mails(who["email"])
    words = {
        "lv": ("Piekrišanas atsaukums", "Spēku zaudējušo piekrišanu skaits: 1.", "Atsaukums neietekmē"),
        "lt": ("Sutikimo atšaukimas", "Nustojusių galioti sutikimų skaičius: 1.", "Atšaukimas nedaro poveikio"),
        "en": ("Withdrawal of consent: fulfilled", "Consents that have ended: 1.", "remains lawful"),
    }
    assert all(part in text_of(mail) for part in words[language])
    history = (await Consents(world.sessions, world.keyring, world.now).show("GJ", reference)).history
    assert [(entry.what, entry.source) for entry in history] == [("given", None), ("withdrawn", case)]


async def test_while_access_waits_for_identity_the_withdrawal_is_done_and_told(world: World) -> None:
    """Beside another right the stop is told by a letter of its own; access waits for its identification."""
    await world.begin(MONDAY)
    who = person(language="en")
    await consented(world, who)
    case = await file(world, "GJ", "access", "consent_withdrawal", who=who, identified_by=None)
    await world.stage(case, "identifying")

    async def told() -> bool:
        return any("part of your request" in mail["Subject"] for mail in world.mails(who["email"]))

    await world.until(told, "the partial answer")
    now = await world.clocks(case)
    assert now[(STOP["GJ"], "consent_withdrawal")] == "kept"
    assert (now[(ANSWER["GJ"], "")], now[(ANSWER["GJ"], "access")]) == ("running", "running")
    await identify(world, case, MONDAY)
    await world.stage(case, "resting")
    # the consent is found as a record of the own store, and handed out
    answer = next(mail for mail in world.mails(who["email"]) if list(mail.iter_attachments()))
    assert "consent:GJ:" in text_of(answer)


@pytest.mark.parametrize("organisation", ["GJ", "SE"])
async def test_what_the_register_does_not_know_a_person_stops_and_proves(world: World, organisation: str) -> None:
    """A consent that is kept elsewhere: the clock waits for the deed, as with an objection to marketing."""
    await world.begin(MONDAY)
    who = person()
    case = await file(world, organisation, "consent_withdrawal", who=who, identified_by=None)
    await world.stage(case, "carrying_out")
    key = (STOP[organisation], "consent_withdrawal")
    assert (await world.clocks(case))[key] == "running"
    assert "consent_withdrawal" in await world.details(case)
    await carry_out(world, case, "consent_withdrawal")
    await status(world, case, "kept", key)
    await world.stage(case, "resting")


async def test_a_clinics_record_that_rested_on_the_consent_is_over_with_it(world: World) -> None:
    """SE-23.4, SE-17.2.2: the night asks for its destruction; the person is told that it is being erased."""
    await world.begin(MONDAY)
    who = person(language="en")
    await consented(world, who, "SE")
    record = f"zaidimas-{who['personal_code'][:6]}"
    facts = {"organisation": "SE", "record": record, "system": "crm", "person": who["personal_code"]}
    purposes = [{"duty": "SE-11.2.6", "since": "2027-02-01"}]
    await Records(world.sessions, world.keyring, world.now).say({**facts, "purposes": purposes})
    case = await file(world, "SE", "consent_withdrawal", who=who, identified_by=None)
    await world.stage(case, "resting")
    assert (await world.clock(case, "SE-23.4", "consent_withdrawal")).proof == "processing_stopped"
    [line] = [
        line
        for line in await Records(world.sessions, world.keyring, lambda: MONDAY + DAY).lines("SE")
        if line.record == record
    ]
    assert (line.duty, line.state) == ("SE-11.2.6", "asked")
    (mail,) = world.mails(who["email"])
    assert "Data that nothing else allows us to keep are being erased." in text_of(mail)


async def test_an_objection_to_marketing_stops_its_purposes_and_no_other(world: World) -> None:
    """GJ lines 313–320: information and surveys; the purchase that was left unfinished was consented to by itself."""
    await world.begin(MONDAY)
    who = person()
    await consented(world, who)
    await consented(world, who, purpose="surveys")
    buyer = {**who, "phone": "+37061288888"}
    await consented(world, buyer, purpose="unfinished_purchases", about="casco", channels=["phone"])
    case = await file(world, "GJ", "marketing_objection", who=who, identified_by=None)
    await world.stage(case, "resting")
    await status(world, case, "kept", (STOP["GJ"], "marketing_objection"))
    assert await asked(world, who) == (False, "objected")
    assert await asked(world, who, purpose="surveys") == (False, "objected")
    buying: dict[str, Any] = {"purpose": "unfinished_purchases", "about": "casco", "channel": "phone", "at": MONDAY}
    assert await asked(world, who, **buying) == (True, "given")


async def test_only_the_named_purposes_and_channels_are_withdrawn(world: World) -> None:
    await world.begin(MONDAY)
    who = person()
    await consented(world, who)
    reference = await consented(world, {**who, "phone": "+37061299999"}, channels=["email", "social_media"])
    await consented(world, who, purpose="surveys")
    case = await file(
        world,
        "GJ",
        "consent_withdrawal",
        who=who,
        identified_by=None,
        withdraw={"purposes": ["marketing"], "channels": ["social_media"]},
    )
    await world.stage(case, "resting")
    assert await asked(world, who, channel="social_media") == (False, "withdrawn")
    assert await asked(world, who) == (True, "given")
    assert await asked(world, who, purpose="surveys") == (True, "given")
    assert (await Consents(world.sessions, world.keyring, world.now).show("GJ", reference)).line.channels == ("email",)


async def test_a_purpose_that_is_none_is_refused_when_it_is_filed(world: World) -> None:
    """The answer names what this organisation has on consent."""
    more = {"withdraw": {"purposes": ["spam"]}}
    with pytest.raises(Refusal, match=r"content\.withdraw\.purposes: on consent this organisation has: contests"):
        await world.file("privacy_request", "SE", content("SE", "consent_withdrawal", **more))
    with pytest.raises(Refusal, match="only where a consent is withdrawn"):
        await world.file("privacy_request", "SE", content("SE", "access", **more))


@pytest.mark.parametrize(("later", "judged"), [(-SECOND, "kept"), (timedelta(0), "late")])
async def test_a_withdrawal_that_was_filed_late_is_late(world: World, later: timedelta, judged: str) -> None:
    """Received on Monday; stopped on Tuesday in time, from Wednesday on late: by the instant of the stop."""
    at = datetime(2027, 3, 3, tzinfo=VILNIUS) + (later - 5 * SECOND if later else later)
    await world.begin(MONDAY)
    who = person()
    await consented(world, who)
    await world.begin(at)
    case = await file(world, "GJ", "consent_withdrawal", who=who, identified_by=None)
    await world.stage(case, "resting")
    assert (await world.clock(case, STOP["GJ"], "consent_withdrawal")).status == judged


async def test_a_reminder_that_is_written_is_not_sent_to_whoever_objected_meanwhile(world: World) -> None:
    """GJ-renewal-objection: asked at the last moment before sending, whatever was planned."""
    case = await reminded(world)
    await world.stage(case, "resting")
    again = f"{LETTER[:-1]}2"
    async with world.sessions() as session, session.begin():
        sent = await session.get_one(NoticeRow, (case, LETTER))
        session.add(
            NoticeRow(
                case=case,
                key=again,
                template=sent.template,
                party=sent.party,
                duty=sent.duty,
                facts=sent.facts,
                queued_at=sent.queued_at,
            )
        )
        policy = await session.get_one(PolicyRow, sent.facts["policy"])
        assert policy.policyholder_index is not None
        at: dict[str, Any] = {"received_at": world.now(), "stopped_at": world.now(), "said_by": "system:tests"}
        session.add(ObjectionRow(organisation=policy.organisation, person=policy.policyholder_index, **at))
    mail = MaildirOut(world.var / "mail-of-this-test")
    post = Post(world.sessions, world.keyring, mail, world.now, "noreply@{organisation}.example", "{role}@x.example")
    assert (await post.send(case, again)).refused == "the client objected to reminders"
    assert not list((world.var / "mail-of-this-test").rglob("*.eml"))


async def test_the_register_stops_in_the_step_that_opens_the_request_and_once(world: World) -> None:
    """Whatever the worker does later, the stop is there with the case, and a second opening adds nothing."""
    await world.begin(MONDAY)
    who = person()
    reference = await consented(world, who)
    case = await file(world, "GJ", "consent_withdrawal", who=who, identified_by=None)
    await world.stage(case, "resting")
    async with world.sessions() as session:
        query = select(ConsentRow).where(col(ConsentRow.source) == case)
        rows = (await session.exec(query)).all()
    # one for each purpose: what is loaded later is withdrawn too
    assert sorted(row.purpose for row in rows) == ["marketing", "surveys", "unfinished_purchases"]
    assert {(row.what, row.consent, row.at) for row in rows} == {("withdrawn", None, MONDAY)}
    assert reference
