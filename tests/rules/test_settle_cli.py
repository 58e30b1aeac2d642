"""`starter.py settle`: a settlement worked out by hand, without any server; and every kind of bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from models.settlement import Settlement, SettlementInput
from rules.settlement import settle
from starter import app

ROOT = Path(__file__).parents[2]
GOOD: dict[str, Any] = {
    "policy": {
        "limit_per_occurrence": "20000.00",
        "limit_aggregate": "50000.00",
        "deductible": {"kind": "percent", "value": "10"},
    },
    "liability_share": "80",
    "losses": [
        {"claimant": "C1", "head": "treatment", "claimed": "900.00", "facts": {"costs": "900.00", "comfort": "100.00"}},
        {
            "claimant": "C2",
            "head": "property_damaged",
            "claimed": "1000.00",
            "proven": "1000.00",
            "compensations": [{"payer": "own_insurer", "paid_on": "2026-03-01", "amount": "20.00"}],
        },
    ],
}


def run(data: str | bytes, *words: str) -> Result:
    return CliRunner().invoke(app, ["settle", "-", *words], input=data)


def test_a_program_of_its_own_settles_a_file_without_any_server(tmp_path: Path) -> None:
    """Settings that would be fatal to every other command do not matter, and standard output holds JSON only."""
    (tmp_path / "case.json").write_text(json.dumps(GOOD, indent=2))
    nowhere = {**os.environ, "DATABASE_URL": "postgresql://127.0.0.1:1/none", "TEMPORAL_ADDRESS": "127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "starter.py", "settle", str(tmp_path / "case.json"), "--json"],
        cwd=ROOT,
        env=nowhere,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Settlement.model_validate_json(done.stdout) == settle(SettlementInput.model_validate(GOOD))
    assert done.stderr == ""


def test_people_read_every_step_with_its_clause_the_heads_and_what_others_paid() -> None:
    """C1: 800 x 80 % - 10 % = 576. C2: 1 000 x 80 % - 10 % - 20 = 700."""
    result = run(json.dumps(GOOD))
    text = result.stdout.replace("\N{NO-BREAK SPACE}", " ")
    rows = [[word.strip() for word in line.split("  ") if word.strip()] for line in text.splitlines()]

    assert result.exit_code == 0
    for row in (
        ["C1: payable 576.00 EUR"],
        ["9.2.1", "Treatment", "900.00", "800.00", "Costs for comfort, EUR 100.00, are not paid."],
        ["9.5", "Deductible", "640.00", "576.00", "The deductible is 10% of the amount at this step."],
        ["C2: payable 700.00 EUR"],
        ["9.3.2", "property_damaged", "700.00", "0.00", "0.00"],
        ["9.8", "property_damaged", "own_insurer", "2026-03-01", "20.00", "20.00"],
    ):
        assert row in rows
    assert "In all: payable 1276.00" in result.stdout


BAD: dict[str, Any] = {
    "policy": {"limit_per_occurrence": 10.5, "limit": "1.00"},
    "losses": [
        {"claimant": "C1", "head": "treatment", "claimed": "1.001", "facts": {"costs": "-1.00"}},
        {"claimant": "anna", "head": "grief", "claimed": "1.00", "facts": {"costs": "1.00"}},
    ],
}
FAULTS = {
    "policy.limit_per_occurrence: money must be a decimal or a text such as '12.50', not float",
    "policy.limit_aggregate: Field required",
    "policy.limit: unknown field",
    "losses.0.claimed: money must be in whole cents",
    "losses.0.facts.costs: money must not be negative",
    "losses.1.claimant: String should match pattern '^[A-Z]{1,3}[0-9]{1,6}$'",
}


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_of_bad_input_every_fault_is_named_and_nothing_else(words: tuple[str, ...]) -> None:
    """Exit code 2, and no settlement."""
    result = run(json.dumps(BAD), *words)
    lines = result.stderr.splitlines()

    assert result.exit_code == 2
    assert set(lines) > FAULTS
    assert [line.split(":")[0] for line in lines if line not in FAULTS] == ["losses.1.head"]
    assert result.stdout == ("" if not words else json.dumps({"faults": lines}) + "\n")


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("", "there is nothing in it"),
        ("{", "not JSON"),
        ("[1]", "a JSON object is needed"),
        ("7", "a JSON object is needed"),
        (json.dumps([GOOD, GOOD]), "one JSON object is needed, not many"),
        (json.dumps(GOOD) + "\n" + json.dumps(GOOD), "one JSON object is needed, not many"),
        ('{"losses": [], "losses": []}', "losses: this key is given twice"),
        (json.dumps({**GOOD, "losses": []}), "losses: there is none"),
        (json.dumps({**GOOD, "losses": GOOD["losses"] * 2}), "losses given more than once: C1 treatment"),
        (b"\xff\xfe{\x00", "UTF-16"),
    ],
)
def test_what_is_no_settlement_is_wrong_usage(data: str | bytes, fault: str) -> None:
    """Whatever comes: a text that says why, exit code 2, nothing on standard output."""
    result = run(data)

    assert (result.exit_code, result.stdout) == (2, "")
    assert fault in result.stderr


def test_a_file_that_is_not_there_is_wrong_usage() -> None:
    assert CliRunner().invoke(app, ["settle", "no-such-file.json"]).exit_code == 2
