"""Clients by the command line, against a real store: load, change, end, what is shown of them, and their history."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlmodel import col, select

from integrations.data_systems import Subject
from models.tables import ClientChangeRow, ClientRow, IntakeRow
from operations.clients import Clients
from operations.own_store import OwnStore
from operations.samples import SAMPLES
from tests.system.test_starter import ask, cli
from tests.world import World

pytestmark = pytest.mark.usefixtures("present")

Environment = dict[str, str]
ILZE = {"name": "Ilze Kalna", "email": "ilze.kalna@pilns.example"}
ANY = {"by": "Ilze Kalna", "on": "2026-05-04", "reference": "dms/2026/17"}


def filing(**more: Any) -> dict[str, Any]:
    """A client with everything a contract says."""
    return {
        "client": f"K-{uuid4().hex[:8]}",
        "organisation": "BL",
        "name": "SIA Pilnā Noliktava",
        "responsible": ILZE,
        "requesters": [{"name": "Normunds Sproģis", "email": "normunds@pilns.example", "role": "deputy"}],
        "contract": "L-2026-17",
        "contract_from": "2026-01-01",
        "addresses": ["192.0.2.0/24", "2001:DB8:0::/48", "198.51.100.7"],
        "authenticators": ["smart-id", "ebank-one"],
        **more,
    }


async def loaded(where: Environment, tmp_path: Path, *clients: dict[str, Any], code: int = 0) -> Any:
    """Load a file of clients; the report."""
    file = tmp_path / "clients.json"
    file.write_text(json.dumps({"clients": list(clients)}), encoding="utf-8")
    return await ask(where, "clients", "load", str(file), code=code)


async def changes(world: World, client: str) -> list[ClientChangeRow]:
    """A client's history."""
    query = select(ClientChangeRow).where(ClientChangeRow.client == client).order_by(col(ClientChangeRow.n))
    async with world.sessions() as session:
        return list((await session.exec(query)).all())


async def row(world: World, client: str) -> ClientRow:
    """A client as it stands."""
    async with world.sessions() as session:
        return await session.get_one(ClientRow, client)


# ---- load -----------------------------------------------------------------------------------------------------------


async def test_the_same_file_again_changes_nothing_even_after_a_change(
    world: World, where: Environment, tmp_path: Path
) -> None:
    """The registration is the first entry of the history; what was registered otherwise is refused by name."""
    client = filing()
    for new, unchanged in ((1, 0), (0, 1)):
        report = await loaded(where, tmp_path, client)
        assert (report["new"], report["unchanged"], report["bad"]) == (new, unchanged, [])
    change = {"client": client["client"], "authenticators": ["smart-id"]}
    assert (await ask(where, "clients", "change", data=json.dumps(change)))["fields"] == ["authenticators"]
    assert (await loaded(where, tmp_path, client))["unchanged"] == 1
    stood = await row(world, client["client"])
    assert stood.addresses == ["192.0.2.0/24", "2001:db8::/48", "198.51.100.7/32"], "one way to write a network"
    assert stood.authenticators == ["smart-id"]
    (bad,) = (await loaded(where, tmp_path, {**client, "responsible": {**ILZE, "name": "Cita"}}, code=1))["bad"]
    assert bad["faults"] == ["responsible: differs from what is registered; clients change changes it"]
    assert [entry.fields for entry in await changes(world, client["client"])][1:] == [["authenticators"]]


@pytest.mark.parametrize(
    ("wrong", "faults"),
    [
        (
            {"addresses": ["192.0.2.7/24"]},
            ["addresses.0: its host bits are set: the network begins at another address"],
        ),
        ({"addresses": ["2001:db8::1/48"]}, ["addresses.0: its host bits are set"]),
        ({"addresses": ["1.2.3"]}, ["addresses.0: no network"]),
        ({"addresses": ["0.0.0.0/0"]}, ["addresses: this is every address"]),
        ({"addresses": ["0.0.0.0/1", "128.0.0.0/1"]}, ["addresses: this is every address"]),
        ({"any_address": ANY}, ["addresses: a list beside any_address"]),
        ({"any_address": {"by": "Ilze"}, "addresses": []}, ["any_address.on: ", "any_address.reference: "]),
        ({"contract_until": "2025-12-31"}, ["contract_until: lies before contract_from"]),
        ({"contract": None}, ["contract: its days are said, but not its number"]),
        ({"requesters": [ILZE, {**ILZE, "email": "ILZE.kalna@pilns.example"}]}, ["requesters.1.email: is given twice"]),
        ({"requesters": [{**ILZE, "role": "friend"}]}, ["requesters.0.role: "]),
        ({"responsible": {"name": "Ilze", "email": "no address"}}, ["responsible.email: "]),
        ({"client": "320101-10016"}, ["client: looks like a personal code"]),
        ({"organisation": "XX", "colour": "red"}, ["colour: unknown field", "organisation: it has no rulebook"]),
    ],
)
async def test_a_faulty_client_is_refused_with_every_fault_and_the_others_go_in(
    world: World, where: Environment, tmp_path: Path, wrong: dict[str, Any], faults: list[str]
) -> None:
    bad, good = filing(**wrong), filing()
    report = await loaded(where, tmp_path, bad, good, code=1)
    assert (report["new"], len(report["bad"])) == (1, 1)
    found = report["bad"][0]["faults"]
    assert len(found) == len(faults)
    for fault in faults:
        assert any(one.startswith(fault) for one in found), (fault, found)
    async with world.sessions() as session:
        assert await session.get(ClientRow, bad["client"]) is None
    assert "Ilze" not in json.dumps(report)


async def test_clients_come_from_a_spreadsheet(world: World, where: Environment, tmp_path: Path) -> None:
    """CSV: lists between bars, each person as name, address and role."""
    code = f"K-{uuid4().hex[:8]}"
    head = "client;organisation;name;responsible;responsible_email;requesters;login_data_agreed;contract;addresses;"
    line = f"{code};BL;SIA Tabula;Ilze Kalna;ilze@tabula.example;Anna=anna@tabula.example|Juris=juris@tabula.example="
    file = tmp_path / "clients.csv"
    file.write_text(
        f"{head}authenticators\n{line}signatory;yes;L-1;192.0.2.0/25|2001:db8::/64;smart-id|ebank-one\n",
        encoding="utf-8",
    )
    assert (await ask(where, "clients", "load", str(file)))["bad"] == []
    stood = await row(world, code)
    assert [(p["name"], p["role"]) for p in stood.requesters] == [("Anna", "requester"), ("Juris", "signatory")]
    assert (stood.login_data_agreed, stood.addresses) == (True, ["192.0.2.0/25", "2001:db8::/64"])
    assert stood.authenticators == ["smart-id", "ebank-one"]
    assert "1 there before" in (await cli(where, "clients", "load", str(file))).stdout


@pytest.mark.parametrize("between", ["", "\n"], ids=["one line", "a row a line"])
async def test_a_file_of_clients_may_break_its_lines_anywhere(
    world: World, where: Environment, tmp_path: Path, between: str
) -> None:
    """One JSON document is one document, also where each of its rows has a line of its own."""
    rows = [filing(), filing()]
    file = tmp_path / "clients.json"
    file.write_text(f'{{"clients": [{between}{f",{between}".join(map(json.dumps, rows))}]}}', encoding="utf-8")
    assert (await ask(where, "clients", "load", str(file)))["new"] == 2
    for client in rows:
        assert (await row(world, client["client"])).addresses == ["192.0.2.0/24", "2001:db8::/48", "198.51.100.7/32"]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ('"A", "name": "B"', "name: this key is given twice"),
        ('"A\\u0000"', "clients.0.name: holds the character U+0000"),
    ],
)
async def test_a_file_that_nobody_can_read_for_certain_registers_nobody(
    world: World, where: Environment, tmp_path: Path, name: str, fault: str
) -> None:
    """What JSON leaves open, or no store can keep, is a fault of the file, whatever its rows say."""
    client = filing(name="the name")
    file = tmp_path / "clients.json"
    file.write_text(json.dumps({"clients": [client]}).replace('"the name"', name), encoding="utf-8")
    report = await ask(where, "clients", "load", str(file), code=1)
    assert (report["new"], report["bad"][0]["faults"][0].partition(", ")[0]) == (0, fault)
    async with world.sessions() as session:
        assert await session.get(ClientRow, client["client"]) is None


async def test_the_samples_are_loaded(where: Environment) -> None:
    report = await ask(where, "clients", "load", str(SAMPLES / "clients.json"))
    assert report["bad"] == []
    assert {line["client"] for line in await ask(where, "clients", "list")} >= {"BL-0042", "BL-0057"}


async def test_a_client_loaded_by_the_version_before_takes_the_files_facts_but_no_other_people(
    world: World, where: Environment, tmp_path: Path
) -> None:
    """Its history begins with that; nobody new may ask in its name without being told."""
    code = await world.customer(responsible=ILZE, requesters=[])
    client = filing(client=code, requesters=[])
    other = {**client, "requesters": [ILZE]}
    (bad,) = (await loaded(where, tmp_path, other, code=1))["bad"]
    assert [fault.split(":")[0] for fault in bad["faults"]] == ["requesters"]
    assert (await loaded(where, tmp_path, client))["unchanged"] == 1
    assert (await row(world, code)).contract == "L-2026-17"
    assert [entry.n for entry in await changes(world, code)] == [1]


# ---- change and end -------------------------------------------------------------------------------------------------


async def test_a_change_is_one_entry_with_what_was_and_what_is(
    world: World, where: Environment, tmp_path: Path
) -> None:
    """Any address instead of a list: who agreed, when, and under which reference; said again it changes nothing."""
    client = filing()
    await loaded(where, tmp_path, client)
    change = {"client": client["client"], "addresses": [], "any_address": ANY}
    said = await ask(where, "clients", "change", data=json.dumps(change), code=0)
    assert said == {"client": client["client"], "fields": ["addresses", "any_address"], "case": None}
    assert (await ask(where, "clients", "change", data=json.dumps(change)))["fields"] == []
    stood = await row(world, client["client"])
    assert (stood.any_address, stood.any_address_agreed, stood.addresses) == (True, ANY, [])
    first, last = await changes(world, client["client"])
    assert (first.before, first.after["contract"], first.by) == ({}, "L-2026-17", "system:starter")
    assert last.before["addresses"] == ["192.0.2.0/24", "2001:db8::/48", "198.51.100.7/32"]
    assert last.after == {"addresses": [], "any_address": ANY}


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ({"name": None}, ["name: cannot be taken away"]),
        ({"contract_until": "2025-01-01"}, ["contract_until: lies before contract_from"]),
        ({"responsible": {"name": "Jana", "email": "jana@pilns.example"}}, ["reference: ", "asked_by, reason: "]),
        ({"addresses": ["10.0.0.1/8"], "colour": 1}, ["colour: unknown field", "addresses.0: its host bits"]),
        ({"language": "lt", "reason": "no people here"}, ["reason: said only where"]),
        (
            {"requesters": [], "reference": "L1", "reason": "r", "asked_by": {"email": "i@k.example"}},
            ["asked_by, reason: "],
        ),
    ],
)
async def test_a_faulty_change_names_every_fault_and_changes_nothing(
    world: World, where: Environment, tmp_path: Path, change: dict[str, Any], faults: list[str]
) -> None:
    """Also what of it was right is not written, and no case is filed."""
    client = filing()
    await loaded(where, tmp_path, client)
    refused = await ask(where, "clients", "change", data=json.dumps({"client": client["client"], **change}), code=1)
    assert len(refused["faults"]) == len(faults)
    for fault in faults:
        assert any(one.startswith(fault) for one in refused["faults"]), refused
    assert len(await changes(world, client["client"])) == 1
    async with world.sessions() as session:
        cases = (await session.exec(select(IntakeRow.case).where(IntakeRow.kind == "client_change"))).all()
    assert not [case for case in cases if client["client"] in case]


async def test_a_contract_ends_on_its_last_day_and_a_new_one_follows(
    world: World, where: Environment, tmp_path: Path
) -> None:
    """BL-11: over from the day after; the same end again is nothing new, another one is refused."""
    client = filing()
    code = client["client"]
    await loaded(where, tmp_path, client)
    words = ("clients", "end", code, "--last-day", "2026-06-30", "--reason", "Janis wants another broker")
    assert (await ask(where, *words))["fields"] == ["contract_until"]
    assert (await ask(where, *words))["fields"] == []
    other = ("clients", "end", code, "--last-day", "2026-07-30", "--reason", "later")
    assert (await ask(where, *other, code=1))["faults"][0].startswith("last_day: the contract ends on another day")
    shown = await ask(where, "clients", "show", code)
    assert shown["over"] is True
    assert "Janis" not in json.dumps(shown)
    new = {"client": code, "contract": "L-2026-99", "contract_from": "2026-07-01", "contract_until": None}
    await ask(where, "clients", "change", data=json.dumps(new))
    assert (await ask(where, "clients", "show", code))["over"] is False
    (line,) = [line for line in await ask(where, "clients", "list") if line["client"] == code]
    assert (line["contract"], line["over"]) == ("L-2026-99", False)


async def test_people_are_shown_only_where_they_are_asked_for(where: Environment, tmp_path: Path) -> None:
    client = filing(any_address=ANY, addresses=[])
    await loaded(where, tmp_path, client)
    for words in (("clients", "show", client["client"]), ("clients", "list")):
        for text in ((await cli(where, *words)).stdout, json.dumps(await ask(where, *words))):
            assert not any(word in text for word in ("Ilze", "Normunds", "Pilnā", "pilns.example")), text
    text = (await cli(where, "clients", "show", client["client"], "--personal")).stdout
    for word in ("Ilze Kalna", "normunds@pilns.example", "deputy", "dms/2026/17", "L-2026-17", "smart-id"):
        assert word in text, (word, text)
    await ask(where, "clients", "show", "K-nobody", code=1)


async def test_an_operator_of_another_organisation_changes_no_client(
    world: World, where: Environment, tmp_path: Path
) -> None:
    client = filing()
    await loaded(where, tmp_path, client)
    token = (await ask(where, "operator", "add", f"op-{uuid4().hex[:6]}", "--organisation", "GJ", "--role", "handle"))[
        "token"
    ]
    change = json.dumps({"client": client["client"], "language": "en"})
    refused = await ask({**where, "TERMINS_TOKEN": token}, "clients", "change", data=change, code=1)
    assert "does not work for BL" in refused["faults"][0]
    assert (await row(world, client["client"])).language == "lv"


async def test_a_person_who_is_erased_goes_from_the_history_too(
    world: World, where: Environment, tmp_path: Path
) -> None:
    """BL-16-erase: found by a former entry alone, given out, and erased; the others stay."""
    client = filing(requesters=[{"name": "Daiga Zaļā", "email": "daiga@pilns.example"}])
    await loaded(where, tmp_path, client)
    person = Subject(name="Ilze Kalna", personal_code="320101-10016", email="ilze.kalna@pilns.example")
    record, store = f"client:{client['client']}", OwnStore(world.sessions, world.keyring)
    assert record in {found.record for found in await store.locate("BL", person, world.now())}
    assert (await store.export(person, record))["person"] == [{**ILZE, "code": None}]
    assert await store.erase(person, record, world.now())
    (first,) = await changes(world, client["client"])
    assert (first.after["responsible"], first.after["requesters"][0]["name"]) == ({}, "Daiga Zaļā")
    assert record not in {found.record for found in await store.locate("BL", person, world.now())}
    shown = await Clients(world.sessions, world.keyring, world.now).show(client["client"], personal=True)
    assert "Ilze" not in shown.model_dump_json()
