"""The lives that are disturbed: each kind of case from filing to its end, said in messages, days apart.

Before each message a script waits until all effects of the former ones are recorded, so that the order of the steps
comes from the script and not from who was faster.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import Any, Protocol

from stdnum.lv import pvn

Said = tuple[str, dict[str, Any]]
"""A message: its name and its fields."""


class Life(Protocol):
    """One run of a script, as the script sees it."""

    token: str
    number: int

    def ago(self, **span: float) -> str:
        """An instant before the beginning of the present day of the campaign, ISO."""
        ...

    def day(self) -> str:
        """The campaign's present day in Riga, ISO."""
        ...

    async def load(self, **data: Any) -> None:
        """Load policies or clients."""
        ...

    async def premium(self, policy: str, **said: Any) -> None:
        """Say that a premium was paid; a late one opens a case."""
        ...

    async def end(self, policy: str, **said: Any) -> None:
        """Say that a contract ended early; a refund opens a case."""
        ...

    async def file(self, kind: str, organisation: str, content: dict[str, Any], *, received_at: str) -> str:
        """File a case; its id."""
        ...

    async def say(
        self, case: str, name: str, *, when: str, waits_for: str = "", actor: str = "op-1", **fields: Any
    ) -> None:
        """Report something once the case is in this stage, waits for this, and has nothing on its way."""
        ...

    async def is_refused(self, case: str, name: str, *, when: str, **fields: Any) -> None:
        """Say it sealed, as somebody who is no operator: the case refuses it, and its seal is spent."""
        ...

    async def say_both(
        self, case: str, one: Said, other: Said, *, when: str, waits_for: str = "", may_be_refused: bool = False
    ) -> list[bool]:
        """Report two things at once, from two senders; for each, whether the case took it and did not refuse it."""
        ...

    async def rests(self, case: str, stage: str, waits_for: str = "") -> None:
        """Wait until the case is in this stage, waits for this, and has nothing on its way."""
        ...

    async def people(self, case: str, rows: list[dict[str, Any]]) -> None:
        """Load who is to be told of a breach, once it has nothing on its way."""
        ...

    async def recurs(self, duty: str, about: str, *, done_on: str) -> None:
        """Write down when a recurring duty was done last; whoever said it died before anything was opened."""
        ...

    async def night(self) -> None:
        """The schedule opens what recurs and is due."""
        ...

    async def record(self, reference: str, **said: Any) -> None:
        """Write a record of the clinic down, or more of what is known of it."""
        ...

    async def hold(self, reference: str, *, lift: bool = False) -> None:
        """Place a legal hold on a record, or lift it."""
        ...

    async def destroyed(self, reference: str) -> None:
        """Prove that a record is destroyed."""
        ...

    async def consent(self, reference: str, **said: Any) -> None:
        """Write down a consent of the run's person."""
        ...

    async def withdraw(self, reference: str) -> None:
        """Take a consent back, by its reference."""
        ...

    async def sweep(self) -> None:
        """A sweep of the run's own delivers what waits, for all runs; another one, if somebody died in it."""
        ...

    async def recount(self, case: str) -> None:
        """The case's clocks are of an older rulebook; whoever has such is counted anew, one recount at a time."""
        ...

    async def checkpoint(self) -> None:
        """The heads of all cases are published, one checkpoint at a time; they hold the run's as they stand."""
        ...

    async def review(self, *, since: str) -> str:
        """File the review of a month of sign-ins, which is the run's own; its case."""
        ...

    async def storage_night(self) -> None:
        """The run over the storage terms of the whole store; one at a time, as the schedule has it."""
        ...

    async def bank_says(self, case: str, payment: str) -> None:
        """The bank's channel puts a file down: this payment was executed today; it is read."""
        ...

    async def mail_returns(self, case: str, notice: str) -> None:
        """A mail server reports that this letter did not arrive; that is read."""
        ...

    async def enrol(self, who: dict[str, Any]) -> None:
        """Let somebody be a patient of the clinic, which has a database of its own."""
        ...

    async def sign_in(self, client: str, username: str) -> None:
        """For the first time: the user sets an own password with the identity provider, and signs in."""
        ...

    async def fail_to_sign_in(self, client: str, username: str) -> None:
        """Somebody tries wrong passwords until the account is locked."""
        ...

    async def known_people_are_screened(self) -> None:
        """Wait until sweeps have screened whoever became known: no case waits for that."""
        ...

    async def until_day(self, day: int) -> None:
        """Let days pass: until so many after the base."""
        ...


Script = Callable[[Life], Awaitable[None]]


# ---- claims ---------------------------------------------------------------------------------------------------------


async def _policy(life: Life, limit: str = "50000.00", aggregate: str = "100000.00", **more: Any) -> str:
    """A policy of the run's own; its number."""
    company = {"name": f"SIA Jumtu Meistari {life.token}", "email": f"insured.{life.token}@jumtumeistari.example"}
    policy = {
        "policy": f"P-{life.token}",
        "organisation": "BTA",
        "policyholder": company,
        "insured": company,
        "starts_on": "2025-01-01",
        "ends_on": "2035-12-31",
        "terms": {
            "limit_per_occurrence": limit,
            "limit_aggregate": aggregate,
            "deductible": {"kind": "amount", "value": "200.00"},
        },
        **more,
    }
    await life.load(policies=[policy])
    return f"P-{life.token}"


async def claim_received(
    life: Life, received_at: str, *, said: dict[str, Any] | None = None, papers: tuple[str, ...] = (), **policy: Any
) -> str:
    """A claim with all its documents; `said` takes the place of what is usual, `papers` come beside the usual ones."""
    await _policy(life, **policy)
    kinds = ("proof_of_entitlement", "proof_of_amount", "certificate_of_authority", *papers)
    content = {
        "policy": f"P-{life.token}",
        "claimants": [
            {"name": "Anna Bērziņa", "email": f"anna.{life.token}@example.lv", "iban": "LV97HABA0012345678910"}
        ],
        "occurred_on": life.ago(days=60)[:10],
        "place": "Rīga",
        "description": "No jumta krita ledus un sabojāja automašīnu.",
        "losses": [{"claimant": 1, "head": "property_damaged", "amount": "1200.00"}],
        "documents": [{"document": k, "received_at": received_at, "reference": f"dms/{k}"} for k in kinds],
        **(said or {}),
    }
    return await life.file("claim", "BTA", content, received_at=received_at)


async def claim_filed(life: Life, received_at: str, **more: Any) -> str:
    """The same, and nothing of its cover is open."""
    case = await claim_received(life, received_at, **more)
    await life.say(case, "judge_findings", when="deciding", findings=_covered())
    return case


def _covered(*claimants: str) -> list[dict[str, str]]:
    """What no fact of these claims decides is met."""
    third_parties = [f"third_party:{claimant}" for claimant in claimants or ("C1",)]
    codes = ("territory", "activity", *third_parties, "liable", "direct_loss", "no_exclusion")
    return [{"code": code, "outcome": "met"} for code in codes]


DECISION: dict[str, Any] = {
    "outcome": "pay",
    "losses": [{"claimant": "C1", "head": "property_damaged", "proven": "1200.00"}],
}


async def _decide(life: Life, case: str, proven: str = "1200.00") -> None:
    losses = [{"claimant": "C1", "head": "property_damaged", "proven": proven}]
    await life.say(case, "propose_decision", when="deciding", **{**DECISION, "losses": losses})


def _confirmed(life: Life, payment: str) -> dict[str, Any]:
    reference = f"bank/{payment}"
    return {"actor": "system:bank", "payment": payment, "executed_on": life.day(), "bank_reference": reference}


async def _pay(life: Life, case: str, payment: str = "C1:indemnity", when: str = "telling_and_paying") -> None:
    waits_for = f"the bank: {payment}"
    await life.say(case, "confirm_payment", when=when, waits_for=waits_for, **_confirmed(life, payment))


async def claim_paid(life: Life) -> None:
    """A claim with all its documents: decided, told, paid, closed a week later."""
    case = await claim_filed(life, life.ago(hours=1))
    await life.say(case, "assign_case", when="deciding", handler="op-7")
    await _decide(life, case)
    await _pay(life, case)
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(case, "closed")


async def claim_by_itself(life: Life) -> None:
    """Nobody reports anything: what the bank and a mail server said is read, each in a file of its own."""
    case = await claim_filed(life, life.ago(hours=1))
    await _decide(life, case)
    await life.rests(case, "telling_and_paying", "the bank: C1:indemnity")
    await life.bank_says(case, "C1:indemnity")
    await life.rests(case, "resting")
    # its proof is no minute old before: the report would be kept for later
    await life.until_day(1)
    await life.mail_returns(case, "BTA-10.5b:C1:1")
    email = f"anna.new.{life.token}@example.lv"
    await life.say(case, "correct_address", when="telling_and_paying", party="C1", email=email)
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(case, "closed")


async def claim_twice_paid(life: Life) -> None:
    """The bank gives the payment back, another account is named; then a letter comes back and goes to a new address."""
    case = await claim_filed(life, life.ago(hours=1))
    await _decide(life, case)
    await life.say(
        case,
        "reject_payment",
        when="telling_and_paying",
        waits_for="the bank: C1:indemnity",
        actor="system:bank",
        payment="C1:indemnity",
        reason="AC04",
        rejected_on=life.day(),
    )
    await life.say(case, "correct_payee", when="telling_and_paying", claimant="C1", iban="LV80BANK0000435195001")
    await _pay(life, case, "C1:indemnity:2")
    bounced = life.ago()
    await life.say(
        case, "report_bounce", when="resting", actor="system:mail", notice="BTA-10.5b:C1:1", bounced_at=bounced
    )
    await life.say(
        case, "correct_address", when="telling_and_paying", party="C1", email=f"anna.new.{life.token}@example.lv"
    )
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(case, "closed")


async def claim_overdue(life: Life) -> None:
    """A claim that lay unread for six weeks: its clock is over when it arrives, staff are told, it is decided late."""
    case = await claim_filed(life, life.ago(days=41))
    await life.say(case, "assign_case", when="deciding", handler="op-7")
    await _decide(life, case)
    await _pay(life, case)
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(case, "closed")


async def claim_hasty(life: Life) -> None:
    """Two speak at once, twice: a handler is named while another decides; a letter comes back while the bank pays."""
    case = await claim_filed(life, life.ago(hours=1))
    assigned, decided = ("assign_case", {"handler": "op-7"}), ("propose_decision", DECISION)
    await life.say_both(case, assigned, decided, when="deciding")
    await life.say_both(
        case,
        ("confirm_payment", _confirmed(life, "C1:indemnity")),
        ("report_bounce", {"actor": "system:mail", "notice": "BTA-10.5b:C1:1", "bounced_at": life.ago()}),
        when="telling_and_paying",
        waits_for="the bank: C1:indemnity",
    )
    await life.say(
        case, "correct_address", when="telling_and_paying", party="C1", email=f"anna.new.{life.token}@example.lv"
    )
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(case, "closed")


async def claim_contested(life: Life) -> None:
    """It is withdrawn and decided at once: who comes first is right, and the other is refused and leaves nothing."""
    case = await claim_filed(life, life.ago(hours=1))
    withdrawn, decided = await life.say_both(
        case,
        ("withdraw_claim", {"withdrawn_at": life.ago(), "reference": "dms/withdrawn-1"}),
        ("propose_decision", DECISION),
        when="deciding",
        may_be_refused=True,
    )
    assert withdrawn != decided
    if decided:
        await _pay(life, case)
        await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(case, "closed")


async def claim_in_court(life: Life) -> None:
    """A court hears it; what it awards is decided and paid within the award's own term."""
    case = await claim_filed(life, life.ago(hours=2))
    await life.say(case, "report_suit", when="deciding", filed_at=life.ago(hours=1), reference="dms/suit")
    awards = [{"claimant": "C1", "amount": "900.00"}]
    in_force = life.ago()
    await life.say(case, "report_ruling", when="in_court", in_force_at=in_force, awards=awards, reference="dms/ruling")
    await _decide(life, case, "900.00")
    await _pay(life, case)
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(case, "closed")


async def _later_first(life: Life, proven: str, occurrence: str | None = None, **policy: Any) -> None:
    """Of two claims on one policy the later one is decided first; what it waits for comes with the other's decision."""
    neighbour = {
        "name": "Jānis Kalniņš",
        "email": f"janis.{life.token}@example.lv",
        "iban": "LV80BANK0000435195001",
    }
    first = await claim_filed(life, life.ago(hours=2), said={"occurrence": occurrence}, **policy)
    said = {"occurrence": occurrence, "claimants": [neighbour]}
    second = await claim_filed(life, life.ago(hours=1), said=said, **policy)
    # a claim on the same occurrence rings the other: it looks at that before anything is paid
    await life.rests(first, "deciding")
    await _decide(life, second)
    await _pay(life, second)
    await life.rests(second, "awaiting_limit")
    await _decide(life, first, proven)
    await _pay(life, second, "C1:supplement-2")
    await _pay(life, first)
    await life.rests(first, "resting")
    await life.rests(second, "resting")
    await life.until_day(12)
    await life.rests(first, "closed")
    await life.rests(second, "closed")


async def claim_supplemented(life: Life) -> None:
    """The later one gets what the earlier one leaves of the limit, and the rest when it releases that."""
    await _later_first(life, "700.00", limit="1500.00", aggregate="1500.00")


async def claim_deductible(life: Life) -> None:
    """One occurrence: the later one gets what the earlier one bears of the deductible, and bears what that leaves."""
    await _later_first(life, "250.00", occurrence=f"roof-{life.token}")


async def claim_disputed(life: Life) -> None:
    """The sum is disputed before it is paid: arbitration has it decided once more. A dispute opens the closed claim."""
    # the other one lay about: whoever opens a closed claim on a later day meets a run whose own time is the machine's
    lay = life.ago()
    case = await claim_filed(life, life.ago(hours=1))
    await _decide(life, case, "700.00")
    disputed = {"by": "insured", "about": "amount", "reference": "dms/dispute"}
    paying = {"when": "telling_and_paying", "waits_for": "the bank: C1:indemnity"}
    await life.say(case, "report_dispute", received_at=life.ago(), **disputed, **paying)
    await _pay(life, case)
    await life.rests(case, "telling_and_paying", "the negotiation with the insured")
    # longer than any rest
    await life.until_day(12)
    referred = {"to": "arbitration", "referred_at": life.ago(), "reference": "dms/arbitration"}
    await life.say(case, "refer_dispute", when="telling_and_paying", waits_for="the negotiation", **referred)
    award = {"outcome": "anew", "ended_at": life.ago(), "reference": "dms/award"}
    await life.say(case, "end_dispute", when="telling_and_paying", waits_for="the arbitration", **award)
    await _decide(life, case, "1100.00")
    await _pay(life, case, "C1:indemnity-2")
    await life.rests(case, "resting")
    await life.until_day(21)
    await life.rests(case, "closed")
    again = {"by": "policyholder", "about": "cover", "received_at": lay, "reference": "dms/dispute-2"}
    await life.say(case, "report_dispute", when="closed", **again)
    dropped = {"outcome": "dropped", "ended_at": lay, "reference": "dms/dropped"}
    await life.say(case, "end_dispute", when="telling_and_paying", waits_for="with the policyholder", **dropped)
    await life.rests(case, "resting")
    await life.until_day(40)
    await life.rests(case, "closed")


async def claim_with_salvage(life: Life) -> None:
    """A destroyed thing: the difference is paid at once, the rest when what is left of it is handed over."""
    case = await claim_filed(life, life.ago(hours=1))
    facts = {"before": "1200.00", "after": "300.00", "owner_agrees": True}
    of = {"claimant": "C1", "head": "property_damaged"}
    await life.say(case, "propose_decision", when="deciding", outcome="pay", losses=[{**of, "facts": facts}])
    await _pay(life, case)
    await life.rests(case, "awaiting_salvage")
    await life.until_day(2)
    handed_over = {**of, "handed_over_at": life.ago(), "reference": "dms/handed-over"}
    await life.say(case, "salvage_handed_over", when="awaiting_salvage", **handed_over)
    await _pay(life, case, "C1:salvage-2")
    await life.rests(case, "resting")
    await life.until_day(17)
    await life.rests(case, "closed")


def _in_days(life: Life, days: int) -> str:
    return (date.fromisoformat(life.day()) + timedelta(days=days)).isoformat()


async def claim_in_instalments(life: Life) -> None:
    """A death: the widow is paid on two days as agreed; the son on one of them, then his right ends."""
    people = [
        {"name": name, "email": f"{name.split()[0].lower()}.{life.token}@example.lv", "iban": iban}
        for name, iban in (("Anna Bērziņa", "LV97HABA0012345678910"), ("Toms Bērziņš", "LV80BANK0000435195001"))
    ]
    said = {"claimants": people, "losses": [{"claimant": n, "head": "death", "amount": "3000.00"} for n in (1, 2)]}
    papers = ("medical_opinion", "death_certificate", "hospital_extract", "proof_of_funeral")
    case = await claim_received(life, life.ago(hours=1), said=said, papers=papers)
    await life.say(case, "judge_findings", when="deciding", findings=_covered("C1", "C2"))
    losses = [{"claimant": claimant, "head": "death", "proven": "3000.00"} for claimant in ("C1", "C2")]
    decision: dict[str, Any] = {"outcome": "pay", "losses": losses, "by_agreement": ["C1", "C2"]}
    await life.say(case, "propose_decision", when="deciding", **decision)
    plans = {"C1": ({2: "1400.00", 5: "1500.00"}, []), "C2": ({2: "1400.00", 12: "1500.00"}, [_in_days(life, 8)])}
    for claimant, (plan, right_ends) in plans.items():
        agreed: dict[str, Any] = {
            "claimant": claimant,
            "head": "death",
            "agreed_at": life.ago(),
            "reference": f"dms/agreement-{claimant}",
            "duty_to_report": True,
            "schedule": [{"due_on": _in_days(life, day), "amount": amount} for day, amount in plan.items()],
            "right_ends": right_ends,
        }
        await life.say(case, "agree_instalments", when="paying_instalments", **agreed)
    await life.until_day(2)
    await _pay(life, case, "C1:death.1", when="paying_instalments")
    await _pay(life, case, "C2:death.1", when="paying_instalments")
    await life.until_day(5)
    await _pay(life, case, "C1:death.2", when="paying_instalments")
    ended = {"outcome": "ended", "ended_on": _in_days(life, -1), "reason": "mācības ir beigušās"}
    await life.say(case, "confirm_right", when="paying_instalments", claimant="C2", head="death", **ended)
    await life.rests(case, "resting")
    await life.until_day(17)
    await life.rests(case, "closed")


async def claim_automatic(life: Life) -> None:
    """The rulebook decides it; a person who took no part upholds that, and after a second request decides the same."""
    loss = {"claimant": 1, "head": "property_damaged", "amount": "600.00"}
    case = await claim_filed(life, life.ago(hours=1), said={"losses": [loss], "registered": "online"})
    await _pay(life, case)
    for when, n, outcome in (("resting", 1, "uphold"), ("resting", 2, "anew")):
        asked = {"received_at": life.ago(), "reference": f"dms/review-{n}"}
        await life.say(case, "request_review", when=when, actor="system:portal", **asked)
        answer = {"outcome": outcome, "reason": "rēķins ir pārbaudīts"}
        await life.say(case, "review_decision", when="telling_and_paying", actor="op-2", **answer)
    losses = [{"claimant": "C1", "head": "property_damaged", "proven": "600.00"}]
    await life.say(case, "propose_decision", when="deciding", actor="op-2", outcome="pay", losses=losses)
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(case, "closed")


async def recovery(life: Life) -> None:
    """A part of a claim that was paid is demanded back, and comes back."""
    claim = await claim_filed(life, life.ago(hours=1))
    await _decide(life, claim)
    await _pay(life, claim)
    wanted = {"debtor": "C1", "amount": "400.00", "reason": "unjustified", "text": "Rēķins bija par citu automašīnu."}
    await life.say(claim, "recover_payment", when="resting", reference=f"{life.token}-R", **wanted)
    case = f"recovery:BTA:{life.token}-R"
    repaid = {"actor": "system:bank", "amount": "400.00", "received_on": life.day(), "reference": "bank-back"}
    await life.say(case, "report_repayment", when="demanding", **repaid)
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(claim, "closed")
    await life.rests(case, "closed")


async def claim_listed(life: Life) -> None:
    """A claimant who may be on the sanctions list is, says the compliance officer, and then is not, and is paid."""
    listed = {"name": "Igor Borisovich Zimogorov", "email": f"igor.{life.token}@example.lv"}
    claimants = [{**listed, "iban": "LV97HABA0012345678910"}]
    case = await claim_received(life, life.ago(hours=1), said={"claimants": claimants})
    # the case hears of the hit before anything is paid, and so in each run at the same step
    await life.rests(case, "deciding")
    await life.known_people_are_screened()
    await life.say(case, "confirm_hit", when="deciding", payment="C1", reason="Dzimšanas datums ir tas pats.")
    await life.say(case, "judge_findings", when="deciding", findings=_covered())
    await _decide(life, case)
    passport = {"payment": "C1:indemnity", "reason": "Pase rāda citu dzimšanas datumu."}
    await life.say(case, "clear_hit", when="telling_and_paying", waits_for="C1:indemnity", **passport)
    await _pay(life, case)
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(case, "closed")


async def claim_reopened(life: Life) -> None:
    """Of two papers that are asked for late one comes and one is waived; then new evidence has it decided once more."""
    case = await claim_filed(life, life.ago(hours=1))
    await life.say(case, "set_reserve", when="deciding", amount="1200.00", reason="Rēķins ir saņemts.")
    for document, named in (("other", "Jumta apskates protokols"), ("medical_opinion", None)):
        why: dict[str, Any] = {"proves": "fact", "named": named, "reason": "Nav zināms, kas notika."}
        await life.say(case, "require_document", when="deciding", document=document, **why)
    came = {"document": "other", "received_at": life.ago(), "reference": "dms/proof-2"}
    await life.say(case, "add_document", when="deciding", **came)
    needless = {"document": "medical_opinion", "reason": "Rēķins to pierāda."}
    await life.say(case, "waive_document", when="deciding", **needless)
    await _decide(life, case, "700.00")
    await _pay(life, case)
    evidence = {"reason": "new_evidence", "received_at": life.ago(), "text": "Ir iesniegts otrs rēķins."}
    await life.say(case, "reopen_claim", when="resting", **evidence)
    await _decide(life, case, "1200.00")
    await _pay(life, case, "C1:indemnity-2")
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(case, "closed")


async def recovery_waived(life: Life) -> None:
    """What is above the limits two people decide: a payment, and that what of it is demanded back is given up."""
    loss = {"claimant": 1, "head": "property_damaged", "amount": "15000.00"}
    claim = await claim_filed(life, life.ago(hours=1), said={"losses": [loss]})
    await _decide(life, claim, "15000.00")
    again = {"actor": "op-2", "reason": "Summa nav pierādīta."}
    await life.say(claim, "send_back_decision", when="approving", **again)
    await _decide(life, claim, "15000.00")
    await life.say(claim, "approve_decision", when="approving", actor="op-2")
    await _pay(life, claim)
    wanted = {"debtor": "C1", "amount": "12000.00", "reason": "unjustified", "text": "Rēķins bija par citu automašīnu."}
    await life.say(claim, "recover_payment", when="resting", reference=f"{life.token}-R", **wanted)
    case = f"recovery:BTA:{life.token}-R"
    await life.say(case, "demand_again", when="demanding", repay_by=_in_days(life, 20))
    await life.say(case, "waive_recovery", when="demanding", reason="Parādnieks ir maksātnespējīgs.")
    asked = {"actor": "op-2", "reason": "Vispirms jājautā administratoram."}
    await life.say(case, "send_back_waiver", when="approving", **asked)
    await life.say(case, "waive_recovery", when="demanding", reason="Administrators atbildēja.")
    await life.say(case, "approve_waiver", when="approving", actor="op-2")
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(claim, "closed")
    await life.rests(case, "closed")


# ---- policies -------------------------------------------------------------------------------------------------------


async def _late_premium(life: Life, **more: Any) -> str:
    """A first premium that came late; its case."""
    premium = [{"due_on": life.ago(days=14)[:10], "amount": "300.00"}]
    policy = await _policy(life, starts_on=life.ago(days=28)[:10], ends_on=None, premium=premium)
    paid = {"reference": "B1", "paid_on": life.ago(days=1)[:10], "amount": "300.00", "received_at": life.ago(hours=1)}
    await life.premium(policy, **paid, **more)
    return f"late_premium:BTA:{policy}"


async def late_premium_lapsed(life: Life) -> None:
    """A first premium that came late and is not refused: the policy stands."""
    case = await _late_premium(life)
    await life.rests(case, "deciding")
    await life.until_day(17)
    await life.rests(case, "closed")


async def late_premium_refused(life: Life) -> None:
    """One that is refused: the policy never took effect, the policyholder is told, and the premium goes back once."""
    case = await _late_premium(life, iban="LV97HABA0012345678910")
    await life.say(case, "refuse_premium", when="deciding", reason="Risks ir mainījies.")
    payment = "policyholder:return"
    waits_for = f"the bank: {payment}"
    await life.say(case, "confirm_payment", when="returning", waits_for=waits_for, **_confirmed(life, payment))
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(case, "closed")


async def late_premium_approved(life: Life) -> None:
    """One that is refused although a claim is known: two people decide that, and the claim is withdrawn."""
    case = await _late_premium(life, iban="LV97HABA0012345678910")
    await life.rests(case, "deciding")
    content = {
        "policy": f"P-{life.token}",
        "claimants": [{"name": "Anna Bērziņa", "email": f"anna.{life.token}@example.lv"}],
        "occurred_on": life.ago(days=10)[:10],
        "place": "Rīga",
        "description": "No jumta krita ledus.",
    }
    claim = await life.file("claim", "BTA", content, received_at=life.ago(hours=1))
    await life.rests(claim, "collecting")
    reason = "Risks ir mainījies."
    await life.say(case, "refuse_premium", when="deciding", reason=reason)
    await life.say(case, "send_back_refusal", when="approving", actor="op-2", reason="Pieteikums vēl jāvērtē.")
    await life.say(case, "refuse_premium", when="deciding", reason=reason)
    await life.say(case, "approve_refusal", when="approving", actor="op-2")
    payment = "policyholder:return"
    waits_for = f"the bank: {payment}"
    await life.say(case, "confirm_payment", when="returning", waits_for=waits_for, **_confirmed(life, payment))
    withdrawn = {"withdrawn_at": life.ago(), "reference": "dms/withdrawn-1"}
    await life.say(claim, "withdraw_claim", when="collecting", **withdrawn)
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(claim, "closed")
    await life.rests(case, "closed")


async def premium_refunded(life: Life) -> None:
    """A contract ends early: what of its premium goes back is paid once."""
    on = life.ago(days=80)[:10]
    schedule: dict[str, Any] = {
        "premium": [{"due_on": on, "amount": "730.00"}],
        "payments": [{"reference": "B1", "paid_on": on, "amount": "730.00"}],
    }
    policy = await _policy(life, starts_on=life.ago(days=90)[:10], ends_on=None, **schedule)
    ended = {"by": "policyholder", "last_day": life.ago(days=1)[:10], "reason": "business sold"}
    await life.end(policy, **ended, iban="LV97HABA0012345678910")
    case, payment = f"premium_refund:BTA:{policy}", "policyholder:refund"
    confirmed = _confirmed(life, payment)
    await life.say(case, "confirm_payment", when="returning", waits_for=f"the bank: {payment}", **confirmed)
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(case, "closed")


async def renewal(life: Life) -> None:
    """The sweep finds a contract whose end nears; the reminder comes back and goes to another address."""
    ends_on = life.ago(days=-20)[:10]
    policy = await _policy(life, starts_on=life.ago(days=345)[:10], ends_on=ends_on)
    case = f"renewal:BTA:{policy}"
    bounced = {"notice": "GJ-renewal:policyholder:1", "bounced_at": life.ago()}
    await life.say(case, "report_bounce", when="resting", actor="system:mail", **bounced)
    email = f"birojs.{life.token}@jumtumeistari.example"
    await life.say(case, "correct_address", when="reminding", party="policyholder", email=email)
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(case, "closed")


# ---- access ---------------------------------------------------------------------------------------------------------


def _personal_code(number: int) -> str:
    code = f"32{number:08d}"
    return code + str(pvn.calc_check_digit_pers(code))


def _user(life: Life, n: int, **more: Any) -> dict[str, Any]:
    return {
        "first_name": "Žanete",
        "last_name": f"Ķirsone{'abcd'[n]}",
        "personal_code": _personal_code(life.number * 10 + n),
        "phone": "+371 20000000",
        "email": f"u{n}.{life.token}@noliktavas.example",
        **more,
    }


async def _client(life: Life, **more: Any) -> dict[str, Any]:
    responsible = {"name": "Ilze Kalna", "email": f"ilze.{life.token}@noliktavas.example"}
    client = {
        "client": f"K-{life.token}",
        "organisation": "BL",
        "name": f"SIA Ostas Noliktavas {life.token}",
        "language": "lv",
        "responsible": responsible,
        "requesters": [responsible],
        **more,
    }
    await life.load(clients=[client])
    return responsible


async def access_request(life: Life) -> None:
    """Three users: login data, a confirmation, and a line that must be completed; one letter comes back."""
    requester = await _client(life)
    incomplete = _user(life, 2)
    del incomplete["phone"]
    users = [_user(life, 0), _user(life, 1, authenticator="smart-id"), incomplete]
    content = {"client": f"K-{life.token}", "requester": requester, "action": "issue", "users": users}
    case = await life.file("access_request", "BL", content, received_at=life.ago(hours=1))
    await life.say(case, "complete_line", when="resting", line="U3", phone="+371 20000009", received_at=life.ago())
    await life.rests(case, "resting")
    await life.say(
        case, "report_bounce", when="resting", actor="system:mail", notice="BL-4:U1:1", bounced_at=life.ago()
    )
    await life.say(case, "correct_address", when="issuing", party="U1", email=f"u9.{life.token}@noliktavas.example")
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(case, "closed")


async def access_changed(life: Life) -> None:
    """A client changes with what two users sign in, so that one gets login data; then it cancels the third's access."""
    requester = await _client(life, authenticators=["smart-id", "ebank-one"])
    content = {"client": f"K-{life.token}", "requester": requester}
    users = [_user(life, 0, authenticator="smart-id"), _user(life, 1, authenticator="smart-id"), _user(life, 2)]
    asked = {**content, "action": "issue", "users": users}
    issued = await life.file("access_request", "BL", asked, received_at=life.ago(hours=3))
    await life.rests(issued, "resting")
    third = f"credential:BL:{issued.split(':')[2]}-U3"
    await life.rests(third, "issued")
    others = [_user(life, 0, authenticator="none"), _user(life, 1, authenticator="ebank-one")]
    asked = {**content, "action": "change", "users": others}
    changed = await life.file("access_request", "BL", asked, received_at=life.ago(hours=2))
    await life.rests(changed, "resting")
    asked = {**content, "action": "cancel", "users": [{"personal_code": users[2]["personal_code"]}]}
    cancelled = await life.file("access_request", "BL", asked, received_at=life.ago(hours=1))
    await life.rests(cancelled, "resting")
    await life.rests(third, "resting")
    await life.until_day(12)
    for case in (issued, changed, cancelled):
        await life.rests(case, "closed")


async def credential(life: Life) -> None:
    """Two users: the login data of one leak and are changed; the other's access is suspended twice, and revoked."""
    requester = await _client(life, addresses=["192.0.2.0/24"])
    content = {"client": f"K-{life.token}", "requester": requester, "action": "issue"}
    users = [_user(life, 0), _user(life, 1)]
    request = await life.file("access_request", "BL", {**content, "users": users}, received_at=life.ago(hours=1))
    await life.rests(request, "resting")
    names = [f"{request.split(':')[2]}-U{n}" for n in (1, 2)]
    leaked, suspected = [f"credential:BL:{name}" for name in names]
    for case, username in zip((leaked, suspected), names, strict=True):
        await life.rests(case, "issued")
        await life.sign_in(f"K-{life.token}", username)
    leak = {"reported_by": "responsible_employee", "reported_at": life.ago(), "reason": "a note was found"}
    await life.say(leaked, "report_leak", when="active", **leak)
    await life.say(leaked, "reinstate_credential", when="suspended", finding="the note is destroyed")
    await life.rests(leaked, "active")
    await life.fail_to_sign_in(f"K-{life.token}", names[0])
    await life.say(leaked, "release_lock", when="active", waits_for="the lock", reason="identified in person")
    await life.say(leaked, "change_secret", when="active", reason="a new standard for passwords")
    await life.rests(leaked, "active")
    await life.say(suspected, "suspend_credential", when="active", reason="sign-ins at night")
    await life.say(suspected, "review_suspension", when="suspended", finding="still looked into")
    await life.say(suspected, "reinstate_credential", when="suspended", finding="a night shift")
    await life.say(suspected, "suspend_credential", when="active", reason="sign-ins from abroad")
    revoked = {"cause": "breach", "happened_at": life.ago(), "reason": "lent to a colleague"}
    await life.say(suspected, "revoke_credential", when="suspended", **revoked)
    await life.rests(suspected, "resting")
    await life.until_day(17)
    await life.rests(request, "closed")
    await life.rests(suspected, "closed")
    await life.rests(leaked, "active")


async def client_change(life: Life) -> None:
    """Another responsible employee and a deputy, whose letter comes back and goes to another address."""
    former = await _client(life)
    new, deputy = (
        {"name": name, "email": f"{name.split()[0].lower()}.{life.token}@noliktavas.example", "code": code}
        for name, code in (("Baiba Ezera", "r-2"), ("Normunds Sproģis", "r-3"))
    )
    content = {
        "client": f"K-{life.token}",
        "asked_by": former,
        "responsible": new,
        "requesters": [new, {**deputy, "role": "deputy"}],
    }
    case = await life.file("client_change", "BL", content, received_at=life.ago(hours=1))
    bounced = {"notice": "client-role:R1:1", "bounced_at": life.ago()}
    await life.say(case, "report_bounce", when="resting", actor="system:mail", **bounced)
    email = f"n.sprogis.{life.token}@noliktavas.example"
    await life.say(case, "correct_address", when="telling", party="R1", email=email)
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(case, "closed")


async def credential_held(life: Life) -> None:
    """A user's access ends while a suit runs: nothing of the user goes until the hold is lifted, and then all does."""
    requester = await _client(life)
    user = _user(life, 0)
    content = {"client": f"K-{life.token}", "requester": requester}
    asked = {**content, "action": "issue", "users": [user]}
    issued = await life.file("access_request", "BL", asked, received_at=life.ago(hours=2))
    await life.rests(issued, "resting")
    case = f"credential:BL:{issued.split(':')[2]}-U1"
    await life.say(case, "place_legal_hold", when="issued", reason="a suit of the client's")
    asked = {**content, "action": "cancel", "users": [{"personal_code": user["personal_code"]}]}
    cancelled = await life.file("access_request", "BL", asked, received_at=life.ago(hours=1))
    await life.rests(cancelled, "resting")
    # on the same day: how long it was held to the second is added to a day's end
    waits_for = "legal_hold"
    await life.say(case, "lift_legal_hold", when="erasing", waits_for=waits_for, reason="the suit is over")
    await life.rests(case, "resting")
    await life.until_day(12)
    for request in (issued, cancelled):
        await life.rests(request, "closed")


async def access_hasty(life: Life) -> None:
    """A missing field comes while the letter of another line comes back."""
    requester = await _client(life)
    incomplete = _user(life, 1)
    del incomplete["phone"]
    users = [_user(life, 0), incomplete]
    content = {"client": f"K-{life.token}", "requester": requester, "action": "issue", "users": users}
    case = await life.file("access_request", "BL", content, received_at=life.ago(hours=1))
    await life.say_both(
        case,
        ("complete_line", {"line": "U2", "phone": "+371 20000009", "received_at": life.ago()}),
        ("report_bounce", {"actor": "system:mail", "notice": "BL-4:U1:1", "bounced_at": life.ago()}),
        when="resting",
    )
    await life.say(case, "correct_address", when="issuing", party="U1", email=f"u9.{life.token}@noliktavas.example")
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(case, "closed")


async def withdrawal(life: Life) -> None:
    """An authenticator ends for a client after ten full days; a user gets login data in a request of its own."""
    requester = await _client(life)
    content = {"client": f"K-{life.token}", "requester": requester, "action": "issue"}
    users = [_user(life, 0, authenticator="smart-id"), _user(life, 1, authenticator="smart-id")]
    before = await life.file("access_request", "BL", {**content, "users": users}, received_at=life.ago(hours=2))
    await life.rests(before, "resting")
    content = {"client": f"K-{life.token}", "authenticator": "smart-id", "scope": "end", "decided_by": "op-1"}
    case = await life.file("authenticator_withdrawal", "BL", content, received_at=life.ago(hours=1))
    await life.say(case, "request_fallback", when="running", users=[_user(life, 0)], received_at=life.ago())
    child = f"access_request:BL:{case.split(':')[2]}-F1"
    await life.rests(child, "resting")
    await life.until_day(12)
    await life.rests(before, "closed")
    await life.rests(child, "closed")
    await life.rests(case, "resting")
    # who has nothing left to sign in with is erased
    ended = f"credential:BL:{before.split(':')[2]}-U2"
    await life.rests(ended, "resting")
    await life.until_day(40)
    await life.rests(case, "closed")
    await life.rests(ended, "closed")


async def decision(life: Life) -> None:
    """An authenticator ends for everybody who uses it: told, moved to a later day, told anew, and in effect."""
    # its own in each run: a decision is about everybody
    name = f"ebank-{life.token}"
    await _client(life, authenticators=[name])
    content = {"authenticator": name, "scope": "end", "decided_by": "op-1"}
    case = await life.file("authenticator_decision", "BL", content, received_at=life.ago(hours=1))
    child = f"authenticator_withdrawal:BL:{case.split(':')[2]}-K-{life.token}"
    await life.rests(child, "running")
    moved = {"takes_effect_on": life.ago(days=-20)[:10], "reason": "clients_asked"}
    await life.say(case, "move_effect", when="running", **moved)
    await life.rests(child, "running", "the new day")
    await life.rests(case, "running")
    await life.until_day(21)
    await life.rests(child, "resting")
    await life.rests(case, "closed")
    await life.until_day(40)
    await life.rests(child, "closed")


async def decision_withdrawn(life: Life) -> None:
    """An authenticator was to end for everybody who uses it: told, and told that it stays."""
    name = f"ebank-{life.token}"
    await _client(life, authenticators=[name])
    content = {"authenticator": name, "scope": "end", "decided_by": "op-1"}
    case = await life.file("authenticator_decision", "BL", content, received_at=life.ago(hours=1))
    child = f"authenticator_withdrawal:BL:{case.split(':')[2]}-K-{life.token}"
    await life.rests(child, "running")
    await life.say(case, "withdraw_decision", when="running", reason="decision_reversed")
    await life.rests(child, "resting")
    await life.rests(case, "closed")
    await life.until_day(12)
    await life.rests(child, "closed")


# ---- privacy --------------------------------------------------------------------------------------------------------


def _person(life: Life) -> dict[str, Any]:
    letters = "".join("abcdefghij"[int(d)] for d in f"{life.number:07d}")
    return {
        "name": f"Ieva Krūmiņa{letters}ska",
        "personal_code": f"{life.number:07d}"[:6] + f"-2{life.number % 10000:04d}",
        "email": f"ieva.{life.token}@example.lv",
        "language": "lv",
    }


async def _request(life: Life, right: str) -> str:
    content = {
        "rights": [right],
        "channel": "in_person",
        "answer_channel": "email",
        "identified_by": "identity_document",
        "person": _person(life),
    }
    case = await life.file("privacy_request", "GJ", content, received_at=life.ago(hours=3))
    await life.say(
        case,
        "identify_person",
        when="identifying",
        way="identity_document",
        identified_at=life.ago(hours=2),
        document="dms/id-1",
    )
    return case


async def privacy_access(life: Life) -> None:
    """Identified, gathered, answered by mail with the archive; the answer comes back and goes out again."""
    case = await _request(life, "access")
    await life.say(
        case, "report_bounce", when="resting", actor="system:mail", notice="answer:subject:1", bounced_at=life.ago()
    )
    await life.say(
        case, "correct_address", when="answering", party="subject", email=f"ieva.new.{life.token}@example.lv"
    )
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(case, "closed")


async def privacy_erasure(life: Life) -> None:
    """A former request that was taken back is erased, as a person decided; the night takes what is left of its record.

    The night is this script's own: another's may have been there before, and then comes to the same.
    """
    before = await _request(life, "erasure")
    await life.say(before, "withdraw_request", when="assessing", withdrawn_at=life.ago(), document="dms/withdrawn-1")
    await life.rests(before, "closed")
    case = await _request(life, "erasure")
    await life.say(case, "assess_right", when="assessing", right="erasure", outcome="fulfilled")
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(case, "closed")
    await life.storage_night()


def _in_person(life: Life, *rights: str, **more: Any) -> dict[str, Any]:
    """What is filed of somebody who comes and wants the answer by e-mail."""
    said = {"rights": list(rights), "channel": "in_person", "answer_channel": "email", "person": _person(life)}
    return said | {"identified_by": "identity_document", **more}


async def _asked(life: Life, organisation: str, *rights: str, **more: Any) -> str:
    """A request in person whose person is identified and whose data are gathered."""
    content = _in_person(life, *rights, **more)
    case = await life.file("privacy_request", organisation, content, received_at=life.ago(hours=3))
    seen = {"way": "identity_document", "identified_at": life.ago(hours=2), "document": "dms/id-1"}
    await life.say(case, "identify_person", when="identifying", **seen)
    return case


async def privacy_rights(life: Life) -> None:
    """One right is told before the others; data are corrected, recipients told, a mark is set and taken away."""
    rights = ("rectification", "restriction", "objection")
    case = await _asked(life, "DZ", *rights)
    refused = {"outcome": "refused", "ground": "compelling_grounds", "reason": "Notiek tiesvedība."}
    await life.say(case, "assess_right", when="assessing", right="objection", **refused)
    await life.say(case, "answer_part", when="assessing", rights=["objection"])
    for right in ("restriction", "rectification"):
        await life.say(case, "assess_right", when="assessing", right=right, outcome="fulfilled")
    for right in ("restriction", "rectification"):
        done = {"done_at": life.ago(), "reference": f"dms/{right}"}
        await life.say(case, "confirm_done", when="carrying_out", right=right, **done)
    told = [{"name": "SIA Dzirdes Centrs", "outcome": "told", "told_at": life.ago()}]
    for right, whom in (("restriction", []), ("rectification", told)):
        reported: dict[str, Any] = {"right": right, "recipients": whom, "reference": "dms/recipients"}
        await life.say(case, "report_recipients", when="carrying_out", **reported)
    await life.rests(case, "resting")
    await life.until_day(2)
    await life.say(case, "lift_restriction", when="resting", reason="Iebildums ir izskatīts.")
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(case, "closed")


async def privacy_extended(life: Life) -> None:
    """The term is prolonged; a part of the answer has health data, and goes by mail once a password was handed over."""
    content = _in_person(life, "access", "objection", answer_channel="email")
    case = await life.file("privacy_request", "DZ", content, received_at=life.ago(hours=3))
    await life.say(case, "extend_request", when="identifying", reason="complexity")
    seen = {"way": "identity_document", "identified_at": life.ago(hours=2), "document": "dms/id-1"}
    await life.say(case, "identify_person", when="identifying", **seen)
    await life.say(case, "answer_part", when="assessing", rights=["access"])
    handed = {"channel": "phone", "handed_over_at": life.ago(), "reference": "calls/7"}
    await life.say(case, "send_encrypted", when="assessing", **handed)
    refused = {"outcome": "refused", "ground": "compelling_grounds", "reason": "Notiek tiesvedība."}
    await life.say(case, "assess_right", when="assessing", right="objection", **refused)
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(case, "closed")


async def privacy_transfer(life: Life) -> None:
    """Marketing stops whoever asks; the data go to another controller, and are erased once that has them."""
    rights = ("portability", "erasure", "marketing_objection")
    more = {"transfer_to": "SIA Cita Klīnika", "answer_channel": "portal", "identified_by": None}
    content = _in_person(life, *rights, **more)
    case = await life.file("privacy_request", "DZ", content, received_at=life.ago(hours=3))
    stopped = {"right": "marketing_objection", "done_at": life.ago(hours=2), "reference": "crm/1"}
    await life.say(case, "confirm_done", when="identifying", **stopped)
    seen = {"way": "identity_document", "identified_at": life.ago(hours=1), "document": "dms/id-1"}
    await life.say(case, "identify_person", when="identifying", **seen)
    for right, how in (("portability", {"transfer": "feasible"}), ("erasure", {})):
        await life.say(case, "assess_right", when="assessing", right=right, outcome="fulfilled", **how)
    for step, how in (("agreed", {"format": "CSV"}), ("sent", {}), ("received", {})):
        reported = {"step": step, "at": life.ago(), "reference": f"dms/{step}", **how}
        await life.say(case, "report_transfer", when="carrying_out", **reported)
    await life.say(
        case, "report_recipients", when="carrying_out", right="erasure", recipients=[], reference="dms/recipients"
    )
    sent = {"channel": "portal", "sent_on": life.day(), "reference": "portal/1"}
    await life.say(case, "confirm_answer_sent", when="answering", **sent)
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(case, "closed")
    await life.storage_night()


async def privacy_joined(life: Life) -> None:
    """The same person asks the same again: the earlier request answers both."""
    first = await _asked(life, "GJ", "access", "objection")
    await life.rests(first, "assessing")
    content = _in_person(life, "objection")
    again = await life.file("privacy_request", "GJ", content, received_at=life.ago(hours=1))
    await life.say(again, "join_request", when="identifying", into=first)
    await life.rests(again, "closed")
    await life.say(first, "assess_right", when="assessing", right="objection", outcome="fulfilled")
    done = {"right": "objection", "done_at": life.ago(), "reference": "dms/objection"}
    await life.say(first, "confirm_done", when="carrying_out", **done)
    await life.rests(first, "resting")
    await life.until_day(12)
    await life.rests(first, "closed")


async def privacy_corrected(life: Life) -> None:
    """What a clinic's own database and an earlier request say wrongly is corrected in both."""
    await life.enrol(_person(life))
    before = await _request(life, "erasure")
    await life.say(before, "withdraw_request", when="assessing", withdrawn_at=life.ago(), document="dms/withdrawn-1")
    await life.rests(before, "closed")
    case = await _asked(life, "GJ", "rectification")
    wrong = [
        {"party": "subject", "category": "user.contact.address", "now": "Vilniaus g. 2"},
        {"party": "subject", "category": "user.contact.phone_number", "now": "+370 60000000"},
    ]
    granted: dict[str, Any] = {"right": "rectification", "outcome": "fulfilled", "corrections": wrong}
    await life.say(case, "assess_right", when="assessing", **granted)
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(case, "closed")


async def privacy_clinic(life: Life) -> None:
    """What a clinic's own database holds is copied, and erased but for the visits, which are kept and marked."""
    await life.enrol(_person(life))
    kept: dict[str, Any] = {
        "outcome": "in_part",
        "ground": "legal_claim",
        "reason": "Vyksta byla.",
        "keep": ["clinic:visits"],
    }
    case = await _asked(life, "GJ", "access", "erasure")
    await life.say(case, "assess_right", when="assessing", right="erasure", **kept)
    await life.rests(case, "resting")
    await life.until_day(12)
    await life.rests(case, "closed")
    await life.storage_night()


# ---- breaches and tasks ---------------------------------------------------------------------------------------------


def _affected(life: Life, *numbers: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {"name": f"Zelma Ābele {'abcdefghij'[n]}", "email": f"zelma{n}.{life.token}@pasts.example", "language": "lv"}
        | more
        for n in numbers
    ]


async def breach(life: Life) -> None:
    """High risk: two phases, seven people in batches, by post, and one whose letter came back; then more are found."""
    noticed = life.ago(hours=2)
    said = {"noticed_at": noticed, "told": {"officer": noticed}, "text": "Nozagts dators"}
    case = await life.file("breach", "SE", said, received_at=life.ago(hours=1))
    facts = {
        "nature": "Nozagts dators ar pacientu izrakstiem",
        "contact": "Datu aizsardzības speciāliste",
        "consequences": "Veselības dati var nonākt pie svešiem",
        "measures": "Pieejas slēgtas, ziņots policijai",
    }
    await life.say(case, "add_facts", when="assessing", **facts)
    found = {"risk": "high", "assessed_at": life.ago(), "reason": "Veselības dati"}
    await life.say(case, "assess_risk", when="assessing", **found)
    told: dict[str, Any] = {"phase": 1, "sent_at": life.ago(), "reference": "VDAI-1"}
    await life.say(case, "notify_authority", when="notifying", **told)
    await life.rests(case, "notifying")
    by_post = _affected(life, 6, email=None, address="Zobu iela 6, Rīga")
    await life.people(case, [*_affected(life, *range(6)), *by_post])
    text = {"nature": "Nozagts dators", "consequences": "Dati var nonākt pie svešiem", "measures": "Uzmanieties"}
    letter: dict[str, Any] = {"letter": {"lv": text}, "contact": "Datu aizsardzības speciāliste"}
    await life.say(case, "tell_subjects", when="notifying", **letter)
    # six are told by mail, whichever way the batches fell
    await life.rests(case, "notifying", "for 1 whom mail does not reach")
    await life.say(
        case, "report_bounce", when="notifying", actor="system:mail", notice="tell:P2:1", bounced_at=life.ago()
    )
    await life.rests(case, "notifying", "for 2 whom mail does not reach")
    email = f"zelma.new.{life.token}@pasts.example"
    await life.say(case, "correct_address", when="notifying", party="P2", email=email)
    await life.rests(case, "notifying", "for 1 whom mail does not reach")
    posted = {"sent_at": life.ago(), "reference": "post/1"}
    await life.say(case, "confirm_posted", when="notifying", **posted)
    await life.say(case, "add_facts", when="registering", subjects=7)
    told = {"phase": 2, "sent_at": life.ago(), "reference": "VDAI-2"}
    await life.say(case, "notify_authority", when="registering", **told)
    await life.say(case, "confirm_measures", when="registering", done_at=life.ago(), reference="dms/7")
    entry = {"facts": "Nozagts dators", "effects": "Nav zināmas", "corrective_action": "Diski šifrēti"}
    await life.say(case, "enter_register", when="registering", **entry)
    await life.say(case, "close_breach", when="registering")
    await life.rests(case, "resting")
    await life.until_day(2)
    await life.people(case, _affected(life, 7))
    await life.say(case, "close_breach", when="registering")
    await life.rests(case, "resting")
    await life.until_day(17)
    await life.rests(case, "closed")


async def breach_joined(life: Life) -> None:
    """A second report shows that it was known earlier; the authority is told late, and that letter comes back."""
    said = {"noticed_at": life.ago(hours=2), "text": "Vēstule nepareizam adresātam"}
    stays = await life.file("breach", "BTA", said, received_at=life.ago(hours=1))
    await life.rests(stays, "assessing")
    earlier = {"noticed_at": life.ago(days=1), "aware_at": life.ago(days=1), "text": "Tas pats"}
    again = await life.file("breach", "BTA", earlier, received_at=life.ago(hours=1))
    await life.say(again, "join_breach", when="assessing", into=stays)
    await life.rests(again, "closed")
    await life.rests(stays, "assessing")
    await life.until_day(5)
    found = {"risk": "risk", "assessed_at": life.ago(), "reason": "Vēstule ir atvērta"}
    await life.say(stays, "assess_risk", when="assessing", **found)
    facts = dict.fromkeys(("nature", "contact", "consequences", "measures"), "Vēstule nepareizam adresātam")
    await life.say(stays, "add_facts", when="notifying", **facts)
    late: dict[str, Any] = {
        "phase": 1,
        "sent_at": life.ago(),
        "reference": "DVI-1",
        "delay_reasons": "Apjoms kļuva zināms vēlāk",
    }
    await life.say(stays, "notify_authority", when="notifying", **late)
    await life.say(
        stays, "report_bounce", when="registering", actor="system:mail", notice="authority:1", bounced_at=life.ago()
    )
    await life.say(stays, "notify_authority", when="notifying", **{**late, "sent_at": life.ago()})
    await life.say(stays, "confirm_measures", when="registering", done_at=life.ago(), reference="dms/7")
    entry = {"facts": "Vēstule", "effects": "Nav", "corrective_action": "Adreses pārbauda divi"}
    await life.say(stays, "enter_register", when="registering", **entry)
    await life.say(stays, "close_breach", when="registering")
    await life.rests(stays, "resting")
    await life.until_day(17)
    await life.rests(stays, "closed")


async def _opened(life: Life, duty: str, **said: Any) -> str:
    content = {"duty": duty, "since": life.ago(hours=1), **said}
    return await life.file("task", duty.partition("-")[0], content, received_at=life.ago())


async def tasks(life: Life) -> None:
    """The schedule opens two turns in its night: one with excess data, and one that is missed; two single duties."""
    timely, missed, moved = (f"{life.token}-{about}" for about in "ABC")
    await life.recurs("SE-3.2", timely, done_on=life.ago(days=340)[:10])
    await life.recurs("SE-3.2", missed, done_on=life.ago(days=362)[:10])
    await life.recurs("SE-3.2", moved, done_on=life.ago(days=340)[:10])
    await life.night()
    case, other, dropped = (f"task:SE:SE-3.2_{about}_1" for about in (timely, missed, moved))
    agreed = {"reason": "the archive moves house", "document": "dms/agreed-1", "second_person": "op-2"}
    await life.say(dropped, "move_turn", when="analysing", since=life.ago(days=330), correction=agreed)
    await life.say(dropped, "drop_turn", when="analysing", correction=agreed)
    await life.rests(dropped, "closed")
    await life.rests(other, "analysing")
    analysed: dict[str, Any] = {"done_on": life.day(), "document": "dms/analysis-1", "excess": True}
    await life.say(case, "complete_analysis", when="analysing", **analysed)
    reported = {"reported_on": life.day(), "told": "manager", "document": "dms/report-1"}
    await life.say(case, "report_excess", when="reporting", **reported)
    remedied = {"remedied_on": life.day(), "document": "dms/gone-1", "records": "dms/records-2"}
    await life.say(case, "remedy_excess", when="remedying", **remedied)
    await life.rests(case, "closed")
    single = await life.file("task", "SE", {"duty": "SE-25.5", "since": life.ago(hours=2)}, received_at=life.ago())
    sent = {"done_on": life.day(), "document": "dms/officer-1"}
    await life.say(single, "complete_task", when="doing", **sent)
    await life.rests(single, "closed")
    back = {"actor": "system:mail", "notice": "authority", "bounced_at": life.ago()}
    await life.say(single, "report_bounce", when="closed", **back)
    await life.say(single, "complete_task", when="doing", **sent)
    await life.rests(single, "closed")
    held = await _opened(life, "SE-34.2", about=f"{life.token}-E")
    training: dict[str, Any] = {"held_on": life.day(), "topic": "ICT", "participants": 12, "attendance_list": "hr/1"}
    await life.say(held, "record_training", when="training", **training)
    await life.rests(held, "closed")
    await life.until_day(6)
    done: dict[str, Any] = {"done_on": life.day(), "document": "dms/analysis-2", "excess": False}
    await life.say(other, "complete_analysis", when="analysing", **done)
    await life.rests(other, "closed")


async def gates(life: Life) -> None:
    """What is planned waits: for a decision, for an impact assessment and the authority's answer, or is given up."""
    gate, assessed, dropped = [
        await _opened(life, duty, about=f"{life.token}-{n}") for n, duty in enumerate(("SE-31.1", "SE-26.1", "SE-24.1"))
    ]
    decided: dict[str, Any] = {"decided_on": life.day(), "document": "dms/no-1", "may_start": False}
    await life.say(gate, "decide_gate", when="deciding", met=["audits"], **decided)
    await life.rests(gate, "closed")
    approved: dict[str, Any] = {"approved_on": life.day(), "document": "dms/impact-1", "consult": True}
    await life.say(assessed, "approve_assessment", when="assessing", **approved)
    given_up = {"dropped_on": life.day(), "document": "dms/given-up-1"}
    await life.say(dropped, "drop_processing", when="deciding", **given_up)
    await life.rests(dropped, "closed")
    asked = {"started_on": life.day(), "document": "dms/asked-1"}
    await life.say(assessed, "start_consultation", when="consulting", **asked)
    back = {"actor": "system:mail", "notice": "authority", "bounced_at": life.ago()}
    await life.say(assessed, "report_bounce", when="awaiting_advice", **back)
    await life.say(assessed, "start_consultation", when="consulting", **asked)
    await life.rests(assessed, "awaiting_advice")
    await life.until_day(6)
    answered: dict[str, Any] = {"answered_on": life.day(), "document": "dms/advice-1", "may_start": True}
    await life.say(assessed, "record_advice", when="awaiting_advice", **answered)
    await life.rests(assessed, "closed")


async def information(life: Life) -> None:
    """Who has it is given none; what was given in time and written down late comes back, and is given again, late."""
    waived = await _opened(life, "SE-15.1", about=f"{life.token}-0")
    why = {"decided_on": life.day(), "ground": "has_it_already", "document": "dms/waived-1"}
    await life.say(waived, "waive_information", when="informing", **why)
    await life.rests(waived, "closed")
    # its hours are over before this day, whatever the time: in one run they would end today, and later tomorrow
    day, offset = life.ago(days=7)[:10], life.ago(days=7)[-6:]
    noon, ten_past = (f"{day}T12:{minute}:00{offset}" for minute in ("00", "10"))
    given = await _opened(life, "DZ-14.1", about=f"{life.token}-1", since=noon)
    text = {"version": "notice/4", "document": "dms/given-1"}
    agreed = {"reason": "written down a week later", "document": "dms/agreed-1", "second_person": "op-2"}
    in_time: dict[str, Any] = {"given_at": ten_past, "way": "e_mail", "correction": agreed, **text}
    await life.say(given, "give_information", when="informing", **in_time)
    await life.rests(given, "closed")
    back = {"actor": "system:mail", "notice": "information", "bounced_at": life.ago()}
    await life.say(given, "report_bounce", when="closed", **back)
    await life.say(given, "give_information", when="informing", given_at=life.ago(), way="post", **text)
    await life.rests(given, "closed")


async def storage(life: Life) -> None:
    """Nights over the storage terms: destruction is asked for, held back, proven; consents that were taken back go.

    One was taken back by its reference and one in a request, whose first step stops it; the third is of another
    purpose, and stands.
    """
    who = _person(life)
    given = {"person": {name: who[name] for name in ("name", "personal_code", "email")}, "given_at": life.ago(days=9)}
    for name in ("link", "asked"):
        await life.consent(f"{life.token}-{name}", purpose="marketing", channels=["email"], **given)
    await life.consent(f"{life.token}-stays", purpose="surveys", channels=["email"], **given)
    over = [{"duty": "SE-11.2.6", "since": life.ago(days=800)[:10]}]
    await life.record(f"{life.token}-over", purposes=over)
    await life.record(f"{life.token}-held", purposes=over)
    await life.record(f"{life.token}-kept", purposes=[{"duty": "SE-11.2.6", "since": life.ago(days=30)[:10]}])
    await life.hold(f"{life.token}-held")
    await life.withdraw(f"{life.token}-link")
    await life.storage_night()
    await life.destroyed(f"{life.token}-over")
    asked = {
        "rights": ["consent_withdrawal"],
        "channel": "email",
        "person": who,
        "withdraw": {"purposes": ["marketing"], "channels": []},
    }
    case = await life.file("privacy_request", "GJ", asked, received_at=life.ago(hours=1))
    await life.rests(case, "resting")
    await life.until_day(1)
    await life.hold(f"{life.token}-held", lift=True)
    await life.storage_night()
    await life.destroyed(f"{life.token}-held")
    await life.until_day(12)
    await life.rests(case, "closed")


async def sign_in_review(life: Life) -> None:
    """A month of the journal is counted, looked through and signed off; the controller is told."""
    case = await life.review(since=life.ago(days=20))
    said = {"findings": "Nekas neatbilst ierastajam.", "follows": "Nekas nav jādara."}
    await life.say(case, "sign_off_review", when="reviewing", waits_for="the security officer", **said)
    await life.rests(case, "closed")


async def housekeeping(life: Life) -> None:
    """A sweep opens a reminder, a recount counts a claim anew, which refuses a message; a checkpoint publishes both."""
    term = {"starts_on": life.ago(days=345)[:10], "ends_on": life.ago(days=-20)[:10]}
    policy = await _policy(life, **term)
    await life.sweep()
    reminded = f"renewal:BTA:{policy}"
    await life.rests(reminded, "resting")
    claim = await claim_filed(life, life.ago(hours=1), **term)
    await life.rests(claim, "deciding")
    await life.recount(claim)
    await life.is_refused(claim, "assign_case", when="deciding", handler="op-2")
    withdrawn = {"withdrawn_at": life.ago(), "reference": "dms/withdrawn-1"}
    await life.say(claim, "withdraw_claim", when="deciding", **withdrawn)
    await life.until_day(12)
    await life.rests(claim, "closed")
    await life.rests(reminded, "closed")
    await life.checkpoint()


SCRIPTS: dict[str, Script] = {
    script.__name__: script
    for script in (
        claim_paid,
        claim_by_itself,
        claim_twice_paid,
        claim_overdue,
        claim_hasty,
        claim_contested,
        claim_in_court,
        claim_supplemented,
        claim_deductible,
        claim_disputed,
        claim_with_salvage,
        claim_in_instalments,
        claim_automatic,
        claim_listed,
        claim_reopened,
        recovery,
        recovery_waived,
        late_premium_lapsed,
        late_premium_refused,
        late_premium_approved,
        premium_refunded,
        renewal,
        access_request,
        access_changed,
        credential,
        credential_held,
        client_change,
        access_hasty,
        withdrawal,
        decision,
        decision_withdrawn,
        privacy_access,
        privacy_erasure,
        privacy_rights,
        privacy_extended,
        privacy_transfer,
        privacy_joined,
        privacy_corrected,
        privacy_clinic,
        breach,
        breach_joined,
        tasks,
        gates,
        information,
        storage,
        sign_in_review,
        housekeeping,
    )
}

AT_ONCE = {"claim_hasty": 2, "claim_contested": 1, "access_hasty": 1}
"""How often a script says two things at once: who is heard first is open, and each order has its own right end."""
