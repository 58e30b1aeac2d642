"""Client change: other people in a client's record; the old and the new are told, each by a letter that is proven."""

from __future__ import annotations

from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import CLOSED, REST, Item, accepts
from workflows.telling import LETTERS, Telling

with workflow.unsafe.imports_passed_through():
    from models.case import (
        Act,
        CorrectAddress,
        Message,
        NoticeDraft,
        NoticeSent,
        Outcome,
        ReportBounce,
        Tick,
    )
    from models.client import ROLES, Role
    from models.client_change import ClientChangeBody, DropNotice

TOLD, LIST, REFUSED = "client-role", "client-people", "client-not-authorised"
RESPONSIBLE, FORMER, REQUESTER = "responsible", "former_responsible", "requester"


@workflow.defn(name="ClientChange")
class ClientChange(Telling):
    """One change: judged and made in its first step, then told; where nobody of the client asked for it, refused."""

    kind = "client_change"
    body_model = ClientChangeBody
    reader = RESPONSIBLE
    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {
        "telling": (*LETTERS, DropNotice),
        "resting": (ReportBounce,),
    }

    drop_notice = accepts(DropNotice)

    body: ClientChangeBody

    @workflow.run
    async def run(self, message: Any = None, *more: Any) -> Outcome:
        """Live the change; the input is a `StartCase`."""
        return await self.live(message, *more)

    # ---- stages -----------------------------------------------------------------------------------------------------

    async def telling(self) -> None:
        """The change is made and letters go out; the document names no term for it, so no clock runs."""
        body = self.body
        if body.authorised is None:
            await self.record("judged", acts=(Act(name="client.change"),))
            return
        if not body.notices:
            await self._prepare()
            return
        self.send_what_waits()
        match await self.next():
            case Item(message=DropNotice() as m) as item:
                await self._drop(item, m)
            case event:
                await self.about_letters(event)

    async def resting(self) -> None:
        """A letter may still come back; then the case closes."""
        if await self.rest_again():
            return
        match await self.next():
            case Item() as item:
                await self.about_letters(item)

    def with_due(self, tick: Tick) -> dict[str, Any]:
        """The rest is over: closed in the same step."""
        if tick.duty != REST:
            return {}
        return {"entry": "closed", "to": CLOSED, "outcome": "changed" if self.body.authorised else "not_authorised"}

    # ---- the letters ------------------------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        """A letter to each whose role changed, and one to the responsible employee where others changed."""
        body = self.body
        if not body.authorised:
            heads = [f"{REFUSED}:{REQUESTER}", f"{REFUSED}:{RESPONSIBLE}"]
        else:
            heads = [f"{TOLD}:{party}" for party in body.people]
            heads += [f"{LIST}:{RESPONSIBLE}"] if self._listed() else []
        if not heads:
            await self.record("nothing_changed", to=CLOSED, outcome="nothing_changed")
            return
        drafts = tuple(self.letter(f"{head}:1") for head in heads)
        await self.record(
            "changed" if body.authorised else "not_authorised",
            facts={party: change.now or "none" for party, change in body.people.items()},
            notices=drafts,
            body=self.with_letters({draft.key: "queued" for draft in drafts}),
        )

    def _listed(self) -> list[str]:
        """Those of the list whose role changed; the responsible employee is not on it."""
        return [party for party in self.body.people if party.startswith("R")]

    def letter(self, key: str) -> NoticeDraft:
        """The letter of this key; whom it names is looked up where it is written."""
        template, party, _ = key.split(":")
        client = {"name_of": "client"}
        if template == TOLD:
            change = self.body.people[party]
            both = {RESPONSIBLE, FORMER} <= set(self.body.people)
            facts: dict[str, Any] = {
                "was": _said(change.was),
                "now": _said(change.now),
                "predecessor": {"name_of": FORMER} if both and party == RESPONSIBLE else None,
                "successor": {"name_of": RESPONSIBLE} if both and party == FORMER else None,
            }
        elif template == LIST:
            people = {party: self.body.people[party] for party in self._listed()}
            facts = {
                "people": [
                    {"name": {"name_of": party}, "was": _said(change.was), "now": _said(change.now)}
                    for party, change in people.items()
                ]
            }
        else:
            facts = {"requester": {"name_of": REQUESTER}, "to_whom": party}
        return NoticeDraft(key=key, template=template, party=party, facts={"client": client, **facts})

    async def told(self, proofs: tuple[NoticeSent, ...]) -> None:
        """Proven sent, or not to be delivered; once everybody is told, the case rests."""
        letters = self.became(proofs)
        body = self.with_letters(letters)
        await self.record(
            "told" if "sent" in letters.values() else "not_told",
            facts={proof.key: proof.refused or "sent" for proof in proofs},
            body=body,
            **self._then_rest(body),
        )

    def _then_rest(self, body: ClientChangeBody) -> dict[str, Any]:
        """Rest once nothing waits; a stranger who asked and cannot be reached holds up nobody."""
        open_ = [key for key in self.current(body) if body.notices[key] in ("queued", "refused")]
        if any(body.notices[key] == "queued" or not key.startswith(f"{REFUSED}:{REQUESTER}:") for key in open_):
            return {}
        return {"to": "resting", "changes": (self.rest(),)}

    async def bounced(self, item: Item, m: ReportBounce) -> None:
        """The letter came back: that person is not told until another address is given, or nobody can be reached."""
        stranger = m.notice.startswith(f"{REFUSED}:{REQUESTER}:")
        await self.came_back(item, m, duty=None, to=None if stranger else "telling")

    async def address_corrected(self, item: Item, m: CorrectAddress) -> None:
        """Another address: what the person could not get is sent there; the record has it too if the person stands."""
        change = self.body.people.get(m.party)
        standing = change.now if change is not None else RESPONSIBLE if m.party == RESPONSIBLE else None
        again = [key for key in self.undelivered() if _party(key) == m.party]
        drafts = tuple(self.letter(_next(key)) for key in again)
        acts = [self.set_address(m)]
        if standing is not None:
            data = {"client": self.body.client, "party": m.party, "email": m.email, "by": m.actor, "standing": standing}
            acts.insert(0, Act(name="client.set_address", data=data))
        await self.record(
            "address_corrected",
            said=item,
            facts={"party": m.party, "again": [draft.key for draft in drafts]},
            acts=tuple(acts),
            notices=drafts,
            body=self.with_letters({draft.key: "queued" for draft in drafts}),
        )

    async def _drop(self, item: Item, m: DropNotice) -> None:
        """Nobody can reach this person any more: the letter is given up, which stays on record."""
        given_up = [key for key in self.undelivered() if _party(key) == m.party]
        body = self.with_letters(dict.fromkeys(given_up, "dropped"))
        await self.record(
            "dropped",
            said=item,
            facts={"party": m.party, "reason": m.reason},
            acts=tuple(Act(name="client.drop_notice", data={"notice": key}) for key in given_up),
            body=body,
            **self._then_rest(body),
        )

    def current(self, body: ClientChangeBody | None = None) -> list[str]:
        """The newest letter of each kind to each person."""
        letters = (body or self.body).notices
        newest = {key.rpartition(":")[0]: key for key in letters}
        return list(newest.values())

    # ---- what people see --------------------------------------------------------------------------------------------

    def allowed(self, message: Message) -> tuple[str, ...]:
        """Another address, or giving up, only for whom a letter could not be delivered."""
        if isinstance(message, CorrectAddress | DropNotice):
            could = self._unreached()
            return () if message.party in could else (f"party: no letter waits for it; possible: {', '.join(could)}",)
        return super().allowed(message)

    def _unreached(self) -> list[str]:
        return sorted({_party(key) for key in self.undelivered()})

    def known(self, model: type[Message]) -> dict[str, Any]:
        """What the case can fill in of a message."""
        if model in (CorrectAddress, DropNotice):
            return {"party": could[0]} if (could := self._unreached()) else {}
        return super().known(model)

    def possible(self) -> list[type[Message]]:
        """Only what has a point now."""
        return [m for m in super().possible() if m is not DropNotice or self._unreached()]

    def waiting(self, stage: str, body: ClientChangeBody) -> str:
        """What is waited for, and from whom."""
        if stage == "resting":
            return "a bounce, until it closes"
        words = {"refused": "another address of {}: {}", "queued": "the carrier for {}: {}"}
        waits = [(body.notices[key], key) for key in self.current(body)]
        return ", ".join(words[status].format(_party(key), key) for status, key in waits if status in words)

    def story(self) -> list[str]:
        """The client, what each person was and is, and the letters."""
        body = self.body
        people = [
            f"- **{party}:** {change.was or 'nobody'} → {change.now or 'nobody'}"
            for party, change in body.people.items()
        ]
        refused = ["- **Refused:** whoever asked is not on the client's list"] if body.authorised is False else []
        return [f"- **Client:** {body.client}", *people, *refused, *self.story_of_letters()]


def _said(role: Role | None) -> dict[str, str] | None:
    return None if role is None else ROLES[role].model_dump()


def _party(key: str) -> str:
    return key.split(":")[1]


def _next(key: str) -> str:
    head, _, n = key.rpartition(":")
    return f"{head}:{int(n) + 1}"
