"""Around an answer: a part that brings its copy, a fee, and a request that was handed to anybody on the staff."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from typing import Any

import pytest
from pypdf import PdfReader

from activities.notice import NoticeActivities
from models.case import SendNotices
from models.person_system import ASKED
from models.tables import NoticeRow
from operations.privacy import answer_password_of
from tests.workflows.test_limits import body
from tests.workflows.test_person_system import ARCHIVE, CARD, asking, clock, gathering, handled, searched
from tests.workflows.test_privacy_request import ANSWER, DUE, MONDAY, SECOND, file, identify, person, power_of_attorney
from tests.workflows.test_privacy_rights import begun, carry_out, decide, entered, no_recipients, text_of
from tests.world import VILNIUS, Refused, World

HOUR = timedelta(hours=1)


def files(mail: Any) -> set[str]:
    """The names of what a mail brings."""
    return {str(a.get_filename()) for a in mail.iter_attachments()}


async def mailed(world: World, who: dict[str, Any], subject: str) -> Any:
    """The mail whose subject says this, once it is there."""

    async def there() -> Any:
        return next((m for m in world.mails(who["email"]) if subject in m["Subject"]), None)

    return await world.until(there, subject)


# ---- a part brings its copy -----------------------------------------------------------------------------------------


async def test_a_partial_answer_brings_the_copy_and_ends_the_clock_of_its_right(world: World) -> None:
    """Access is given while the erasure is still weighed; the clock of the whole answer runs on."""
    who = person(language="en")
    case = await begun(world, "GJ", "access", "erasure", who=who)
    await world.stage(case, "assessing")
    with pytest.raises(Refused, match="rights: erasure is not decided"):
        await world.say(case, "answer_part", rights=["erasure"])
    await world.say(case, "answer_part", rights=["access"])
    mail = await mailed(world, who, "part of your request")
    assert "personal-data.json" in files(mail)
    assert "The copy of your data, as far as it is gathered, is attached." in text_of(mail)
    assert "Still being searched" not in text_of(mail)
    await entered(world, case, "letters")
    now = await world.clocks(case)
    assert (now[("GJ-rights-answer", "access")], now[("GJ-rights-answer", "")]) == ("kept", "running")
    with pytest.raises(Refused, match="access is told already"):
        await world.say(case, "answer_part", rights=["access"])


async def test_a_person_may_answer_without_who_still_searches_but_no_clock_ends(world: World) -> None:
    """The part names who is still searching; the whole answer, with what is found there, ends the clocks."""
    who = person(language="en")
    with asking(world, ARCHIVE):
        case = await gathering(world, "GJ", "access", who=who)
    await world.say(case, "answer_part", rights=["access"])
    letter = text_of(await mailed(world, who, "part of your request")).replace("\r\n", "\n")
    assert "Still being searched; what is found there follows with the whole answer:\n- Paper archive" in letter
    await entered(world, case, "letters")
    now = await world.clocks(case)
    assert {now[("GJ-rights-answer", s)] for s in ("", "access")} == {"running"}
    assert now[(ASKED, "archive:search")] == "running"
    await searched(world, case, "archive", CARD)
    await world.stage(case, "carrying_out")
    await handled(world, case, "archive", "hand_out")
    await world.stage(case, "resting")
    assert "Paper archive: records: 1" in text_of(await mailed(world, who, "Answer to your request"))
    now = await world.clocks(case)
    assert {now[("GJ-rights-answer", s)] for s in ("", "access")} == {"kept"}


async def test_health_data_of_a_part_are_handed_over_and_never_mailed_in_clear(world: World) -> None:
    """SE-33.4.6: nothing is queued; whoever handed it over says so, by any channel but e-mail."""
    who = person(language="lt")
    case = await begun(world, "SE", "access", "objection", who=who)
    await world.stage(case, "assessing")
    await world.say(case, "answer_part", rights=["access"])
    part = next(key for key in (await world.row(case)).state["body"]["parts"])  # type: ignore[union-attr]  # it is there
    said = {"notice": part, "sent_at": MONDAY.isoformat(), "reference": "portal/1"}
    with pytest.raises(Refused, match="health data by e-mail only encrypted"):
        await world.say(case, "confirm_letter_sent", channel="email", **said)
    await world.say(case, "correct_address", party="subject", email=f"new.{who['email']}")
    assert part not in await world.notices(case)
    await world.say(case, "confirm_letter_sent", channel="portal", **said)
    assert (await world.clocks(case))[("SE-16.10", "access")] == "kept"
    assert not world.mails(who["email"])


@pytest.mark.parametrize("organisation", ["DZ", "SE"])
async def test_health_data_of_a_part_go_by_mail_encrypted_and_so_does_the_whole_answer(
    world: World, organisation: str
) -> None:
    """SE-33.4.6: the password first; the part ends its right's clock, and what follows needs no second password."""
    who = person(language="en")
    case = await begun(world, organisation, "access", "objection", who=who)
    await world.stage(case, "assessing")
    handed = {"channel": "phone", "handed_over_at": MONDAY.isoformat(), "reference": "calls/7"}
    with pytest.raises(Refused, match="no part of the answer waits for that"):
        await world.say(case, "send_encrypted", **handed)
    await world.say(case, "answer_part", rights=["access"])
    assert not world.mails(who["email"])
    with pytest.raises(Refused, match="future"):
        await world.say(case, "send_encrypted", **{**handed, "handed_over_at": (MONDAY + 48 * HOUR).isoformat()})
    await world.say(case, "send_encrypted", **handed)
    await opened(world, case, await mailed(world, who, "part of your request"), who)
    await entered(world, case, "letters")
    right = {"DZ": "DZ-14.8.1", "SE": "SE-16.10"}[organisation]
    now = await world.clocks(case)
    assert (now[(right, "access")], now[(ANSWER[organisation], "")]) == ("kept", "running")
    with pytest.raises(Refused, match="goes by e-mail already"):
        await world.say(case, "send_encrypted", **handed)
    await decide(world, case, "objection")
    await carry_out(world, case, "objection")
    await world.stage(case, "resting")
    await opened(world, case, await mailed(world, who, "Answer to your request"), who)
    assert (await world.clocks(case))[(ANSWER[organisation], "")] == "kept"
    assert "mail_refused" not in await world.entries(case)


async def opened(world: World, case: str, mail: Any, who: dict[str, Any]) -> None:
    """The mail brings one file, which the case's password alone opens, and says where the password came from."""
    assert files(mail) == {"personal-data.pdf"}
    assert "you received its password separately" in text_of(mail)
    (attachment,) = mail.iter_attachments()
    sealed = bytes(attachment.get_payload(decode=True))
    assert who["personal_code"].encode() not in sealed
    password = await answer_password_of(world.sessions, world.keyring, case)
    assert password not in text_of(mail)
    data = PdfReader(io.BytesIO(sealed), password=password).attachments["personal-data.json"][0]
    assert who["personal_code"] in data.decode()


async def test_who_was_not_given_the_password_is_asked_for_it_anew(world: World) -> None:
    """The representative opened the part; once their right has ended the data subject gets the answer, and no mail."""
    who = person(language="en")
    theirs = {"name": "Jonas Jonaitis", "email": f"rep.{who['email']}", "proof": "dms/poa-1"}
    await world.begin(MONDAY)
    case = await file(world, "SE", "access", "objection", who=who, representative=theirs)
    await world.stage(case, "identifying")
    await identify(world, case, MONDAY, **power_of_attorney("access", "objection"))
    await world.stage(case, "assessing")
    await world.say(case, "answer_part", rights=["access"])
    handed = {"channel": "phone", "handed_over_at": MONDAY.isoformat(), "reference": "calls/7"}
    await world.say(case, "send_encrypted", **handed)
    await opened(world, case, await mailed(world, {"email": theirs["email"]}, "part of your request"), who)
    await world.say(case, "revoke_representation", revoked_at=MONDAY.isoformat(), document="dms/r")
    await decide(world, case, "objection")
    await carry_out(world, case, "objection")
    await world.stage(case, "answering")
    await entered(world, case, "mail_refused")
    assert not [mail for mail in world.mails(who["email"]) if theirs["email"] not in str(mail["To"])]
    await world.say(case, "send_encrypted", **handed)
    await opened(world, case, await mailed(world, who, "Answer to your request"), who)


async def test_a_part_that_came_back_goes_to_the_new_address_with_what_is_still_open(world: World) -> None:
    """Whoever still searches is named again, and no clock ends by it; the password is still theirs."""
    who = person(language="en")
    with asking(world, ARCHIVE):
        case = await gathering(world, "SE", "access", who=who)
    await world.say(case, "answer_part", rights=["access"])
    handed = {"channel": "post", "handed_over_at": MONDAY.isoformat(), "reference": "post/7"}
    await world.say(case, "send_encrypted", **handed)
    await mailed(world, who, "part of your request")
    await entered(world, case, "letters")
    (part,) = (await world.row(case)).state["body"]["parts"]  # type: ignore[union-attr]  # it is there
    await world.say(case, "report_bounce", notice=part, bounced_at=MONDAY.isoformat())
    await world.say(case, "correct_address", party="subject", email=f"new.{who['email']}")
    again = await mailed(world, {"email": f"new.{who['email']}"}, "part of your request")
    await opened(world, case, again, who)
    assert "Paper archive" in text_of(again)
    await world.until(lambda: _letters(world, case), "both letters are proven")
    assert (await world.clocks(case))[("SE-16.10", "access")] == "running"


async def _letters(world: World, case: str) -> bool:
    return (await world.entries(case)).count("letters") > 1


async def _part(world: World, case: str, *rights: str) -> str:
    """A part of the answer about these rights went out; the key of its letter."""
    before = set((await body(world, case))["parts"])
    await world.say(case, "answer_part", rights=list(rights))
    [key] = set((await body(world, case))["parts"]) - before
    return str(key)


async def _stands(world: World, case: str, key: str, status: str) -> None:
    async def it_does() -> bool:
        return bool((await body(world, case))["notices"][key] == status)

    await world.until(it_does, f"{key} {status}")


async def _corrected(world: World, case: str, email: str) -> list[str]:
    """The person has another address; the letters that go out again for that."""
    await world.say(case, "correct_address", party="subject", email=email)
    [*_, facts] = [row.facts for row in await world.timeline(case) if row.entry == "address_corrected"]
    return list(facts["again"])


async def _clocks(world: World, case: str, right: str) -> set[str]:
    return {status for (_, subject), status in (await world.clocks(case)).items() if subject == right}


async def _refused(world: World, case: str, *rights: str) -> None:
    for right in rights:
        ground = "not_automated" if right == "automated_decision_review" else "unfounded_or_excessive"
        said = {"outcome": "refused", "ground": ground, "reason": "Lēmumu pieņēma cilvēks.", "cites": "dms/proof"}
        if ground == "not_automated":
            del said["cites"]
        await world.say(case, "assess_right", right=right, **said)


@pytest.mark.parametrize("lost", [0, 1, 2])
async def test_a_part_that_came_back_is_sent_again_whatever_became_of_the_others(world: World, lost: int) -> None:
    """Of three parts one comes back: its rights alone go to the new address, once; the others arrived."""
    who = person(language="en")
    rights = ("objection", "restriction", "automated_decision_review")
    case = await begun(world, "DZ", *rights, "rectification", who=who)
    await _refused(world, case, *rights)
    keys = [await _part(world, case, right) for right in rights]
    for key in keys:
        await _stands(world, case, key, "sent")
    assert await _clocks(world, case, rights[lost]) == {"kept"}
    await world.say(case, "report_bounce", notice=keys[lost], bounced_at=MONDAY.isoformat())
    assert await _clocks(world, case, rights[lost]) == {"running"}
    [again] = await _corrected(world, case, f"new.{who['email']}")
    await mailed(world, {"email": f"new.{who['email']}"}, "part of your request")
    assert (await body(world, case))["parts"][again] == [rights[lost]]
    await _stands(world, case, again, "sent")
    assert await _clocks(world, case, rights[lost]) == {"kept"}
    assert await _corrected(world, case, f"newer.{who['email']}") == [], "nothing that arrived is sent again"
    assert len(world.mails(f"new.{who['email']}")) == 1


async def test_a_part_that_came_back_does_not_wait_for_a_copy_that_is_handed_over(world: World) -> None:
    """Nobody may mail the copy of health data; what came back beside it goes to the new address all the same."""
    who = person(language="en")
    case = await begun(world, "DZ", "access", "objection", "rectification", who=who)
    by_hand = await _part(world, case, "access")
    assert (await body(world, case))["notices"][by_hand] == "refused"
    await _refused(world, case, "objection")
    key = await _part(world, case, "objection")
    await _stands(world, case, key, "sent")
    await world.say(case, "report_bounce", notice=key, bounced_at=MONDAY.isoformat())
    [again] = await _corrected(world, case, f"new.{who['email']}")
    mail = await mailed(world, {"email": f"new.{who['email']}"}, "part of your request")
    assert not files(mail)
    assert (await body(world, case))["parts"][again] == ["objection"]


async def test_what_the_whole_answer_told_does_not_go_out_again_beside_a_later_letter(world: World) -> None:
    """No mail reaches the person: part and answer go by post. An address that is known later is for what comes then."""
    await world.begin(MONDAY)
    who = person(email=None, language="en")
    case = await file(world, "DZ", "objection", "restriction", who=who, channel="post", identified_by="signed_request")
    await world.stage(case, "identifying")
    await identify(world, case, MONDAY, way="signed_request")
    await world.stage(case, "assessing")
    await _refused(world, case, "objection")
    part = await _part(world, case, "objection")
    await _stands(world, case, part, "refused")
    await decide(world, case, "restriction")
    await carry_out(world, case, "restriction")
    await entered(world, case, "restricted")
    await no_recipients(world, case, "restriction")
    await world.stage(case, "answering")
    await world.say(case, "confirm_answer_sent", channel="post", sent_on="2027-03-01", reference="post/1")
    await world.say(case, "lift_restriction", reason="The dispute is over.")
    await _stands(world, case, "lifting:subject:1", "refused")
    assert await _corrected(world, case, f"late.{case[-7:].lower()}@example.lv") == ["lifting:subject:2"]
    await entered(world, case, "restriction_lifted")


async def test_no_copy_of_health_data_is_mailed_in_clear_whatever_was_queued(world: World) -> None:
    """The last gate stands before the carrier, beside what the request thought."""
    who = person()
    case = await begun(world, "SE", "access", who=who)
    await world.stage(case, "answering")
    async with world.sessions() as session, session.begin():
        facts = {"attach": "archive", "controller": "x", "authority": "x", "court": True, "rights": [], "systems": []}
        key = "answer:subject:9"
        session.add(
            NoticeRow(
                case=case, key=key, template="privacy-answer", party="subject", facts=facts, queued_at=world.now()
            )
        )
    owners = [getattr(a, "__self__", None) for a in world.activities]
    post = next(owner for owner in owners if isinstance(owner, NoticeActivities))
    (sent,) = (await post.send(SendNotices(case=case, keys=(key,)))).notices
    assert (sent.sent_at, sent.refused) == (None, "health data go by e-mail only encrypted")
    assert not world.mails(who["email"])


async def test_the_last_second_of_a_part_is_in_time(world: World) -> None:
    """Handed over a second before the month ends, proven a day later with a second person."""
    case = await begun(world, "SE", "access", "objection", answer_channel="in_person")
    await world.stage(case, "assessing")
    await world.say(case, "answer_part", rights=["access"])
    part = next(key for key in (await world.row(case)).state["body"]["parts"])  # type: ignore[union-attr]  # it is there
    await world.advance(case, DUE["SE"] - SECOND)
    await world.say(
        case,
        "confirm_letter_sent",
        notice=part,
        channel="in_person",
        sent_at=(DUE["SE"] - 2 * SECOND).isoformat(),
        reference="r/1",
    )
    assert (await world.clocks(case))[("SE-16.10", "access")] == "kept"


# ---- fees -----------------------------------------------------------------------------------------------------------


async def test_the_first_copy_is_free_and_a_further_one_may_cost_a_fee_with_its_reason(world: World) -> None:
    """SE-16.8, GDPR 15(3): the fee stands in the answer, with clause and reason."""
    who = person(language="en")
    await world.begin(MONDAY)
    fee = {"amount": "4.50", "basis": "further_copy", "reason": "Printing and post."}
    first = await file(world, "GJ", "access", who=who)
    await world.stage(first, "identifying")
    with pytest.raises(Refused, match=r"fee: the first copy is free \(GDPR 15\(3\)\)"):
        await world.say(first, "assess_right", right="access", outcome="fulfilled", fee=fee)
    await identify(world, first, MONDAY)
    await world.stage(first, "resting")
    again = await file(world, "GJ", "access", who=who)
    await world.stage(again, "identifying")
    await world.say(again, "assess_right", right="access", outcome="fulfilled", fee=fee)
    await identify(world, again, MONDAY)
    await world.stage(again, "resting")
    letters = [text_of(mail) for mail in world.mails(who["email"])]
    told = [letter for letter in letters if "Fee: EUR 4.50 (a further copy; GDPR 15(3)). Printing and post." in letter]
    assert len(told) == 1
    facts = next(r.facts for r in await world.timeline(again) if r.entry == "assessed")
    assert facts["fee"] == {"amount": "4.50", "clause": "GDPR 15(3)"}


async def test_an_unfounded_request_may_cost_a_fee_only_with_the_proof_and_never_beside_a_refusal(
    world: World,
) -> None:
    """SE-21.7.1, SE-21.8: the clause is the controller's own."""
    who = person(language="lt")
    case = await begun(world, "SE", "objection", who=who)
    fee = {"amount": "12.00", "basis": "unfounded_or_excessive", "reason": "Tas pats prašymas dešimtą kartą."}
    objection = {"right": "objection", "outcome": "fulfilled"}
    with pytest.raises(Refused, match=r"fee\.proof: .*\(21\.7\.1\)"):
        await world.say(case, "assess_right", **objection, fee=fee)
    proven = {**fee, "proof": "dms/10"}
    refused = {"outcome": "refused", "ground": "unfounded_or_excessive", "cites": "dms/10", "reason": "Ne."}
    with pytest.raises(Refused, match="a fee or a refusal, not both"):
        await world.say(case, "assess_right", **{**objection, **refused}, fee=proven)
    with pytest.raises(Refused, match="further_copy is of access"):
        await world.say(case, "assess_right", **objection, fee={**fee, "basis": "further_copy"})
    with pytest.raises(Refused) as bad:
        await world.say(case, "assess_right", **objection, fee={**proven, "amount": "-1"})
    assert bad.value.type == "BadMessage"
    await world.say(case, "assess_right", **objection, fee=proven)
    await world.stage(case, "carrying_out")


# ---- handed to anybody on the staff ---------------------------------------------------------------------------------


async def handed_in(world: World, **more: Any) -> str:
    """A request that was handed to somebody at the desk."""
    said = {"channel": "in_person", "identified_by": None, "received_by": "emp-7", **more}
    case = await file(world, "SE", "access", **said)
    await world.stage(case, "identifying")
    return case


@pytest.mark.parametrize(("late", "judged"), [(-30 * SECOND, "kept"), (timedelta(0), "late")])
async def test_a_request_is_passed_on_by_its_entry(world: World, late: timedelta, judged: str) -> None:
    """SE-14.1: three working days from the first receipt, from which the month runs too."""
    latest = datetime(2027, 3, 5, tzinfo=VILNIUS)
    await world.begin(latest + late)
    case = await handed_in(world)
    passed = await world.clock(case, "SE-14.1")
    assert (passed.status, passed.latest, passed.anchor_at) == (judged, latest, MONDAY)
    assert passed.evidence is not None
    assert passed.evidence["kind"] == "request_passed_on"
    assert (await world.clock(case, "SE-21.3")).due == DUE["SE"]
    assert (await world.timeline(case))[0].facts["received_by"] == "emp-7"


@pytest.mark.parametrize(("late", "judged"), [(-SECOND, "kept"), (timedelta(0), "late")])
async def test_the_person_is_told_orally_what_a_request_needs(world: World, late: timedelta, judged: str) -> None:
    """SE-14.4: escalated after four hours; late from the end of the next working day on."""
    await world.begin(MONDAY)
    case = await handed_in(world)
    telling = await world.clock(case, "SE-14.4")
    assert (telling.due, telling.latest) == (MONDAY + 4 * HOUR, datetime(2027, 3, 3, tzinfo=VILNIUS))
    await world.advance(case, telling.latest + HOUR)
    assert (await world.clocks(case))[("SE-14.4", "")] == "overdue"
    said = {"told_at": (telling.latest + late).isoformat(), "by": "emp-7", "reference": "dms/note-1"}
    if judged == "kept":
        with pytest.raises(Refused, match="needs correction"):
            await world.say(case, "report_told", **said)
    correction = {"reason": "noted late", "document": "dms/note-1", "second_person": "op-2"}
    await world.say(case, "report_told", **said, correction=correction)
    assert (await world.clocks(case))[("SE-14.4", "")] == judged
    with pytest.raises(Refused, match="nobody on the staff"):
        await world.say(case, "report_told", **said)


async def test_what_was_said_at_the_desk_already_needs_no_message(world: World) -> None:
    await world.begin(MONDAY + HOUR)
    case = await handed_in(world, told_at=(MONDAY + timedelta(minutes=2)).isoformat())
    assert (await world.clocks(case))[("SE-14.4", "")] == "kept"


async def test_what_came_straight_to_who_handles_it_was_passed_on_by_nobody(world: World) -> None:
    """By letter there is nobody to be told orally; at DZ the document has no such duty."""
    await world.begin(MONDAY)
    for organisation, received_by in (("SE", None), ("DZ", "emp-7")):
        case = await file(world, organisation, "access", received_by=received_by)
        await world.stage(case, "identifying")
        assert not {"SE-14.1", "SE-14.4"} & {duty for duty, _ in await world.clocks(case)}
    case = await handed_in(world, channel="post")
    now = await world.clocks(case)
    assert ("SE-14.1", "") in now
    assert ("SE-14.4", "") not in now


async def test_paper_that_was_handed_out_late_is_seen_in_its_own_clock(world: World) -> None:
    """The clock of a hand-out is not that of the search: each has its own three days."""
    with asking(world, ARCHIVE):
        case = await gathering(world, "GJ", "access")
    await searched(world, case, "archive", CARD)
    await world.stage(case, "carrying_out")
    asked = await world.clock(case, ASKED, "archive:hand_out")
    await world.advance(case, asked.due + HOUR)
    assert await clock(world, case, "archive:search") == "kept"
    assert await clock(world, case, "archive:hand_out") == "overdue"
