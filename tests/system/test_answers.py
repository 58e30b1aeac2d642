"""`starter.py answer`: what a person hands over of a privacy request, as files."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from tests.system.test_starter import Environment, ask, cli
from tests.workflows.test_privacy_request import file, identify, person
from tests.world import World

pytestmark = pytest.mark.usefixtures("present")


async def identified(world: World, *rights: str, **more: Any) -> str:
    """A request of SE for the portal, of somebody who is identified."""
    at = datetime.now(UTC) - timedelta(hours=1)
    case = await file(world, "SE", *rights, at=at, answer_channel="portal", **more)
    await world.stage(case, "identifying")
    await identify(world, case, at)
    return case


def text(path: Path) -> str:
    """What a PDF says."""
    return " ".join(" ".join(page.extract_text() for page in PdfReader(path).pages).split())


async def test_the_answer_and_the_copy_are_written_for_whoever_hands_them_over(
    world: World, where: Environment, tmp_path: Path
) -> None:
    """SE-33.4.6: health data go by portal or post: letter, points and copy, readable by their owner only."""
    who = person(language="lt")
    case = await identified(world, "access", who=who)
    await world.stage(case, "answering")
    out = tmp_path / "out" / "answer"
    told = (await cli(where, "answer", case, "--out", str(out))).stdout.split()
    assert {Path(line).name for line in told} == {"answer.pdf", "personal-data.json", "personal-data.html"}
    letter = text(out / "answer.pdf")
    assert who["name"] in letter
    assert "slaptažod" not in letter, "no password is spoken of"
    data = json.loads((out / "personal-data.json").read_text())
    assert len(data["about"]) == 8
    assert who["personal_code"] in json.dumps(data, ensure_ascii=False)
    assert {path.stat().st_mode & 0o777 for path in out.iterdir()} == {0o600}
    assert (await ask(where, "answer", case, "--out", str(out)))["case"] == case, "again is the same"
    sent = datetime.now(UTC).isoformat()
    await world.say(case, "confirm_answer_sent", channel="portal", sent_at=sent, reference="portal/1")
    await world.stage(case, "resting")


async def test_a_refusal_by_post_has_its_letter_with_reasons_and_ways_and_no_copy(
    world: World, where: Environment, tmp_path: Path
) -> None:
    case = await identified(world, "objection", who=person(language="en"))
    await world.stage(case, "assessing")
    ground = {"outcome": "refused", "ground": "compelling_grounds", "reason": "The debt is still open."}
    await world.say(case, "assess_right", right="objection", **ground)
    await world.stage(case, "answering")
    told = await ask(where, "answer", case, "--out", str(tmp_path / "refusal"))
    assert [Path(name).name for name in told["files"]] == ["answer.pdf"]
    letter = text(tmp_path / "refusal" / "answer.pdf")
    for words in ("refused", "The debt is still open.", "Article 77", "Article 79"):
        assert words in letter


async def test_a_part_that_is_to_be_handed_over_is_written_too(
    world: World, where: Environment, tmp_path: Path
) -> None:
    case = await identified(world, "access", "objection", who=person(language="lv"))
    await world.stage(case, "assessing")
    refused = await ask(where, "answer", case, "--out", str(tmp_path), code=1)
    assert "nothing is to be handed over now" in refused["faults"][0]
    await world.say(case, "answer_part", rights=["access"])
    told = await ask(where, "answer", case, "--out", str(tmp_path / "part"))
    assert {Path(name).name for name in told["files"]} == {"part-1.pdf", "personal-data.json", "personal-data.html"}
    assert "Pielikumā ir Jūsu datu kopija" in text(tmp_path / "part" / "part-1.pdf")


async def test_what_is_no_request_or_no_folder_is_said(world: World, where: Environment, tmp_path: Path) -> None:
    unknown = await ask(where, "answer", "privacy_request:SE:none", "--out", str(tmp_path), code=1)
    assert unknown["faults"] == ["case: there is no privacy request privacy_request:SE:none"]
    case = await identified(world, "access")
    await world.stage(case, "answering")
    (tmp_path / "file").write_text("")
    assert "--out" in (await cli(where, "answer", case, "--out", str(tmp_path / "file"), code=2)).output
