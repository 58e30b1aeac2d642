"""A change of a client's people is a case: made in its own transaction, told to the old and the new, or refused."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from models.errors import Refusal
from models.tables import BellRow, ClientChangeRow, ClientRow, PartyRow
from operations.clients import Clients, Said
from operations.erase import erase
from tests.world import RIGA, Refused, World, text_of

MONDAY = datetime(2027, 3, 1, 10, 0, tzinfo=RIGA)
OLD, NEW, LIST = "client-role:former_responsible:1", "client-role:responsible:1", "client-people:responsible:1"
NO_REQUESTER, NO_RESPONSIBLE = "client-not-authorised:requester:1", "client-not-authorised:responsible:1"
_numbers = count(1)


def person(name: str, **more: Any) -> dict[str, Any]:
    """An invented person; every call another address."""
    return {"name": name, "email": f"{name.split(maxsplit=1)[0].lower()}{next(_numbers)}@maina.example", **more}


def clients(world: World) -> Clients:
    """The clients of the world."""
    return Clients(world.sessions, world.keyring, world.now, world.intake)


async def client(world: World, **more: Any) -> dict[str, Any]:
    """A registered client: what was registered."""
    await world.begin(MONDAY)
    filing = {
        "client": f"CH-{next(_numbers)}",
        "organisation": "BL",
        "name": "SIA Maiņas Noliktava",
        "responsible": person("Ilze Kalna"),
        "requesters": [person("Normunds Priede", role="deputy")],
        "contract": "L-1",
        **more,
    }
    await clients(world).register(filing)
    return filing


async def changed(world: World, who: dict[str, Any], **change: Any) -> str:
    """A change of people that an operator enters; the case."""
    asked = {} if "asked_by" in change else {"reason": "letter of the board"}
    said: Said = await clients(world).change(who["client"], {"reference": "L-17", **asked, **change}, "op-1")
    assert said.case == f"client_change:BL:{who['client']}.L-17"
    world.filed.append(said.case)
    return said.case


async def row(world: World, who: dict[str, Any]) -> ClientRow:
    """The client as it stands."""
    async with world.sessions() as session:
        return await session.get_one(ClientRow, who["client"])


async def history(world: World, who: dict[str, Any]) -> list[ClientChangeRow]:
    """The client's changes, its registration first."""
    query = select(ClientChangeRow).where(ClientChangeRow.client == who["client"]).order_by(col(ClientChangeRow.n))
    async with world.sessions() as session:
        return list((await session.exec(query)).all())


async def letters(world: World, case: str) -> dict[str, str]:
    """What became of each letter."""
    found = await world.row(case)
    assert found is not None
    return dict(found.state["body"]["notices"])


async def _letter(world: World, case: str, key: str, status: str) -> bool:
    return (await letters(world, case)).get(key) == status


# ---- the old and the new --------------------------------------------------------------------------------------------


async def test_a_new_responsible_employee_is_told_and_so_is_the_former(world: World) -> None:
    """The change is in the store with its case; both letters name the other; no clock but the last wait runs."""
    who = await client(world)
    new = person("Jana Liepa")
    case = await changed(world, who, responsible=new)
    await world.stage(case, "resting")
    assert await letters(world, case) == {OLD: "sent", NEW: "sent"}
    (old_mail,), (new_mail,) = world.mails(who["responsible"]["email"]), world.mails(new["email"])
    assert "Turpmāk atbildīgais darbinieks ir: Jana Liepa" in text_of(old_mail)
    assert "nepieņemsim" in text_of(old_mail)
    assert "Jaunā loma: atbildīgais darbinieks" in text_of(new_mail)
    assert "Līdz šim atbildīgais darbinieks bija: Ilze Kalna" in text_of(new_mail)
    stood = await row(world, who)
    assert (stood.responsible["name"], stood.requesters[0]["name"]) == ("Jana Liepa", "Normunds Priede")
    (_, entry) = await history(world, who)
    assert (entry.case, entry.by, entry.fields) == (case, "op-1", ["responsible"])
    assert entry.before["responsible"]["name"] == "Ilze Kalna"
    assert {duty for duty, _ in await world.clocks(case)} == {"T-rest"}, "the document names no term"
    await world.advance(case, (await world.clock(case, "T-rest")).due)
    assert (await world.stage(case, "closed")).outcome == "changed"


async def test_everybody_whose_role_changed_is_told_and_the_responsible_employee_of_all(world: World) -> None:
    """One leaves, one comes, one changes role; who stays as before gets nothing. In the client's language."""
    stays, goes, moves = person("Anna Stalte"), person("Guna Egle"), person("Maris Ozols")
    who = await client(world, language="lt", requesters=[stays, goes, moves])
    comes = person("Nora Vilks", role="signatory")
    by = {"email": moves["email"].upper()}
    case = await changed(world, who, requesters=[stays, {**moves, "role": "deputy"}, comes], asked_by=by)
    await world.stage(case, "resting")
    assert sorted(await letters(world, case)) == [LIST, *(f"client-role:R{n}:1" for n in (1, 2, 3))]
    assert world.mails(stays["email"]) == []
    (told,) = world.mails(who["responsible"]["email"])
    for line in (
        "- Guna Egle. Ankstesnis vaidmuo: asmuo, galintis kliento vardu prašyti prieigos. Naujas vaidmuo: nėra.",
        "Naujas vaidmuo: atsakingo darbuotojo pavaduotojas.",
        "- Nora Vilks. Ankstesnis vaidmuo: nėra. Naujas vaidmuo: asmuo, turintis parašo teisę.",
    ):
        assert line in text_of(told)
    (gone,) = world.mails(goes["email"])
    assert "nebepriimsime" in text_of(gone)
    assert [p["role"] for p in (await row(world, who)).requesters] == ["requester", "deputy", "signatory"]


async def test_nobody_is_named_in_the_history_of_the_engine(world: World) -> None:
    """The body and the steps hold codes; names and addresses stand in the store, sealed."""
    who = await client(world)
    case = await changed(world, who, responsible=(new := person("Jana Liepa")))
    await world.stage(case, "resting")
    told = await world.everything_told(case)
    for text in ("Ilze Kalna", "Jana Liepa", new["email"], who["responsible"]["email"], "Maiņas"):
        assert text not in told


async def test_another_address_is_another_person_and_the_former_one_is_told(world: World) -> None:
    """Whoever takes over a deputy's name with an address of the own is seen at the deputy's address."""
    who = await client(world)
    (deputy,) = who["requesters"]
    case = await changed(world, who, requesters=[{**deputy, "email": "svess@maina.example"}])
    await world.stage(case, "resting")
    assert len(world.mails(deputy["email"])) == len(world.mails("svess@maina.example")) == 1


async def test_what_changes_beside_the_people_holds_at_once_in_the_same_commit(world: World) -> None:
    """Users' cases are not rung where there are none; the same reference again is the same case."""
    who = await client(world)
    new = person("Jana Liepa")
    said = await clients(world).change(
        who["client"], {"reference": "L-17", "reason": "r", "responsible": new, "language": "en"}, "op-1"
    )
    assert (said.fields, said.case is None) == (("language",), False)
    assert said.case is not None
    world.filed.append(said.case)
    await world.stage(said.case, "resting")
    again = await clients(world).change(
        who["client"], {"reference": "L-17", "reason": "r", "responsible": new, "language": "en"}, "op-1"
    )
    assert (again.fields, again.case) == ((), None)
    assert [entry.fields for entry in await history(world, who)][1:] == [["language"], ["responsible"]]
    async with world.sessions() as session:
        assert (await session.exec(select(BellRow).where(BellRow.reason == "client"))).all() == []


# ---- who may ask ----------------------------------------------------------------------------------------------------


async def test_a_change_by_nobody_authorised_is_refused_and_both_sides_are_told(world: World) -> None:
    """The stranger and the responsible employee are written to; nothing changes."""
    who = await client(world)
    stranger = person("Viesis Svešs")
    case = await changed(world, who, requesters=[stranger], asked_by={"name": "S", "email": stranger["email"]})
    await world.stage(case, "resting")
    assert await letters(world, case) == {NO_REQUESTER: "sent", NO_RESPONSIBLE: "sent"}
    (mail,) = world.mails(who["responsible"]["email"])
    assert "nekas nav mainīts" in text_of(mail)
    assert len(await history(world, who)) == 1
    await world.advance(case, (await world.clock(case, "T-rest")).due)
    assert (await world.stage(case, "closed")).outcome == "not_authorised"


async def test_a_stranger_who_cannot_be_reached_holds_up_nobody(world: World) -> None:
    """The mail to an address that was made up comes back: the case closes all the same."""
    who = await client(world)
    case = await changed(world, who, requesters=[], asked_by={"email": "nobody@maina.example"})
    await world.stage(case, "resting")
    await world.say(case, "report_bounce", notice=NO_REQUESTER, bounced_at=MONDAY.isoformat())
    await world.settled(case)
    assert await letters(world, case) == {NO_REQUESTER: "refused", NO_RESPONSIBLE: "sent"}
    await world.advance(case, (await world.clock(case, "T-rest")).due)
    assert (await world.stage(case, "closed")).outcome == "not_authorised"


async def test_who_was_taken_off_the_list_meanwhile_may_not_ask_any_more(world: World) -> None:
    """Judged in the transaction of the change, by the list as it stands then."""
    who = await client(world)
    (deputy,) = who["requesters"]
    first = await changed(world, who, requesters=[])
    await world.stage(first, "resting")
    second = await clients(world).change(
        who["client"], {"reference": "L-18", "requesters": [deputy], "asked_by": {"email": deputy["email"]}}, "op-1"
    )
    assert second.case is not None
    world.filed.append(second.case)
    await world.stage(second.case, "resting")
    assert NO_REQUESTER in await letters(world, second.case)
    assert (await row(world, who)).requesters == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"responsible": None}, "responsible or requesters"),
        ({"asked_by": None}, "asked_by: who of the client asked; or operator"),
        ({"operator": "op-1"}, "asked_by: who of the client asked; or operator"),
        ({"asked_by": None, "operator": "op-1"}, "reason: said by an operator"),
        ({"asked_by": None, "operator": "op-99", "reason": "r"}, "there is no operator op-99"),
        ({"client": "CH-nobody"}, "there is no such client"),
        ({"responsible": {"name": "J", "email": "none"}}, "content.responsible.email"),
    ],
)
async def test_a_faulty_filing_is_refused(world: World, content: dict[str, Any], fault: str) -> None:
    who = await client(world)
    filing = {
        "client": who["client"],
        "responsible": person("Jana Liepa"),
        "asked_by": {"email": who["responsible"]["email"]},
        **content,
    }
    with pytest.raises(Refusal, match=fault):
        await world.file("client_change", "BL", filing)


async def test_a_filing_that_changes_nothing_closes_at_once(world: World) -> None:
    who = await client(world)
    asked = {"client": who["client"], "responsible": who["responsible"], "operator": "op-1", "reason": "again"}
    case = await world.file("client_change", "BL", asked)
    assert (await world.stage(case, "closed")).outcome == "nothing_changed"
    assert await letters(world, case) == {}


# ---- letters that come back -----------------------------------------------------------------------------------------


async def test_a_bounce_asks_for_another_address_which_the_record_then_has_too(world: World) -> None:
    """The new responsible employee stands there under the address that works, and may ask from it."""
    who = await client(world)
    case = await changed(world, who, responsible=(new := person("Jana Liepa")))
    await world.stage(case, "resting")
    await world.say(case, "report_bounce", notice=NEW, bounced_at=MONDAY.isoformat())
    await world.stage(case, "telling")
    with pytest.raises(Refused, match="possible: responsible"):
        await world.say(case, "correct_address", party="former_responsible", email="x@maina.example")
    await world.say(case, "correct_address", party="responsible", email="jana.pareiza@maina.example")
    await world.stage(case, "resting")
    assert (await letters(world, case))["client-role:responsible:2"] == "sent"
    assert len(world.mails("jana.pareiza@maina.example")) == 1
    assert (await row(world, who)).responsible["email"] == "jana.pareiza@maina.example"
    last = (await history(world, who))[-1]
    assert (last.case, last.by, last.before["responsible"]["email"]) == (case, "op-1", new["email"])


async def test_an_address_of_somebody_who_stands_no_more_changes_only_the_letter(world: World) -> None:
    """A later change took that person away; what comes back of the earlier one brings nobody back."""
    who = await client(world)
    case = await changed(world, who, requesters=[person("Nora Vilks")])
    await world.stage(case, "resting")
    later = await clients(world).change(who["client"], {"reference": "L-18", "requesters": [], "reason": "r"}, "op-1")
    assert later.case is not None
    world.filed.append(later.case)
    await world.stage(later.case, "resting")
    await world.say(case, "report_bounce", notice="client-role:R2:1", bounced_at=MONDAY.isoformat())
    await world.stage(case, "telling")
    await world.say(case, "correct_address", party="R2", email="nora.cita@maina.example")
    await world.stage(case, "resting")
    assert (await row(world, who)).requesters == []
    assert len(await history(world, who)) == 3


async def test_a_letter_to_somebody_who_has_left_can_be_given_up(world: World) -> None:
    """The mailbox of the former one is gone: that stays on record, and the case goes on."""
    who = await client(world)
    case = await changed(world, who, responsible=person("Jana Liepa"))
    await world.stage(case, "resting")
    await world.say(case, "report_bounce", notice=OLD, bounced_at=MONDAY.isoformat())
    await world.stage(case, "telling")
    await world.say(case, "drop_notice", party="former_responsible", reason="has_left")
    await world.stage(case, "resting")
    assert await letters(world, case) == {OLD: "dropped", NEW: "sent"}
    assert "dropped" in await world.entries(case)


async def test_a_closed_change_is_opened_again_by_a_bounce(world: World) -> None:
    who = await client(world)
    case = await changed(world, who, responsible=person("Jana Liepa"))
    await world.stage(case, "resting")
    await world.advance(case, (await world.clock(case, "T-rest")).due + timedelta(hours=1))
    await world.stage(case, "closed")
    bounced_at = (world.now() - timedelta(minutes=1)).isoformat()
    bounce = {"actor": "system:mail", "notice": NEW, "bounced_at": bounced_at}
    await world.intake.submit_event(case, "mail-1", "report_bounce", bounce)
    await world.stage(case, "telling")
    async with world.sessions() as session:
        party = await session.get(PartyRow, (case, "responsible"))
    assert party is not None
    assert party.name == "Jana Liepa"


async def test_what_changed_of_a_client_stays_when_the_case_that_told_it_is_erased(
    world: World, tmp_path: Path
) -> None:
    """It is the client's history, under the client's key; the letters and who they went to are gone."""
    who = await client(world)
    case = await changed(world, who, responsible=person("Jana Liepa"))
    await world.stage(case, "resting")
    await world.advance(case, (await world.clock(case, "T-rest")).due + timedelta(hours=1))
    await world.stage(case, "closed")
    await erase(world.sessions, world.keyring, case, tmp_path, world.now)
    (_, entry) = await history(world, who)
    assert (entry.before["responsible"]["name"], entry.after["responsible"]["name"]) == ("Ilze Kalna", "Jana Liepa")
    async with world.sessions() as session:
        party = await session.get_one(PartyRow, (case, "responsible"))
    assert party.name is None
