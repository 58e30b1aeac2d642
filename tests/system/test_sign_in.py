"""The sign-in check (BL-12, SE-33.3.4.4, SE-33.3.9), its journal (SE-33.3.10), and what is opened (SE-33.4.1)."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, text
from sqlmodel import col, select
from typer.testing import CliRunner

import rules.sign_in
import starter
from integrations.identity import NewAccount, external_id, one_time_secret
from models.errors import Refusal
from models.sign_in import SignInAnswer, SignInAsked, Standing
from models.tables import AccountRow, BellRow, ClientRow, OpenedRow, SignInRow
from operations.directory import LocalDirectory
from operations.reading import NotFound
from operations.sign_in import SignIn, asked_of, end_expired, journal, remove_over
from rules.rulebook import book
from rules.sign_in import agreed, borders, decide, kept, kept_from
from tests.world import RIGA, World

MONDAY = datetime(2027, 3, 1, 10, 0, tzinfo=RIGA)
SECOND = timedelta(seconds=1)
OFFICE, HOME = "192.0.2.7", "198.51.100.9"
_numbers = count(1)


@pytest.fixture
async def desk(world: World) -> SignIn:
    """The check, on a Monday."""
    await world.begin(MONDAY)
    return SignIn(world.sessions, world.keyring, world.now)


async def user(world: World, *, of: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A client with the office's network, and an account of it: what `asked_of` needs to be asked from the office."""
    client = await world.customer()
    account = AccountRow(
        client=client,
        username=f"S{next(_numbers):05d}-U1",
        case="access_request:BL:none",
        subject="U1",
        created_at=world.now(),
        **{"secret_set_at": world.now()} | more,
    )
    async with world.sessions() as session, session.begin():
        row = await session.get_one(ClientRow, client)
        for name, value in ({"addresses": ["192.0.2.0/24"], "authenticators": []} | (of or {})).items():
            setattr(row, name, value)
        session.add(account)
    return {"client": client, "username": account.username, "address": OFFICE}


async def entries(world: World, who: dict[str, Any]) -> list[SignInRow]:
    """The journal of a client."""
    async with world.sessions() as session:
        query = select(SignInRow).where(SignInRow.client == who["client"]).order_by(col(SignInRow.id))
        return list((await session.exec(query)).all())


async def account_of(world: World, who: dict[str, Any]) -> AccountRow:
    async with world.sessions() as session:
        return await session.get_one(AccountRow, (who["client"], who["username"]))


async def change(world: World, who: dict[str, Any], **values: Any) -> None:
    async with world.sessions() as session, session.begin():
        row = await session.get_one(AccountRow, (who["client"], who["username"]))
        for name, value in values.items():
            setattr(row, name, value)


async def ask(desk: SignIn, who: dict[str, Any], **more: Any) -> SignInAnswer:
    return await desk.check(asked_of(**who | more))


# ---- the check ------------------------------------------------------------------------------------------------------


async def test_an_active_user_signs_in_from_an_agreed_address(world: World, desk: SignIn) -> None:
    """The first sign-in is written down, a session begins, and the case of the account is rung."""
    who = await user(world, credential="credential:BL:none")
    answer = await ask(desk, who)
    assert (answer.allowed, answer.code) == (True, "allowed")
    (entry,) = await entries(world, who)
    assert (entry.username, entry.result, entry.session, entry.address) == (
        who["username"],
        "allowed",
        answer.session,
        OFFICE,
    )
    assert (await account_of(world, who)).first_sign_in_at == entry.at
    async with world.sessions() as session:
        reasons = (await session.exec(select(BellRow.reason).where(BellRow.case == "credential:BL:none"))).all()
    assert reasons == ["account"]


async def test_a_question_is_one_read_by_two_keys_and_one_entry(world: World, desk: SignIn) -> None:
    """Nothing else is asked of the store, and no table is read through, however long journal and accounts are."""
    who = await user(world, first_sign_in_at=MONDAY)
    asked: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if who["client"] in str(parameters):
            asked.append(statement)

    async with world.sessions() as session:
        database = (await session.connection()).engine.sync_engine
    event.listen(database, "before_cursor_execute", note)
    try:
        assert (await ask(desk, who)).allowed
    finally:
        event.remove(database, "before_cursor_execute", note)
    assert [statement.split()[0] for statement in asked] == ["SELECT", "INSERT"]
    question = asked[0].replace("$1", f"'{who['client']}'").replace("$2", f"'{who['username']}'")
    async with world.sessions() as session:
        connection = await session.connection()
        await connection.execute(text("SET LOCAL enable_seqscan = off"))  # a table of tests is small
        plan = (await connection.execute(text(f"EXPLAIN {question}"))).scalars().all()
    reads = [step.strip(" ->").split("  (")[0] for step in plan if "Scan using" in step or "Seq Scan" in step]
    assert sorted(reads) == ["Index Scan using account_pkey on account", "Index Scan using client_pkey on client"]


@pytest.mark.parametrize(
    ("code", "account", "client", "asked"),
    [
        ("suspended", {"status": "suspended"}, {}, {}),
        ("ended", {"status": "ended"}, {}, {}),
        ("no_contract", {}, {"contract_until": date(2027, 2, 28)}, {}),
        ("no_contract", {}, {"contract_from": date(2027, 3, 2)}, {}),
        ("address", {}, {}, {"address": HOME}),
        ("address", {}, {"addresses": []}, {}),
        ("change_password", {"must_change": True}, {}, {}),
        ("authenticator", {}, {}, {"method": "swedbank"}),
        ("authenticator", {"authenticator": "swedbank"}, {}, {"method": "smart-id"}),
        ("limited", {"authenticator": "swedbank", "limited": "tikai lasīt"}, {}, {"method": "swedbank"}),
        ("locked", {"authenticator": "swedbank", "locked_at": MONDAY}, {}, {"method": "swedbank"}),
    ],
)
async def test_whoever_may_not_is_refused_and_it_is_written_down(
    world: World, desk: SignIn, code: str, account: dict[str, Any], client: dict[str, Any], asked: dict[str, Any]
) -> None:
    """BL-12, SE-33.3.10: no session, and an entry that says why not."""
    who = await user(world, of=client, **account)
    answer = await ask(desk, who, **asked)
    assert (answer.allowed, answer.code, answer.session) == (False, code, None)
    (entry,) = await entries(world, who)
    assert (entry.result, entry.session) == (code, None)


@pytest.mark.parametrize("last", [date(2027, 3, 1), date(2027, 6, 30)])
async def test_the_last_day_of_the_contract_still_counts(world: World, desk: SignIn, last: date) -> None:
    """BL-11: until the local midnight after it, and not a second longer."""
    who = await user(world, of={"contract_until": last})
    midnight = datetime.combine(last + timedelta(days=1), datetime.min.time(), RIGA)
    await world.begin(midnight - SECOND)
    first = await ask(desk, who)
    assert first.allowed
    assert first.session is not None
    await world.begin(midnight)
    assert (await ask(desk, who)).code == "no_contract"
    assert not await desk.session_goes_on(first.session)


async def test_authenticators_are_exempt_from_the_address_list(world: World, desk: SignIn) -> None:
    """BL-12: whoever a bank has identified signs in from anywhere."""
    who = await user(world, authenticator="swedbank")
    assert (await ask(desk, who, address=HOME, method="swedbank")).allowed
    assert (await ask(desk, who, address=HOME)).code == "address"


async def test_an_authenticator_off_the_clients_list_still_lets_its_users_in(world: World, desk: SignIn) -> None:
    """BL-3-notice: only a withdrawal, with its notice, takes an authenticator from those who have it."""
    who = await user(world, of={"authenticators": []}, authenticator="swedbank")
    assert (await ask(desk, who, method="swedbank")).allowed


async def test_any_address_holds_where_it_was_agreed(world: World, desk: SignIn) -> None:
    who = await user(world, of={"any_address": True})
    assert (await ask(desk, who, address="2001:db8::1")).allowed


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("192.0.2.0/24", ["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.9"], ["192.0.3.0", "::192.0.2.9"]),
        ("192.0.2.7/32", ["192.0.2.7"], ["192.0.2.8", "192.0.2.6"]),
        ("2001:db8:1::/48", ["2001:db8:1::", "2001:DB8:1:ffff:ffff:ffff:ffff:ffff"], ["2001:db8:2::", "192.0.2.7"]),
        ("::ffff:192.0.2.0/120", ["192.0.2.5", "::ffff:192.0.2.5"], ["192.0.3.5"]),
    ],
)
def test_addresses_of_both_families_are_compared_in_one_form(
    network: str, inside: list[str], outside: list[str]
) -> None:
    """BL-12: IPv4 that arrives as IPv6 is IPv4, in the question and in the list."""

    def within(address: str) -> bool:
        return agreed(asked_of(client="K", username="u", address=address).address, [network])

    assert all(within(address) for address in inside)
    assert not any(within(address) for address in outside)


def test_every_fault_of_a_question_is_named() -> None:
    """And none of its values is repeated."""
    with pytest.raises(Refusal) as refused:
        asked_of(client="", username="x" * 201, address="office", method="Bank!")
    assert [fault.split(":")[0] for fault in refused.value.faults] == ["client", "username", "address", "method"]
    assert "office" not in str(refused.value)
    assert "x" * 20 not in str(refused.value)


async def test_login_data_that_came_back_open_nothing_whatever_the_provider_says(world: World, desk: SignIn) -> None:
    """It may not have heard of it yet; an authenticator goes on as it is."""
    who = await user(world, secret_set_at=None, authenticator="swedbank", of={"authenticators": []})
    answer = await ask(desk, who)
    assert (answer.allowed, answer.code) == (False, "not_known")
    assert (await ask(desk, who, method="swedbank")).allowed
    assert [entry.result for entry in await entries(world, who)] == ["wrong", "allowed"]


STANDINGS = st.builds(
    Standing,
    organisation=st.just("BL"),
    status=st.sampled_from(["active", "suspended", "ended"]),
    authenticator=st.sampled_from([None, "swedbank"]),
    limited=st.booleans(),
    must_change=st.booleans(),
    login_data=st.booleans(),
    locked=st.booleans(),
    failed=st.integers(0, 9),
    first=st.booleans(),
    credential=st.none(),
    contract_from=st.sampled_from([None, date(2027, 3, 1), date(2027, 3, 2)]),
    contract_until=st.sampled_from([None, date(2027, 2, 28), date(2027, 3, 1)]),
    addresses=st.sampled_from([(), ("192.0.2.0/24",)]),
    any_address=st.booleans(),
)


@given(STANDINGS, st.sampled_from(["password", "swedbank", "smart-id"]), st.sampled_from([OFFICE, HOME]))
def test_a_yes_needs_all_of_it(standing: Standing, method: str, address: str) -> None:
    """Whatever else is known: nobody signs in whom one of the rules keeps out."""
    asked = SignInAsked(client="K", username="u", address=address, method=method)  # type: ignore[arg-type]  # as text
    if decide(standing, asked, MONDAY) != "allowed":
        return
    assert standing.status == "active"
    assert not standing.locked
    assert standing.contract_from != date(2027, 3, 2)
    assert standing.contract_until != date(2027, 2, 28)
    if method == "password":
        assert not standing.must_change
        assert standing.login_data
        assert standing.any_address or (standing.addresses and address == OFFICE)
    else:
        assert standing.authenticator == method
        assert not standing.limited


# ---- failures and locks ---------------------------------------------------------------------------------------------


async def test_the_sign_in_after_the_allowed_number_of_failures_locks(world: World, desk: SignIn) -> None:
    """SE-33.3.9: five may fail; the sixth locks in its own transaction, ends live sessions and rings the case."""
    who = await user(world, credential="credential:BL:locks")
    live = (await ask(desk, who)).session
    assert live is not None
    for _ in range(5):
        assert (await desk.report_failed(asked_of(**who))).code == "not_known"
    assert (await account_of(world, who)).locked_at is None
    assert await desk.session_goes_on(live)
    await desk.report_failed(asked_of(**who))
    account = await account_of(world, who)
    assert (account.failed, account.locked_at is not None) == (6, True)
    assert not await desk.session_goes_on(live)
    assert [e.result for e in await entries(world, who)] == ["allowed", *["wrong"] * 5, "wrong_locks"]
    async with world.sessions() as session:
        reasons = (await session.exec(select(BellRow.reason).where(BellRow.case == "credential:BL:locks"))).all()
    assert reasons == ["account"] * 2, "the first sign-in, and the lock"


async def test_the_right_password_does_not_open_a_locked_account_nor_show_itself(world: World, desk: SignIn) -> None:
    """A guess that is right learns nothing from it."""
    who = await user(world, failed=6, locked_at=MONDAY)
    right, wrong = await ask(desk, who), await desk.report_failed(asked_of(**who))
    assert right == wrong
    assert right.code == "not_known"
    assert (await account_of(world, who)).failed == 6


async def test_two_failures_at_once_count_two(world: World, desk: SignIn) -> None:
    """SE-33.3.9: however many try at the same time, none goes uncounted and one of them locks."""
    who = await user(world)
    await asyncio.gather(*(desk.report_failed(asked_of(**who)) for _ in range(6)))
    assert (await account_of(world, who)).failed == 6
    assert sorted(e.result for e in await entries(world, who)) == [*["wrong"] * 5, "wrong_locks"]


async def test_a_success_forgets_the_failures_before_it(world: World, desk: SignIn) -> None:
    who = await user(world, failed=5)
    assert (await ask(desk, who)).allowed
    assert (await account_of(world, who)).failed == 0


async def test_a_stranger_learns_the_same_of_an_unknown_name_as_of_a_wrong_password(world: World, desk: SignIn) -> None:
    """And the name that was typed is not kept: people type their passwords there."""
    who = await user(world)
    nobody = {**who, "username": "Parole123!"}
    wrong = await desk.report_failed(asked_of(**who))
    assert await desk.report_failed(asked_of(**nobody)) == wrong
    assert await ask(desk, nobody) == wrong
    assert await ask(desk, {**who, "client": "K-none"}) == wrong
    found = await entries(world, who)
    assert [(e.username, e.result) for e in found[1:]] == [(None, "not_known")] * 2
    assert all("Parole123!" not in str(row) for _, row in await world.everything_stored())


async def test_the_address_is_sealed_and_known_again_without_it(world: World, desk: SignIn) -> None:
    """The same address has the same index, in either form; the store holds it in clear nowhere."""
    who = await user(world)
    for address in (OFFICE, f"::ffff:{OFFICE}", "192.0.2.8"):
        await ask(desk, who, address=address)
    same, mapped, other = await entries(world, who)
    assert same.address_index == mapped.address_index != other.address_index
    assert mapped.address == OFFICE
    async with world.sessions() as session:
        raw = await (await session.connection()).exec_driver_sql("SELECT sign_in::text FROM sign_in")
        assert all("192.0.2" not in line for (line,) in raw)


# ---- passwords of the local directory -------------------------------------------------------------------------------

OWN = "trīs zaļi zirgi"


async def with_secret(world: World, **more: Any) -> tuple[dict[str, Any], str]:
    """An account with a one-time secret, as it was just issued."""
    who, secret = await user(world, must_change=True, **more), one_time_secret()
    new = NewAccount(client=who["client"], username=who["username"])
    directory = LocalDirectory(world.sessions, world.now)
    await directory.make(new)
    await directory.set_secret(new.external_id, secret, must_change=True)
    return who, secret


async def test_at_the_first_sign_in_only_the_change_of_the_password_is_open(world: World, desk: SignIn) -> None:
    """SE-33.3.4.4: no session until the user has set an own one; the case of the account hears of it."""
    who, secret = await with_secret(world, credential="credential:BL:changes")
    asked = asked_of(**who)
    first = await desk.with_password(asked, secret)
    assert (first.allowed, first.code, first.session) == (False, "change_password", None)
    with pytest.raises(Refusal, match="password"):
        await desk.change_password(asked, secret, "īsa")
    with pytest.raises(Refusal, match=r"^address$"):
        await desk.change_password(asked_of(**who | {"address": HOME}), secret, OWN)
    await desk.change_password(asked, secret, OWN)
    account = await account_of(world, who)
    assert (account.must_change, account.first_sign_in_at) == (False, None)
    assert (await desk.with_password(asked, OWN)).allowed
    assert not (await desk.with_password(asked, secret)).allowed
    async with world.sessions() as session:
        reasons = (await session.exec(select(BellRow.reason).where(BellRow.case == "credential:BL:changes"))).all()
    assert reasons == ["account"] * 2, "the own password, and the first sign-in"
    await change(world, who, must_change=True)
    assert (await desk.with_password(asked, OWN)).allowed
    assert not (await account_of(world, who)).must_change, "what a crash kept from being written down"


async def test_a_wrong_password_counts_also_where_it_is_to_be_changed(world: World, desk: SignIn) -> None:
    """SE-33.3.9: the way to another password is no way to try them; locked, the right one opens nothing."""
    who, secret = await with_secret(world)
    asked = asked_of(**who)
    for n in range(6):
        if n % 2:
            assert (await desk.with_password(asked, "wrong")).code == "not_known"
        else:
            with pytest.raises(Refusal, match="the present one is not right"):
                await desk.change_password(asked, "wrong", OWN)
    account = await account_of(world, who)
    assert (account.failed, account.locked_at is not None) == (6, True)
    assert (await desk.with_password(asked, secret)).code == "not_known"
    with pytest.raises(Refusal, match="the present one is not right"):
        await desk.change_password(asked, secret, OWN)


async def test_a_stranger_learns_the_same_of_every_account_without_its_password(world: World, desk: SignIn) -> None:
    """Unknown, wrong, suspended, ended, closed at the directory: one answer."""
    who, secret = await with_secret(world)
    directory = LocalDirectory(world.sessions, world.now)
    answers = [await desk.with_password(asked_of(**who | {"username": "neviens"}), "wrong")]
    for status in ("active", "suspended", "ended"):
        await change(world, who, status=status)
        answers.append(await desk.with_password(asked_of(**who), "wrong"))
    await directory.set_active(external_id(who["client"], who["username"]), active=False)
    answers += [await desk.with_password(asked_of(**who), word) for word in (secret, "wrong")]
    await change(world, who, status="active")
    answers.append(await desk.with_password(asked_of(**who), secret))
    assert set(map(repr, answers)) == {repr(answers[0])}
    assert [e.result for e in await entries(world, who)][-3:] == ["ended", "ended", "suspended"]


async def test_another_provider_says_that_the_password_was_changed(world: World, desk: SignIn) -> None:
    """SE-33.3.4.4: its users are let in from then on."""
    who = await user(world, must_change=True)
    assert (await ask(desk, who)).code == "change_password"
    await desk.report_password_changed(who["client"], who["username"])
    assert (await ask(desk, who)).allowed
    with pytest.raises(Refusal, match="no such account"):
        await desk.report_password_changed(who["client"], "neviens")


@pytest.mark.parametrize(
    ("values", "code"),
    [({"status": "suspended"}, "suspended"), ({"status": "ended"}, "ended"), ({}, "not_known")],
)
async def test_login_data_that_are_void_are_not_brought_back_by_a_password_that_was_set_with_them(
    world: World, desk: SignIn, values: dict[str, Any], code: str
) -> None:
    """BL-8: set with what leaked, and a crash kept it from being written down; the directory has not heard yet."""
    who, secret = await with_secret(world)
    await LocalDirectory(world.sessions, world.now).set_own_password(
        external_id(who["client"], who["username"]), secret, OWN
    )
    await change(world, who, must_change=True, secret_set_at=None, **values)
    assert (await desk.with_password(asked_of(**who), OWN)).code == code
    with pytest.raises(Refusal, match="no login data"):
        await desk.report_password_changed(who["client"], who["username"])
    account = await account_of(world, who)
    assert (account.secret_set_at, account.must_change) == (None, True)


def test_the_first_sign_in_is_by_an_authenticator_where_the_rulebook_adopts_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """GJ-portal-first: later by own user name and password."""
    adopting = book("BL").model_copy(update={"duty": (*book("BL").duty, book("GJ").find("GJ-portal-first"))})
    monkeypatch.setattr(rules.sign_in, "book", lambda _: adopting)
    standing = Standing(
        organisation="BL",
        status="active",
        authenticator="swedbank",
        limited=False,
        must_change=False,
        login_data=True,
        locked=False,
        failed=0,
        first=True,
        credential=None,
        contract_from=None,
        contract_until=None,
        addresses=(),
        any_address=True,
    )
    password, bank = (
        asked_of(client="K", username="u", address=OFFICE, method=method) for method in ("password", "swedbank")
    )
    assert decide(standing, password, MONDAY) == "portal_first"
    assert decide(standing, bank, MONDAY) == "allowed"
    assert decide(standing.model_copy(update={"first": False}), password, MONDAY) == "allowed"


# ---- sessions -------------------------------------------------------------------------------------------------------


async def test_a_suspension_at_the_same_time_leaves_no_session_behind(world: World, desk: SignIn) -> None:
    """Whichever comes first: a session that began is one that the suspension finds."""
    who = await user(world)
    asked = asked_of(**who)
    async with world.sessions() as session, session.begin():
        row = await session.get_one(AccountRow, (who["client"], who["username"]), with_for_update=True)
        question = asyncio.create_task(desk.check(asked))
        row.status = "suspended"
        await session.flush()
        assert not question.done()
    assert (await question).code == "suspended"


async def test_a_session_goes_on_until_it_ends(world: World, desk: SignIn) -> None:
    who = await user(world)
    number = (await ask(desk, who)).session
    assert number is not None
    assert await desk.session_goes_on(number)
    assert await desk.end_session(number)
    assert not await desk.end_session(number)
    assert not await desk.session_goes_on(number)
    (entry,) = await entries(world, who)
    assert entry.ended_at is not None
    assert (entry.end_reason, entry.ended_at > entry.at) == ("signed_out", True)
    assert not await desk.session_goes_on("0" * 32)


@pytest.mark.parametrize("closed", [{"status": "suspended"}, {"status": "ended"}, {"locked_at": MONDAY}])
async def test_no_session_outlives_its_account(world: World, desk: SignIn, closed: dict[str, Any]) -> None:
    who = await user(world)
    number = (await ask(desk, who)).session
    assert number is not None
    await change(world, who, **closed)
    assert not await desk.session_goes_on(number)


async def test_a_session_that_nobody_ends_lasts_as_long_as_the_rulebook_says(world: World, desk: SignIn) -> None:
    """SE-33.3.10: so that each has a duration."""
    who = await user(world)
    number = (await ask(desk, who)).session
    assert number is not None
    (entry,) = await entries(world, who)
    end = entry.at + timedelta(hours=12)
    await world.begin(end - SECOND)
    assert await desk.session_goes_on(number)
    await world.begin(end)
    assert not await desk.session_goes_on(number)
    assert await end_expired(world.sessions, world.now) >= 1
    (entry,) = await entries(world, who)
    assert (entry.ended_at, entry.end_reason) == (end, "expired")


# ---- what is opened -------------------------------------------------------------------------------------------------


async def test_what_is_opened_is_recorded_with_its_purpose(world: World, desk: SignIn) -> None:
    """SE-33.4.1: which file, and what was done with it; the file's name is sealed."""
    who = await user(world)
    number = (await ask(desk, who)).session
    await desk.record_opened(session=number, file="polise-1", action="read", purpose="claim_handling", health=True)
    async with world.sessions() as session:
        (row,) = (await session.exec(select(OpenedRow).where(OpenedRow.session == number))).all()
    assert (row.username, row.file, row.action, row.purpose, row.health) == (
        who["username"],
        "polise-1",
        "read",
        "claim_handling",
        True,
    )


async def test_nothing_is_opened_without_a_purpose_nor_after_the_session(world: World, desk: SignIn) -> None:
    """SE-33.3.11: refused, with every fault; a purpose is a code, no sentence about somebody."""
    who = await user(world)
    number = (await ask(desk, who)).session
    assert number is not None
    with pytest.raises(Refusal) as refused:
        await desk.record_opened(session=number, file="", action="looked", purpose="Jānis lūdza")
    assert [fault.split(":")[0] for fault in refused.value.faults] == ["file", "action", "purpose"]
    with pytest.raises(Refusal, match="purpose"):
        await desk.record_opened(session=number, file="polise-1", action="read")
    await desk.end_session(number)
    with pytest.raises(Refusal, match="session"):
        await desk.record_opened(session=number, file="polise-1", action="read", purpose="claim_handling")
    async with world.sessions() as session:
        assert (await session.exec(select(OpenedRow).where(OpenedRow.session == number))).all() == []


# ---- how long it is kept --------------------------------------------------------------------------------------------


async def _written(world: World, who: dict[str, Any], *at: datetime) -> None:
    async with world.sessions() as session, session.begin():
        for instant in at:
            session.add(SignInRow(client=who["client"], at=instant, method="password", result="not_known"))
            session.add(
                OpenedRow(
                    client=who["client"],
                    username=who["username"],
                    session="0",
                    at=instant,
                    action="read",
                    purpose="claim_handling",
                )
            )


async def _left(world: World, who: dict[str, Any]) -> tuple[set[datetime], set[datetime]]:
    async with world.sessions() as session:
        opened = await session.exec(select(OpenedRow.at).where(OpenedRow.client == who["client"]))
        return {entry.at for entry in await entries(world, who)}, set(opened.all())


async def test_the_journal_goes_when_its_longest_term_is_over(world: World, desk: SignIn) -> None:
    """SE-33.3.10, SE-33.4.1: the record of a day is gone two years later, with the end of that day, not earlier."""
    who = await user(world)
    last, first = datetime(2027, 3, 1, 23, 59, 59, tzinfo=RIGA), datetime(2027, 3, 2, tzinfo=RIGA)
    await _written(world, who, last, first)
    await world.begin(datetime(2029, 3, 2, tzinfo=RIGA) - SECOND)
    await remove_over(world.sessions, world.now, "BL")
    assert await _left(world, who) == ({last, first}, {last, first})
    await world.begin(datetime(2029, 3, 2, tzinfo=RIGA))
    removed = await remove_over(world.sessions, world.now, "BL")
    assert removed.sign_in >= 1
    assert removed.opened >= 1
    assert await _left(world, who) == ({first}, {first})
    assert (await remove_over(world.sessions, world.now, "BL")).sign_in == 0
    await world.begin(MONDAY)


async def test_an_erasure_before_the_least_term_is_refused(world: World, desk: SignIn) -> None:
    """SE-33.3.10: a year is kept; of what is older the controller may let more go than the rulebook asks."""
    who = await user(world)
    old, young = datetime(2028, 5, 31, 12, tzinfo=RIGA), datetime(2028, 6, 1, 12, tzinfo=RIGA)
    await _written(world, who, old, young)
    await world.begin(datetime(2029, 6, 1, 10, tzinfo=RIGA))
    with pytest.raises(Refusal, match=r"SE-33.3.10.*SE-33.4.1"):
        await remove_over(world.sessions, world.now, "BL", date(2028, 6, 2))
    assert await _left(world, who) == ({old, young}, {old, young})
    await remove_over(world.sessions, world.now, "BL", date(2028, 6, 1))
    assert await _left(world, who) == ({young}, {young})
    await world.begin(MONDAY)


@given(st.integers(0, 6 * 366 * 86400))
def test_the_first_day_kept_is_the_first_whose_term_runs(seconds: int) -> None:
    """On every day of every year, leap days and changes of the clocks too."""
    now = (MONDAY.astimezone(UTC) + timedelta(seconds=seconds)).astimezone(RIGA)
    for least in (True, False):
        day = kept_from("BL", "sign_in", now, least=least)
        noons = [datetime.combine(day + timedelta(days=n), datetime.min.time(), RIGA) for n in (-1, 0)]
        terms = [kept("BL", "sign_in", noon) for noon in noons]
        before, on = ((t.at_least_until if least else t.at_most_until) <= now for t in terms)
        assert (before, on) == (True, False)


@pytest.mark.parametrize(("month", "hours"), [("2027-03", 743), ("2027-10", 745), ("2027-02", 672), ("2027-12", 744)])
def test_a_month_ends_where_the_next_begins_also_when_the_clocks_change(month: str, hours: int) -> None:
    begins, ends = borders(month, "Europe/Riga")
    assert ends - begins == timedelta(hours=hours)
    assert begins.astimezone(RIGA).day == ends.astimezone(RIGA).day == 1


async def test_the_journal_is_read_without_addresses_unless_they_are_asked_for(world: World, desk: SignIn) -> None:
    who = await user(world)
    await ask(desk, who)
    asked = (world.sessions, who["client"], None, None, None, world.now())
    assert [(line.username, line.address) for line in await journal(*asked, personal=False)] == [
        (who["username"], None)
    ]
    assert [line.address for line in await journal(*asked, personal=True)] == [OFFICE]
    sunday = date(2027, 2, 28)
    assert await journal(world.sessions, who["client"], None, None, sunday, world.now(), personal=False) == []
    with pytest.raises(NotFound):
        await journal(world.sessions, "K-none", None, None, None, world.now(), personal=False)


@pytest.mark.usefixtures("present")
async def test_the_command_line_asks_and_shows_the_same(world: World, where: dict[str, str]) -> None:
    """A no is an exit code of its own; the journal shows addresses only to whoever asks for personal data."""
    who = await user(world)
    asked = ("sign-in", "check", who["client"], who["username"])
    said = await cli(where, *asked, OFFICE, "--json")
    number = said["session"]
    assert (said["code"], len(number)) == ("allowed", 32)
    assert (await cli(where, *asked, HOME, "--json", code=1))["code"] == "address"
    assert (await cli(where, *asked, OFFICE, "--failed", "--json", code=1))["code"] == "not_known"
    assert (await cli(where, *asked, OFFICE, "--password", "--json", data="wrong\n", code=1))["code"] == "not_known"
    assert "faults" in await cli(where, *asked, "nowhere", "--json", code=1)
    changing = ("sign-in", "change-password", who["client"], who["username"], OFFICE, "--json")
    faults = (await cli(where, *changing, data=f"wrong\n{OWN}\n", code=1))["faults"]
    assert faults == ["password: the present one is not right"]
    said_by_another = ("sign-in", "password-changed", who["client"])
    assert await cli(where, *said_by_another, who["username"], "--json") == {"recorded": True}
    assert "no such account" in (await cli(where, *said_by_another, "neviens", "--json", code=1))["faults"][0]
    opened = ("sign-in", "opened", number, "polise-1", "--action", "read", "--json")
    assert await cli(where, *opened, "--purpose", "claim_handling") == {"recorded": True}
    assert "purpose" in (await cli(where, *opened, code=1))["faults"][0]
    assert await cli(where, "sign-in", "session", number, "--json") == {"goes_on": True}
    assert await cli(where, "sign-in", "session", number, "--end", "--json") == {"ended": True}
    assert await cli(where, "sign-in", "session", number, "--json", code=1) == {"goes_on": False}

    shown = await cli(where, "sign-in", "journal", who["client"], "--json")
    assert [(line["result"], line["address"]) for line in shown] == [
        ("allowed", None),
        ("address", None),
        ("wrong", None),
        ("wrong", None),
        ("wrong", None),
    ]
    shown = await cli(where, "sign-in", "journal", who["client"], "--personal", "--json")
    assert [line["address"] for line in shown] == [OFFICE, HOME, OFFICE, OFFICE, OFFICE]
    month = f"{world.now().astimezone(RIGA):%Y-%m}"
    made = await cli(where, "sign-in", "month", "BL", month, "--json")
    (mine,) = (line["counted"] for line in made["users"] if line["username"] == who["username"])
    assert (mine["allowed"], mine["failed"], mine["opened"]) == (1, 3, 1)
    assert [line["why"][0] for line in made["notable"] if line["username"] == who["username"]][-3:] == ["failed"] * 3
    faults = (await cli(where, "sign-in", "month", "GJ", "soon", "--json", code=1))["faults"]
    assert [fault.split(":")[0] for fault in faults] == ["organisation", "month"]
    today = f"{world.now().astimezone(RIGA):%Y-%m-%d}"
    refused = await cli(where, "sign-in", "remove", "BL", "--before", today, "--json", code=1)
    assert "SE-33.3.10" in refused["faults"][0]
    await cli(where, "sign-in", "journal", "K-none", "--json", code=3)


@pytest.mark.usefixtures("present")
async def test_the_first_own_password_is_set_on_the_command_line(world: World, where: dict[str, str]) -> None:
    """SE-33.3.4.4: only its change is open before; the passwords come by standard input and stand in no answer."""
    who, secret = await with_secret(world)
    asked = (who["client"], who["username"], OFFICE, "--json")
    before = await cli(where, "sign-in", "check", *asked, "--password", data=f"{secret}\n", code=1)
    assert before["code"] == "change_password"
    refused = await cli(where, "sign-in", "change-password", *asked, data=f"{secret}\nīsa\n", code=1)
    assert "fewer than 8" in refused["faults"][0]
    assert await cli(where, "sign-in", "change-password", *asked, data=f"{secret}\n{OWN}\n") == {"changed": True}
    assert (await cli(where, "sign-in", "check", *asked, "--password", data=f"{OWN}\n"))["allowed"]
    assert not (await cli(where, "sign-in", "check", *asked, "--password", data=f"{secret}\n", code=1))["allowed"]


async def cli(where: dict[str, str], *words: str, data: str | None = None, code: int = 0) -> Any:
    """What a command prints as JSON, run in a thread of its own, as its own loop needs one."""
    result = await asyncio.to_thread(CliRunner().invoke, starter.app, list(words), input=data, env=where)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)
