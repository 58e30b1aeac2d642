"""Proof: what is signed verifies with nothing but the public key, also once erased; whatever was changed is found."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, text
from sqlmodel import col, select
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError

import verify
from integrations.data_systems import Subject
from models import errors
from models.errors import Refusal
from models.names import TASK_QUEUE
from models.tables import CaseRow, IntakeRow, TimelineRow
from operations.checkpoint import PUBLIC_KEY, Published, publish
from operations.erase import erase
from operations.local import Postgres
from operations.own_store import OwnStore
from operations.proof import Checked, check, prove
from operations.reading import NotFound
from security import proof
from security.keys import Keyring, data_key
from security.master import MasterKeyFile
from tests.conftest import make_world, virtual_temporal
from tests.workflows.test_claim import MONDAY, content, deciding, paid_on, proposal
from tests.world import World

ROOT = Path(__file__).parents[2]
NAME, IBAN = "Anna Bērziņa", "LV97HABA0012345678910"


@pytest.fixture(scope="module")
async def world(postgres: Postgres) -> AsyncIterator[World]:
    """A world of its own: these tests look at every case in it, and change rows behind its back."""
    async with await virtual_temporal() as environment, make_world(postgres, environment, "evidence") as world:
        yield world


@pytest.fixture
async def key(world: World) -> str:
    """The public key of the installation."""
    return (await proof.Signer.of(world.keyring)).public_key


async def closed(world: World) -> str:
    """A claim that was overdue, decided late, paid and closed."""
    case = await deciding(world)
    await world.advance(case, MONDAY + timedelta(days=32))
    await world.say(case, "propose_decision", **proposal())
    await world.payment(case, "C1:indemnity", "issued")
    await world.say(case, "confirm_payment", actor="system:bank", **paid_on("2027-04-02"))
    await world.stage(case, "resting")
    await world.advance(case, MONDAY + timedelta(days=45))
    await world.stage(case, "closed")
    return case


@pytest.fixture(scope="module")
async def case(world: World) -> str:
    """A closed claim that the tests only read."""
    return await closed(world)


async def bundle(world: World, case: str, folder: Path, *, personal: bool = False) -> bytes:
    """A bundle, as the command writes it."""
    return await prove(world.sessions, world.keyring, folder, case, world.now, personal=personal)


async def checked(world: World, case: str, folder: Path) -> tuple[str, ...]:
    """What a check of the store finds in a case."""
    found: Checked = await check(world.sessions, world.keyring, folder, (case,))
    return found.faults.get(case, ())


async def published(world: World, folder: Path) -> Published:
    """The next checkpoint."""
    return await publish(world.sessions, world.keyring, folder, world.now)


async def behind_its_back(world: World, statement: str, **values: Any) -> None:
    """What somebody with the database does."""
    async with world.sessions() as session, session.begin():
        connection = await session.connection()
        await connection.execute(text(statement), values)


async def relinked(
    world: World, case: str, change: Callable[[TimelineRow], None] = lambda row: None, *, with_key: bool = True
) -> None:
    """Every link, and with the case's key every commitment, made anew after a change in the database."""
    data_key = await world.keyring.of(case) if with_key else None
    async with world.sessions() as session, session.begin():
        row, intake = await session.get(CaseRow, case), await session.get(IntakeRow, case)
        assert row is not None
        assert intake is not None
        link = proof.first_link(intake, row.commitment)
        entries = await session.exec(
            select(TimelineRow).where(TimelineRow.case == case).order_by(col(TimelineRow.step))
        )
        for entry in entries.all():
            change(entry)
            entry.commitment = entry.commitment if data_key is None else proof.of_entry(data_key, entry)
            link = entry.link = proof.next_link(link, entry)
            row.step = entry.step
        row.head = link


def alone(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """The program by itself, where nothing of Termins is."""
    shutil.copy(ROOT / "verify.py", folder / "verify.py")
    return subprocess.run(
        [sys.executable, "-I", "verify.py", *map(str, words)], cwd=folder, capture_output=True, text=True, check=False
    )


# ---- what a bundle says ---------------------------------------------------------------------------------------------


async def test_the_program_alone_says_in_plain_words_which_duty_was_kept_when(
    world: World, case: str, key: str, tmp_path: Path
) -> None:
    await published(world, tmp_path / "outside")
    (tmp_path / "bundle.json").write_bytes(await bundle(world, case, tmp_path / "outside"))
    said = alone(tmp_path, "bundle.json", "--key", tmp_path / "outside" / PUBLIC_KEY, "--checkpoints", "outside")
    assert (said.returncode, said.stderr) == (0, "")
    assert "no entry is changed, missing, added or out of order" in said.stdout
    assert re.search(r"BTA-10\.5a .*\n\s+clause 10\.5 of .*\n\s+began 2027-03-01 08:00:00 UTC", said.stdout)
    assert re.search(r"due before 2027-03-31 21:00:00 UTC\n", said.stdout)
    assert re.search(
        r"overdue, by entry \d+ “due”\n\s+LATE: it happened 2027-04-02 .*, proven by decision", said.stdout
    )
    assert re.search(r"KEPT: it happened 2027-04-02, proven by payment", said.stdout)
    assert "working days" in said.stdout
    assert re.search(r"letter BTA-10.5b\S* to C1: sent 2027-04-02 .*, reference <", said.stdout)
    assert "payment C1:indemnity: ordered 2027-04-02" in said.stdout
    assert "published: 1, the newest 1" in said.stdout
    assert said.stdout.endswith("Everything holds: signed by this key, to the byte.\n")


async def test_a_bundle_names_nobody_unless_asked_and_then_every_personal_part_is_verified(
    world: World, case: str, key: str, tmp_path: Path
) -> None:
    without = await bundle(world, case, tmp_path)
    for personal in (NAME, IBAN, "automašīnu"):
        assert personal not in without.decode()
    whole = await bundle(world, case, tmp_path, personal=True)
    assert IBAN in whole.decode()
    assert verify.verify(whole, key).faults == []
    body = json.loads(whole)["body"]
    assert [part["step"] for part in body["personal"]] == list(range(body["count"] + 1))
    for part in body["personal"]:
        changed = deepcopy(body)
        changed["personal"][part["step"]]["sealed"]["faults" if part["step"] == 0 else "facts"] = {"other": 1}
        which = f"entry {part['step']}" if part["step"] else "the filing"
        assert verify.faults_of(changed) == [f"{which}: with its personal part it is not what was recorded"]


async def test_after_the_case_was_erased_its_proof_is_the_same_and_still_verifies(
    world: World, key: str, tmp_path: Path
) -> None:
    case = await closed(world)
    before = await bundle(world, case, tmp_path, personal=True)
    await erase(world.sessions, world.keyring, case, tmp_path / "backup", world.now)
    after = await bundle(world, case, tmp_path)
    assert verify.verify(before, key).faults == []
    assert verify.verify(after, key).faults == []
    ours, theirs = json.loads(before)["body"], json.loads(after)["body"]
    assert {n: v for n, v in ours.items() if n not in ("personal", "made_at")} == {
        n: v for n, v in theirs.items() if n not in ("personal", "made_at")
    }
    assert await checked(world, case, tmp_path) == ()
    with pytest.raises(Refusal, match="it was erased"):
        await bundle(world, case, tmp_path, personal=True)


async def test_a_case_that_is_unknown_or_has_not_begun_has_no_proof(world: World, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        await bundle(world, "claim:BTA:nobody", tmp_path)
    await world.keyring.create("claim:BTA:waits")
    async with world.sessions() as session, session.begin():
        session.add(
            IntakeRow(
                case="claim:BTA:waits",
                kind="claim",
                organisation="BTA",
                reference="waits",
                sender="system:tests",
                sender_reference="waits",
                received_at=MONDAY,
                recorded_at=MONDAY,
                started_at=MONDAY,
            )
        )
    with pytest.raises(Refusal, match="not begun"):
        await bundle(world, "claim:BTA:waits", tmp_path)


async def test_the_key_is_the_installation_s_and_outlives_a_change_of_the_master_key(world: World, key: str) -> None:
    await world.keyring.rotate()
    world.keyring.forget()
    again = Keyring(world.keyring._engine, MasterKeyFile(world.var / "keys" / "master"))
    assert (await proof.Signer.of(again)).public_key == key


# ---- every byte -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def small(world: World) -> bytes:
    """The bundle of a case that was just filed."""
    await world.begin(MONDAY)
    case = await world.file("claim", "BTA", content(await world.policy()), received_at=MONDAY)
    await world.stage(case, "collecting")
    return await bundle(world, case, world.var / "none")


def found(data: bytes, key: str) -> bool:
    """Whether the verifier finds a fault."""
    try:
        return bool(verify.verify(data, key).faults)
    except verify.Broken:
        return True


async def test_every_single_changed_byte_is_found(small: bytes, key: str) -> None:
    assert not found(small, key)
    for place in range(len(small)):
        changed = bytearray(small)
        changed[place] ^= 1 << place % 8
        assert found(bytes(changed), key), f"byte {place}"


def test_missing_added_doubled_and_reordered_bytes_are_found(small: bytes, key: str) -> None:
    @settings(max_examples=300, deadline=None)
    @given(data=st.data())
    def property_(data: st.DataObject) -> None:
        start, length = data.draw(st.integers(0, len(small) - 1)), data.draw(st.integers(1, 40))
        piece = small[start : start + length]
        put = data.draw(st.sampled_from([b"", b" ", b"\n", piece * 2, piece[::-1]]) | st.binary(max_size=40))
        changed = small[:start] + put + small[start + length :]
        assert changed == small or found(changed, key)

    property_()
    for other in (small + b"\n", b" " + small, small[:-1], json.dumps(json.loads(small)).encode(), b"", b"{}"):
        assert found(other, key)


async def test_what_another_key_signed_or_signed_as_something_else_is_found(
    world: World, case: str, key: str, tmp_path: Path
) -> None:
    body = json.loads(await bundle(world, case, tmp_path))["body"]
    other = proof.Signer(Ed25519PrivateKey.generate())
    assert any("another public key" in f for f in verify.verify(other.sign(proof.PROOF, body), key).faults)
    named = other.sign(proof.PROOF, body).replace(other.public_key.encode(), key.encode())
    assert any("does not fit" in f for f in verify.verify(named, key).faults)
    signer = await proof.Signer.of(world.keyring)
    assert found(signer.sign(proof.CHECKPOINT, body), key)


# ---- every entry: by somebody who can sign --------------------------------------------------------------------------


async def test_every_entry_that_is_changed_missing_added_doubled_or_moved_is_found_and_named(
    world: World, case: str, tmp_path: Path
) -> None:
    """Judged by the chain alone: whoever holds the signing key must make the whole chain anew to hide it."""
    body = json.loads(await bundle(world, case, tmp_path))["body"]
    assert verify.faults_of(body) == []
    count = body["count"]
    assert count > 8

    entries = body["entries"]

    def first(*others: dict[str, Any]) -> str:
        return next(iter(verify.faults_of({**body, "entries": list(others)})), "")

    for i, entry in enumerate(entries):
        before, after, name = entries[:i], entries[i + 1 :], f"entry {i + 1}"
        assert name in first(*before, *after), "missing"
        assert f"entry {i + 2}" in first(*before, entry, entry, *after), "doubled"
        for field in entry:
            assert name in first(*before, {**entry, field: "other"}, *after), field
        if after:
            assert name in first(*before, after[0], entry, *after[1:]), "moved"
    cut = deepcopy(body)
    cut["entries"], cut["count"] = cut["entries"][:-1], count - 1
    assert f"entry {count - 1}: it is not the head of the case" in verify.faults_of(cut)


async def test_every_field_of_a_clock_is_bound_to_the_chain(world: World, case: str, tmp_path: Path) -> None:
    body = json.loads(await bundle(world, case, tmp_path))["body"]
    said_by_today_s_rulebook = {"title", "clause", "document", "anchor"}
    for i, clock in enumerate(body["clocks"]):
        for field in {*clock} - said_by_today_s_rulebook:
            other = deepcopy(body)
            value = clock[field]
            other["clocks"][i][field] = (
                "other" if not isinstance(value, str) or "T" not in value else MONDAY.isoformat()
            )
            assert verify.faults_of(other), (clock["duty"], field)
        other = deepcopy(body)
        del other["clocks"][i]
        assert any("missing among the clocks" in f for f in verify.faults_of(other))


# ---- somebody with the database -------------------------------------------------------------------------------------

CHANGES = {
    "digest": "'other'",
    "at": "at - interval '1 microsecond'",
    "recorded_at": "recorded_at - interval '1 day'",
    "stage": "'other'",
    "entry": "'other'",
    "duty": "'BTA-9.1'",
    "actor": "'op-9'",
    "message": "'other'",
    "message_id": "'other'",
    "clocks": "'[]'::jsonb",
    "commitment": "sha256('other'::bytea)",
    "link": "sha256('other'::bytea)",
    "facts": '(SELECT facts FROM timeline WHERE "case" = :case AND step = 1)',
    "details": "overlay(details PLACING 'x'::bytea FROM 40)",
    "answer": '(SELECT answer FROM timeline WHERE "case" = :case AND step = 1)',
}


async def test_every_column_of_an_entry_that_is_changed_in_the_database_is_found_by_its_step(
    world: World, case: str, tmp_path: Path
) -> None:
    kept = {"case", "step"}
    assert {*CHANGES} == {*TimelineRow.model_fields} - kept, "each column, and a new one has to be thought about"
    decided = next(e.step for e in await world.timeline(case) if e.entry == "decided")
    for column, value in CHANGES.items():
        statement = f'UPDATE timeline SET {column} = {value} WHERE "case" = :case AND step = :step'  # noqa: S608  # ours
        async with world.sessions() as session, session.begin():
            connection = await session.connection()
            keep = (
                await connection.execute(
                    text(f'SELECT {column} FROM timeline WHERE "case" = :case AND step = :step'),  # noqa: S608  # ours
                    {"case": case, "step": decided},
                )
            ).scalar_one()
        await behind_its_back(world, statement, case=case, step=decided)
        faults = await checked(world, case, tmp_path)
        assert any(f"entry {decided}" in fault for fault in faults), (column, faults)
        with pytest.raises(Refusal, match=f"entry {decided}"):
            await bundle(world, case, tmp_path)
        restored = "CAST(:value AS jsonb)" if column == "clocks" else ":value"
        await behind_its_back(
            world,
            f'UPDATE timeline SET {column} = {restored} WHERE "case" = :case AND step = :step',  # noqa: S608  # ours
            case=case,
            step=decided,
            value=json.dumps(keep) if column == "clocks" else keep,
        )
        assert await checked(world, case, tmp_path) == ()


async def test_a_filing_that_is_changed_in_the_database_is_found(world: World, tmp_path: Path) -> None:
    case = await closed(world)
    await behind_its_back(
        world, "UPDATE intake SET received_at = received_at + interval '3 days' WHERE \"case\" = :case", case=case
    )
    assert any("entry 1" in fault for fault in await checked(world, case, tmp_path))


async def test_a_clock_that_is_changed_in_the_database_is_found(world: World, tmp_path: Path) -> None:
    """A duty that was late is made kept in the ledger alone."""
    case = await closed(world)
    await behind_its_back(
        world, "UPDATE clock SET status = 'kept' WHERE \"case\" = :case AND status = 'late'", case=case
    )
    faults = await checked(world, case, tmp_path)
    assert any("BTA-10.5a has another status" in fault for fault in faults)
    assert any("its evidence says otherwise" in fault for fault in faults)


async def test_a_past_written_anew_without_the_case_s_key_is_found_by_a_check(world: World, tmp_path: Path) -> None:
    """The links fit again, but nobody makes the commitments without the key."""
    case = await closed(world)

    def forge(row: TimelineRow) -> None:
        if row.entry == "decided":
            row.actor = "op-9"

    await relinked(world, case, forge, with_key=False)
    decided = next(e.step for e in await world.timeline(case) if e.entry == "decided")
    assert await checked(world, case, tmp_path) == (
        f"entry {decided}: with its personal part it is not what was recorded",
    )
    with pytest.raises(Refusal, match="not what was recorded"):
        await bundle(world, case, tmp_path)
    assert "not what was recorded" in str((await published(world, tmp_path / "first")).faults[case])


async def test_a_past_written_anew_behind_the_mark_of_an_erasure_is_found(world: World, tmp_path: Path) -> None:
    """The mark is a column of the store; that the key is destroyed only the key store says."""
    case = await closed(world)
    await relinked(world, case, lambda row: setattr(row, "actor", "op-9"), with_key=False)
    await behind_its_back(world, 'UPDATE intake SET erased_at = now() WHERE "case" = :case', case=case)
    assert "it is marked as erased, but its key is there" in " ".join(await checked(world, case, tmp_path))
    assert "marked as erased" in str((await published(world, tmp_path / "outside")).faults[case])
    with pytest.raises(Refusal, match="marked as erased"):
        await bundle(world, case, tmp_path)


async def test_a_key_that_is_lost_or_was_destroyed_without_an_erasure_is_named_and_holds_up_no_other_case(
    world: World, tmp_path: Path
) -> None:
    lost, destroyed, whole = [await closed(world) for _ in range(3)]
    async with world.keyring._engine.begin() as connection:
        await connection.execute(delete(data_key).where(data_key.c.owner == lost))
    await world.keyring.destroy(destroyed)
    found = await check(world.sessions, world.keyring, tmp_path, (lost, destroyed, whole))
    assert (found.cases, {*found.faults}) == (3, {lost, destroyed})
    assert found.faults[lost] == ("its key is not here, so its personal parts cannot be compared: restore the keys",)
    assert found.faults[destroyed] == ("its key was destroyed, but it was never erased: its personal parts are gone",)


async def test_a_past_written_anew_as_a_whole_is_found_by_an_earlier_checkpoint_only(
    world: World, tmp_path: Path
) -> None:
    """Database and keys together: the chain fits again, and only what was published before tells."""
    case = await closed(world)
    outside, nothing = tmp_path / "outside", tmp_path / "nothing"
    await published(world, outside)

    def forge(row: TimelineRow) -> None:
        if row.entry == "decided":
            row.actor = "op-9"

    await relinked(world, case, forge)
    assert await checked(world, case, nothing) == ()
    signed = await bundle(world, case, nothing)
    key = (await proof.Signer.of(world.keyring)).public_key
    assert verify.verify(signed, key).faults == []
    faults = verify.verify(signed, key, verify.Checkpoints.read(outside, key)).faults
    assert any("holds another link: this past was written after it" in fault for fault in faults)
    # the next checkpoint says it too, and from then on the folder keeps both
    assert case in (await published(world, outside)).faults
    assert any("holds another link" in fault for fault in await checked(world, case, outside))
    with pytest.raises(Refusal, match="holds another link"):
        await bundle(world, case, outside)


async def test_a_cut_tail_is_found_by_a_checkpoint_that_holds_more(world: World, key: str, tmp_path: Path) -> None:
    case = await closed(world)
    outside, nothing = tmp_path / "outside", tmp_path / "nothing"
    await published(world, outside)
    whole = (await world.timeline(case))[-1].step
    await behind_its_back(world, 'DELETE FROM timeline WHERE "case" = :case AND step > 3', case=case)
    assert any(f"the case has {whole} entries, here are 3" in f for f in await checked(world, case, nothing))
    await behind_its_back(world, "DELETE FROM clock WHERE \"case\" = :case AND duty <> 'BTA-10.5a'", case=case)
    await relinked(world, case)
    faults = await checked(world, case, outside)
    assert f"holds {whole} entries, here are 3: the tail is missing" in " ".join(faults)


async def test_an_entry_that_is_dated_back_is_found_by_the_checkpoints_that_lack_it(
    world: World, tmp_path: Path
) -> None:
    """Also where the checkpoint that lacks it does not list the case, which had not changed since the one before."""
    await world.begin(MONDAY)
    case = await world.file("claim", "BTA", content(await world.policy()), received_at=MONDAY)
    await world.stage(case, "collecting")
    for days in (1, 20):
        await world.advance(case, MONDAY + timedelta(days=days))
        await published(world, tmp_path)
    await world.say(case, "assign_case", handler="op-7")
    assert await checked(world, case, tmp_path) == ()

    def back(row: TimelineRow) -> None:
        if row.entry == "assigned":
            row.recorded_at = MONDAY + timedelta(days=10)

    await relinked(world, case, back)
    await published(world, tmp_path)
    assert any("it was dated back" in fault for fault in await checked(world, case, tmp_path))


async def test_a_case_that_is_gone_from_the_store_is_named(world: World, tmp_path: Path) -> None:
    await world.begin(MONDAY)
    case = await world.file("claim", "BTA", content(await world.policy()), received_at=MONDAY)
    await world.stage(case, "collecting")
    await world.settled(case)
    first = await published(world, tmp_path)
    for table in ("bell", "clock", "notice", "timeline", "party", "limit_entry", "finding", "document", "cases"):
        await behind_its_back(world, f'DELETE FROM {table} WHERE "case" = :case', case=case)  # noqa: S608  # ours
    assert case in (await check(world.sessions, world.keyring, tmp_path)).faults
    second = await published(world, tmp_path)
    assert case in second.faults
    assert second.cases == first.cases - 1
    key = (await proof.Signer.of(world.keyring)).public_key
    assert verify.Checkpoints.read(tmp_path, key).faults == []


# ---- what may change ------------------------------------------------------------------------------------------------


async def no_term(*_: Any) -> None:
    """No storage term keeps anything."""


async def test_erasing_one_person_from_a_closed_case_leaves_its_chain_whole(
    world: World, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reference, message ids and clocks are evidence: they stay, even where somebody put a name into one of them."""
    await world.begin(MONDAY)
    code = "120390-12345"
    claim = content(await world.policy(), filed_by="insured", losses=[])
    claim["claimants"][0]["personal_code"] = code
    case = await world.file("claim", "BTA", claim, received_at=MONDAY, reference=code)
    await world.stage(case, "collecting")
    await world.say(case, "assign_case", handler="op-7", id="anna-berzina-1")
    await world.say(case, "withdraw_claim", withdrawn_at=MONDAY.isoformat(), reference="dms/1", id="Anna.Berzina")
    await world.stage(case, "closed")
    await published(world, tmp_path)
    before = json.loads(await bundle(world, case, tmp_path))["body"]
    person = Subject(name=NAME, personal_code=code, email="anna.berzina@example.lv")
    # no storage term of its kind has a value yet, and without one nothing goes
    monkeypatch.setattr("operations.own_store.term_of_case", no_term)
    assert await OwnStore(world.sessions, world.keyring).erase(person, case, world.now())
    after = json.loads(await bundle(world, case, tmp_path, personal=True))["body"]
    for part in ("filing", "entries", "head", "clocks"):
        assert after[part] == before[part]
    assert NAME not in json.dumps(after["personal"], ensure_ascii=False)
    assert 0 not in {part["step"] for part in after["personal"]}, "its filing named the person"
    found = await check(world.sessions, world.keyring, tmp_path, (case,))
    assert found.faults == {}
    assert found.scrubbed[case] >= 1
    verified = verify.verify(await bundle(world, case, tmp_path, personal=True), key)
    assert verified.faults == []


# ---- checkpoints ----------------------------------------------------------------------------------------------------


async def test_a_checkpoint_lists_what_changed_and_covers_every_case(world: World, case: str, tmp_path: Path) -> None:
    first = await published(world, tmp_path)
    async with world.sessions() as session:
        every = (await session.exec(select(CaseRow.case))).all()
    assert (first.number, first.cases, first.changed) == (1, len(every), len(every))
    again = await published(world, tmp_path)
    assert (again.number, again.cases, again.changed, again.faults) == (2, len(every), 0, {})
    for one in every[:3]:
        try:
            data = await bundle(world, one, tmp_path)
        except Refusal:
            continue  # changed by another test
        given = json.loads(data)["body"]["checkpoint"]
        assert json.loads(given["statement"])["body"]["number"] == 2
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


async def test_every_changed_byte_of_a_checkpoint_and_a_missing_one_is_found(
    world: World, key: str, tmp_path: Path
) -> None:
    for _ in range(3):
        await published(world, tmp_path)
    assert verify.Checkpoints.read(tmp_path, key).faults == []
    file = tmp_path / "000002.checkpoint"
    data = file.read_bytes()
    file.unlink()
    assert "the one before it is missing" in " ".join(verify.Checkpoints.read(tmp_path, key).faults)
    with pytest.raises(Refusal, match="missing"):
        await published(world, tmp_path)
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        one = verify.Checkpoints()
        one.take("000001.checkpoint", (tmp_path / "000001.checkpoint").read_bytes(), key)
        one.take("000002.checkpoint", bytes(changed), key)
        assert one.faults, f"byte {place}"
    file.write_bytes(data)
    first, second = (tmp_path / f"00000{n}.checkpoint" for n in (1, 2))
    first.chmod(0o644)
    swapped = first.read_bytes()
    first.write_bytes(data)
    file.write_bytes(swapped)
    assert verify.Checkpoints.read(tmp_path, key).faults
    assert second == file


async def test_two_at_once_never_write_over_each_other(world: World, key: str, tmp_path: Path) -> None:
    ends = await asyncio.gather(*(published(world, tmp_path) for _ in range(3)), return_exceptions=True)
    made = [end.number for end in ends if isinstance(end, Published)]
    refused = [str(end) for end in ends if not isinstance(end, Published)]
    assert sorted(made) == list(range(1, len(made) + 1))
    assert made
    assert all("is being made by another process" in text for text in refused)
    assert verify.Checkpoints.read(tmp_path, key).faults == []
    assert len(list(tmp_path.iterdir())) == len(made) + 1, "the checkpoints and the public key"


async def test_the_nightly_run_publishes_and_ends_in_red_where_evidence_is_broken(worker_world: World) -> None:
    def forge(row: TimelineRow) -> None:
        row.actor = "op-9"

    world = worker_world
    async with world.serving():
        await world.begin(MONDAY)
        case = await world.file("claim", "BTA", content(await world.policy()), received_at=MONDAY)
        await world.stage(case, "collecting")
        number = await world.client.execute_workflow("Checkpoint", id="checkpoint-1", task_queue=TASK_QUEUE)
        assert (number, (world.var / "checkpoints" / "000001.checkpoint").exists()) == (1, True)
        await relinked(world, case, forge)
        with pytest.raises(WorkflowFailureError) as failed:
            await world.client.execute_workflow("Checkpoint", id="checkpoint-2", task_queue=TASK_QUEUE)
    assert isinstance(failed.value.cause, ActivityError)
    assert isinstance(failed.value.cause.cause, ApplicationError)
    assert failed.value.cause.cause.type == errors.EVIDENCE_BROKEN
    assert case in failed.value.cause.cause.message


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8, 13, 33])
def test_every_leaf_s_way_leads_to_the_root_that_the_verifier_computes(count: int) -> None:
    cases = {f"claim:BTA:{n:03}": (n, bytes([n]) * 32) for n in range(count)}
    tree = proof.levels([proof.leaf(case, *head) for case, head in cases.items()])
    read = verify.Checkpoints()
    for case, (steps, head) in cases.items():
        read.seen[case] = [verify.Seen(1, MONDAY, steps, head.hex())]
    assert read.root() == tree[-1][0].hex()
    signer = proof.Signer(Ed25519PrivateKey.generate())
    statement = signer.sign(proof.CHECKPOINT, {"number": 1, "at": MONDAY, "root": tree[-1][0]}).decode()
    for i, (case, (steps, head)) in enumerate(cases.items()):
        given = {"statement": statement, "count": steps, "head": head.hex(), "path": proof.path(tree, i)}
        body = {"filing": {"case": case}, "checkpoint": given}
        assert verify.included(body, signer.public_key)[1] == []
        given["count"] = steps + 1
        assert verify.included(body, signer.public_key)[1]
