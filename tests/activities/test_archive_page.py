"""The page of a data copy speaks the reader's language: fields, codes, days, letters; its JSON keeps the names."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from activities.archive import archive_files
from activities.archive_words import FIELDS, KINDS, field_in
from models.names import KINDS as EVERY_KIND
from models.settlement import Label
from operations.filings import CONTENT
from operations.own_store import MASKED
from rules.rulebook import book

SAMPLES = Path(__file__).parents[2] / "samples" / "cases"
OWN = Label(lv="Termins", lt="Termins", en="Termins")
RECORD: dict[str, Any] = {
    "record": "claim:BTA:2026-000123",
    "kind": "claim",
    "stage": "telling_and_paying",
    "received_at": "2026-11-22T23:30:00+00:00",
    "closed_at": None,
    "person": [{"role": "third_party", "name": "Anna Kalniņa", "personal_code": "010190-12345", "language": "lt"}],
    "filed": {
        "identified_by": "signed_request",
        "occurred_on": "2026-11-01",
        "claimants": [MASKED, {"name": "Anna Kalniņa"}],
        "losses": [{"head": "property_damaged", "amount": "1200.00"}],
        "documents": [{"document": "policy_copy"}],
    },
    "letters": [{"letter": "BTA-10.5b-third-party", "sent_at": "2026-11-23T08:00:00+00:00"}],
}


def fields_of(model: Any) -> Iterator[str]:
    """Every field of a model and of the models in it."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        for name, field in model.model_fields.items():
            yield name
            yield from fields_of(field.annotation)
    for inner in typing.get_args(model):
        yield from fields_of(inner)


def keys_of(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys_of(inner)


def test_every_field_that_can_be_filed_has_a_word() -> None:
    filed = {name for model in CONTENT.values() for name in fields_of(model)}
    samples = (json.loads(path.read_text())["filing"] for path in SAMPLES.glob("*.json"))
    sampled = {key for sample in samples for key in keys_of(sample.get("content"))}
    assert sorted((filed | sampled | set(keys_of(RECORD))) - FIELDS.keys()) == []


def test_every_kind_of_case_has_a_word() -> None:
    assert sorted(set(EVERY_KIND) - KINDS.keys()) == []


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (
            "lv",
            [
                "apdrošināšanas atlīdzības pieteikums",
                "<dt>saņemts</dt><dd>2026. gada 23. novembris, plkst. 01:30</dd>",
                "<dt>iesniegtais, notikuma diena</dt><dd>2026. gada 1. novembris</dd>",
                "<dt>iesniegtais, pretenzijas iesniedzēji 1</dt><dd>[citas personas dati]</dd>",
                "<dt>iesniegtais, zaudējumi 1, zaudējumu veids</dt><dd>Mantas bojājums</dd>",
                "<dt>persona 1, loma</dt><dd>trešā persona</dd>",
                "<dt>persona 1, valoda</dt><dd>lietuviešu</dd>",
                "<dt>stadija</dt><dd>izskatīšanā</dd>",
                "<dt>iesniegtais, identifikācijas veids</dt><dd>ar parakstītu pieprasījumu</dd>",
                "<dt>iesniegtais, zaudējumi 1, summa</dt><dd>1\N{NO-BREAK SPACE}200,00\N{NO-BREAK SPACE}EUR</dd>",
                "<dt>iesniegtais, dokumenti 1, dokuments</dt><dd>polises kopija</dd>",
                "<dd>Lēmums par apdrošināšanas atlīdzību</dd>",
            ],
        ),
        ("lt", ["<dt>gauta</dt><dd>2026 m. lapkričio 23 d., 01:30 val.</dd>", "<dd>Turto sugadinimas</dd>"]),
        ("en", ["<dt>received</dt><dd>23 November 2026, 01:30</dd>", "<dd>Decision on your claim</dd>"]),
    ],
)
def test_the_page_is_in_the_readers_language_and_the_json_keeps_the_names(language: str, said: list[str]) -> None:
    """GDPR 12(1): intelligible; an instant is of the controller's own zone."""
    files = archive_files(book("BL"), "R1", language, datetime(2026, 11, 24, tzinfo=UTC), [("termins", OWN, [RECORD])])
    page = files["personal-data.html"]["text"]
    assert [one for one in said if one not in page] == []
    assert json.loads(files["personal-data.json"]["text"])["systems"][0]["records"] == [RECORD]


def test_what_another_system_calls_a_stage_stays_as_it_is() -> None:
    record = {"record": "crm:17", "stage": "lead"}
    files = archive_files(book("BL"), "R1", "en", datetime(2026, 11, 24, tzinfo=UTC), [("crm", OWN, [record])])
    assert "<dt>stage</dt><dd>lead</dd>" in files["personal-data.html"]["text"]


def test_a_field_of_another_system_without_a_word_keeps_its_name() -> None:
    assert field_in("rows.visits.2.colour", "lv") == "dati, visits 2, colour"
