"""The commands of evidence: proof, checkpoint, check, and the program that verifies what they wrote."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner, Result

import starter
import verify
from models.tables import TimelineRow
from operations.local import Postgres
from tests.conftest import make_world, virtual_temporal
from tests.workflows.test_claim import MONDAY, content
from tests.world import World


@pytest.fixture(scope="module")
async def world(postgres: Postgres) -> AsyncIterator[World]:
    """A world of its own: the commands look at every case in it."""
    async with await virtual_temporal() as environment, make_world(postgres, environment, "proofs") as world:
        yield world


@pytest.fixture
def where(world: World, postgres: Postgres, tmp_path: Path) -> dict[str, str]:
    """The environment of the commands; they need no engine."""
    return {
        "DATABASE_URL": postgres.url("proofs"),
        "TERMINS_KEYS_DATABASE_URL": postgres.url("proofs_keys"),
        "TERMINS_MASTER_KEY_FILE": str(world.var / "keys" / "master"),
        "TERMINS_VAR": str(tmp_path),
        "TERMINS_CHECKPOINTS": str(tmp_path / "outside"),
    }


async def cli(where: dict[str, str], *words: str, code: int = 0) -> Result:
    """Run a command in a thread of its own, as its own loop needs one."""
    result = await asyncio.to_thread(CliRunner().invoke, starter.app, list(words), env=where)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    return result


async def test_from_the_commands_to_the_verdict(
    world: World, where: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await world.begin(MONDAY)
    case = await world.file("claim", "BTA", content(await world.policy()), received_at=MONDAY)
    await world.stage(case, "collecting")
    key = (await cli(where, "proof", "--public-key")).stdout.strip()
    assert json.loads((await cli(where, "proof", "--public-key", "--json")).stdout) == {"public_key": key}
    made = json.loads((await cli(where, "checkpoint", "--json")).stdout)
    assert (made["number"], made["cases"], made["faults"]) == (1, 1, {})
    assert (tmp_path / "outside" / "public-key").read_text() == key + "\n"
    printed = (await cli(where, "proof", case)).stdout_bytes
    assert verify.verify(printed, key).faults == []
    file = tmp_path / "bundle.json"
    said = json.loads((await cli(where, "proof", case, "-o", str(file), "--json")).stdout)
    assert (said["case"], said["entries"]) == (case, len(await world.timeline(case)))
    words = [str(file), "--key", key, "--checkpoints", str(tmp_path / "outside")]
    assert verify.main(words) == 0
    assert "Everything holds" in capsys.readouterr().out
    assert "all hold" in (await cli(where, "check")).stdout
    assert json.loads((await cli(where, "check", case, "--json")).stdout)["faults"] == {}

    async with world.sessions() as session, session.begin():
        entry = await session.get(TimelineRow, (case, 1))
        assert entry is not None
        entry.actor = "op-9"
    assert f"{case}  entry 1: its link does not follow" in (await cli(where, "check", code=1)).stdout
    await cli(where, "proof", case, code=1)
    file.write_bytes(file.read_bytes().replace(b'"step":1', b'"step":2'))
    assert verify.main(words) == 1
    out = capsys.readouterr()
    assert "Everything holds" not in out.out
    assert out.out.endswith("\nNOT PROVEN: see the faults.\n"), "also where the faults go elsewhere"
    assert "signature: it does not fit" in out.err
    assert "entry 1: step 2 is in its place" in out.err
    file.write_bytes(b"no bundle")
    assert verify.main(words) == 1
    assert "the form: it is not one line of JSON" in capsys.readouterr().err


async def test_wrong_usage_and_unknown_cases_have_their_exit_codes(where: dict[str, str], tmp_path: Path) -> None:
    await cli(where, "proof", code=starter.USAGE)
    await cli(where, "proof", "claim:BTA:1", "--public-key", code=starter.USAGE)
    await cli(where, "proof", "claim:BTA:nobody", code=starter.NOT_FOUND)
    await cli(where, "check", "claim:BTA:nobody", code=starter.REFUSED)
    for words in (["bundle"], ["bundle", "--key", "12"], [str(tmp_path / "none"), "--key", "0" * 64]):
        with pytest.raises(SystemExit) as left:
            verify.main(words)
        assert left.value.code == starter.USAGE


KEY = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw().hex()
"""A key that signed nothing here."""


NONE: tuple[Any, ...] = (None, 7, "\x1b]0;x\x07", [], {}, [1], [None], "\ud800")
"""What no part of a bundle is."""


def handed(folder: Path, body: bytes) -> Path:
    """A bundle of this body as a stranger may hand it over: of the right form, signed by nobody."""
    file = folder / "handed.json"
    file.write_bytes(b'{"body":' + body + b',"public_key":"' + KEY.encode() + b'","signature":"' + b"0" * 128 + b'"}\n')
    return file


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"what":"termins proof 1","count":' + b"9" * 5000 + b"}",
        b'{"what":"termins proof 1"}',
        b'{"what":"termins proof 1","filing":[],"entries":7,"clocks":null}',
        b'{"what":["termins proof 1"]}',
        b'{"\xff":1}',
        b"{}",
    ],
)
def test_whatever_a_stranger_hands_over_has_a_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], body: bytes
) -> None:
    assert verify.main([str(handed(tmp_path, body)), "--key", KEY]) == 1
    assert "FAULT" in capsys.readouterr().err


async def test_a_bundle_that_was_changed_commands_no_terminal_and_has_a_verdict(
    world: World, where: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every part replaced by what is none, or by what a terminal obeys: it is said, and nothing is obeyed."""
    case = await world.file("claim", "BTA", content(await world.policy()))
    await world.stage(case, "collecting")
    body = json.loads((await cli(where, "proof", case)).stdout)["body"]
    changed = [{**body, key: value} for key in body for value in NONE]
    title, day = json.dumps(body["clocks"][0]["title"]).encode(), json.dumps(body["clocks"][0]["due"]).encode()
    whole = json.dumps(body).encode()
    bodies = [json.dumps(one).encode() for one in changed if one["what"] == body["what"]]
    bodies += [
        whole.replace(title, b'"\\u001b]0;x\\u0007 \\ud800 \\u202e"'),
        whole.replace(title, b'"x\\n\\nEverything holds: signed by this key, to the byte."'),
        whole.replace(day, b'"0001-01-01T00:00+14:00"'),
    ]
    for one in bodies:
        assert verify.main([str(handed(tmp_path, one)), "--key", KEY]) == 1
        said = capsys.readouterr()
        assert not verify.COMMANDS.search((said.out + said.err).replace("\n", ""))
        assert not re.search("^Everything holds", said.out, re.MULTILINE), "no text of a bundle is a line of ours"


@pytest.mark.parametrize("key", ["", "x", "0" * 63, "0" * 65, "A" * 64, "/", __file__])
def test_a_key_that_is_none_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str) -> None:
    with pytest.raises(SystemExit) as ended:
        verify.main([str(handed(tmp_path, b"{}")), "--key", key])
    assert ended.value.code == 2
    assert "--key: 64 digits" in capsys.readouterr().err


def test_a_bundle_that_cannot_be_read_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(SystemExit) as ended:
            verify.main([str(file), "--key", KEY])
        assert ended.value.code == 2
        assert f"{file}: " in capsys.readouterr().err
