"""The payload codec of a worker: what was sealed for one case is nothing that another one was told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    ActivitySerializationContext,
    DataConverter,
    SerializationContext,
    WorkflowSerializationContext,
)

from models.converter import NO_JSON, sealing
from security.codec import CaseCodec, seal
from security.keys import INSTALLATION, Keyring

CASE, OTHER = "claim:BTA:1", "claim:BTA:2"


@pytest.fixture
async def converter(keyring: Keyring) -> DataConverter:
    """What a worker reads with, where both cases were filed."""

    async def filed(case: str) -> bool:
        return True

    await keyring.create(CASE, OTHER)
    return sealing(CaseCodec(keyring, filed=filed))


async def sealed(keyring: Keyring, owner: str) -> Payload:
    """A word of an owner."""
    payload = Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(owner).encode())
    return seal(await keyring.of(owner), payload)


def contexts(case: str) -> list[SerializationContext]:
    """In a case's history, and in an activity of it."""
    activity: dict[str, Any] = {"activity_type": "case.open", "activity_task_queue": "termins", "is_local": False}
    return [
        WorkflowSerializationContext(namespace="default", workflow_id=case),
        ActivitySerializationContext(
            namespace="default", workflow_id=case, workflow_type="Claim", activity_id=None, **activity
        ),
    ]


async def test_a_payload_of_another_case_does_not_open_in_this_one(keyring: Keyring, converter: DataConverter) -> None:
    """Who can write into the engine moves it there: an argument is no message, and an answer fails the task."""
    moved = await sealed(keyring, OTHER)
    for context in contexts(CASE):
        here = converter.with_context(context)
        assert await here.decode([await sealed(keyring, CASE)], [str]) == [CASE]
        assert await here.decode([await sealed(keyring, INSTALLATION)], [str]) == [INSTALLATION]
        assert await here.decode([moved]) == [NO_JSON]
        with pytest.raises(ValueError, match="cannot be opened"):
            await here.decode([moved], [str])
    for context in contexts("sweep"):
        assert await converter.with_context(context).decode([moved], [str]) == [OTHER]
