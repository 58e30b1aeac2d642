"""Each duty says what keeps it, and it is true: the workflow leaves a clock or an entry, the rule has its test."""

from __future__ import annotations

import ast
import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlmodel import select

from activities.sweep import SweepActivities
from models.names import KINDS
from models.tables import CaseRow, ClockRow, TimelineRow
from operations.accounts import accounts_of
from operations.loading import load
from operations.policies import Policies
from operations.samples import SAMPLES, Samples, read
from rules.rulebook import books
from tests.rules.test_rulebook import REGISTER, read_register
from tests.workflows import test_privacy_rights as rights
from tests.workflows.test_breach import reported
from tests.workflows.test_person_system import ARCHIVE, asking
from tests.workflows.test_premium_refund import ended
from tests.workflows.test_privacy_request import MONDAY, PERSONALLY, content, file, identify, power_of_attorney
from tests.workflows.test_task import begun
from tests.world import Refused, World

ROOT = Path(__file__).parent.parent.parent
RULES = {
    "cover_route_a": "tests/rules/test_coverage.py::"
    "test_route_a_to_the_insured_also_asks_for_the_notice_of_loss_in_its_statutory_term",
    "cover_circumstance": "tests/rules/test_coverage.py::"
    "test_a_circumstance_reported_in_the_period_carries_a_later_notice_of_loss",
    "cover_repetition": "tests/rules/test_coverage.py::test_a_loss_from_a_cause_already_paid_for_is_a_finding",
    "cover_breach": "tests/workflows/test_coverage.py::test_a_breached_duty_is_no_bar_but_its_share_must_be_said",
    "cover_assignment": "tests/rules/test_coverage.py::test_a_right_that_a_party_to_the_contract_assigned_is_not_paid",
    "cover_reporting": "tests/rules/test_policy.py::test_the_extended_reporting_period",
    "suspension": "tests/rules/test_policy.py::test_a_suspension_has_no_effect_before_the_statute_allows_it",
    "limit_used_up": "tests/workflows/test_limits.py::"
    "test_what_cannot_be_released_any_more_is_told_as_lying_with_the_insured",
    "insurers_refund": "tests/rules/test_policy.py::test_refunds",
    "compensated_by_others": "tests/workflows/test_recovery.py::"
    "test_what_others_compensated_is_demanded_with_its_own_clause",
    "screening": "tests/workflows/test_screening.py::"
    "test_a_hit_holds_the_payment_and_tells_the_compliance_officer_who_clears_it",
    "secrets": "tests/workflows/test_access_request.py::test_the_secret_is_nowhere_but_in_the_users_mail",
    "agreed_addresses": "tests/system/test_sign_in.py::test_whoever_may_not_is_refused_and_it_is_written_down",
    "lock_after_failures": "tests/system/test_sign_in.py::test_the_sign_in_after_the_allowed_number_of_failures_locks",
    "purpose_of_opening": "tests/system/test_sign_in.py::"
    "test_nothing_is_opened_without_a_purpose_nor_after_the_session",
    "journal_kept": "tests/system/test_sign_in.py::test_the_journal_goes_when_its_longest_term_is_over",
    "free_form": "tests/workflows/test_privacy_request.py::"
    "test_a_request_without_the_form_is_taken_and_nothing_waits_for_it",
    "limits_by_statute": "tests/workflows/test_privacy_rights.py::"
    "test_a_limit_cites_its_statute_and_an_unfounded_request_its_proof",
    "answer_in_common_format": "tests/workflows/test_privacy_rights.py::"
    "test_portability_gives_what_the_person_provided_in_json_and_csv",
    "others_masked": "tests/activities/test_privacy.py::test_gathering_finds_every_record_and_masks_other_people",
    "safeguards_told": "tests/rules/test_points.py::test_where_data_went_to_a_third_country_the_safeguards_are_named",
    "first_copy_free": "tests/workflows/test_privacy_parts.py::"
    "test_the_first_copy_is_free_and_a_further_one_may_cost_a_fee_with_its_reason",
    "erasure_grounds": "tests/system/test_kept_by.py::test_erasure_is_refused_only_on_the_controllers_own_grounds",
    "consent_proof": "tests/system/test_consents.py::test_without_proof_it_is_no_consent_until_there_is_one",
    "consent_informed": "tests/system/test_consents.py::"
    "test_a_consent_without_the_information_that_comes_first_is_refused",
    "marketing_channel": "tests/rules/test_consent.py::test_marketing_goes_only_by_the_channel_consented_to",
    "purchase_contact": "tests/rules/test_consent.py::"
    "test_an_unfinished_purchase_is_asked_about_for_seven_days_and_that_product_only",
    "storage_exception": "tests/system/test_storage.py::"
    "test_a_documented_exception_keeps_longer_and_only_where_there_are_any",
    "legal_hold": "tests/system/test_storage.py::test_a_legal_hold_keeps_what_is_over_until_it_is_lifted",
    "proof_of_destruction": "tests/system/test_storage.py::"
    "test_paper_is_shredded_and_systems_are_erased_beyond_recovery",
    "records_of_processing": "tests/system/test_processing.py::"
    "test_the_records_say_the_seven_points_and_what_was_decided_since",
    "one_account_a_person": "tests/activities/test_access.py::"
    "test_of_two_requests_for_one_person_one_account_comes_to_be_also_with_the_provider",
    "users_own_report": "tests/workflows/test_credential.py::"
    "test_a_users_own_report_is_acted_on_as_a_suspicion_and_the_user_is_not_written_to",
    "recipient_named": "tests/rules/test_points.py::"
    "test_the_provider_of_an_authenticator_is_named_as_a_controller_of_its_own",
    "own_password": "tests/system/test_directory.py::"
    "test_nothing_of_the_person_is_taken_and_every_fault_is_named_at_once",
    "first_sign_in": "tests/system/test_sign_in.py::test_at_the_first_sign_in_only_the_change_of_the_password_is_open",
    "attempts_recorded": "tests/system/test_sign_in.py::test_whoever_may_not_is_refused_and_it_is_written_down",
    "operators_of_the_organisation": "tests/security/test_endpoint.py::test_nobody_else_reads_them",
    "outside_only_protected": "tests/integrations/test_mail.py::"
    "test_neither_letters_nor_a_password_leave_this_machine_in_clear",
    "nothing_readable_in_a_dump": "tests/security/test_erase.py::test_a_dump_of_the_store_holds_no_key_and_no_name",
    "sealed_columns": "tests/security/test_search.py::test_nothing_that_is_sealed_is_found_anywhere",
    "evidence": "tests/security/test_proof.py::"
    "test_every_column_of_an_entry_that_is_changed_in_the_database_is_found_by_its_step",
    "Storage": "tests/system/test_storage.py::test_the_night_finds_each_term_of_each_organisation",
}
"""What keeps a duty without a workflow → the test that shows it."""

UNKEPT = {
    "SE-33.4.4": "where backups lie is the installation's; docs/backup.md asks for another place",
    "GJ-portal-first": "no book whose users sign in here has it; adopting it is enough (tests/system/test_sign_in.py)",
}
"""Rows of the register's part B that nothing keeps, and why."""
UNKEPT_ADOPTED = {("BTA", "GJ-automated"): "nothing here makes offers by itself: a reminder repeats the policy's terms"}
"""Rows that an organisation adopted, where nothing can start them, and why."""

KEPT = [(book.organisation, duty.id, kept) for book in books().values() for duty in book.duty for kept in duty.kept_by]


@pytest.fixture(scope="module")
async def kept(world: World) -> set[tuple[str, str]]:
    """(workflow, duty) for every clock and entry that the samples, and a few requests beside them, leave behind."""
    async with _sweeping(world):
        return await _lived(world)


async def _lived(world: World) -> set[tuple[str, str]]:
    refund = await ended(world)
    await world.payment(refund, "policyholder:refund", "held")
    await world.begin(MONDAY)
    for name in ("policies.json", "clients.json"):
        await load(world.sessions, world.keyring, json.loads((SAMPLES / name).read_text()))
    samples = Samples(read(), world.sessions, world.intake, world.now)
    await samples.file()
    await samples.settle(within=240)
    recovery = "recovery:BTA:2026-R15"
    await world.stage(recovery, "demanding")
    await world.say(recovery, "plan_handover", collector="SIA Parādu Birojs", data=["name", "payments"])
    await Policies(world.sessions, world.keyring, world.now).object_to_reminders("GJ-CAD-26-0117", world.now())
    await world.handle("renewal:GJ:GJ-CAD-26-0117").signal("look_again")
    await world.until(lambda: _stopped(world), "the reminders are stopped")
    third = "credential:BL:2026-2001-U3"
    await world.until(partial(_has_login_data, world), "the request in the withdrawal gave login data")
    await world.ring(third, "account")
    await world.until(partial(_entered, world, third, "secret_set"), "its case has heard of them")
    await world.say(third, "change_secret", reason="a new standard for passwords")
    await world.say(third, "report_last_contract", ended_on="2027-02-01", reference="BL-0042")
    async with world.sessions() as session, session.begin():
        [account] = await accounts_of(session, "BL-0042", ["2026-2001-U3"])
        account.locked_at = world.now()
    await world.ring(third, "account")
    await world.until(partial(_entered, world, third, "locked"), "the lock is recorded")
    await world.say(third, "revoke_credential", cause="moved", happened_at=MONDAY.isoformat(), reason="another post")
    for organisation in ("BL", "DZ", "GJ"):
        case = await file(world, organisation)
        await identify(world, case, MONDAY)
        if organisation != "BL":
            await world.stage(case, "answering")
    for organisation in ("DZ", "GJ"):
        case = await file(world, organisation, "erasure", at=MONDAY - timedelta(days=1))
        await world.stage(case, "identifying")
        await world.say(case, "extend_request", reason="number")
    await world.stage(await file(world, "SE", "erasure"), "identifying")
    await _other_rights(world)
    for organisation in ("SE", "GJ"):
        represented = content(organisation, representative={"name": "Ona Petraitė"})
        case = await world.file("privacy_request", organisation, represented, received_at=MONDAY)
        way = PERSONALLY if organisation == "GJ" else {"way": "signed_request_copy"}
        await identify(world, case, MONDAY, **way, **power_of_attorney("access"))
        if organisation == "SE":
            await world.until(partial(_entered, world, case, "mail_refused"), "mail is refused for health data")
    await _tasks(world)
    threat = await reported(world, "SE", sort="threat")
    await world.say(threat, "enter_register", facts="vājš tīkls", effects="nav", corrective_action="slēgts")
    async with world.sessions() as session:
        kinds = dict((await session.exec(select(CaseRow.case, CaseRow.kind))).all())
        duties = set((await session.exec(select(ClockRow.case, ClockRow.duty))).all())
        duties |= {(c, d) for c, d in (await session.exec(select(TimelineRow.case, TimelineRow.duty))).all() if d}
    return {(KINDS[kinds[case]], duty) for case, duty in duties}


async def _tasks(world: World) -> None:
    """One task of every duty that is kept as one, and a training and an excess to their end."""
    since = world.now().isoformat()
    for organisation in ("DZ", "SE", "GJ"):
        for duty, terms in books()[organisation].tasks.items():
            about = {"about": f"kept-{duty.lower().replace('.', '-')}"} if terms.about else {}
            said = {"duty": duty, "since": since, **about, **({"n": 1} if terms.recurs else {})}
            reference = "_".join((duty, *about.values(), "1")) if terms.recurs else f"kept-{duty}"
            await begun(world, await world.file("task", organisation, said, reference=reference))
    today = world.now().date().isoformat()
    await world.say(
        "task:SE:kept-SE-34.2", "record_training", held_on=today, topic="ICT", participants=1, attendance_list="hr/1"
    )
    await world.stage("task:SE:SE-3.2_lab_1", "remedying")
    await world.say("task:SE:SE-3.2_lab_1", "remedy_excess", remedied_on=today, document="dms/1", records="ropa/1")
    await world.until(partial(_entered, world, "task:SE:kept-SE-34.2", "training_recorded"), "SE-34.4 is kept")


async def _other_rights(world: World) -> None:
    """Requests for each right with a row of its own, as far as that row leaves its trace."""
    for organisation in ("DZ", "SE", "GJ"):
        await world.stage(await file(world, organisation, *rights.DECIDED, "marketing_objection"), "identifying")
    await world.stage(await file(world, "SE", "consent_withdrawal"), "carrying_out")
    case = await file(world, "DZ", "portability", transfer_to="SIA Cita Klīnika")
    await identify(world, case, MONDAY)
    await world.stage(case, "assessing")
    await rights.decide(world, case, "portability", transfer="feasible")
    case = await file(world, "DZ", "rectification")
    await identify(world, case, MONDAY)
    await world.stage(case, "assessing")
    await rights.decide(world, case, "rectification")
    await rights.carry_out(world, case, "rectification")
    case = await file(world, "SE", "portability", transfer_to="UAB Kita Klinika")
    await identify(world, case, MONDAY)
    await world.stage(case, "assessing")
    await rights.decide(world, case, "portability", transfer="not_feasible")
    at_the_desk = await file(world, "SE", "access", channel="in_person", identified_by=None, received_by="emp-7")
    await world.stage(at_the_desk, "identifying")
    with asking(world, ARCHIVE):
        case = await file(world, "SE", "objection")
        await identify(world, case, MONDAY)
        await world.until(partial(_entered, world, case, "people_asked"), "who keeps paper is asked")
    case = await file(world, "SE", "information")
    await identify(world, case, MONDAY)
    await world.stage(case, "assessing")
    await rights.decide(world, case, "information", obtained_at=MONDAY.isoformat())
    case = await file(world, "SE", "erasure")
    await identify(world, case, MONDAY)
    await world.stage(case, "assessing")
    await rights.decide(world, case, "erasure", published=True)
    await world.stage(case, "carrying_out")
    steps = [{"controller": "UAB Paieška", "outcome": "asked", "done_at": MONDAY.isoformat()}]
    await world.say(case, "record_steps", steps=steps, reference="dms/published")
    case = await file(world, "SE", "restriction")
    await identify(world, case, MONDAY)
    await world.stage(case, "assessing")
    await rights.decide(world, case, "restriction")
    await rights.carry_out(world, case, "restriction")
    await world.stage(case, "resting")
    await world.say(case, "lift_restriction", reason="the dispute is over")


async def _entered(world: World, case: str, entry: str) -> bool:
    return entry in await world.entries(case)


@asynccontextmanager
async def _sweeping(world: World) -> AsyncIterator[None]:
    """What the schedule does every minute: so many cases at once let a slow machine's outbox leave letters to it."""
    owners = (getattr(activity, "__self__", None) for activity in world.activities)
    sweep = next(owner for owner in owners if isinstance(owner, SweepActivities))

    async def every_second() -> None:
        while True:
            await sweep.deliver()
            await asyncio.sleep(1)

    sweeping = asyncio.create_task(every_second())
    try:
        yield
    finally:
        sweeping.cancel()


async def _has_login_data(world: World) -> bool:
    async with world.sessions() as session, session.begin():
        [account] = await accounts_of(session, "BL-0042", ["2026-2001-U3"])
        return account.secret_set_at is not None


async def _stopped(world: World) -> bool:
    return ("GJ-renewal-objection", "") in await world.clocks("renewal:GJ:GJ-CAD-26-0117")


@pytest.mark.parametrize(("organisation", "duty", "keeper"), KEPT, ids=[f"{o} {d}" for o, d, _ in KEPT])
def test_what_keeps_a_duty_leaves_its_trace(
    kept: set[tuple[str, str]], organisation: str, duty: str, keeper: str
) -> None:
    """A clock in the ledger or an entry in the timeline for a workflow; a test that exists for a rule or a schedule."""
    how, name = keeper.split(":")
    if how == "workflow":
        assert (name, duty) in kept
    else:
        assert how in ("rule", "schedule")
        path, function = RULES[name].split("::")
        names = [getattr(node, "name", "") for node in ast.walk(ast.parse((ROOT / path).read_text()))]
        assert function in names


@pytest.mark.skipif(not REGISTER.exists(), reason="the register lies beside the project only where it is developed")
def test_every_duty_of_parts_d_to_f_is_kept() -> None:
    """By itself, or as one duty with another clause; part D is breaches and gates, E storage terms, F what recurs."""
    rows = {duty.id: (book, duty) for book in books().values() for duty in book.duty if duty.adopted_from is None}
    text = REGISTER.read_text(encoding="utf-8")
    ids = [row["id"] for row in read_register(text[text.index("\n## D. ") :])]
    assert {"DZ-17.2", "SE-11.2.1", "GJ-renewal"} <= set(ids)
    keepers = {one: (book.find(duty.same_as) if duty.same_as else duty).kept_by for one, (book, duty) in rows.items()}
    assert [one for one in ids if not keepers[one]] == []


def test_every_row_of_claims_and_every_adopted_row_has_a_keeper_or_a_reason() -> None:
    rows = json.loads((ROOT / "tests/rules/register_ids.json").read_text(encoding="utf-8"))
    ids = [row["id"] for row in rows]
    part = ids[: ids.index("BTA-8.1.10") + 1]
    assert {"BTA-10.5a", "BTA-6.5", "BTA-11.3"} <= set(part)
    adopted = {(book.organisation, duty.id) for book in books().values() for duty in book.duty if duty.adopted_from}
    owned = {(book.organisation, duty.id) for book in books().values() for duty in book.duty if duty.id in part}
    kept_here = {(organisation, duty) for organisation, duty, _ in KEPT}
    assert {one for one in owned | adopted if one not in kept_here} == set(UNKEPT_ADOPTED)


def test_every_row_of_access_has_a_keeper_or_a_reason() -> None:
    """Part B of the register, by the row's own rulebook or by one that adopts it."""
    rows = json.loads((ROOT / "tests/rules/register_ids.json").read_text(encoding="utf-8"))
    ids = [row["id"] for row in rows]
    part = rows[ids.index("BL-4") : ids.index("GJ-portal-first") + 1]
    assert len(part) == 38, "the rows of part B stand together"
    kept_ids = {duty for _, duty, _ in KEPT}
    unkept = {row["id"] for row in part if (row["same_as"] or row["id"]) not in kept_ids}
    assert unkept == set(UNKEPT)


@pytest.mark.parametrize(("organisation", "foreign"), [("DZ", "public_health"), ("SE", "trade_secret")])
async def test_erasure_is_refused_only_on_the_controllers_own_grounds(
    world: World, organisation: str, foreign: str
) -> None:
    """DZ-14.5.5, SE-17.4: a ground that the controller's document does not have is refused, and its own are named."""
    await world.begin(MONDAY)
    case = await file(world, organisation, "erasure")
    await identify(world, case, MONDAY)
    await world.stage(case, "assessing")
    with pytest.raises(Refused, match="legal_claim"):
        await world.say(
            case, "assess_right", right="erasure", outcome="refused", ground=foreign, reason="we would rather not"
        )
    await world.say(
        case, "assess_right", right="erasure", outcome="refused", ground="legal_claim", reason="a court hears it"
    )
