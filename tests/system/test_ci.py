"""The guards of the build: a planted secret is found, a known vulnerability stops, and silence is no clean bill."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def run(script: str, *arguments: str | Path) -> tuple[int, str]:
    """Exit code and everything that was said."""
    done = subprocess.run(
        [sys.executable, f".ci/{script}", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


PLANTED = {
    "settings.ini": 'smtp_password = "' + "rA9x" + "Tq27LmVe0" + '"',
    "id": "-----BEGIN " + "EC PRIVATE KEY-----",
    "aws.env": "AWS_ACCESS_KEY_ID=" + "AKIA" + "2E0A8F3B9C1D7E5F",
    "notes.md": "postgresql://termins:" + "hZ83kfpWq" + "@db.example/termins",
    "keys.py": f'MASTER = "{sha256(b"planted").hexdigest()}"',
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_secret_is_found_and_not_repeated(tmp_path: Path, name: str) -> None:
    """Passwords, private keys, tokens, addresses with a password, keys in hex: place and kind are named."""
    (tmp_path / name).write_text(f"\n{PLANTED[name]}\n")
    code, said = run("find_secrets.py", tmp_path / name)
    assert code == 1, said
    assert f"{name}:2:" in said
    assert PLANTED[name][-20:-2] not in said


def test_a_file_without_secrets_passes(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text('password = settings.smtp_password\nCASE = "claim:BTA:2026-000123"\n')
    assert run("find_secrets.py", tmp_path / "plain.py") == (0, "no secrets in the files\n")


def test_the_baseline_names_no_machine() -> None:
    """Only files of the project, by their paths in it, and all of them are there."""
    accepted = json.loads((ROOT / ".secrets.baseline").read_text())["results"]
    assert all((ROOT / name).is_file() and not Path(name).is_absolute() for name in accepted)


@contextmanager
def advisories(*known: dict[str, Any]) -> Iterator[str]:
    """A vulnerability service that knows these, of any package that is asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"vulns": list(known)}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def requirements(folder: Path) -> Path:
    """A lock file of one package."""
    path = folder / "requirements.txt"
    path.write_text(f"jinja2==2.10 --hash=sha256:{'0' * 64}\n")
    return path


def test_a_known_vulnerability_stops_the_build(tmp_path: Path) -> None:
    known = {
        "id": "PYSEC-0000-1",
        "affected": [
            {
                "package": {"name": "jinja2", "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.10.1"}]}],
                "versions": ["2.10"],
            }
        ],
    }
    with advisories(known) as url:
        code, said = run("audit.py", "-s", "osv", "--osv-url", url, "--requirement", requirements(tmp_path))
    assert code == 1, said
    assert "VULNERABLE: jinja2 2.10: PYSEC-0000-1, fixed in 2.10.1" in said


def test_packages_without_a_known_vulnerability_pass(tmp_path: Path) -> None:
    with advisories() as url:
        code, said = run("audit.py", "-s", "osv", "--osv-url", url, "--requirement", requirements(tmp_path))
    assert code == 0, said
    assert "no known vulnerability" in said
    assert "NOT AUDITED" not in said


def test_a_service_that_does_not_answer_is_said_and_stops_nothing(tmp_path: Path) -> None:
    """Nor is it taken for an answer, and no host is named."""
    with advisories() as url:
        pass
    code, said = run("audit.py", "-s", "osv", "--osv-url", url, "--requirement", requirements(tmp_path))
    assert code == 0, said
    assert said.startswith("NOT AUDITED: the service could not be reached")
    assert "127.0.0.1" not in said


def test_a_question_that_cannot_be_asked_stops_the_build(tmp_path: Path) -> None:
    """A lock file without digests is no lock file."""
    path = tmp_path / "requirements.txt"
    path.write_text("jinja2==2.10\n")
    code, said = run("audit.py", "--requirement", path)
    assert code == 2, said
