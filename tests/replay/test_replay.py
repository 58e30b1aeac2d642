"""Every recorded history of every kind of case replays on the code of today: running cases survive a deploy.

A history that does not replay means that open cases would be stuck. The failure says what to do;
docs/changing-running-code.md says how.
"""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.replay.altered import CHANGED, PATCHED, altered
from tests.replay.gate import problem
from tests.replay.history import (
    ENDED,
    FOLDER,
    Shown,
    digest,
    manifest,
    opened,
    payloads,
    read,
    shown,
    written,
)
from tests.test_names import LIST
from tests.workflows.test_case import deciding
from tests.world import Refused, World
from workflows import registry
from workflows.case import Case

FILES = sorted(FOLDER.glob("*.json.gz"))
CLEAR = {b"json/plain", b"binary/null"}


@pytest.fixture(scope="module")
def recorded() -> list[Shown]:
    """What the recorded histories show."""
    return [shown(read(path)) for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name.removesuffix(".json.gz"))
async def test_a_recorded_history_replays(path: Path) -> None:
    """The commands of today's code are those of the history."""
    if text := await problem(path):
        pytest.fail(text, pytrace=False)


# ---- what is recorded -----------------------------------------------------------------------------------------------


def test_histories_are_frozen() -> None:
    """What is there is what `make record` wrote: nothing is replaced, taken away or put in by hand."""
    assert {path.name: digest(path.read_bytes()) for path in FILES} == {
        entry["file"]: entry["sha256"] for entry in manifest().values()
    }, 'histories changed by hand: take that back, or record anew and say why (make record REASON="…")'


def test_a_history_is_listed_under_its_branch() -> None:
    assert {branch: shown(read(FOLDER / entry["file"])).branch for branch, entry in manifest().items()} == {
        branch: branch for branch in manifest()
    }


def test_no_history_needs_a_key() -> None:
    """Every payload is in clear: a destroyed key or another format of keys takes no history out of the gate."""
    for path in FILES:
        for event in read(path).events:
            for payload in payloads(event):
                assert payload.metadata["encoding"] in CLEAR, (path.name, event.event_id)


async def test_a_sealed_history_is_kept_in_clear_and_an_erased_one_not_at_all(world: World, tmp_path: Path) -> None:
    """What the recorder does with the histories of a real engine, which are sealed."""
    case = await deciding(world)
    await world.say(case, "assign_case", handler="op-7")
    await world.covered(case)
    nobody = [{"claimant": "C9", "head": "property_damaged", "proven": "1.00"}]
    with pytest.raises(Refused, match="C9"):
        await world.say(case, "propose_decision", outcome="pay", losses=nobody)
    await world.settled(case)
    fetched = await world.handle(case).fetch_history()
    raw = [payload.metadata["encoding"] for event in fetched.events for payload in payloads(event)]
    notes = [e for e in fetched.events if e.HasField("marker_recorded_event_attributes")]
    in_clear = [encoding for encoding in raw if encoding != b"binary/encrypted"]
    assert len(in_clear) == len(notes), "the SDK's own notes: which activity, and when"
    history = await opened(fetched, world.client.data_converter, world.client.namespace)
    assert history is not None
    assert [payload.metadata["encoding"] for event in fetched.events for payload in payloads(event)] == raw
    assert {payload.metadata["encoding"] for event in history.events for payload in payloads(event)} <= CLEAR
    path = tmp_path / "claim-of-today.json.gz"
    path.write_bytes(written(history))
    assert await problem(path) == ""
    assert "(refused: Refused)" in shown(read(path)).steps, "failures are sealed and opened too"
    await world.keyring.destroy(case)
    assert await opened(fetched, world.client.data_converter, world.client.namespace) is None


@pytest.mark.parametrize("workflow", registry.ALL, ids=lambda cls: cls.__name__)
def test_every_branch_of_a_kind_is_recorded(recorded: list[Shown], workflow: type) -> None:
    """Each stage, each message, and each way in which a clock can end, in some history of each kind.

    What is missing: live it in a test (tests/workflows, or tests/replay/test_rare_branches.py), then `make record`.
    """
    definition: Any = workflow.__temporal_workflow_definition  # type: ignore[attr-defined]  # set by the decorator
    mine = [found for found in recorded if found.type == definition.name]
    assert mine, f"no history of a {definition.name}"
    messages = {*definition.updates, *definition.signals}
    assert not messages - {m for found in mine for m in found.messages}
    if issubclass(workflow, Case):
        assert not set(workflow.stages) - {stage for found in mine for stage in found.stages}
        late = {end for found in mine for end in found.ended}
        # no clock of these kinds can be late: they give notice, hold a right that lapses, or wait for somebody else
        never_late = ("AuthenticatorWithdrawal", "ClientChange", "LatePremium", "PremiumRefund", "Recovery")
        expected = {"kept", "void"} if definition.name in never_late else set(ENDED)
        if definition.name == "AuthenticatorDecision":
            # it has no clock at all: each of its withdrawals has its own
            expected = set()
        # nothing calls a review off
        expected -= {"void"} if definition.name == "SignInReview" else set()
        assert not expected - (late if "late" in expected else {end for found in mine for end in found.ends})
        for end in ("→ Completed", "→ ContinuedAsNew", "(continued)"):
            assert any(end in found.steps for found in mine), f"{definition.name}: {end}"


def test_every_activity_is_recorded(recorded: list[Shown]) -> None:
    assert not set(json.loads(LIST.read_text())["activities"]) - {a for found in recorded for a in found.activities}


# ---- the gate can fail ----------------------------------------------------------------------------------------------


@pytest.fixture
def longest() -> Path:
    """The longest recorded history of a request for access."""
    return max((p for p in FILES if p.name.startswith("access_request-")), key=lambda path: len(read(path).events))


async def test_a_changed_command_is_found_out_with_instructions(
    tmp_path: Path, longest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kind, history, event, and the three ways out."""
    text = await problem(longest, altered(tmp_path, "access_changed", CHANGED, monkeypatch))
    assert text.startswith("AccessRequest: the code of today does not follow a recorded history.")
    assert longest.name in text
    event = re.search(r"event:   (\d+) of \d+, ActivityTaskScheduled case.open", text)
    assert event is not None, text
    assert "TMPRL1100" in text
    for way in ("workflow.patched(", "AccessRequestV2", 'make record REASON="…"', "docs/changing-running-code.md"):
        assert way in text, way


async def test_the_same_change_behind_a_patch_passes(
    tmp_path: Path, longest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first way out is one: the histories of before still replay."""
    assert not await problem(longest, altered(tmp_path, "access_patched", PATCHED, monkeypatch))


async def test_the_event_where_code_and_history_part_is_named(tmp_path: Path, longest: Path) -> None:
    """The last recorded step done by another activity: found at its event, not at the first of the history."""
    history = read(longest)
    [*_, last] = [e for e in history.events if e.activity_task_scheduled_event_attributes.activity_type.name]
    last.activity_task_scheduled_event_attributes.activity_type.name = "case.other"
    path = tmp_path / longest.name
    path.write_bytes(gzip.compress(history.to_json().encode()))
    assert f"event:   {last.event_id} of" in await problem(path)
