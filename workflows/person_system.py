"""Asking people who keep data: each system and act is a task with its proof and its own clock, inside the request.

The request goes on only when each has answered; who has not stands in its details, is reminded, and is escalated.
"""

from __future__ import annotations

from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import Case, Item, accepts, utc

with workflow.unsafe.imports_passed_through():
    from activities.privacy import PrivacyActivities
    from models.case import Act, Change, Evidence, Message, Start, Stop
    from models.person_system import ASKED, Asked, PersonSystem, ReportHandling, ReportSearch, way_of
    from models.privacy import PrivacyBody, PrivacyWork

PEOPLE = "privacy-asks-people"
"""The change by which a request asks who keeps data: requests that gathered before replay without it."""


class AsksPeople(Case):
    """The part of a privacy request that people answer instead of machines."""

    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {}
    """The request has its own."""

    report_search = accepts(ReportSearch)
    report_handling = accepts(ReportHandling)

    body: PrivacyBody

    def __init__(self) -> None:
        super().__init__()
        self.known_people: tuple[PersonSystem, ...] | None = None

    def after_people(self, body: PrivacyBody, said: Evidence) -> dict[str, Any]:
        """Where the request stands with this body, once somebody has answered: arguments of `record`, `changes` too."""
        raise NotImplementedError

    # ---- asking -----------------------------------------------------------------------------------------------------

    async def asks_people(self) -> bool:
        """Ask whoever is to be asked now; True if that was this turn."""
        body = self.body
        if body.people is None and self.case.stage == "gathering":
            if self.known_people is None and workflow.patched(PEOPLE):
                work = PrivacyWork(case=self.id)
                found = await self.ask(PrivacyActivities.people, work, "find out who keeps data that only people find")
                self.known_people = found.people
            if self.known_people:
                body = body.model_copy(update={"people": self.known_people})
        wanted = body.to_ask(self.case.stage)
        if not wanted:
            return False
        now = workflow.now()
        asked = tuple(
            Asked(
                system=system,
                act=act,
                asked_at=now,
                records=() if act == "search" else body.records_of(system, act),
            )
            for system, act in wanted
        )
        people = {person.name: person for person in body.people or ()}
        told = [
            {
                "system": one.system,
                "act": one.act,
                "holder": people[one.system].holder,
                "title": people[one.system].title.model_dump(),
                "records": list(one.records),
            }
            for one in asked
        ]
        await self.record(
            "people_asked",
            duty=ASKED,
            facts={"asked": [one.subject for one in asked]},
            changes=tuple(Start(duty=ASKED, subject=one.subject, anchor_at=now) for one in asked),
            acts=(Act(name="privacy.tell_holders", data={"asked": told}),),
            body=body.model_copy(update={"asked": (*body.asked, *asked)}),
        )
        return True

    # ---- answers ----------------------------------------------------------------------------------------------------

    async def people_said(self, item: Item, m: ReportSearch | ReportHandling) -> None:
        """What was found, or what was done with it; its clock ends with the proof."""
        facts: dict[str, Any] = {}
        if isinstance(m, ReportSearch):
            at, act = m.searched_at, "search"
            pages = sum(one.pages for one in m.items)
            facts = {"found": len(m.items), "pages": pages}
            update: dict[str, Any] = {"answered_at": at, "pages": pages}
            found = {**self.body.found, m.system: m.items}
        else:
            at, act, found = m.done_at, m.act, self.body.found
            update = {"answered_at": at, "kept": {k.record: k.ground for k in m.kept}}
            if m.act == "erase":
                facts = {"way": m.way, "kept": [k.model_dump() for k in m.kept]}
        asked = tuple(
            one.model_copy(update=update) if (one.system, one.act) == (m.system, act) else one
            for one in self.body.asked
        )
        body = self.body.model_copy(update={"asked": asked, "found": found})
        subject = f"{m.system}:{act}"
        evidence = Evidence(
            kind="person_answered", happened_at=at, reference=m.reference, by_person=True, correction=m.correction
        )
        changes: tuple[Change, ...] = ()
        if self.clocks.running(ASKED, subject):
            changes = (Stop(duty=ASKED, subject=subject, evidence=evidence),)
        then = self.after_people(body, evidence)
        await self.record(
            "searched" if isinstance(m, ReportSearch) else "handled",
            said=item,
            duty=ASKED,
            facts={
                "system": m.system,
                "act": act,
                "at": at.isoformat(),
                "by": m.by,
                "reference": m.reference,
                **facts,
            },
            changes=(*changes, *then.pop("changes")),
            **then,
        )

    # ---- conditions -------------------------------------------------------------------------------------------------

    def people_faults(self, m: ReportSearch | ReportHandling) -> tuple[str, ...]:
        """Why this answer is not taken; all reasons."""
        act = "search" if isinstance(m, ReportSearch) else m.act
        at, field = (m.searched_at, "searched_at") if isinstance(m, ReportSearch) else (m.done_at, "done_at")
        asked = self.body.asked_of(m.system, act)
        faults = []
        if asked is None:
            open_ones = ", ".join(one.subject for one in self.body.unanswered) or "nothing"
            faults.append(f"system: it was not asked for {act}; open: {open_ones}")
        elif asked.answered_at is not None:
            faults.append(f"system: {asked.subject} is answered already")
        elif at < asked.asked_at:
            faults.append(f"{field}: lies before it was asked, {asked.asked_at.isoformat(timespec='seconds')}")
        if at > workflow.now():
            faults.append(f"{field}: lies in the future")
        if m.correction is not None and m.correction.second_person == m.actor:
            faults.append("correction.second_person: must be another person")
        if isinstance(m, ReportHandling):
            faults += self._handling_faults(m, asked)
        return tuple(faults)

    def _handling_faults(self, m: ReportHandling, asked: Asked | None) -> list[str]:
        person = next((p for p in self.body.people or () if p.name == m.system), None)
        if m.act != "erase":
            said = ("way", m.way is not None), ("kept", bool(m.kept))
            return [f"{field}: only of what was to be destroyed" for field, is_said in said if is_said]
        faults = []
        if person is not None and m.way != way_of(person.medium):
            faults.append(f"way: what is kept there goes {way_of(person.medium)} (SE-12.2, SE-12.3)")
        grounds = self.body.terms.grounds.get("erasure", {})
        for n, kept in enumerate(m.kept, 1):
            if asked is not None and kept.record not in asked.records:
                faults.append(f"kept.{n}.record: was not to be destroyed; to be destroyed: {', '.join(asked.records)}")
            if kept.ground not in grounds:
                faults.append(f"kept.{n}.ground: one of the controller's: {', '.join(grounds)}")
        return faults

    # ---- what people see --------------------------------------------------------------------------------------------

    def people_known(self, model: type[Message]) -> dict[str, Any]:
        """What the case knows of the fields of an answer."""
        search = model is ReportSearch
        one = next((a for a in self.body.unanswered if (a.act == "search") == search), None)
        if one is None:
            return {}
        if search:
            return {"system": one.system}
        person = next(p for p in self.body.people or () if p.name == one.system)
        way = {"way": way_of(person.medium)} if one.act == "erase" else {}
        return {"system": one.system, "act": one.act, **way}

    def people_hidden(self) -> dict[type[Message], bool]:
        """Which of the answers nobody waits for."""
        acts = [one.act for one in self.body.unanswered]
        return {
            ReportSearch: "search" not in acts,
            ReportHandling: not [act for act in acts if act != "search"],
        }

    def people_waited_for(self, body: PrivacyBody) -> str:
        """Who has not answered, and what: `archive:search from records_keeper`."""
        holders = {person.name: person.holder for person in body.people or ()}
        return ", ".join(f"{one.subject} from {holders[one.system]}" for one in body.unanswered)

    def people_story(self) -> list[str]:
        """Each who was asked, by system and act."""
        lines = []
        for one in self.body.asked:
            answered = f"answered {utc(one.answered_at)}" if one.answered_at else "**not answered**"
            found = f", found: {len(self.body.found.get(one.system, ()))}" if one.act == "search" else ""
            kept = f", kept: {len(one.kept)}" if one.kept else ""
            asked = f"{one.system}, to {one.act.replace('_', ' ')}"
            lines.append(f"- **Asked of {asked}:** {answered}{found if one.answered_at else ''}{kept}")
        return lines
