"""GJ-sanctions: before every payment its payee is screened; a hit holds it until the compliance officer judged it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from activities.payment import PaymentActivities
from activities.screening import KnownPeople
from activities.sweep import SweepActivities
from integrations.bank import BankFolder
from integrations.sanctions import SAMPLE, SanctionsFile
from models.case import OrderRef
from models.tables import NoticeRow, OperatorRow, PartyRow, PaymentOrderRow, PolicyRow, ScreeningRow
from operations.health import waiting
from tests.workflows.test_claim import MONDAY, _is, content, documents, paid_on, proposal
from tests.world import Refused, World, text_of

KEY = "C1:indemnity"
LISTED = {"name": "Igors Zimogorovs", "email": "igors@example.lv", "iban": "LV97HABA0012345678910", "language": "lv"}


async def decided(world: World, **claimant: Any) -> str:
    """A claim of somebody who may be listed, decided; the bank has not heard of it."""
    await world.begin(MONDAY)
    claim = content(await world.policy(), documents=documents(MONDAY), claimants=[{**LISTED, **claimant}])
    case = await world.file("claim", "BTA", claim)
    await world.stage(case, "deciding")
    await world.covered(case)
    await world.say(case, "propose_decision", **proposal())
    return case


async def screening(world: World, case: str, key: str = KEY) -> ScreeningRow:
    """How an order's payee was screened."""
    async with world.sessions() as session:
        return await session.get_one(ScreeningRow, (case, key))


async def ordered_late(world: World) -> int:
    """How many orders of the insurer wait for the machine."""
    async with world.sessions() as session:
        waits = await waiting(session, world.now())
    return sum(w.number for w in waits if (w.what, w.organisation) == ("order", "BTA"))


def orders(world: World, case: str) -> list[Path]:
    """What the bank got of a case."""
    return [p for p in (world.var / "bank").glob("*.xml") if case.split(":")[2] in p.read_text()]


async def test_whoever_is_not_listed_is_paid_and_the_list_is_recorded(world: World) -> None:
    case = await decided(world, name="Anna Bērziņa")
    await world.payment(case, KEY, "issued")
    row = await screening(world, case)
    listed = await SanctionsFile(SAMPLE).listed()
    assert (row.result, row.hits, row.list_digest) == ("clear", [], listed.digest)
    facts = [entry.facts for entry in await world.timeline(case) if entry.entry == "proven"]
    assert {f"{KEY} screened": f"2026-11-20 {listed.digest[:12]}"} in [
        {k: v for k, v in fact.items() if k.endswith("screened")} for fact in facts
    ]


async def test_a_hit_holds_the_payment_and_tells_the_compliance_officer_who_clears_it(world: World) -> None:
    """The letters go out all the same, the 15 days run on, and the letter to the officer names nobody."""
    before = await ordered_late(world)
    case = await decided(world)
    await world.payment(case, KEY, "screening")
    for reader in ("C1", "insured"):
        await world.until(lambda reader=reader: _is(world, case, "BTA-10.5b", reader, "kept"))  # type: ignore[misc]  # a default binds it now
    assert orders(world, case) == []
    row = await world.row(case)
    assert row is not None
    assert row.waits_for == f"the compliance officer: {KEY}"
    kept = await screening(world, case)
    assert (kept.result, [hit["id"] for hit in kept.hits]) == ("hit", ["EU.9001.11"])

    async def told() -> list[str]:
        return [text_of(m) for m in world.mails("compliance_officer@bta.example") if case in text_of(m)]

    (letter,) = await world.until(told, "the officer is told")
    assert KEY in letter
    assert "Zimogor" not in letter
    assert await ordered_late(world) == before, "what a person has to judge is no machine's delay"
    await world.say(case, "clear_hit", payment=KEY, reason="Another birth date: passport seen")
    await world.payment(case, KEY, "issued")
    assert len(orders(world, case)) == 1
    kept = await screening(world, case)
    assert (kept.result, kept.judged_by, kept.cleared) == ("cleared", "op-1", ["EU.9001.11"])
    await world.say(case, "confirm_payment", actor="system:bank", **paid_on("2027-03-01"))
    assert await _is(world, case, "BTA-10.5c", "C1", "kept")


@pytest.mark.parametrize("iban", [None, "LV00HABA0012345678910"])
async def test_an_order_that_waits_for_an_account_is_no_delay_of_the_machine(world: World, iban: str | None) -> None:
    """None was named, or one that cannot be: a person has to name it."""
    before = await ordered_late(world)
    case = await decided(world, name="Anna Bērziņa", iban=iban)
    await world.payment(case, KEY, "held")
    assert await ordered_late(world) == before
    await world.say(case, "correct_payee", claimant="C1", iban="LV97HABA0012345678910")
    await world.payment(case, KEY, "issued")


async def test_a_confirmed_hit_is_paid_nothing_until_it_is_cleared_after_all(world: World) -> None:
    """Whoever is taken off the list, or was mistaken for somebody on it, is paid then; the term was not lifted."""
    case = await decided(world)
    await world.payment(case, KEY, "screening")
    for reader in ("C1", "insured"):
        await world.until(lambda reader=reader: _is(world, case, "BTA-10.5b", reader, "kept"))  # type: ignore[misc]  # a default binds it now
    await world.say(case, "confirm_hit", payment=KEY, reason="Same birth date; reported to the authority")
    assert (await screening(world, case)).result == "confirmed"
    row = await world.row(case)
    assert row is not None
    assert row.waits_for == f"nothing, for the payee is on the list: {KEY}"
    with pytest.raises(Refused, match="holds up no such payment"):
        await world.say(case, "confirm_hit", payment=KEY, reason="once more")
    due = (await world.clock(case, "BTA-10.5c", "C1")).due
    await world.advance(case, due + timedelta(hours=1))
    await world.until(lambda: _is(world, case, "BTA-10.5c", "C1", "overdue"))
    assert orders(world, case) == []
    await world.say(case, "clear_hit", payment=KEY, reason="Taken off the list")
    await world.payment(case, KEY, "issued")


async def test_a_birth_date_that_differs_clears_without_a_person(world: World) -> None:
    case = await decided(world, personal_code="150561-12344")
    await world.payment(case, KEY, "issued")
    assert (await screening(world, case)).result == "clear"


async def test_who_was_cleared_once_is_not_asked_about_for_the_next_order(world: World) -> None:
    """The bank rejects the first: the second is screened too, and the same listed person is known to be another."""
    case = await decided(world)
    await world.payment(case, KEY, "screening")
    await world.say(case, "clear_hit", payment=KEY, reason="Passport seen")
    await world.payment(case, KEY, "issued")
    await world.say(case, "reject_payment", payment=KEY, reason="AC04", rejected_on="2027-03-01")
    await world.say(case, "correct_payee", claimant="C1", iban="LV80BANK0000435195001")
    await world.payment(case, f"{KEY}:2", "issued")
    assert (await screening(world, case, f"{KEY}:2")).result == "cleared"


@pytest.mark.parametrize("name", ["clear_hit", "confirm_hit"])
async def test_only_an_operator_with_the_role_judges(world: World, name: str) -> None:
    case = await decided(world)
    await world.payment(case, KEY, "screening")
    async with world.sessions() as session, session.begin():
        if await session.get(OperatorRow, "op-81") is None:
            session.add(
                OperatorRow(code="op-81", organisations=["BTA"], roles=["see", "handle"], created_at=world.now())
            )
    with pytest.raises(Refused, match="lacks the role compliance"):
        await world.say(case, name, actor="op-81", payment=KEY, reason="x")
    with pytest.raises(Refused, match="only an operator judges"):
        await world.say(case, name, actor="system:bank", payment=KEY, reason="x")
    with pytest.raises(Refused, match="holds up no such payment"):
        await world.say(case, name, payment="C2:indemnity", reason="x")
    assert (await screening(world, case)).result == "hit"


async def test_a_crash_between_screening_and_order_screens_again_by_the_list_of_then(
    world: World, tmp_path: Path
) -> None:
    """The payee was clear, the worker died before the order, and meanwhile a new list was published."""
    case = await decided(world, name="Anna Bērziņa")
    await world.payment(case, KEY, "issued")
    async with world.sessions() as session, session.begin():
        order = await session.get_one(PaymentOrderRow, (case, KEY))
        order.issued_at, order.reference = None, None
    path = tmp_path / "list.xml"
    path.write_text(SAMPLE.read_text().replace("Aleksandr Shchukarin", "Anna Berzina"))
    own = PaymentActivities(world.sessions, BankFolder(tmp_path / "bank"), SanctionsFile(path), world.now)
    issued = await own.order(OrderRef(case=case, key=KEY))
    assert (issued.issued_at, issued.hits) == (None, ("EU.9004.44",))
    assert (await screening(world, case)).result == "hit"
    assert list((tmp_path / "bank").glob("*.xml")) == []


async def test_without_a_list_the_order_waits_and_says_why(world: World, tmp_path: Path) -> None:
    """It is no refusal: the activity is tried until somebody has put the list there."""
    case = await decided(world, name="Anna Bērziņa")
    await world.payment(case, KEY, "issued")
    async with world.sessions() as session, session.begin():
        order = await session.get_one(PaymentOrderRow, (case, KEY))
        order.issued_at, order.reference = None, None
    path = tmp_path / "list.xml"
    own = PaymentActivities(world.sessions, BankFolder(tmp_path / "bank"), SanctionsFile(path), world.now)
    with pytest.raises(Exception, match="there is no sanctions list"):
        await own.order(OrderRef(case=case, key=KEY))
    path.write_bytes(SAMPLE.read_bytes())
    assert (await own.order(OrderRef(case=case, key=KEY))).issued_at is not None


# ---- who becomes known ----------------------------------------------------------------------------------------------


async def filed(world: World, **claimant: Any) -> str:
    """A claim of somebody who may be listed, that waits for its documents."""
    await world.begin(MONDAY)
    case = await world.file("claim", "BTA", content(await world.policy(), claimants=[{**LISTED, **claimant}]))
    await world.stage(case, "collecting")
    return case


async def sweep(world: World) -> int:
    """A sweep; how many were found on the list."""
    owners = [getattr(a, "__self__", None) for a in world.activities]
    return (await next(o for o in owners if isinstance(o, SweepActivities)).deliver()).hits


async def known(world: World, case: str, party: str = "C1") -> ScreeningRow | None:
    """How a party was screened when becoming known."""
    async with world.sessions() as session:
        return await session.get(ScreeningRow, (case, party))


async def early(world: World, case: str) -> list[NoticeRow]:
    """The letters about people who became known."""
    return [n for n in (await world.notices(case)).values() if n.template == "internal-screening-party"]


async def test_whom_the_filing_names_is_screened_and_a_hit_is_told_before_anything_is_paid(world: World) -> None:
    """GJ 230: claimants and the insured; the officer is told once, by a letter that names nobody; the case goes on."""
    case = await filed(world)
    assert await known(world, case) is None
    await sweep(world)
    found, insured = await known(world, case), await known(world, case, "insured")
    assert found is not None
    assert insured is not None
    assert (found.result, [hit["id"] for hit in found.hits], insured.result) == ("hit", ["EU.9001.11"], "clear")
    [letter] = [text_of(m) for m in world.mails("compliance_officer@bta.example") if case in text_of(m)]
    assert "C1" in letter
    assert "Zimogor" not in letter
    assert (await world.stage(case, "collecting")).waits_for.startswith("documents from the claimant")
    await sweep(world)
    assert len(await early(world, case)) == 1


async def held_by(world: World, name: str) -> str:
    """A policy of another policyholder than its insured; its number."""
    policy = await world.policy()
    async with world.sessions() as session, session.begin():
        row = await session.get_one(PolicyRow, policy)
        row.policyholder = {"name": name.format(insured=row.insured["name"])}
    return policy


async def test_a_policyholder_who_is_not_the_insured_is_screened_too(world: World) -> None:
    """GJ 230 names policyholders beside the insured; with another policy it is that one's."""
    await world.begin(MONDAY)
    case = await world.file("claim", "BTA", content(await held_by(world, LISTED["name"])))
    await world.stage(case, "collecting")
    await sweep(world)
    found = await known(world, case, "policyholder")
    assert found is not None
    assert found.result == "hit"
    assert [n.facts["who"] for n in await early(world, case)] == ["policyholder"]
    mistaken = await world.file("claim", "BTA", content("P-unknown"))
    await world.stage(mistaken, "collecting")
    await world.say(mistaken, "set_policy", policy=await held_by(world, LISTED["name"]))
    await sweep(world)
    assert await known(world, mistaken, "policyholder") is not None


async def test_the_co_insured_of_a_policy_are_screened_each_once(world: World) -> None:
    """GJ 230 names insured persons. Who is cleared is that one, not who has the place under another policy."""
    await world.begin(MONDAY)
    policies = [await world.policy(), await world.policy()]
    async with world.sessions() as session, session.begin():
        for number, names in zip(
            policies, (("SIA Meita", LISTED["name"], " sia  meita"), (LISTED["name"],)), strict=True
        ):
            row = await session.get_one(PolicyRow, number)
            row.co_insured = [{"name": name} for name in (row.insured["name"], *names)]
    case = await world.file("claim", "BTA", content(policies[0]))
    await world.stage(case, "collecting")
    async with world.sessions() as session:
        query = select(PartyRow).where(PartyRow.case == case, PartyRow.role == "co_insured")
        named = {row.party: row.name for row in (await session.exec(query)).all()}
    assert named == {"co_insured_1": "SIA Meita", "co_insured_2": LISTED["name"]}
    await sweep(world)
    assert [n.facts["who"] for n in await early(world, case)] == ["co_insured_2"]
    await heard(world, case)
    await world.say(case, "clear_hit", actor="op-5", payment="co_insured_2", reason="another one")
    await world.say(case, "set_policy", policy=policies[1])
    await sweep(world)
    again = await known(world, case, "co_insured_3")
    assert again is not None
    assert again.result == "hit"


async def test_a_policyholder_who_is_the_insured_is_one_party(world: World) -> None:
    """Also in another spelling."""
    await world.begin(MONDAY)
    case = await world.file("claim", "BTA", content(await held_by(world, "  {insured} ")))
    await world.stage(case, "collecting")
    async with world.sessions() as session:
        assert await session.get(PartyRow, (case, "policyholder")) is None


async def heard(world: World, case: str) -> str:
    """The details of a case once it has heard who was found."""

    async def has_heard() -> bool:
        return "hits_found" in await world.entries(case)

    await world.until(has_heard, "the case has heard of the hit")
    return await world.details(case)


async def test_an_early_hit_stands_in_the_details_until_it_is_cleared(world: World) -> None:
    """It is said who may be listed, and both answers are ready to paste; nothing waits for them."""
    case = await filed(world)
    before = await world.details(case)
    assert "clear_hit" not in before
    assert "Sanctions list" not in before
    await sweep(world)
    details = await heard(world, case)
    assert "**Sanctions list:** C1 may be on it; the compliance officer says clear_hit or confirm_hit" in details
    for name in ("clear_hit", "confirm_hit"):
        assert f"**{name}**" in details
    assert details.count('"payment": "C1"') == 3
    found = next(t for t in await world.timeline(case) if t.entry == "hits_found")
    assert (found.duty, list(found.facts["parties"])) == ("GJ-sanctions", ["C1"])
    assert (await world.stage(case, "collecting")).waits_for.startswith("documents from the claimant")
    await world.say(case, "confirm_hit", payment="C1", reason="Same birth date")
    details = await world.details(case)
    assert "**Sanctions list:** C1 is on it: nothing is paid to C1" in details
    assert "**confirm_hit**" not in details
    await world.say(case, "clear_hit", payment="C1", reason="Taken off the list")
    assert await world.details(case) == before


async def test_a_hit_that_was_judged_before_the_case_heard_of_it_changes_nothing(world: World) -> None:
    """The officer read the letter and was faster than the bell."""
    case = await filed(world)
    await KnownPeople(world.sessions, SanctionsFile(SAMPLE), world.now).screen()
    await world.say(case, "clear_hit", payment="C1", reason="Another birth date: passport seen")
    await sweep(world)

    async def has_heard() -> bool:
        return "bell_heard" in await world.entries(case)

    await world.until(has_heard, "the bell is heard")
    assert "hits_found" not in await world.entries(case)


async def test_an_early_hit_is_judged_also_while_the_claim_rests(world: World) -> None:
    """There was no list for a while: what is found then can still be judged."""
    case = await decided(world, name="Anna Bērziņa")
    await world.payment(case, KEY, "issued")
    await world.say(case, "confirm_payment", actor="system:bank", **paid_on("2027-03-01"))
    await world.stage(case, "resting")
    async with world.sessions() as session, session.begin():
        party = await session.get_one(PartyRow, (case, "C1"))
        party.name, party.to_screen = LISTED["name"], True
    await sweep(world)
    assert "**confirm_hit**" in await heard(world, case)
    await world.say(case, "confirm_hit", payment="C1", reason="Same birth date")
    await world.stage(case, "resting")


async def test_who_was_cleared_early_holds_up_no_payment(world: World) -> None:
    case = await filed(world)
    await sweep(world)
    await world.say(case, "clear_hit", payment="C1", reason="Another birth date: passport seen")
    cleared = await known(world, case)
    assert cleared is not None
    assert (cleared.result, cleared.judged_by) == ("cleared", "op-1")
    for n, kind in enumerate(("proof_of_entitlement", "proof_of_amount", "certificate_of_authority")):
        await world.say(case, "add_document", document=kind, received_at=MONDAY.isoformat(), reference=f"dms/{n}")
    await world.stage(case, "deciding")
    await world.covered(case)
    await world.say(case, "propose_decision", **proposal())
    await world.payment(case, KEY, "issued")
    assert (await screening(world, case)).result == "cleared"


async def test_who_was_confirmed_early_is_not_paid(world: World) -> None:
    case = await decided_after(world, "confirm_hit")
    await world.payment(case, KEY, "screening")


async def decided_after(world: World, judged: str) -> str:
    """A claim whose claimant was judged while it was decided."""
    await world.begin(MONDAY)
    claim = content(await world.policy(), documents=documents(MONDAY), claimants=[LISTED])
    case = await world.file("claim", "BTA", claim)
    await world.stage(case, "deciding")
    await sweep(world)
    await world.say(case, judged, payment="C1", reason="Looked at")
    await world.covered(case)
    await world.say(case, "propose_decision", **proposal())
    return case


@pytest.mark.parametrize(("name", "party"), [("clear_hit", "C1"), ("confirm_hit", "C7")])
async def test_only_who_was_found_is_judged(world: World, name: str, party: str) -> None:
    case = await filed(world, name="Anna Bērziņa")
    await sweep(world)
    with pytest.raises(Refused, match="not screened, or nobody on the list"):
        await world.say(case, name, payment=party, reason="x")


async def test_without_a_list_whoever_became_known_waits_and_the_case_goes_on(world: World, tmp_path: Path) -> None:
    case = await filed(world)
    people = KnownPeople(world.sessions, SanctionsFile(tmp_path / "list.xml"), world.now)
    assert await people.screen() == ()
    assert await known(world, case) is None
    (tmp_path / "list.xml").write_bytes(SAMPLE.read_bytes())
    assert case in await people.screen()
    assert await people.screen() == ()


async def test_a_corrected_payee_is_screened_again_and_told_only_of_what_is_new(world: World, tmp_path: Path) -> None:
    """Another account is another look, by the list of then."""
    case = await decided(world, name="Anna Bērziņa", iban=None)
    await world.payment(case, KEY, "held")
    await sweep(world)
    first = await known(world, case)
    assert first is not None
    assert first.result == "clear"
    await world.say(case, "correct_payee", claimant="C1", iban="LV80BANK0000435195001")
    path = tmp_path / "list.xml"
    path.write_text(SAMPLE.read_text().replace("Aleksandr Shchukarin", "Anna Berzina"))
    people = KnownPeople(world.sessions, SanctionsFile(path), world.now)
    assert case in await people.screen()
    assert [n.facts["who"] for n in await early(world, case)] == ["C1"]
    async with world.sessions() as session, session.begin():
        (await session.get_one(PartyRow, (case, "C1"))).to_screen = True
    assert await people.screen() == ()
    assert len(await early(world, case)) == 1


async def test_a_crash_before_the_result_is_kept_screens_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Result, letter and mark are one transaction: what died in it left nothing, and two at once tell once."""
    case = await filed(world)
    people = KnownPeople(world.sessions, SanctionsFile(SAMPLE), world.now)
    with monkeypatch.context() as patched:
        patched.setattr(KnownPeople, "_tell", _die)
        with pytest.raises(RuntimeError, match="died"):
            await people.screen()
    assert await known(world, case) is None
    await asyncio.gather(people.screen(), people.screen())
    assert len(await early(world, case)) == 1


async def _die(*_: Any) -> None:
    raise RuntimeError("died")
