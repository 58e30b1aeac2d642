"""SIGKILL while login data are on their way (BL 4, 5, 7): one account, one secret that works, and nowhere else."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest

from tests.chaos.campaign import Plan, Trial
from tests.chaos.house import House, house
from tests.chaos.points import Point
from tests.chaos.projection import secrets_in
from tests.chaos.test_chaos import told
from tests.world import everything_stored, everything_told

pytestmark = pytest.mark.timeout(600)  # as in test_chaos.py

DEATHS = [
    Plan("access_request", Point("access.issue account made", 1)),
    Plan("access_request", Point("access.issue letter taken", 1)),
    Plan("credential", Point("credential.send_secret letter taken", 1)),
    Plan("credential", Point("credential.apply secret set", 1)),
]
"""Between account and mail, between mail and proof, and the same where a secret is void and another one goes out."""


async def test_a_death_between_account_and_mail_leaves_one_mail_that_works_with_a_scim_server(
    trial: Trial, servers: House
) -> None:
    await _one_mail_works(trial, servers)


async def test_a_death_between_account_and_mail_leaves_one_mail_that_works_with_the_local_directory() -> None:
    with tempfile.TemporaryDirectory(prefix="termins-chaos-", ignore_cleanup_errors=True) as folder:
        async with house(Path(folder) / "var", identity="local") as servers:
            await _one_mail_works(Trial(servers), servers)


async def _one_mail_works(trial: Trial, servers: House) -> None:
    """As in the undisturbed run, of which the projection says which account there is and which mail opens it."""
    results = await trial.live(DEATHS)
    assert not told(results), told(results)
    assert [result.plan for result in results if result.struck] == DEATHS
    secrets = {secret for result in results for secret in secrets_in(servers, result.token)}
    assert len(secrets) > 2 * len(results), "each run had some, and those that died after a mail one more"
    stored = str(await everything_stored(servers.connection.sessions))
    histories = [await everything_told(servers.client, case) for result in results for case in result.cases]
    on_disk = await asyncio.to_thread(_files_with, servers, secrets)
    assert "BL-4:U1:1" in stored, "the tables are read"
    assert any("access.issue" in history for history in histories), "the histories are read"
    for secret in secrets:
        assert secret not in stored
        assert not any(secret in history for history in histories)
    assert not on_disk


def _files_with(servers: House, secrets: set[str]) -> list[str]:
    """Files of the installation that hold one of them, but for the users' mail and what a SCIM server keeps."""
    elsewhere = {servers.mails, servers.identities}
    return [
        str(path)
        for path in servers.var.rglob("*")
        if path.is_file() and not elsewhere.intersection(path.parents) and _holds(path, secrets)
    ]


def _holds(path: Path, secrets: set[str]) -> bool:
    try:
        kept = path.read_bytes()
    except FileNotFoundError:
        # the servers go on
        return False
    return any(secret.encode() in kept for secret in secrets)
