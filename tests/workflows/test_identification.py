"""Who asks: a signature's verdict, what identifies nobody, and who may ask for another (GJ-identity, SE-14.2)."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlmodel import select

from activities.privacy import PrivacyStore
from integrations.signatures import PadesValidator, TrustList
from models.errors import Refusal
from models.signature import Report
from models.tables import IdentificationRow, SignatureRow
from operations.samples import Samples, read
from operations.signatures import Signatures
from tests import pki
from tests.signed import validated
from tests.workflows.test_privacy_request import (
    GATE,
    MONDAY,
    PERSONALLY,
    SECOND,
    _entry,
    _text,
    file,
    gate_of,
    identify,
    person,
    power_of_attorney,
)
from tests.world import VILNIUS, Refused, World

AHEAD = pki.NOW + timedelta(days=40)
"""Documents are validated as of the real present, so these requests live after it."""


async def verdict_on(world: World, case: str, document: bytes) -> str:
    """Validated against the list of the test's authority, and kept for the case."""
    found = await PadesValidator(TrustList([("lv.xml", pki.authority().trusted_list())])).validate(document)
    await Signatures(world.sessions).keep(case, found, "op-1")
    return found.sha256


def signer(who: dict[str, Any]) -> pki.Made:
    """This person's certificate, as authorities write names."""
    return pki.authority().person(who["name"].upper(), f"PNOLV-{who['personal_code']}")


async def signed(who: pki.Made, **more: Any) -> bytes:
    return await pki.sign(pki.pdf(), who, pki.authority(), at=pki.NOW - pki.DAY, **more)


async def requested(world: World, organisation: str = "GJ", **more: Any) -> str:
    """A request that waits for whoever asks to be identified."""
    await world.begin(AHEAD)
    case = await file(world, organisation, "access", at=AHEAD, **more)
    await world.stage(case, "identifying")
    return case


# ---- signatures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("organisation", ["GJ", "DZ", "BL", "SE"])
async def test_a_valid_qualified_signature_of_the_person_identifies(world: World, organisation: str) -> None:
    who = person()
    case = await requested(world, organisation, who=who, identified_by="qualified_signature")
    sha256 = await verdict_on(world, case, await signed(signer(who)))
    await identify(world, case, AHEAD, way="qualified_signature", signature=sha256)
    await world.until(partial(_entry, world, case, "gathered"))
    if organisation in GATE:
        assert await gate_of(world, case, GATE[organisation]) == ["identified"]
    row = await world.row(case)
    assert row is not None
    seen = row.state["body"]["signature"]
    assert (seen["by"], seen["sha256"]) == ("termins", sha256)
    assert datetime.fromisoformat(seen["signed_at"]) == pki.NOW - pki.DAY
    assert "the trusted list's own signature: this installation vouches for the file" in seen["not_verified"]
    told = str(await world.everything_told(case))
    assert who["name"].upper() not in told, "the certificate's words stay sealed in the store"


async def test_what_is_no_signature_of_the_person_identifies_nobody_and_the_request_stays_open(world: World) -> None:
    """Every fault is named, with the ways that are accepted; nobody is named."""
    who, other = person(), person()
    case = await requested(world, who=who)
    ca = pki.authority()
    stranger = pki.Authority("Svešs CA")
    own = signer(who)
    named = (who["name"].upper(), f"PNOLV-{who['personal_code']}")
    good = await signed(own)
    documents = {
        "personal code differs": await signed(signer(other)),
        "name of who signed differs": await signed(ca.person(other["name"].upper(), named[1])),
        "the PDF is not signed": pki.pdf(),
        "nothing is signed here": b"\xff\xd8\xff\xe0 a scan",
        "changed after it was signed": pki.changed(good),
        "no trusted service": await pki.sign(pki.pdf(), stranger.person(*named), stranger, at=pki.NOW - pki.DAY),
        "had expired": await signed(ca.person(*named, ends=pki.NOW - 2 * pki.DAY)),
        "not qualified": await signed(ca.person(*named, statements=(), kind=None)),
        "revoked is not known": await signed(own, revocation=False),
        "only claimed": await signed(own, stamped=False),
    }
    for fault, document in documents.items():
        sha256 = await verdict_on(world, case, document)
        with pytest.raises(Refused, match=fault) as refused:
            await identify(world, case, AHEAD, way="qualified_signature", signature=sha256)
        assert "the request stays open; accepted: in_person: identity_document" in str(refused.value)
        assert who["name"] not in str(refused.value)
        assert who["personal_code"] not in str(refused.value)
    with pytest.raises(Refused, match="no verdict on this document"):
        await identify(world, case, AHEAD, way="qualified_signature", signature="0" * 64)
    with pytest.raises(Refused, match="SHA-256 of the document is said with qualified_signature"):
        await world.say(
            case, "identify_person", way="qualified_signature", identified_at=AHEAD.isoformat(), document="dms/1"
        )
    with pytest.raises(Refused, match="and only there"):
        await identify(world, case, AHEAD, **PERSONALLY, signature="0" * 64)
    assert await world.entries(case) == ["received", "letters"] or await world.entries(case) == ["received"]
    await identify(world, case, AHEAD, way="qualified_signature", signature=await verdict_on(world, case, good))


async def test_a_document_identifies_in_one_request_only(world: World) -> None:
    """Who has somebody's signed letter could send it again; another controller may get the same one."""
    who = person()
    document = await signed(signer(who))
    case = await requested(world, who=who)
    await identify(world, case, AHEAD, way="qualified_signature", signature=await verdict_on(world, case, document))
    again = await requested(world, who=who)
    with pytest.raises(Refused, match="identified somebody in another request already"):
        await identify(
            world, again, AHEAD, way="qualified_signature", signature=await verdict_on(world, again, document)
        )
    elsewhere = await requested(world, "BL", who=who)
    await identify(
        world, elsewhere, AHEAD, way="qualified_signature", signature=await verdict_on(world, elsewhere, document)
    )


async def test_what_another_validator_found_is_said_to_be_a_persons_word(world: World) -> None:
    """A container (.edoc, .adoc) is validated elsewhere; who entered that, and where it was, stays."""
    await world.begin(MONDAY)
    case = await file(world, "GJ", "access")
    await world.stage(case, "identifying")
    for name in ("name", "personal_code"):
        sha256 = await validated(world, case, MONDAY, **{name: "Cits 010101-00000"})
        with pytest.raises(Refused, match="differs"):
            await identify(world, case, MONDAY, way="qualified_signature", signature=sha256)
    sha256 = await validated(world, case, MONDAY)
    await identify(world, case, MONDAY, way="qualified_signature", signature=sha256)
    row = await world.row(case)
    assert row is not None
    assert (row.state["body"]["signature"]["by"], row.state["body"]["signature"]["service"]) == (
        "person",
        "signatures.example",
    )
    async with world.sessions() as session:
        [kept] = (await session.exec(select(SignatureRow).where(SignatureRow.case == case))).all()
    assert (kept.by, kept.actor, kept.used_at) == ("person", "op-1", MONDAY)
    assert "validated by a person in signatures.example" in await world.details(case)
    with pytest.raises(Refusal, match="identified already"):
        await validated(world, case, MONDAY)


async def test_a_report_needs_a_person_and_does_not_overrule_what_was_altered(world: World) -> None:
    who = person()
    case = await requested(world, who=who)
    signatures = Signatures(world.sessions)
    sha256 = await verdict_on(world, case, pki.changed(await signed(signer(who))))
    said = {
        "service": "signatures.example",
        "report": "dms/1",
        "validated_at": AHEAD,
        "signed_at": AHEAD + SECOND,
        "name": who["name"],
        "personal_code": who["personal_code"],
        "statement": "qualified signature, valid",
    }
    report = Report.model_validate(said)
    with pytest.raises(Refusal, match="a person says"):
        await signatures.enter(case, "c" * 64, report, "system:portal", AHEAD)
    with pytest.raises(Refusal) as refused:
        await signatures.enter(case, sha256, report, "op-1", AHEAD)
    assert refused.value.faults == (
        "signed_at: lies in the future",
        "validated_at: lies before signed_at",
        "Termins found that the document is not what was signed: no other report changes that",
    )
    right = Report.model_validate({**said, "signed_at": AHEAD})
    with pytest.raises(Refusal, match="there is no operator"):
        await signatures.enter(case, "c" * 64, right, "op-99", AHEAD)
    with pytest.raises(Refusal, match="no privacy request"):
        await signatures.enter("privacy_request:GJ:none", "c" * 64, right, "op-1", AHEAD)


async def test_a_restored_store_takes_an_identification_as_it_was_judged(world: World) -> None:
    """The verdict is in no history: it can have gone with the store that is brought up to its histories."""
    await world.begin(MONDAY)
    case = await file(world, "GJ", "access")
    await world.stage(case, "identifying")
    data = {
        "channel": "email",
        "way": "qualified_signature",
        "identified_at": MONDAY.isoformat(),
        "document": "dms/1",
        "representation": None,
        "signature": "e" * 64,
    }
    async with world.sessions() as session, session.begin():
        with pytest.raises(Refusal, match="no verdict on this document"):
            await PrivacyStore(world.keyring).acts["privacy.identify"](session, case, data, MONDAY)
        again = PrivacyStore(world.keyring, replays=True)
        assert await again.acts["privacy.identify"](session, case, data, MONDAY) is None
        assert await session.get(IdentificationRow, case) is not None
        await session.rollback()


# ---- doubt ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [False, True])
async def test_the_month_waits_only_for_a_doubt_that_was_raised_without_delay(world: World, late: bool) -> None:
    """GJ: within five days, the last second and the first after; the question and the answer to it are both kept."""
    end = datetime(2027, 3, 7, tzinfo=VILNIUS)
    asked = end if late else end - SECOND
    await world.begin(MONDAY)
    case = await file(world, "GJ", "access", who=person(email=None), answer_channel="post")
    await world.stage(case, "identifying")
    with pytest.raises(Refused, match="doubt: the request came in an accepted way"):
        await world.say(case, "ask_identification")
    await world.say(case, "ask_identification", doubt="Parašas kito asmens vardu.")
    await world.until(partial(_entry, world, case, "letters"))
    await world.advance(case, asked)
    sent = {"notice": "identify:subject:1", "channel": "post", "sent_at": asked.isoformat(), "reference": "post/1"}
    await world.say(case, "confirm_letter_sent", **sent)
    seen = MONDAY + timedelta(days=14)
    await world.advance(case, seen)
    await identify(world, case, seen, **PERSONALLY)
    facts = next(r.facts for r in await world.timeline(case) if r.entry == "identified")
    assert facts["restarted"] is not late
    assert datetime.fromisoformat(facts["asked_at"]) == asked
    clock = await world.clock(case, "GJ-rights-answer", "", n=1 if late else 2)
    assert clock.anchor_at == (MONDAY if late else seen)


# ---- representatives ------------------------------------------------------------------------------------------------


def representative(**more: Any) -> dict[str, Any]:
    """Somebody who asks for another."""
    who = person()
    return {"name": who["name"], "personal_code": who["personal_code"], "email": who["email"], **more}


async def test_gj_hears_a_representative_in_person_only_and_within_what_the_power_of_attorney_covers(
    world: World,
) -> None:
    await world.begin(MONDAY)
    theirs = representative()
    who = person()
    case = await file(world, "GJ", "access", "rectification", who=who, representative=theirs)
    await world.stage(case, "identifying")
    with pytest.raises(Refused, match="accepted: power_of_attorney: in_person; parent: in_person"):
        await identify(world, case, MONDAY, **PERSONALLY, representation="dms/poa-1")
    with pytest.raises(Refused) as refused:
        await identify(world, case, MONDAY, **power_of_attorney("access", until="2027-02-28"))
    said = str(refused.value)
    for fault in ("power_of_attorney is accepted in_person only", "does not cover: rectification", "it has expired"):
        assert fault in said
    with pytest.raises(Refused, match="representation: a representative proves"):
        await identify(world, case, MONDAY, **PERSONALLY)
    await identify(world, case, MONDAY, **PERSONALLY, **power_of_attorney("access", "rectification"))
    await world.until(partial(_entry, world, case, "gathered"))
    assert await gate_of(world, case, "GJ-identity-representative") == ["representation_proved"]


async def test_who_asks_alone_needs_no_authority(world: World) -> None:
    await world.begin(MONDAY)
    case = await file(world, "GJ", "access")
    await world.stage(case, "identifying")
    with pytest.raises(Refused, match="authority: only where a representative asks"):
        await identify(world, case, MONDAY, **PERSONALLY, **power_of_attorney("access"))
    with pytest.raises(Refused, match="nobody represents"):
        await world.say(case, "revoke_representation", revoked_at=MONDAY.isoformat(), document="dms/1")


async def test_the_answer_goes_to_the_representative_who_proved_the_right(world: World) -> None:
    await world.begin(MONDAY)
    theirs, who = representative(), person()
    case = await file(world, "GJ", "access", who=who, representative=theirs)
    await world.stage(case, "identifying")
    await identify(world, case, MONDAY, **PERSONALLY, **power_of_attorney("access", until="2027-03-01"))
    await world.stage(case, "resting")
    [answer] = [m for m in world.mails(theirs["email"]) if list(m.iter_attachments())]
    assert not [m for m in world.mails(who["email"]) if list(m.iter_attachments())]
    archive = "".join(_text(part) for part in answer.iter_attachments())
    assert who["personal_code"] in archive
    assert theirs["personal_code"] not in archive, "the representative's own data are no part of the answer"


async def test_after_a_revocation_only_the_data_subject_is_told(world: World) -> None:
    await world.begin(MONDAY)
    theirs, who = representative(), person()
    case = await file(world, "GJ", "rectification", who=who, representative=theirs)
    await world.stage(case, "identifying")
    await identify(world, case, MONDAY, **PERSONALLY, **power_of_attorney("rectification"))
    await world.stage(case, "assessing")
    with pytest.raises(Refused, match="future"):
        await world.say(
            case, "revoke_representation", revoked_at=(MONDAY + timedelta(days=1)).isoformat(), document="dms/1"
        )
    await world.say(case, "revoke_representation", revoked_at=MONDAY.isoformat(), document="dms/revoked-1")
    with pytest.raises(Refused, match="revoked already"):
        await world.say(case, "revoke_representation", revoked_at=MONDAY.isoformat(), document="dms/1")
    await world.say(
        case, "assess_right", right="rectification", outcome="refused", ground="accurate", reason="Dati ir pareizi."
    )
    await world.stage(case, "resting")
    assert any("Atbilde uz pieprasījumu" in str(m["Subject"]) for m in world.mails(who["email"]))
    assert not any("Atbilde uz pieprasījumu" in str(m["Subject"]) for m in world.mails(theirs["email"]))


async def test_a_revoked_power_of_attorney_identifies_nobody(world: World) -> None:
    await world.begin(MONDAY)
    case = await file(world, "GJ", "access", representative=representative())
    await world.stage(case, "identifying")
    await world.say(case, "revoke_representation", revoked_at=MONDAY.isoformat(), document="dms/revoked-1")
    with pytest.raises(Refused, match="it was revoked"):
        await identify(world, case, MONDAY, **PERSONALLY, **power_of_attorney("access"))
    assert "representation_revoked" in await world.entries(case)


async def test_a_parent_of_a_patient_under_16_asks_until_the_birthday(world: World) -> None:
    """SE 7.2: the last second before the sixteenth birthday in Vilnius, and the first after."""
    birthday = datetime(2027, 3, 28, tzinfo=VILNIUS)
    parent = {"representation": "dms/birth-1", "authority": {"kind": "parent", "born_on": "2011-03-28"}}
    received = birthday - timedelta(days=1)
    await world.begin(received)
    case = await file(world, "SE", "access", at=received, representative=representative())
    late = await file(world, "SE", "access", at=received, representative=representative())
    for one in (case, late):
        await world.stage(one, "identifying")
    await world.advance(late, birthday)
    with pytest.raises(Refused, match="from 16 years on the data subject asks alone"):
        await identify(world, late, birthday, **parent)
    await identify(world, late, birthday - SECOND, **parent)
    row = await world.row(late)
    assert row is not None
    assert datetime.fromisoformat(row.state["body"]["represented_until"]) == birthday


async def test_a_representatives_signature_is_the_representatives(world: World) -> None:
    """Neither the data subject's signature nor that of whoever else proves who the representative is."""
    theirs, who = representative(), person()
    case = await requested(world, "SE", who=who, representative=theirs, identified_by="qualified_signature")
    proof = power_of_attorney("access", given_on="2026-01-01")
    sha256 = await verdict_on(world, case, await signed(signer(who)))
    with pytest.raises(Refused, match="personal code differs"):
        await identify(world, case, AHEAD, way="qualified_signature", signature=sha256, **proof)
    sha256 = await verdict_on(world, case, await signed(signer(theirs)))
    await identify(world, case, AHEAD, way="qualified_signature", signature=sha256, **proof)
    unknown = await requested(world, "SE", representative=representative(personal_code=None))
    with pytest.raises(Refused, match="personal code of the representative is not known"):
        await identify(world, unknown, AHEAD, way="qualified_signature", signature="d" * 64, **proof)


async def test_a_representative_who_asks_for_own_data_is_another_person(world: World) -> None:
    """Two requests, two people: neither is found as the other's, and neither archive holds the other's request."""
    await world.begin(MONDAY)
    theirs, who = person(), person()
    for_other = {k: theirs[k] for k in ("name", "personal_code", "email")}
    represented = await file(world, "GJ", "access", who=who, representative=for_other)
    own = await file(world, "GJ", "access", who=theirs)
    for case in (represented, own):
        await world.stage(case, "identifying")
        row = await world.row(case)
        assert row is not None
        assert row.state["body"]["duplicates"] == []
    await identify(world, own, MONDAY, **PERSONALLY)
    await world.stage(own, "resting")
    [answer] = [m for m in world.mails(theirs["email"]) if list(m.iter_attachments())]
    archive = "".join(_text(part) for part in answer.iter_attachments())
    assert who["personal_code"] not in archive
    assert who["name"] not in archive


# ---- samples --------------------------------------------------------------------------------------------------------


async def test_the_samples_of_who_asks_come_to_where_they_stand(world: World) -> None:
    """A signature that was validated elsewhere, a parent, and a representative who has to come in person."""
    await world.begin(datetime.now(VILNIUS))
    wanted = {f"privacy_request:{reference}" for reference in ("GJ:2026-3101", "SE:2026-7001", "GJ:2026-7101")}
    samples = Samples([s for s in read() if s.case in wanted], world.sessions, world.intake, world.now)
    # another test of this process may have filed one of them before
    await samples.file()
    await samples.settle()
    assert not samples.unsettled
