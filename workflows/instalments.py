"""Instalments: what a decision left to a written agreement is paid on its days, while the right lasts (9.2.4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import Item
from workflows.payment import Paying

with workflow.unsafe.imports_passed_through():
    from models.case import Act, Change, Evidence, Message, NoticeDraft, Start, Stop, Tick
    from models.claim import ClaimBody, Payment
    from models.instalments import CLAUSES, AgreeInstalments, Agreement, ConfirmRight, Instalment, PayWhole
    from models.settlement import NONE, Head

PAY = "BTA-10.5c"
ORDER_INSTALMENT = "T-instalment-order"
PAY_INSTALMENT = "T-instalment"
REVIEW_RIGHT = "T-instalment-review"
RIGHT_ENDED = "right_ended"
"""What the key of a letter begins with that tells of the end of a right: reader, agreement and last day follow."""
ENDED = "ended"
"""The same of letters of former builds, which did not wait for another address when one came back."""


class ByInstalments(Paying):
    """A claim whose body has `agreements`.

    An agreement has two clocks: until the day of its next instalment, and until the day on which the right ends. No
    instalment that falls after that day has a clock before somebody has answered, so none of them is ordered.
    """

    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {}
    """Each kind has its own."""
    body: ClaimBody

    # ---- what people say --------------------------------------------------------------------------------------------

    async def instalments_agreed(self, item: Item, m: AgreeInstalments) -> None:
        """The agreement stands in place of the 15 working days for what it covers; its first day is waited for."""
        former = m.among(self.body.agreements)
        assert former is not None
        plan = [Instalment(n=n, due_on=p.due_on, amount=p.amount) for n, p in enumerate(m.schedule, 1)]
        agreement = former.model_copy(
            update={"concluded": True, "next": tuple(plan[:2]), "last_on": plan[-1].due_on, "ends": m.right_ends}
        )
        then = self.finished(self._with_agreement(agreement))
        schedule = [p.model_dump(mode="json") for p in m.schedule]
        of = {"claimant": m.claimant, "head": m.head, "decision": m.decision}
        await self.record(
            "instalments_agreed",
            said=item,
            duty=_duty(agreement),
            facts={
                **of,
                "agreed_at": m.agreed_at.isoformat(),
                "amount": str(agreement.amount),
                "instalments": len(plan),
                "first_on": plan[0].due_on.isoformat(),
                "last_on": plan[-1].due_on.isoformat(),
                "right_ends": [day.isoformat() for day in m.right_ends],
            },
            changes=(
                *self.no_more(PAY, "paid in instalments by the agreement", agreement.subject),
                *self._next_clocks(agreement),
                *then.pop("rest", ()),
            ),
            acts=(
                Act(
                    name="claim.agree",
                    data={
                        **of,
                        "agreed_at": m.agreed_at.isoformat(),
                        "reference": m.reference,
                        "schedule": schedule,
                    },
                ),
            ),
            **then,
        )

    async def paid_whole(self, item: Item, m: PayWhole) -> None:
        """Without an agreement what was decided is paid as everything else, by the term that has run on (10.5)."""
        former = m.among(self.body.agreements)
        assert former is not None
        body = self._with_agreement(former.model_copy(update={"concluded": True}))
        payment = Payment(
            key=former.payment,
            claimant=former.claimant,
            amount=former.amount,
            status="queued",
            decision=former.decision,
            of=former.subject,
        )
        await self.record(
            "no_agreement",
            said=item,
            duty=PAY,
            facts={"claimant": m.claimant, "head": m.head, "payment": payment.key, "reason": m.reason},
            orders=(self.order(payment),),
            to=self.back_to_paying(),
            body=body.model_copy(update={"payments": (*body.payments, payment)}),
        )

    async def right_answered(self, item: Item, m: ConfirmRight) -> None:
        """The right lasts, so the instalments up to its next end are free; or it ended, so those after it fall away."""
        former = m.among(self.body.agreements)
        assert former is not None
        answered: tuple[Change, ...] = ()
        if self.clocks.running(REVIEW_RIGHT, former.subject):
            evidence = Evidence(kind="right_confirmed", happened_at=item.at, reference=item.id)
            answered = (Stop(duty=REVIEW_RIGHT, subject=former.subject, evidence=evidence),)
        if m.outcome == "lasts":
            after = former.model_copy(update={"ends": m.ends_after(former), "confirmed_at": item.at})
            await self.record(
                "right_lasts",
                said=item,
                duty=_duty(former),
                facts={"claimant": m.claimant, "head": m.head, "until": _day(after.asked_about), "reason": m.reason},
                changes=(*answered, *self._next_clocks(after, reviewed=True)),
                body=self._with_agreement(after),
            )
            return
        await self._end(item, m, former, answered)

    async def _end(self, item: Item, m: ConfirmRight, former: Agreement, answered: tuple[Change, ...]) -> None:
        """9.2.4: what falls after the last day of the right and is not ordered is cancelled; both are told why."""
        last_day = m.ended_on
        assert last_day is not None
        after = former.model_copy(
            update={
                "next": tuple(i for i in former.next if i.due_on <= last_day),
                "last_on": last_day,
                "ends": (),
                "confirmed_at": item.at,
            }
        )
        # another end of the same right is an earlier day
        what = f"{former.subject}.{last_day}"
        keys = {f"{RIGHT_ENDED}:{party}.{what}:1": party for party in (former.claimant, "insured")}
        body = self._with_agreement(after)
        then = self.finished(body.model_copy(update={"notices": {**body.notices, **dict.fromkeys(keys, "queued")}}))
        no_more: tuple[Change, ...] = ()
        if not after.next:
            no_more = self.no_more(ORDER_INSTALMENT, "the right ended", former.subject)
        await self.record(
            "right_ended",
            said=item,
            duty=_duty(former),
            facts={"claimant": m.claimant, "head": m.head, "ended_on": last_day.isoformat(), "reason": m.reason},
            changes=(*answered, *no_more, *self._next_clocks(after, reviewed=True), *then.pop("rest", ())),
            acts=(
                Act(
                    name="claim.end_right",
                    data={
                        "agreement": former.model_dump(mode="json"),
                        "ended_on": last_day.isoformat(),
                        "reason": m.reason,
                    },
                ),
            ),
            notices=tuple(
                NoticeDraft(
                    key=key,
                    template="claim-instalments-ended",
                    party=party,
                    facts={
                        "claimant": {"name_of": former.claimant},
                        "clause": CLAUSES[former.head],
                        "ended_on": last_day.isoformat(),
                        "reason": m.reason,
                    },
                )
                for key, party in keys.items()
            ),
            **then,
        )

    # ---- time -------------------------------------------------------------------------------------------------------

    def instalment_due(self, tick: Tick) -> dict[str, Any]:
        """The agreed day has come: the instalment is ordered in the same step, and the next one is waited for."""
        agreement = next((a for a in self.body.agreements if a.subject == tick.subject), None)
        due = agreement.free if agreement is not None else None
        if agreement is None or due is None:
            return {}
        payment = Payment(
            key=f"{agreement.payment}.{due.n}",
            claimant=agreement.claimant,
            amount=due.amount,
            status="queued",
            decision=agreement.decision,
            duty=PAY_INSTALMENT,
            of=f"{agreement.subject}.i{due.n}",
        )
        after = agreement.model_copy(update={"next": agreement.next[1:]})
        body = self._without_settled(agreement, self._with_agreement(after))
        # an answer that came after the agreed day starts the term: nothing could be paid before it
        anchor = max(due.day, agreement.confirmed_at) if agreement.confirmed_at is not None else due.day
        return {
            "entry": "instalment_ordered",
            "facts": {"payment": payment.key, "due_on": due.due_on.isoformat(), "amount": str(due.amount)},
            "changes": (
                Start(duty=PAY_INSTALMENT, subject=payment.subject, anchor_at=anchor),
                *self._next_clocks(after, ordered=True),
            ),
            "orders": (self.order(payment),),
            "acts": (
                Act(
                    name="claim.order_instalment",
                    data={
                        "agreements": [a.model_dump(mode="json") for a in body.agreements],
                        "subject": agreement.subject,
                        "n": due.n,
                        "payment": payment.key,
                    },
                ),
            ),
            "body": body.model_copy(update={"payments": (*body.payments, payment)}),
        }

    def _next_clocks(
        self, agreement: Agreement, *, ordered: bool = False, reviewed: bool = False
    ) -> tuple[Change, ...]:
        """The clocks that the agreement needs and that do not run; this step ends the one for what was just done."""
        starts: list[Change] = []
        if agreement.free is not None and (ordered or not self.clocks.running(ORDER_INSTALMENT, agreement.subject)):
            starts.append(Start(duty=ORDER_INSTALMENT, subject=agreement.subject, anchor_at=agreement.free.eve))
        asked_about = agreement.asked_about
        if asked_about is not None and (reviewed or not self.clocks.running(REVIEW_RIGHT, agreement.subject)):
            anchor = Instalment(n=0, due_on=asked_about, amount=NONE).day
            starts.append(Start(duty=REVIEW_RIGHT, subject=agreement.subject, anchor_at=anchor))
        return tuple(starts)

    # ---- what people see --------------------------------------------------------------------------------------------

    def agreement_faults(self, message: AgreeInstalments | PayWhole | ConfirmRight) -> tuple[str, ...]:
        """Why the case does not take a message about an agreement now."""
        agreement = message.among(self.body.agreements)
        match message:
            case AgreeInstalments():
                return message.faults(agreement, workflow.now())
            case ConfirmRight():
                return message.faults(agreement)
            case PayWhole() if agreement is None or agreement.concluded:
                return ("claimant, head: nothing of this waits for an agreement",)
        return ()

    def known_of_agreements(self) -> dict[type[Message], dict[str, Any]]:
        """What the case can fill in of messages about agreements."""
        waiting = next((a for a in self.body.agreements if not a.concluded), None)
        running = min((a for a in self.body.agreements if a.next), key=_first_asked, default=None)
        known: dict[type[Message], dict[str, Any]] = {}
        if waiting is not None:
            known[PayWhole] = _named(waiting)
            known[AgreeInstalments] = {
                **_named(waiting),
                "schedule": [{"due_on": "‹YYYY-MM-DD›", "amount": str(waiting.amount)}],
                "right_ends": [waiting.right_ends.isoformat()] if waiting.right_ends else [],
            }
        if running is not None:
            known[ConfirmRight] = _named(running)
        return known

    def pointless_agreements(self) -> set[type[Message]]:
        """Messages about agreements that have no point now."""
        pointless: set[type[Message]] = set()
        if all(a.concluded for a in self.body.agreements):
            pointless |= {AgreeInstalments, PayWhole}
        if not any(a.next for a in self.body.agreements):
            pointless.add(ConfirmRight)
        return pointless

    @staticmethod
    def waits_of_agreements(agreements: Iterable[Agreement]) -> list[str]:
        """What the agreements wait for, and from whom."""
        waits = []
        for a in agreements:
            if not a.concluded:
                waits.append(f"the written agreement with {a.claimant} on {a.amount} EUR ({CLAUSES[a.head]})")
            elif a.free is not None:
                waits.append(f"{a.free.due_on}, the day of {a.payment}.{a.free.n}")
            elif a.next:
                waits.append(f"confirm_right by the handler: whether {a.claimant} has a right after {a.ends[0]}")
        return waits

    def story_of_agreements(self) -> list[str]:
        """Each agreement: its next instalment, its last day, and when the right is asked about."""
        lines = []
        for a in self.body.agreements:
            what = f"{a.amount} EUR, not agreed yet"
            if a.concluded:
                what = f"next {a.next[0].amount} EUR on {a.next[0].due_on}" if a.next else "nothing is left to order"
            if a.next:
                what += f", the last on {a.last_on}"
            if a.asked_about is not None:
                what += f"; the right ends on {a.asked_about}: none after it before confirm_right"
            lines.append(f"- **Instalments {a.payment}:** {what}")
        return lines

    # ---- helpers ----------------------------------------------------------------------------------------------------

    def _with_agreement(self, agreement: Agreement) -> ClaimBody:
        agreements = tuple(agreement if a.subject == agreement.subject else a for a in self.body.agreements)
        return self.body.model_copy(update={"agreements": agreements})

    def _without_settled(self, agreement: Agreement, body: ClaimBody) -> ClaimBody:
        """Instalments that were paid leave the body, but for the newest, which a bank may still return."""
        paid = [
            p
            for p in body.payments
            if p.status == "paid" and p.duty == PAY_INSTALMENT and p.subject.startswith(f"{agreement.subject}.i")
        ][:-1]
        settled = dict(body.settled)
        for p in paid:
            settled[p.claimant] = settled.get(p.claimant, NONE) + p.amount
        payments = tuple(p for p in body.payments if p not in paid)
        return body.model_copy(update={"payments": payments, "settled": settled})


def _duty(agreement: Agreement) -> str | None:
    """The clause that asks for the agreement, where the register has it as a duty."""
    return "BTA-9.2.4" if agreement.head == Head.death else None


def _named(agreement: Agreement) -> dict[str, Any]:
    named: dict[str, Any] = {"claimant": agreement.claimant, "head": agreement.head.value}
    return named | ({"decision": agreement.decision} if agreement.decision > 1 else {})


def _first_asked(agreement: Agreement) -> str:
    return (_day(agreement.asked_about) or "~") + agreement.subject


def _day(day: Any) -> str | None:
    return day.isoformat() if day is not None else None
