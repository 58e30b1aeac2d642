"""Telling: what a kind of case has that writes letters to one party. The newest counts; it may come back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import REST, Case, Done, Event, Item, accepts

with workflow.unsafe.imports_passed_through():
    from models.case import (
        Act,
        Change,
        CorrectAddress,
        Message,
        NoticeDraft,
        NoticeSent,
        NoticesSent,
        ReportBounce,
    )

LETTERS: tuple[type[Message], ...] = (ReportBounce, CorrectAddress)
"""What a stage takes in which a letter may be on its way or come back."""


class Telling(Case):
    """A case whose body has `notices`: key of a letter → queued, sent or refused, in the order of writing."""

    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {}
    """Each kind has its own."""
    reader: ClassVar[str]
    """The party who is written to."""
    letters_in: ClassVar[str] = "notices"
    """The body's field."""

    report_bounce = accepts(ReportBounce)
    correct_address = accepts(CorrectAddress)

    def letter(self, key: str) -> NoticeDraft:
        """The letter of this key, from what the body says now."""
        raise NotImplementedError

    async def told(self, proofs: tuple[NoticeSent, ...]) -> None:
        """Record that letters were sent, or cannot be, and what follows from it."""
        raise NotImplementedError

    async def bounced(self, item: Item, m: ReportBounce) -> None:
        """Record that a letter came back, and what follows from it: most often with `came_back`."""
        raise NotImplementedError

    # ---- what happens -----------------------------------------------------------------------------------------------

    def send_what_waits(self) -> None:
        """Hand every queued letter to the carrier."""
        self.send(key for key, status in self.letters.items() if status == "queued")

    async def about_letters(self, event: Event) -> None:
        """What became of letters, and what is said of them."""
        match event:
            case Done(result=NoticesSent(notices=proofs)) if proofs:
                await self.told(proofs)
            case Item(message=ReportBounce() as m) as item:
                await self.bounced(item, m)
            case Item(message=CorrectAddress() as m) as item:
                await self.address_corrected(item, m)

    async def not_told(self, duty: str, proof: NoticeSent, body: Any) -> None:
        """The letter cannot be delivered: another address is waited for."""
        await self.record("not_told", duty=duty, facts={proof.key: proof.refused}, body=body)

    async def came_back(
        self,
        item: Item,
        m: ReportBounce,
        *,
        duty: str | None,
        to: str | None,
        changes: tuple[Change, ...] = (),
        act: str = "notice.bounced",
        update: dict[str, Any] | None = None,
    ) -> None:
        """One step: the letter came back, the last wait ends; `changes` and `update` say what else does."""
        data = {"notice": m.notice, "bounced_at": m.bounced_at.isoformat()}
        await self.record(
            "bounced",
            said=item,
            duty=duty,
            facts=data,
            changes=(*self.no_more(REST, "bounce"), *changes),
            acts=(Act(name=act, data=data),),
            to=to,
            body=self.with_letters({m.notice: "refused"}).model_copy(update=update or {}),
        )

    async def address_corrected(self, item: Item, m: CorrectAddress) -> None:
        """Another address: the newest letter is written anew."""
        head = self.current()[0].rpartition(":")[0]
        draft = self.letter(f"{head}:{len(self.letters) + 1}")
        await self.record(
            "address_corrected",
            said=item,
            duty=draft.duty,
            facts={"party": m.party, "again": draft.key},
            acts=(self.set_address(m),),
            notices=(draft,),
            body=self.with_letters({draft.key: "queued"}),
        )

    @staticmethod
    def set_address(m: CorrectAddress) -> Act:
        """The store keeps the other address."""
        return Act(name="party.set_address", data={"party": m.party, "email": m.email})

    # ---- what became of each letter ---------------------------------------------------------------------------------

    @property
    def letters(self) -> dict[str, str]:
        """What became of each letter."""
        letters: dict[str, str] = getattr(self.body, self.letters_in)
        return letters

    def with_letters(self, became: dict[str, str]) -> Any:
        """The body with letters that are new, or that something became of."""
        return self.body.model_copy(update={self.letters_in: {**self.letters, **became}})

    @staticmethod
    def became(proofs: Iterable[NoticeSent]) -> dict[str, str]:
        """What proofs say became of letters."""
        return {proof.key: "sent" if proof.sent_at else "refused" for proof in proofs}

    def current(self) -> list[str]:
        """The letters that still matter: the newest, which replaces what was written before."""
        return list(self.letters)[-1:]

    def undelivered(self) -> list[str]:
        """Those of them that came back, or cannot be delivered."""
        return [key for key in self.current() if self.letters[key] == "refused"]

    def delivered(self) -> list[str]:
        """Those of them that were sent, and may come back."""
        return [key for key in self.current() if self.letters[key] == "sent"]

    # ---- what people see --------------------------------------------------------------------------------------------

    def allowed(self, message: Message) -> tuple[str, ...]:
        """Another address only once it is needed; only what was sent can come back, and not before it does."""
        match message:
            case CorrectAddress():
                if message.party != self.reader or not self.undelivered():
                    return (f"party: only {self.reader}, once a letter came back or could not be delivered",)
            case ReportBounce():
                faults = []
                if message.notice not in self.delivered():
                    newest = ", ".join(self.current()) or "none that matters any more"
                    faults.append(f"notice: not the newest letter, or not sent; newest: {newest}")
                if message.bounced_at > workflow.now():
                    faults.append("bounced_at: lies in the future")
                return tuple(faults)
        return super().allowed(message)

    def known(self, model: type[Message]) -> dict[str, Any]:
        """What the case can fill in of a message."""
        delivered = self.delivered()
        values: dict[type[Message], dict[str, Any]] = {
            CorrectAddress: {"party": self.reader},
            ReportBounce: {"notice": delivered[0]} if delivered else {},
        }
        return values.get(model) or super().known(model)

    def possible(self) -> list[type[Message]]:
        """Only what has a point now."""
        pointless: set[type[Message]] = set()
        if not self.undelivered():
            pointless.add(CorrectAddress)
        if not self.delivered():
            pointless.add(ReportBounce)
        return [m for m in super().possible() if m not in pointless]

    def waits_of_letters(self, body: Any) -> list[str]:
        """Whom the newest letter waits for."""
        newest = list(getattr(body, self.letters_in).items())[-1:]
        words = {"refused": f"another address of the {self.reader}: {{}}", "queued": "the carrier: {}"}
        return [words[status].format(key) for key, status in newest if status in words]

    def story_of_letters(self) -> list[str]:
        """What became of each letter, for people."""
        return [f"- **Letter {key}:** {status}" for key, status in self.letters.items()]
