"""`starter.py signature`: the verdict for people and programs, kept for a request, or entered from elsewhere."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from models.operator import Role
from models.tables import SignatureRow
from operations.operators import Operators
from tests import pki
from tests.system.test_starter import Environment, ask, cli
from tests.workflows.test_privacy_request import file, person
from tests.world import World

pytestmark = pytest.mark.usefixtures("present")


@pytest.fixture
def trusting(where: Environment, tmp_path: Path) -> Environment:
    """An installation that trusts the authority of the tests."""
    (tmp_path / "trust").mkdir()
    (tmp_path / "trust" / "lv.xml").write_bytes(pki.authority().trusted_list())
    return {**where, "TERMINS_TRUST_LIST": str(tmp_path / "trust")}


async def token_of(world: World, where: Environment, code: str, *roles: Role) -> Environment:
    """The environment of an operator of GJ."""
    operators = Operators(world.sessions, lambda: datetime.now(UTC))
    given = await operators.add(code, ("GJ",), roles)
    return {**where, "TERMINS_TOKEN": given.token}


async def letter(folder: Path, who: dict[str, Any], **more: Any) -> str:
    """A signed PDF on the disk of whoever runs the command."""
    made = pki.authority().person(who["name"].upper(), f"PNOLV-{who['personal_code']}")
    path = folder / "request.pdf"
    path.write_bytes(await pki.sign(pki.pdf(), made, pki.authority(), at=pki.NOW - pki.DAY, **more))
    return str(path)


async def test_a_verdict_is_printed_kept_and_identifies(world: World, trusting: Environment, tmp_path: Path) -> None:
    who = person()
    case = await file(world, "GJ", "access", who=who, at=datetime.now(UTC) - timedelta(hours=1))
    await world.stage(case, "identifying")
    path = await letter(tmp_path, who)
    told = (await cli(trusting, "signature", path)).stdout
    for line in ("signature 1: PASSED (OK)", "proved by a time stamp", "revocation: checked", "trusting lv.xml"):
        assert line in told
    assert f"by {who['name'].upper()}, LV {who['personal_code']}" in told
    assert "not verified: the trusted list's own signature" in told
    kept = await ask(trusting, "signature", path, "--case", case)
    assert kept["valid"]
    again = await ask(trusting, "signature", path, "--case", case)
    assert again["sha256"] == kept["sha256"]
    async with world.sessions() as session:
        [row] = (await session.exec(select(SignatureRow).where(SignatureRow.case == case))).all()
    assert (row.by, row.actor, row.used_at) == ("termins", "system:starter", None)
    now = datetime.now(UTC).isoformat()
    said = {"way": "qualified_signature", "identified_at": now, "document": "dms/1", "signature": kept["sha256"]}
    await world.say(case, "identify_person", **said)
    await world.stage(case, "resting")
    [verdict] = (await ask(trusting, "show", case))["signatures"]
    assert (verdict["valid"], verdict["by"], verdict["sha256"]) == (True, "termins", kept["sha256"])
    assert verdict["used_at"] is not None
    assert any("passed (OK)" in line for line in verdict["said"])
    assert any("the trusted list's own signature" in line for line in verdict["said"])
    assert who["personal_code"] not in str(verdict)
    assert who["name"].upper() not in str(verdict)
    [with_names] = (await ask(trusting, "show", case, "--personal"))["signatures"]
    assert any(who["name"].upper() in line and who["personal_code"] in line for line in with_names["said"])
    shown = (await cli(trusting, "show", case)).stdout
    assert "Identified by it" in shown
    assert who["personal_code"] not in shown
    page = (await cli(trusting, "show", case, "--format", "markdown")).stdout
    assert "Electronic signatures" in page
    assert who["personal_code"] not in page
    refused = await ask(trusting, "signature", path, "--case", case, code=1)
    assert refused["faults"] == ["case: it is closed"] or refused["faults"] == [
        "case: the person is identified already"
    ]


async def test_what_is_not_valid_is_said_and_ends_with_1(
    trusting: Environment, where: Environment, tmp_path: Path
) -> None:
    path = tmp_path / "scan.pdf"
    path.write_bytes(pki.pdf())
    found = await ask(trusting, "signature", str(path), code=1)
    assert (found["valid"], found["format"]) == (False, "none")
    assert "fault: the PDF is not signed" in (await cli(trusting, "signature", str(path), code=1)).stdout
    assert "TERMINS_TRUST_LIST is not set" in (await cli(where, "signature", str(path), code=1)).output
    nowhere = {**where, "TERMINS_TRUST_LIST": str(tmp_path / "nothing")}
    assert "there is no trust list" in (await cli(nowhere, "signature", str(path), code=1)).output
    assert "No such file" in (await cli(trusting, "signature", str(tmp_path / "none.pdf"), code=2)).output
    refused = await ask(trusting, "signature", str(path), "--case", "privacy_request:GJ:none", code=1)
    assert refused["faults"] == ["case: there is no privacy request privacy_request:GJ:none"]


async def test_a_report_from_elsewhere_is_entered_by_an_operator(
    world: World, where: Environment, tmp_path: Path
) -> None:
    who = person()
    case = await file(world, "GJ", "access", who=who, at=datetime.now(UTC) - timedelta(hours=1))
    await world.stage(case, "identifying")
    container = tmp_path / "request.edoc"
    container.write_bytes(b"PK a container of another maker")
    now = datetime.now(UTC).isoformat()
    report = {
        "service": "signatures.example",
        "report": "dms/501",
        "validated_at": now,
        "signed_at": now,
        "name": who["name"],
        "personal_code": who["personal_code"],
        "statement": "qualified signature, valid",
    }
    said = tmp_path / "report.json"
    said.write_text(json.dumps(report))
    words = ("signature", str(container), "--case", case, "--report", str(said))
    assert "a person says" in (await cli(where, *words, code=1)).output
    sees = await token_of(world, where, "op-541", "see")
    assert (await ask(sees, *words, code=1))["faults"] == ["actor: op-541 lacks the role privacy"]
    decides = await token_of(world, where, "op-542", "see", "privacy")
    kept = await ask(decides, *words)
    assert (kept["by"], kept["case"]) == ("person", case)
    told = (await cli(decides, *words)).stdout
    assert "validated by op-542 in signatures.example" in told
    [verdict] = (await ask(decides, "show", case))["signatures"]
    assert (verdict["by"], verdict["actor"], verdict["valid"], verdict["used_at"]) == ("person", "op-542", True, None)
    assert verdict["said"][0].startswith("validated in signatures.example, report dms/501, signed ")
    assert who["personal_code"] not in str(verdict)
    said.write_text(json.dumps({**report, "statement": "probably", "name": None, "more": 1}))
    faults = (await ask(decides, *words, code=1))["faults"]
    assert len(faults) == 3
    assert who["personal_code"] not in str(faults)
    assert (
        "--report: say --case" in (await cli(where, "signature", str(container), "--report", str(said), code=2)).output
    )
    signature = {"way": "qualified_signature", "signature": kept["sha256"]}
    at = datetime.now(UTC).isoformat()
    await world.say(case, "identify_person", identified_at=at, document="dms/1", **signature)
    await world.stage(case, "resting")
