"""`starter.py count`: the vectors, one object for each line, and every kind of fault; without any server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from starter import app

ROOT = Path(__file__).parents[2]
VECTORS = Path(__file__).parent / "vectors.json"
GOOD = {
    "id": "G",
    "country": "LV",
    "start": "2024-03-28T10:00:00+02:00",
    "rule": {"amount": 1, "unit": "working_days", "roll": "none"},
}


def count(data: str | bytes, *words: str) -> Result:
    return CliRunner().invoke(app, ["count", "-", *words], input=data)


def counted(data: str | bytes) -> tuple[list[dict[str, Any]], int]:
    """The objects that come out with --json, and the exit code."""
    result = count(data, "--json")
    return [json.loads(line) for line in result.stdout.splitlines()], result.exit_code


def vectors() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(VECTORS.read_text())
    return found


@pytest.mark.parametrize("form", ["array", "lines"])
def test_every_vector_is_counted_in_order(form: str) -> None:
    data = json.dumps(vectors()) if form == "array" else "\n".join(map(json.dumps, vectors()))
    results, code = counted(data)
    assert code == 0
    assert [r["id"] for r in results] == [v["id"] for v in vectors()]
    for result, vector in zip(results, vectors(), strict=True):
        assert {k: result[k] for k in ("due_date", "due_instant_utc")} == vector["expected"], vector["id"]
        assert result["derivation"]


def test_a_program_of_its_own_counts_a_file_without_any_server(tmp_path: Path) -> None:
    """Settings that would be fatal to every other command do not matter, and standard output holds JSON only."""
    (tmp_path / "case.json").write_text(json.dumps(GOOD, indent=2))
    nowhere = {**os.environ, "DATABASE_URL": "postgresql://127.0.0.1:1/none", "TEMPORAL_ADDRESS": "127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "starter.py", "count", str(tmp_path / "case.json"), "--json"],
        cwd=ROOT,
        env=nowhere,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["due_date"] == "2024-04-02"
    assert done.stderr == ""


def test_people_read_the_date_the_instant_and_how_it_was_counted() -> None:
    text = count(json.dumps(GOOD)).stdout
    for part in (
        "G  due 2024-04-02 · 2024-04-02T21:00:00Z",
        "Good Friday",
        "Easter Monday",
        "event day is not counted",
    ):
        assert part in text


def test_a_faulty_line_gives_its_id_and_error_and_stops_no_other() -> None:
    """One object for each line, in order, blank lines left out; the exit code says that something was faulty."""
    lines: list[str | bytes] = [
        json.dumps(GOOD),
        "",
        "not JSON",
        json.dumps({**GOOD, "id": "F", "country": "SE", "start": "yesterday"}),
        '{"id": "D", "id": "D", "country": "LV"}',
        '{"id": "N", "country": "LV", "start": "2024-03-28T10:00:00Z", "rule": {"amount": NaN}}',
        "[1, 2]",
        "null",
        '{"id": "Š"}'.encode("iso8859-13"),
        json.dumps({**GOOD, "id": "H", "rule": {**GOOD["rule"], "amount": 10**150}}),  # type: ignore[dict-item]  # an object
        json.dumps({**GOOD, "id": "last"}),
    ]
    results, code = counted(b"\n".join(x if isinstance(x, bytes) else x.encode() for x in lines))
    assert code == 1
    assert [r["id"] for r in results] == ["G", None, "F", "D", "N", None, None, None, "H", "last"]
    errors = {i: r["error"] for i, r in enumerate(results) if "error" in r}
    assert set(errors) == set(range(1, 9))
    assert "not JSON" in errors[1]
    assert "country" in errors[2]
    assert "start" in errors[2], "all faults at once"
    assert "id: this key is given twice" in errors[3]
    assert "NaN" in errors[4]
    assert "must be an object" in errors[5]
    assert "must be an object" in errors[6]
    assert "not UTF-8" in errors[7]
    assert "too large" in errors[8]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "nothing in it"),
        (b" \n \n", "nothing in it"),
        (b"[]", "array is empty"),
        (b"{", "not JSON"),
        (b'{\n "id": "x",\n}', "not JSON"),
        (b"[" * 100_000, "nested deeper"),
        (b'{"id": ' + b"[" * 60 + b"]" * 60 + b"}", "nested deeper"),
        (b'{"id": "x", "rule": ' + b"9" * 5000 + b"}", "5000 digits"),
        (b'{"id": "x", "rule": 1e999}', "too large"),
        (json.dumps(GOOD).encode("utf-16"), "UTF-16"),
        (json.dumps(GOOD).encode("utf-16-le"), "zero bytes"),
        (b'{"id": "a\\u0000b"}', "U+0000"),
        (b'{"id": "\\ud800"}', "surrogate"),
        (b"42", "must be an object"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_what_cannot_be_read_says_why_in_one_object(data: bytes, fault: str) -> None:
    results, code = counted(data)
    assert code == 1
    assert len(results) == 1
    assert fault in results[0]["error"]


def test_a_mark_of_utf_8_at_the_beginning_is_passed_over() -> None:
    assert counted(b"\xef\xbb\xbf" + json.dumps(GOOD).encode())[1] == 0


def test_a_faulty_pretty_printed_object_is_one_fault_with_its_place() -> None:
    text = json.dumps(GOOD, indent=2).replace('"LV",', '"LV"')
    results, _ = counted(text)
    assert len(results) == 1
    assert "line 4" in results[0]["error"]


def test_a_file_that_is_not_there_is_wrong_usage() -> None:
    result = CliRunner().invoke(app, ["count", "no-such-file.json"])
    assert result.exit_code == 2
    assert "No such file" in result.stderr
