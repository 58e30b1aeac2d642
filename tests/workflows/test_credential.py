"""The life of a credential (BL 6 to 11, SE 2.10, 33.3, GJ's portal): closed in the store first, told at once."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

import pytest
from sqlmodel import col, select

from activities.credential import CredentialActivities
from integrations.identity import external_id
from integrations.mail import Letter, MaildirOut, MailOut, Proof
from models.credential import SendSecret
from models.errors import Refusal
from models.tables import AccountRow, BellRow, ClientRow, PolicyRow
from operations import accounts
from operations.access import INSURED, ring_insured
from operations.directory import LocalDirectory
from security.index import index_of
from tests.system.test_accounts import account, bells, suspensions
from tests.workflows.test_access_request import accounts as accounts_of
from tests.workflows.test_access_request import content, dump, no_carrier, no_provider, secret_in, shows, user
from tests.world import RIGA, Refused, VirtualNow, World, text_of

MONDAY = datetime(2027, 3, 1, 10, 0, tzinfo=RIGA)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
RESPONSIBLE = "ilze.kalna@noliktavas.example"


class Life:
    """One credential and its people."""

    def __init__(self, world: World, client: str, username: str, email: str) -> None:
        self.world = world
        self.client = client
        self.username = username
        self.email = email
        self.case = f"credential:BL:{username}"

    async def say(self, name: str, actor: str = "op-1", **message: Any) -> dict[str, Any]:
        """Say something to the case."""
        return await self.world.say(self.case, name, actor=actor, **message)

    async def account(self) -> AccountRow:
        """The account as the sign-in check sees it."""
        return await account(self.world, self.client, self.username)

    async def body(self) -> dict[str, Any]:
        """What the case remembers."""
        row = await self.world.row(self.case)
        assert row is not None
        return dict(row.state["body"])

    async def stage(self, stage: str) -> None:
        """Wait for a stage."""
        await self.world.stage(self.case, stage)

    async def letter(self, key: str, status: str = "sent", *, quiet: bool = True) -> None:
        """Wait until this became of a letter, and, if something else is not waited for, until all is quiet."""

        async def became() -> bool:
            return bool((await self.body())["notices"].get(key) == status)

        await self.world.until(became, f"{key} is {status}")
        if quiet:
            await self.world.settled(self.case)

    async def entry(self, name: str) -> None:
        """Wait for a step."""

        async def there() -> bool:
            return name in await self.world.entries(self.case)

        await self.world.until(there, f"an entry {name}")
        await self.world.settled(self.case)

    async def ring(self) -> None:
        """As the sweep does."""
        await self.world.handle(self.case).signal("look_again")

    async def status(self, duty: str, subject: str = "") -> str:
        """How a clock stands."""
        return (await self.world.clock(self.case, duty, subject)).status


async def live(world: World, **more: Any) -> Life:
    """A user of a new client, whose login data were issued on Monday at ten."""
    await world.begin(MONDAY)
    client, who = await world.customer(**more), user()
    request = await world.file("access_request", "BL", content(client, who))
    await world.stage(request, "resting")
    life = Life(world, client, f"{request.split(':')[2]}-U1", who["email"])
    world.filed.append(life.case)
    await life.stage("issued")
    await life.entry("issued")
    return life


async def signed_in(life: Life) -> None:
    """The user signs in for the first time, and sets an own password."""
    async with life.world.sessions() as session, session.begin():
        [row] = await accounts.accounts_of(session, life.client, [life.username])
        row.first_sign_in_at = life.world.now()
        await accounts.secret_set(session, row, life.world.now(), by_user=True)
    await life.ring()
    await life.stage("active")


async def outside(life: Life, what: str, **more: Any) -> None:
    """An act beside the case, as a command does it; then the bell."""
    async with life.world.sessions() as session, session.begin():
        found = await accounts.accounts_of(session, life.client, [life.username])
        now = life.world.now()
        if what == "suspend":
            await accounts.suspend(session, found, "BL-10", "client", "op-9", "an attack", now)
        elif what == "reinstate":
            await accounts.reinstate(session, found, "op-9", now)
        else:
            await accounts.end(session, found, more["ground"], "op-9", now)
    await life.ring()


def told_of(life: Life, address: str, word: str) -> list[str]:
    """Letters about this account to an address whose subject has this word."""
    return [
        text_of(m)
        for m in life.world.mails(address)
        if word in str(m["Subject"]) and (life.username in text_of(m) or life.username in str(m["Subject"]))
    ]


# ---- from the first issue -------------------------------------------------------------------------------------------


async def test_each_account_has_one_case_from_its_first_issue_and_becomes_active_at_the_first_sign_in(
    world: World,
) -> None:
    life = await live(world)
    assert (await life.account()).credential == life.case
    clock = await world.clock(life.case, "SE-33.3.4.3")
    assert clock.status == "running"
    await signed_in(life)
    assert await life.status("SE-33.3.4.3") == "running"
    assert (await world.clock(life.case, "SE-33.3.4.3", n=1)).status == "kept"
    details = await world.details(life.case)
    assert life.username in details
    assert life.email not in details


async def test_each_user_of_a_request_has_an_own_case_and_what_befalls_one_leaves_the_other(world: World) -> None:
    await world.begin(MONDAY)
    client = await world.customer()
    request = await world.file("access_request", "BL", content(client, user(), user()))
    await world.stage(request, "resting")
    one, two = (Life(world, client, f"{request.split(':')[2]}-{u}", "") for u in ("U1", "U2"))
    for life in (one, two):
        world.filed.append(life.case)
        await life.entry("issued")
    await one.say("suspend_credential", reason="strange sign-ins")
    await one.stage("suspended")
    assert [a.status for a in await accounts_of(world, client) if a.username == two.username] == ["active"]
    assert "suspended" not in await world.entries(two.case)


async def test_a_credential_is_named_by_its_account_and_nothing_else_is_taken(world: World) -> None:
    life = await live(world)
    for reference, filing, fault in (
        ("other", {"client": life.client, "username": life.username}, "named by its user name"),
        (life.username, {"client": life.client, "username": "nobody"}, "no such account"),
        (life.username, {"client": "K0", "username": life.username}, "no such client"),
    ):
        with pytest.raises(Refusal, match=fault):
            await world.file("credential", "BL", filing, reference=reference)


# ---- a leak (BL 8) --------------------------------------------------------------------------------------------------


async def test_a_leak_reported_by_the_responsible_employee_closes_at_once_and_both_are_told(world: World) -> None:
    """BL 8: closed by the answer; the clock runs from the report until the responsible employee is proven told."""
    life = await live(world)
    await life.say(
        "report_leak", reported_by="responsible_employee", reported_at=MONDAY.isoformat(), reason="lost laptop"
    )
    assert (await life.account()).status == "suspended"
    await life.letter("BL-8:responsible:E1:1")
    clock = await world.clock(life.case, "BL-8", "E1")
    assert (clock.status, clock.anchor_at, clock.due) == ("kept", MONDAY, MONDAY + HOUR)
    assert clock.proof == "notice_sent"
    [said] = told_of(life, RESPONSIBLE, "apturēta")
    assert "8. punkts" in said
    assert len(told_of(life, life.email, "apturēta")) == 1
    [row] = await suspensions(world, life.client)
    assert (row.ground, row.scope, row.by, row.reason, row.event_at) == ("BL-8", "one", "op-1", "lost laptop", MONDAY)


async def test_a_users_own_report_is_acted_on_as_a_suspicion_and_the_user_is_not_written_to(world: World) -> None:
    """BL-8-report: a report by the user directly is acted on as BL-10; the register names the responsible employee."""
    life = await live(world)
    await life.say("report_leak", "system:client-zone", reported_by="user", reported_at=MONDAY.isoformat(), reason="x")
    await life.letter("BL-10:responsible:E1:1")
    assert await life.status("BL-10", "E1") == "kept"
    assert "BL-8" not in {duty for duty, _ in await world.clocks(life.case)}
    assert not told_of(life, life.email, "apturēta")


async def test_a_leak_of_what_is_suspended_already_is_a_report_of_its_own_with_its_own_clock(world: World) -> None:
    life = await live(world)
    await life.say("suspend_credential", reason="strange")
    await life.say("report_leak", reported_by="responsible_employee", reported_at=MONDAY.isoformat(), reason="found")
    await life.letter("BL-8:responsible:E2:1")
    assert await life.status("BL-8", "E2") == "kept"
    assert len(await suspensions(world, life.client)) == 1


async def test_a_report_received_long_ago_is_late_and_was_escalated(world: World) -> None:
    """The clock runs from the report, not from its entry; kept until the second before the later reading, then late."""
    life = await live(world)
    received = MONDAY - 4 * HOUR
    await life.say(
        "report_leak", reported_by="responsible_employee", reported_at=received.isoformat(), reason="by post"
    )
    await life.letter("BL-8:responsible:E1:1")
    clock = await world.clock(life.case, "BL-8", "E1")
    assert (clock.status, clock.latest) == ("late", received + 4 * HOUR)
    assert clock.overdue_at is not None


@pytest.mark.parametrize(
    ("wait", "before", "after"),
    [
        (HOUR - SECOND, "running", "kept"),
        (HOUR, "overdue", "kept"),
        (4 * HOUR - SECOND, "overdue", "kept"),
        (4 * HOUR, "overdue", "late"),
    ],
)
async def test_it_is_overdue_at_the_hour_and_late_from_the_later_reading_on(
    world: World, monkeypatch: pytest.MonkeyPatch, wait: timedelta, before: str, after: str
) -> None:
    """Nobody can be told while the client names no address; closed all the same."""
    life = await live(world, responsible={"name": "Ilze Kalna"})
    await life.say("report_leak", reported_by="responsible_employee", reported_at=MONDAY.isoformat(), reason="x")
    await life.letter("BL-8:responsible:E1:1", "refused")
    await world.advance(life.case, MONDAY + wait)
    assert await life.status("BL-8", "E1") == before
    assert (await life.account()).status == "suspended"
    monkeypatch.setattr(VirtualNow, "__call__", lambda _: MONDAY + wait)
    await life.say("correct_address", party="responsible", email=RESPONSIBLE)
    await life.letter("BL-8:responsible:E1:2")
    assert await life.status("BL-8", "E1") == after


# ---- suspicion, review, outcome (BL 10) -----------------------------------------------------------------------------


async def test_a_suspension_is_reviewed_at_its_interval_until_it_ends(world: World) -> None:
    """T-suspension-review: 14 days; each review starts the next; the reinstatement ends them."""
    life = await live(world)
    await signed_in(life)
    await life.say("suspend_credential", reason="strange sign-ins")
    await life.letter("BL-10:responsible:E1:1")
    assert "10. punkts" in told_of(life, RESPONSIBLE, "apturēta")[0]
    due = (await world.clock(life.case, "T-suspension-review")).due
    assert due.astimezone(RIGA) == datetime(2027, 3, 16, 0, 0, tzinfo=RIGA)
    await world.advance(life.case, due - SECOND)
    assert await life.status("T-suspension-review") == "running"
    await life.say("review_suspension", finding="still under investigation")
    assert (await world.clock(life.case, "T-suspension-review", n=1)).status == "kept"
    assert await life.status("T-suspension-review") == "running"
    await life.say("reinstate_credential", finding="it was the user, abroad")
    await life.stage("active")
    assert (await life.account()).status == "active"
    assert await life.status("T-suspension-review") == "kept"
    await life.letter("BL-10:responsible:E2:1")
    [row] = await suspensions(world, life.client)
    assert (row.outcome, row.ended_by) == ("reinstated", "op-1")


async def test_a_suspension_that_nobody_reviews_is_escalated_and_lasts(world: World) -> None:
    life = await live(world)
    await life.say("suspend_credential", reason="strange sign-ins")
    await life.letter("BL-10:responsible:E1:1")
    due = (await world.clock(life.case, "T-suspension-review")).due
    await world.advance(life.case, due)
    assert await life.status("T-suspension-review") == "overdue"
    assert (await life.account()).status == "suspended"

    async def escalated() -> bool:
        return any(life.case in text_of(m) for m in world.mails("security_officer@bl.example"))

    await world.until(escalated, "the security officer is told")


async def test_to_open_again_needs_the_role_and_no_backend_does_it(world: World) -> None:
    """Whoever handles cases closes; only the role `security` opens."""
    life = await live(world)
    await life.say("suspend_credential", reason="strange")
    with pytest.raises(Refused, match="only an operator opens access again"):
        await life.say("reinstate_credential", "system:client-zone", finding="it says so itself")
    assert (await life.account()).status == "suspended"


async def test_what_was_suspended_and_reinstated_can_be_suspended_again(world: World) -> None:
    life = await live(world)
    for _ in range(2):
        await life.say("suspend_credential", reason="strange")
        await life.say("reinstate_credential", finding="harmless")
    await life.letter("BL-10:responsible:E4:1")
    assert [row.n for row in await suspensions(world, life.client)] == [1, 2]
    assert (await life.status("BL-10", "E1"), await life.status("BL-10", "E3")) == ("kept", "kept")


# ---- what is done beside the case -----------------------------------------------------------------------------------


async def test_a_suspension_by_command_is_found_and_told_with_the_clock_from_its_commit(world: World) -> None:
    life = await live(world)
    await outside(life, "suspend")
    await life.letter("BL-10:responsible:E1:1")
    clock = await world.clock(life.case, "BL-10", "E1")
    [row] = await suspensions(world, life.client)
    assert (clock.status, clock.anchor_at) == ("kept", row.started_at)
    assert (await life.body())["suspended"]["by"] == "op-9"
    assert await bells(world, life.username) == 1


async def test_what_came_and_went_before_the_case_looked_is_on_record_in_its_order(world: World) -> None:
    life = await live(world)
    async with world.sessions() as session, session.begin():
        found = await accounts.accounts_of(session, life.client, [life.username])
        for n in range(2):
            at = world.now() + n * SECOND
            await accounts.suspend(session, found, "BL-10", "several", "op-9", "an attack", at)
            await accounts.reinstate(session, found, "op-9", at)
    await life.ring()
    await life.letter("BL-10:responsible:E4:1")
    entries = [e for e in await world.entries(life.case) if e in ("suspended", "reinstated")]
    assert entries == ["suspended", "reinstated", "suspended", "reinstated"]
    assert (await life.account()).status == "active"


async def test_a_message_to_an_account_that_changed_meanwhile_is_refused_and_says_why(world: World) -> None:
    """The bell has not rung yet: the store knows better than the case."""
    life = await live(world)
    async with world.sessions() as session, session.begin():
        found = await accounts.accounts_of(session, life.client)
        await accounts.end(session, found, "BL-9", "op-9", world.now())
    with pytest.raises(Refused, match="the account is ended"):
        await life.say("suspend_credential", reason="strange")
    await life.ring()
    await life.letter("BL-9:responsible:E1:1")


async def test_a_lock_is_shown_and_an_operator_releases_it(world: World) -> None:
    """SE-33.3.9: locked until released; not without a lock."""
    life = await live(world)
    with pytest.raises(Refused, match="not locked"):
        await life.say("release_lock", reason="nothing to release")
    async with world.sessions() as session, session.begin():
        [row] = await accounts.accounts_of(session, life.client)
        row.failed, row.locked_at = 6, world.now()
    await world.ring(life.case, "account")
    await life.entry("locked")
    row_ = await world.row(life.case)
    assert row_ is not None
    assert "the lock" in row_.waits_for
    await life.say("release_lock", reason="identified in person")
    now = await life.account()
    assert (now.locked_at, now.failed) == (None, 0)


# ---- the end --------------------------------------------------------------------------------------------------------


async def test_a_cancellation_at_the_clients_request_ends_it_at_once_and_tells_the_responsible_employee(
    world: World,
) -> None:
    """BL 9: told right after, by a clock from the request; then the case rests and closes."""
    life = await live(world)
    asked = world.now() - HOUR
    await life.say("revoke_credential", cause="client_asked", happened_at=asked.isoformat(), reason="e-mail of today")
    ended = await life.account()
    assert (ended.status, ended.ground, ended.ended_by, ended.event_at) == ("ended", "BL-9", "op-1", asked)
    await life.stage("resting")
    clock = await world.clock(life.case, "BL-9", "E1")
    assert (clock.status, clock.anchor_at) == ("kept", asked)
    assert "9. punkts" in told_of(life, RESPONSIBLE, "izbeigta")[0]
    assert not told_of(life, life.email, "izbeigta")
    assert await life.status("SE-33.3.4.3") == "void"
    await world.advance(life.case, (await world.clock(life.case, "T-rest")).due)
    row = await world.row(life.case)
    assert row is not None
    assert (row.stage, row.outcome) == ("closed", "ended")


@pytest.mark.parametrize(("cause", "ground"), [("breach", "BL-9"), ("danger", "BL-10")])
async def test_an_investigation_can_end_in_revocation(world: World, cause: str, ground: str) -> None:
    life = await live(world)
    await life.say("suspend_credential", reason="strange")
    await life.say("revoke_credential", cause=cause, happened_at=MONDAY.isoformat(), reason="lent to a colleague")
    await life.stage("resting")
    assert await life.status(ground, "E2") == "kept"
    assert await life.status("T-suspension-review") == "kept"
    [row] = await suspensions(world, life.client)
    assert row.outcome == "revoked"


async def test_a_leavers_access_is_taken_away_and_the_clock_proves_it(world: World) -> None:
    """SE-2.10: evidence is the removal itself; the register names nobody to be told."""
    life = await live(world)
    left = world.now() - HOUR
    await life.say("revoke_credential", cause="left", happened_at=left.isoformat(), reason="left the company")
    await life.stage("resting")
    clock = await world.clock(life.case, "SE-2.10")
    assert (clock.status, clock.proof, clock.anchor_at) == ("kept", "access_removed", left)
    assert not told_of(life, RESPONSIBLE, "izbeigta")


async def test_the_user_gives_up_the_own_access_and_both_are_told(world: World) -> None:
    life = await live(world)
    await life.say("give_up", "system:client-zone", given_up_at=MONDAY.isoformat())
    await life.stage("resting")
    assert (await life.account()).ground == "BL-16-erase"
    assert told_of(life, RESPONSIBLE, "izbeigta")
    assert told_of(life, life.email, "izbeigta")


async def test_who_comes_back_gets_another_account_and_case_and_nothing_of_the_former_reaches_it(world: World) -> None:
    life = await live(world)
    who = user()
    request = await world.file("access_request", "BL", content(life.client, who))
    await world.stage(request, "resting")
    first = Life(world, life.client, f"{request.split(':')[2]}-U1", who["email"])
    await first.entry("issued")
    await first.say("revoke_credential", cause="left", happened_at=MONDAY.isoformat(), reason="left")
    await first.stage("resting")
    again = await world.file("access_request", "BL", content(life.client, who))
    await world.stage(again, "resting")
    second = Life(world, life.client, f"{again.split(':')[2]}-U1", who["email"])
    await second.entry("issued")
    world.filed += [first.case, second.case]
    await outside(first, "end", ground="BL-9")
    await first.ring()
    with pytest.raises(Refused):
        await first.say("suspend_credential", reason="late")
    assert (await second.account()).status == "active"
    assert (await first.account()).ground == "SE-2.10"


async def test_an_end_by_the_contract_is_found_and_rests_without_letters(world: World) -> None:
    """BL 11: the register names nobody to be told."""
    life = await live(world)
    await outside(life, "end", ground="BL-11")
    await life.stage("resting")
    assert (await life.body())["ground"] == "BL-11"


# ---- the portal's term (GJ) -----------------------------------------------------------------------------------------


async def test_five_years_after_the_last_contract_the_access_ends_and_not_a_second_before(world: World) -> None:
    life = await live(world)
    await life.say("report_last_contract", ended_on="2027-02-28", reference="POL-1")
    due = (await world.clock(life.case, "GJ-portal")).due
    assert due.astimezone(RIGA) == datetime(2032, 2, 29, 0, 0, tzinfo=RIGA)
    await world.advance(life.case, due - SECOND)
    assert (await life.account()).status == "active"
    await world.advance(life.case, due)
    await life.stage("resting")
    ended = await life.account()
    assert (ended.status, ended.ground) == ("ended", "GJ-portal")
    assert await life.status("GJ-portal") == "void"


async def test_a_new_contract_ends_the_clock(world: World) -> None:
    life = await live(world)
    with pytest.raises(Refused, match="no contract has ended"):
        await life.say("report_new_contract", starts_on="2027-03-01", reference="POL-2")
    await life.say("report_last_contract", ended_on="2027-02-28", reference="POL-1")
    await life.say("report_new_contract", starts_on="2027-03-01", reference="POL-2")
    assert await life.status("GJ-portal") == "void"
    assert (await life.account()).status == "active"


async def insured(life: Life, number: str, until: date) -> str:
    """A policy of the client, in its own organisation."""
    world = life.world
    held = await world.policy(f"{number}-{life.client}")
    async with world.sessions() as session, session.begin():
        client = await session.get_one(ClientRow, life.client)
        row = await session.get_one(PolicyRow, held)
        row.organisation, row.ends_on = "BL", until
        row.policyholder_index = await index_of(world.keyring, "name", client.name)
    return held


async def looked(life: Life) -> int:
    """What the sweep does; how often this case was rung."""
    world = life.world

    async def rung() -> int:
        async with world.sessions() as session:
            query = select(BellRow).where(BellRow.case == life.case, col(BellRow.reason).startswith(INSURED))
            return len((await session.exec(query)).all())

    before = await rung()
    await ring_insured(world.sessions, world.keyring, world.now)
    if (n := await rung() - before) > 0:
        await life.ring()
        await world.until(lambda: heard(life), "the bell is heard")
    return n


async def heard(life: Life) -> bool:
    """Nothing waits to be heard."""
    async with life.world.sessions() as session:
        query = select(BellRow).where(BellRow.case == life.case, col(BellRow.heard_at).is_(None))
        return not (await session.exec(query)).all()


async def test_the_portals_term_begins_and_ends_by_what_the_store_knows_of_the_clients_policies(world: World) -> None:
    """GJ-portal: from the day after the last contract's last day; a contract that comes again ends the clock."""
    life = await live(world)
    assert await looked(life) == 0
    await insured(life, "A", date(2027, 2, 1))
    await insured(life, "B", MONDAY.date())
    assert await looked(life) == 0, "its last day is whole"
    await world.advance(life.case, MONDAY + DAY)
    assert await looked(life) == 1
    await life.entry("last_contract_ended")
    clock = await world.clock(life.case, "GJ-portal")
    assert clock.status == "running"
    assert clock.due.astimezone(RIGA) == datetime(2032, 3, 2, 0, 0, tzinfo=RIGA)
    assert await looked(life) == 0, "told once"
    new = await insured(life, "C", date(2028, 2, 29))
    assert await looked(life) == 1
    await life.entry("contract_again")
    assert await life.status("GJ-portal") == "void"
    assert await looked(life) == 0
    async with world.sessions() as session, session.begin():
        # it never took effect
        row = await session.get_one(PolicyRow, new)
        row.covered_until = row.starts_on - timedelta(days=1)
    assert await looked(life) == 1
    assert await life.status("GJ-portal") == "running"
    assert (await world.clock(life.case, "GJ-portal")).due == clock.due


async def test_what_people_report_stands_beside_what_the_store_knows(world: World) -> None:
    """Of two ends the later one counts; an end before a contract that was reported says nothing."""
    life = await live(world)
    await insured(life, "A", date(2027, 2, 20))
    await life.say("report_last_contract", ended_on="2027-02-25", reference="elsewhere")
    assert await looked(life) == 1
    assert (await world.clock(life.case, "GJ-portal")).last_day == date(2032, 2, 25)
    await life.say("report_new_contract", starts_on="2027-03-01", reference="elsewhere")
    await life.ring()
    await world.settled(life.case)
    assert await life.status("GJ-portal") == "void"


# ---- the password's term (SE 33.3.4.3 under BL 11) ------------------------------------------------------------------


async def test_a_password_that_is_due_is_a_reminder_and_the_login_data_stay_valid(world: World) -> None:
    """BL-11 outranks the adopted term: reminded every two months, never overdue for the broker, never closed."""
    life = await live(world)
    due = (await world.clock(life.case, "SE-33.3.4.3")).due
    assert due.astimezone(RIGA) == datetime(2027, 5, 2, 0, 0, tzinfo=RIGA)
    await world.advance(life.case, due - SECOND)
    assert not told_of(life, life.email, "paroli")
    await world.advance(life.case, due)
    await life.letter("SE-33.3.4.3:user:E1:1")
    assert told_of(life, life.email, "paroli")
    assert (await world.clock(life.case, "SE-33.3.4.3", n=1)).status == "void"
    assert await life.status("SE-33.3.4.3") == "running"
    assert (await life.account()).status == "active"


# ---- the identity provider, and other login data (BL 6, 8) ----------------------------------------------------------


async def verdict(life: Life, mail: EmailMessage) -> str:
    """What the login data of a mail open at the provider now."""
    directory = LocalDirectory(life.world.sessions, life.world.now)
    return await directory.verify(external_id(life.client, life.username), secret_in(mail))


async def told_provider(life: Life, times: int = 1) -> None:
    """Wait until the provider knows how the account stands."""

    async def known() -> bool:
        entries = await life.world.entries(life.case)
        return (await life.body())["provider"] == "told" and entries.count("provider_told") >= times

    await life.world.until(known, "the provider is told")
    await life.world.settled(life.case)


def secrets_to(life: Life) -> list[EmailMessage]:
    """Mails with login data to the user: the first ones, and then those of a change."""
    mails = [m for m in life.world.mails(life.email) if "Vienreizējā parole" in text_of(m)]
    return sorted(mails, key=lambda mail: "Mainīti" in str(mail["Subject"]))


async def test_leaked_login_data_open_nothing_any_more_and_others_come_with_the_reinstatement(world: World) -> None:
    """BL 8: suspended and changed; the user gets other data once the access is open, by BL 6."""
    life = await live(world)
    [first] = secrets_to(life)
    await life.say("report_leak", reported_by="responsible_employee", reported_at=MONDAY.isoformat(), reason="stolen")
    await told_provider(life)
    assert await verdict(life, first) == "inactive"
    assert (await life.account()).secret_set_at is None
    assert await life.status("SE-33.3.4.3") == "void"
    await life.say("reinstate_credential", finding="the laptop is back, encrypted")
    await life.letter("BL-6:user:E3:1")
    assert await life.status("BL-6", "E3") == "kept"
    [_, second] = secrets_to(life)
    assert (await verdict(life, first), await verdict(life, second)) == ("wrong", "must_change")
    assert await life.status("SE-33.3.4.3") == "running"
    assert secret_in(second) not in await world.everything_told(life.case)
    assert secret_in(second) not in await dump(world)


async def test_who_is_suspended_and_let_in_again_without_a_leak_keeps_the_password(world: World) -> None:
    life = await live(world)
    [mail] = secrets_to(life)
    await life.say("suspend_credential", reason="strange")
    await told_provider(life)
    assert await verdict(life, mail) == "inactive"
    await life.say("reinstate_credential", finding="harmless")
    await told_provider(life, 2)
    assert await verdict(life, mail) == "must_change"
    assert len(secrets_to(life)) == 1


async def test_login_data_changed_for_security_reach_the_user_and_the_former_are_over(world: World) -> None:
    """BL 6: the clock runs from the change until the mail to the user is proven; live sessions are over."""
    life = await live(world)
    [first] = secrets_to(life)
    await life.say("change_secret", reason="a new standard for passwords")
    await life.letter("BL-6:user:E1:1")
    clock = await world.clock(life.case, "BL-6", "E1")
    assert (clock.status, clock.proof) == ("kept", "notice_sent")
    [_, second] = secrets_to(life)
    assert (await verdict(life, first), await verdict(life, second)) == ("wrong", "must_change")
    assert "6. punkts" in text_of(second)
    assert (await life.account()).must_change


async def test_login_data_that_came_back_are_dead_and_others_go_to_the_right_address(world: World) -> None:
    life = await live(world)
    await life.say("change_secret", reason="a new standard for passwords")
    await life.letter("BL-6:user:E1:1")
    [_, second] = secrets_to(life)
    later = world.now()
    await world.advance(life.case, later)
    await life.say("report_bounce", notice="BL-6:user:E1:1", bounced_at=MONDAY.isoformat())
    await told_provider(life)
    assert await life.status("BL-6", "E1") == "running"
    assert await verdict(life, second) == "wrong"
    await life.say("correct_address", party="user", email="pareiza@noliktavas.example")
    await life.letter("BL-6:user:E1:2")
    assert await life.status("BL-6", "E1") == "kept"
    [third] = [m for m in world.mails("pareiza@noliktavas.example") if life.username in text_of(m)]
    assert await verdict(life, third) == "must_change"


async def test_a_provider_that_is_down_is_waited_for_and_shown_and_opens_nothing(world: World) -> None:
    """Store first: closed with the answer, the letters are out; the provider hears of it once it is back."""
    life = await live(world)
    [mail] = secrets_to(life)
    async with no_provider(world):
        await life.say("suspend_credential", reason="strange")
        assert (await life.account()).status == "suspended"
        await life.letter("BL-10:responsible:E1:1", quiet=False)
        row = await world.row(life.case)
        assert row is not None
        assert "the identity provider" in row.waits_for
    await told_provider(life)
    assert await verdict(life, mail) == "inactive"


async def test_who_does_not_answer_while_other_login_data_wait_is_shown(world: World) -> None:
    """BL 6: the letter goes out by itself once the carrier is back."""
    life = await live(world)
    async with no_carrier(world):
        await life.say("change_secret", reason="a new standard for passwords")
        await shows(world, life.case, "the carrier does not take letters now: BL-6:user:E1:1")
    await life.letter("BL-6:user:E1:1")
    assert "not take letters" not in await world.details(life.case)


async def test_the_provider_hears_the_last_word_where_it_was_closed_and_opened_meanwhile(world: World) -> None:
    life = await live(world)
    [mail] = secrets_to(life)
    async with no_provider(world):
        await life.say("suspend_credential", reason="strange")
        await life.say("reinstate_credential", finding="harmless")
    await told_provider(life)
    assert await verdict(life, mail) == "must_change"


async def test_an_ended_account_is_gone_at_the_provider_before_the_case_rests(world: World) -> None:
    life = await live(world)
    [mail] = secrets_to(life)
    async with no_provider(world):
        await life.say("revoke_credential", cause="left", happened_at=MONDAY.isoformat(), reason="left")
        assert (await world.row(life.case)).stage == "ending"  # type: ignore[union-attr]  # it is there
    await life.stage("resting")
    assert await verdict(life, mail) == "no_such"


async def test_a_run_that_died_after_its_mail_leaves_one_secret_that_works_and_it_is_the_last_mails(
    world: World,
) -> None:
    """SIGKILL between the mail and the proof: the next run sends another; the secret of the dead one opens nothing."""
    life = await live(world)
    other = MaildirOut(world.var / f"other-{life.username}")

    class Dies:
        async def send(self, letter: Letter, at: datetime) -> Proof:
            await other.send(letter, at)
            raise RuntimeError("killed")

    async with no_carrier(world):
        await life.say("change_secret", reason="a new standard for passwords")
        own = next(a.__self__ for a in world.activities if getattr(a, "__name__", "") == "send_secret")  # type: ignore[attr-defined]  # a method
        dying = CredentialActivities(
            world.sessions,
            world.keyring,
            own._telling,
            own._provider,
            cast("MailOut", Dies()),
            world.now,
            "noreply@bl.example",
        )

        async def died() -> bool:
            try:
                await dying.send_secret(SendSecret(case=life.case, key="BL-6:user:E1:1"))
            except RuntimeError:
                return True
            return False

        await world.until(died, "a run dies with its mail sent")
    await life.letter("BL-6:user:E1:1")
    [path] = (world.var / f"other-{life.username}" / "new").iterdir()
    dead = message_from_bytes(path.read_bytes(), policy=policy.default)
    [_, last] = secrets_to(life)
    assert (await verdict(life, dead), await verdict(life, last)) == ("wrong", "must_change")
    assert len(await accounts_of(world, life.client)) == 1


# ---- letters --------------------------------------------------------------------------------------------------------


async def test_a_letter_that_came_back_opens_its_clock_again_until_another_address_is_reached(world: World) -> None:
    life = await live(world)
    key = "BL-9:responsible:E1:1"
    await life.say("revoke_credential", cause="breach", happened_at=MONDAY.isoformat(), reason="lent")
    await life.stage("resting")
    due = (await world.clock(life.case, "BL-9", "E1")).due
    await life.say("report_bounce", notice=key, bounced_at=MONDAY.isoformat())
    await life.stage("ending")
    clock = await world.clock(life.case, "BL-9", "E1")
    assert (clock.status, clock.due) == ("running", due)
    with pytest.raises(Refused, match="party"):
        await life.say("correct_address", party="user", email="a@b.example")
    await life.say("correct_address", party="responsible", email="cita@noliktavas.example")
    await life.stage("resting")
    assert await life.status("BL-9", "E1") == "kept"
    assert told_of(life, "cita@noliktavas.example", "izbeigta")
    assert (await life.account()).status == "ended"


async def test_a_carrier_that_is_down_delays_the_letter_and_opens_nothing(world: World) -> None:
    life = await live(world)
    async with no_carrier(world):
        await life.say("suspend_credential", reason="strange")
        assert (await life.account()).status == "suspended"
        row = await world.row(life.case)
        assert row is not None
        assert "the carrier: BL-10:responsible:E1:1" in row.waits_for
    await life.letter("BL-10:responsible:E1:1")
    assert await life.status("BL-10", "E1") == "kept"


async def test_whoever_is_the_responsible_employee_at_that_time_is_told(world: World) -> None:
    """From the register, not from what the case knew years ago."""
    life = await live(world)
    await _another_responsible(life, "jauna@noliktavas.example")
    await life.say("suspend_credential", reason="strange")
    await life.letter("BL-10:responsible:E1:1")
    assert told_of(life, "jauna@noliktavas.example", "apturēta")
    assert not told_of(life, RESPONSIBLE, "apturēta")


async def _another_responsible(life: Life, email: str) -> None:
    async with life.world.sessions() as session, session.begin():
        client = await session.get_one(ClientRow, life.client)
        client.responsible = {"name": "Jauna Atbildīgā", "email": email}


# ---- bad input ------------------------------------------------------------------------------------------------------


async def test_what_lies_in_the_future_or_in_another_stage_is_refused_and_nothing_changes(world: World) -> None:
    life = await live(world)
    later = (world.now() + HOUR).isoformat()
    for name, message in (
        ("report_leak", {"reported_by": "user", "reported_at": later, "reason": "x"}),
        ("revoke_credential", {"cause": "left", "happened_at": later, "reason": "x"}),
        ("give_up", {"given_up_at": later}),
    ):
        with pytest.raises(Refused, match="lies in the future"):
            await life.say(name, **message)
    for name, message in (("review_suspension", {"finding": "x"}), ("reinstate_credential", {"finding": "x"})):
        with pytest.raises(Refused, match="not in stage issued"):
            await life.say(name, **message)
    assert (await life.account()).status == "active"
    assert await world.entries(life.case) == ["issued", "secret_set"]
