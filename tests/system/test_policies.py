"""Policies by the command line, against a real store: register, import, change, end, and what was known when."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlmodel import col, select

from models.errors import Refusal
from models.tables import PolicyEntryRow, PolicyRow
from operations.policies import Policies
from operations.samples import SAMPLES
from tests.system.test_starter import ask, cli
from tests.world import World

pytestmark = pytest.mark.usefixtures("present")

Environment = dict[str, str]
TODAY = datetime.now(UTC).date()
START = TODAY - timedelta(days=100)


def filing(**more: Any) -> dict[str, Any]:
    """A policy that began a hundred days ago."""
    company = {"name": "SIA Kokapstrāde", "email": "birojs@kokapstrade.example", "language": "lv"}
    return {
        "policy": f"P-{uuid4().hex[:8]}",
        "organisation": "BTA",
        "policyholder": company,
        "insured": company,
        "insured_activity": "Kokapstrāde",
        "starts_on": START.isoformat(),
        "terms": {"limit_per_occurrence": "10000.00", "limit_aggregate": "20000.00"},
        **more,
    }


def day(n: int) -> str:
    """The day that many days after the contract began."""
    return (START + timedelta(days=n)).isoformat()


IN_TWO = {"premium": [{"due_on": day(10), "amount": "365.00"}, {"due_on": day(50), "amount": "365.00"}]}


async def registered(where: Environment, **more: Any) -> str:
    """A policy in the store; its number."""
    policy = filing(**more)
    assert (await ask(where, "policies", "register", data=json.dumps(policy)))["new"] == 1
    return str(policy["policy"])


async def acts(world: World, policy: str) -> list[str]:
    """What was said of a policy, in order."""
    query = select(PolicyEntryRow.act).where(PolicyEntryRow.policy == policy).order_by(col(PolicyEntryRow.n))
    async with world.sessions() as session:
        return list((await session.exec(query)).all())


# ---- register and import --------------------------------------------------------------------------------------------


async def test_registering_the_same_again_changes_nothing_and_other_facts_are_refused(
    world: World, where: Environment
) -> None:
    """6.4: without an end the period is one year. What differs is named; only an addendum changes a policy."""
    policy = filing()
    for new, unchanged in ((1, 0), (0, 1)):
        report = await ask(where, "policies", "register", data=json.dumps(policy))
        assert (report["new"], report["unchanged"], report["bad"]) == (new, unchanged, [])
    other = {**policy, "territory": "LV, LT", "co_insured": [{"name": "SIA Otra"}]}
    (bad,) = (await ask(where, "policies", "register", data=json.dumps(other), code=1))["bad"]
    assert [fault.split(":")[0] for fault in bad["faults"]] == ["territory", "co_insured"]
    assert await acts(world, policy["policy"]) == ["registered"]
    async with world.sessions() as session:
        row = await session.get(PolicyRow, policy["policy"])
    assert row is not None
    assert (row.territory, row.co_insured, row.covered_until) == ("LV", [], row.ends_on)
    assert row.ends_on == START.replace(year=START.year + 1) - timedelta(days=1)


async def test_an_import_takes_good_rows_and_reports_bad_ones_with_row_and_all_faults(
    world: World, where: Environment, tmp_path: Path
) -> None:
    """A spreadsheet's CSV: byte order mark, semicolons, decimal commas. Imported again it changes nothing."""
    good, second = (f"P-{uuid4().hex[:8]}" for _ in range(2))
    head = "policy;organisation;policyholder;policyholder_language;insured;starts_on;limit_per_occurrence;"
    head += "limit_aggregate;deductible;premium;exclusions;co_insured"
    rows = [
        head,
        (
            f'{good};BTA;"SIA ""Koks; un partneri""";lv;SIA Koks;{day(0)};50000,00;100000.00;200,50;'
            f"{day(10)}=300,00|{day(90)}=300,00;4.1.20=bought_back|4.1.7=changed=Tikai pēkšņs.;SIA Otrs|SIA Trešais"
        ),
        f"no good;XX;;lv;SIA Koks;{day(0)};1,234;-5;;;;",
        f"{second};BTA;SIA Koks;lv;SIA Koks;{day(0)};50000,00;100000.00;;;;",
        "too;few",
        "",
    ]
    file = tmp_path / "policies.csv"
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(rows).encode())
    report = await ask(where, "policies", "import", str(file), code=1)
    assert (report["new"], report["unchanged"]) == (2, 0)
    faulty, short = report["bad"]
    assert (faulty["row"], faulty["policy"], short["row"], short["faults"]) == (3, None, 5, ["2 cells, not 12"])
    text = "\n".join(faulty["faults"])
    for part in (
        "policy:",
        "organisation: it has no rulebook",
        "policyholder.name",
        "terms.limit_per_occurrence",
        "terms.limit_aggregate: money must not be negative",
    ):
        assert part in text, (part, text)
    again = await ask(where, "policies", "import", str(file), code=1)
    assert (again["new"], again["unchanged"]) == (0, 2)
    shown = await ask(where, "policies", "show", good, "--on", day(95), "--personal")
    assert shown["version"]["terms"]["deductible"]["value"] == "200.50"
    assert [x["code"] for x in shown["version"]["exclusions"]] == ["4.1.7", "4.1.20"]
    assert {p["name"] for p in shown["people"]} == {'SIA "Koks; un partneri"', "SIA Koks", "SIA Otrs", "SIA Trešais"}
    assert shown["unpaid"] == "600.00"
    assert "2 there before" in (await cli(where, "policies", "import", str(file), code=1)).stdout


async def test_the_samples_are_imported_and_a_file_that_is_none_is_said(where: Environment, tmp_path: Path) -> None:
    report = await ask(where, "policies", "import", str(SAMPLES / "policies.json"))
    assert report["bad"] == []
    assert report["new"] + report["unchanged"] == len(json.loads((SAMPLES / "policies.json").read_text())["policies"])
    for content, fault in (
        (b"policy;colour\nx;red\n", "colour: no such column"),
        (b"", "there is nothing in it"),
        (b"policy\n\xff\n", "not UTF-8"),
        (b'policy\n"x\n', "no CSV"),
        (b"\xff\xfep\x00", "UTF-16"),
    ):
        file = tmp_path / "none.csv"
        file.write_bytes(content)
        (bad,) = (await ask(where, "policies", "import", str(file), code=1))["bad"]
        assert fault in bad["faults"][0]
    (tmp_path / "policies.txt").write_text("x")
    await cli(where, "policies", "import", str(tmp_path / "policies.txt"), code=2)


# ---- what is said later ---------------------------------------------------------------------------------------------


async def test_an_addendum_is_said_once_and_what_was_known_before_it_can_be_asked(
    world: World, where: Environment
) -> None:
    """5.8: a raised limit for later events. As of an instant before it was said, nobody knew of it."""
    policy = await registered(where)
    addendum = {
        "policy": policy,
        "addendum": "A1",
        "signed_on": day(20),
        "effective_on": day(30),
        "limits": {"limit_per_occurrence": "15000.00"},
        "premium": [{"due_on": day(40), "amount": "50.00"}],
    }
    before = datetime.now(UTC)
    for new in (True, False):
        said = await ask(where, "policies", "addendum", data=json.dumps(addendum))
        assert said["new"] is new
    other = {**addendum, "effective_on": day(31)}
    refused = await ask(where, "policies", "addendum", data=json.dumps(other), code=1)
    assert refused["faults"] == ["effective_on: differs from what was said under this number"]
    cheap = {**addendum, "addendum": "A2", "limits": {"limit_per_occurrence": "16000.00"}, "premium": []}
    assert "5.8" in (await ask(where, "policies", "addendum", data=json.dumps(cheap), code=1))["faults"][0]

    async def limit(*words: str) -> str:
        shown = await ask(where, "policies", "show", policy, *words)
        return str(shown["version"]["terms"]["limit_per_occurrence"])

    assert await limit("--on", day(30)) == "10000.00"
    assert await limit("--on", day(31)) == "15000.00"
    assert await limit("--on", day(31), "--as-of", before.isoformat()) == "10000.00"
    assert await acts(world, policy) == ["registered", "addendum:A1"]
    await cli(where, "policies", "show", policy, "--as-of", "2020-01-01T00:00:00Z", code=1)


async def test_premiums_are_booked_once_and_never_more_than_is_owed(world: World, where: Environment) -> None:
    """9.5: every fault in one answer, nothing changed."""
    policy = await registered(where, **IN_TWO)
    words = ("policies", "premium", policy, "--reference", "B1", "--paid-on", day(5), "--amount", "365.00")
    received = ("--received-at", f"{day(5)}T12:00:00+02:00")
    for new in (True, False):
        assert (await ask(where, *words, *received))["new"] is new
    assert (await ask(where, "policies", "show", policy))["unpaid"] == "365.00"
    late = ("policies", "premium", policy, "--reference", "B2", "--paid-on", day(5), "--amount", "366.00")
    faults = (await ask(where, *late, "--received-at", f"{day(4)}T12:00:00+02:00", code=1))["faults"]
    assert [fault.split(":")[0] for fault in faults] == ["paid_on", "amount"]
    assert await acts(world, policy) == ["registered", "premium:B1"]
    listed = await ask(where, "policies", "list", "--organisation", "BTA")
    (line,) = [one for one in listed if one["policy"] == policy]
    assert (line["today"]["outcome"], line["unpaid"]) == ("in_force", "365.00")


async def test_a_suspension_needs_the_statute_and_an_unpaid_instalment(where: Environment) -> None:
    """6.6: no earlier than the statute allows; BTA's rulebook has no statutory term, so it has to be said."""
    policy = await registered(where, **IN_TWO)
    paid = ("--reference", "B1", "--paid-on", day(5), "--amount", "365.00")
    await ask(where, "policies", "premium", policy, *paid, "--received-at", f"{day(5)}T12:00:00Z")
    suspend = ("policies", "suspend", policy, "--reason", "second instalment unpaid")
    (fault,) = (await ask(where, *suspend, "--from-day", day(60), code=1))["faults"]
    assert fault.startswith("allowed_from, statute: the rulebook has no statutory term")
    statute = ("--allowed-from", day(70), "--statute", "Apdrošināšanas līguma likums")
    (fault,) = (await ask(where, *suspend, "--from-day", day(50), *statute, code=1))["faults"]
    assert "no later instalment was due and unpaid" in fault
    await ask(where, *suspend, "--from-day", day(60), *statute)
    await ask(where, *suspend, "--from-day", day(60), *statute, code=1)
    resume = ("policies", "resume", policy, "--from-day", day(80), "--reason", "paid")
    await ask(where, *resume)
    await ask(where, *resume, code=1)
    found = [(await ask(where, "policies", "show", policy, "--on", day(n)))["in_force"] for n in (69, 70, 79, 80)]
    assert [one["outcome"] for one in found] == ["in_force", "not_in_force", "not_in_force", "in_force"]
    assert (found[1]["clause"], found[1]["facts"]["suspended_from"]) == ("6.6", day(70))


async def test_an_early_end_shows_its_refund_step_by_step(world: World, where: Environment) -> None:
    """11.1: 730 paid for 365 days, 265 full days remain: 530.00; costs of 30.00: 500.00. It ends once."""
    policy = await registered(
        where,
        ends_on=day(364),
        premium=[{"due_on": day(10), "amount": "730.00"}],
        payments=[{"reference": "B1", "paid_on": day(0), "amount": "730.00"}],
    )
    end = ("policies", "end", policy, "--by", "policyholder", "--reason", "business sold", "--last-day", day(99))
    done = await cli(where, *end, "--costs", "30.00")
    assert "11.1  265 full days of 365 remain: 730.00 EUR to 530.00 EUR" in done.stdout
    assert "refund 500.00 EUR" in done.stdout
    assert f"case premium_refund:BTA:{policy}" in done.stdout
    await world.payment(f"premium_refund:BTA:{policy}", "policyholder:refund", "held")
    (fault,) = (await ask(where, *end, code=1))["faults"]
    assert "ended early already" in fault
    shown = await ask(where, "policies", "show", policy, "--on", day(100))
    assert (shown["in_force"]["clause"], shown["reporting"]["early"]) == ("11.1", True)
    assert shown["facts"]["ended"]["refund"]["amount"] == "500.00"
    async with world.sessions() as session:
        row = await session.get(PolicyRow, policy)
    assert row is not None
    assert row.covered_until == date.fromisoformat(day(99))


async def test_nothing_goes_back_to_a_policyholder_on_whose_contract_something_was_claimed(world: World) -> None:
    """11.1; the insurer's end has to name its statute (11.2)."""
    policies = Policies(world.sessions, world.keyring, world.now)
    policy = filing(premium=[{"due_on": day(10), "amount": "730.00"}])
    policy["payments"] = [{"reference": "B1", "paid_on": day(0), "amount": "730.00"}]
    await policies.register(policy)
    claim = {"policy": policy["policy"], "claimants": [{"name": "Anna Bērziņa"}], "occurred_on": day(20)}
    claim["losses"] = [{"head": "treatment", "amount": "10.00"}]
    case = await world.file("claim", "BTA", claim)
    await world.stage(case, "collecting")
    end = {"by": "insurer", "last_day": day(99), "reason": "x"}
    with pytest.raises(Refusal, match="statute"):
        await policies.end(policy["policy"], end)
    ended, paying = await policies.end(policy["policy"], {**end, "by": "policyholder"})
    assert (ended.refund.amount, ended.refund.refused is None, paying) == (Decimal(0), False, None)


async def test_a_late_premium_and_an_objection_are_said_on_the_command_line(world: World, where: Environment) -> None:
    """6.5: the case runs at once, and its payment can be said again. GJ: nothing was under way that had to stop."""
    policy = await registered(where, **IN_TWO)
    words = ("--reference", "B1", "--paid-on", TODAY.isoformat(), "--amount", "365.00")
    said = await cli(where, "policies", "premium", policy, *words)
    case = f"late_premium:BTA:{policy}"
    assert f"case {case}" in said.stdout
    await world.stage(case, "deciding")
    assert await ask(where, "policies", "object", policy) == {"stopped": []}
    await cli(where, "policies", "object", "nobody", code=1)
    await cli(where, "policies", "object", policy, "--received-at", "2026-01-01T00:00:00", code=2)


async def test_a_policy_that_a_former_worker_wrote_has_its_history_from_the_first_thing_said(world: World) -> None:
    """Its row holds no facts: they are what was loaded, and the first entry says so."""
    policies = Policies(world.sessions, world.keyring, world.now)
    number = await world.policy()
    addendum = {"addendum": "A1", "signed_on": "2026-02-01", "effective_on": "2026-02-01", "territory": "LV, LT"}
    await policies.addendum(number, addendum)
    assert await acts(world, number) == ["registered", "addendum:A1"]
    shown = await policies.show(number, on=date(2026, 2, 2))
    assert (shown.version.territory, shown.history[0].said_by) == ("LV, LT", "system:termins")


async def test_an_operator_without_the_organisation_changes_nothing(world: World) -> None:
    """Whoever speaks is known, and handles cases of this organisation; a system may."""
    policies = Policies(world.sessions, world.keyring, world.now)
    with pytest.raises(Refusal, match="no operator op-99"):
        await policies.register(filing(), "op-99")
    assert (await policies.register(filing(), "op-1")).new
    assert (await policies.register(filing(), "system:core")).new
    with pytest.raises(Refusal, match="none with this number"):
        await policies.premium(
            "P-none", {"reference": "B", "paid_on": day(0), "amount": "1.00", "received_at": f"{day(0)}T12:00Z"}
        )
    with pytest.raises(Refusal) as refused:
        await policies.premium("P-none", {"reference": "010190-12345", "amount": "-1", "received_at": "2026-01-01"})
    assert [f.split(":")[0] for f in refused.value.faults] == ["reference", "paid_on", "amount", "received_at"]
