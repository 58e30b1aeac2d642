"""A change of a client's people, its side of the store: who may ask is judged, and the change made, in one commit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from activities.store import ActHandler, Amended, Opening
from models.client import PEOPLE
from models.client_change import ClientChangeBody, ClientChangeFiling
from models.errors import Refusal
from models.operator import SYSTEM
from models.tables import ClientRow, IntakeRow, NoticeRow, PartyRow
from operations.clients import as_said, locked, write
from operations.intake import client_of
from rules.client import changed_people, is_listed

HERE = f"{SYSTEM}termins"


class ClientChangeStore:
    """What a change of people adds to `case.open` and `case.record`."""

    kind = "client_change"

    def __init__(self) -> None:
        self.acts: Mapping[str, ActHandler] = {
            "client.change": self._change,
            "client.set_address": self._set_address,
            "client.drop_notice": self._drop,
        }

    async def open(self, session: AsyncSession, intake: IntakeRow, at: datetime) -> Opening:
        """The client, and who asked; the people themselves are found in the step that changes them."""
        filing = ClientChangeFiling.model_validate(intake.content)
        client = await client_of(session, intake.organisation, filing.client)
        _add(session, intake.case, client, "client", "client", {"name": client.name})
        if filing.asked_by is not None:
            _add(session, intake.case, client, "requester", "requester", filing.asked_by.model_dump())
        body = ClientChangeBody(client=client.client)
        return Opening(stage="telling", body=body.model_dump(mode="json"))

    async def _change(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Amended:
        """Judge who asks by the list as it stands now; write the new people, and who is to be told."""
        intake = (await session.exec(select(IntakeRow).where(IntakeRow.case == case))).one()
        filing = ClientChangeFiling.model_validate(intake.content)
        client = await locked(session, filing.client)
        before = as_said(client)
        if filing.asked_by is not None and not is_listed(
            before["responsible"], before["requesters"], filing.asked_by.email
        ):
            _add(session, case, client, "responsible", "responsible_employee", before["responsible"])
            return Amended(body={"authorised": False})
        wanted = filing.model_dump(mode="json", include=set(PEOPLE))
        differ = {name: value for name, value in wanted.items() if value is not None and value != before[name]}
        after = {**before, **differ}
        people = changed_people(before, after)
        for party, (change, person) in people.items():
            _add(session, case, client, party, change.now or f"former_{change.was}", person)
        if "responsible" not in people:
            _add(session, case, client, "responsible", "responsible_employee", after["responsible"])
        if differ:
            await write(session, client, differ, filing.operator or HERE, at, case=case)
        changes = {party: change.model_dump(mode="json") for party, (change, _) in people.items()}
        return Amended(body={"authorised": True, "people": changes})

    async def _set_address(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """Another address of a person who was told, before the letter has it: who stands in the record has it too."""
        party = await session.get(PartyRow, (case, data["party"]))
        if party is None:
            raise Refusal("party: there is no such party in this case")
        client = await locked(session, data["client"])
        before = as_said(client)
        after = _readdressed(before, data["standing"], party.email, data["email"])
        if differ := {name: value for name, value in after.items() if value != before[name]}:
            await write(session, client, differ, data["by"], at, case=case)

    async def _drop(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        notice = await session.get(NoticeRow, (case, data["notice"]))
        assert notice is not None  # the case allows it for a letter that could not be delivered
        notice.refused = notice.refused or "dropped"


def _readdressed(before: Mapping[str, Any], role: str, former: str | None, email: str) -> dict[str, Any]:
    """The people with the address in place of the former one, where somebody still stands there under that."""

    def one(person: dict[str, Any]) -> dict[str, Any]:
        same = str(person.get("email") or "").casefold() == (former or "").casefold() != ""
        return {**person, "email": email} if same else person

    if role == "responsible":
        return {"responsible": one(before["responsible"])}
    return {"requesters": [one(person) for person in before["requesters"]]}


def _add(session: AsyncSession, case: str, client: ClientRow, party: str, role: str, person: Mapping[str, Any]) -> None:
    session.add(
        PartyRow(
            case=case,
            party=party,
            role=role,
            name=person.get("name"),
            email=person.get("email"),
            language=client.language,
        )
    )
