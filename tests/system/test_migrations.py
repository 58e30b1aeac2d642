"""Expand and contract: the schema changes under open cases, whose workers are of the build before.

A revision is planted beside the real ones, since there is only the first so far.
"""

from __future__ import annotations

import asyncio
import shutil
from functools import partial
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text

from operations.setup import ROOT, revisions
from tests.workflows import test_claim as claim
from tests.world import World

EXPAND = '''"""Expand: a currency for each payment, and a table of currencies.

Revision ID: planted_expand
Revises: {head}
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "planted_expand", "{head}"
branch_labels = depends_on = None


def upgrade() -> None:
    op.create_table("currency", sa.Column("code", sa.String(), primary_key=True))
    op.add_column("payment_order", sa.Column("currency", sa.String(), nullable=False, server_default="EUR"))
    op.add_column("cases", sa.Column("team", sa.String(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError
'''
CONTRACT = '''"""Contract: nobody reads the team any more.

Revision ID: planted_contract
Revises: planted_expand
"""

from alembic import op

revision, down_revision = "planted_contract", "planted_expand"
branch_labels = depends_on = None


def upgrade() -> None:
    op.drop_column("cases", "team")
    op.drop_table("currency")


def downgrade() -> None:
    raise NotImplementedError
'''


@pytest.fixture
def planted(tmp_path: Path, worker_world: World) -> Config:
    """The migrations with two more revisions, for the world's store."""
    folder = tmp_path / "migrations"
    shutil.copytree(ROOT / "migrations", folder, ignore=shutil.ignore_patterns("__pycache__"))
    config = Config()
    config.set_main_option("script_location", str(folder))
    head = ScriptDirectory.from_config(config).get_current_head()
    (folder / "versions" / "planted_expand.py").write_text(EXPAND.format(head=head))
    (folder / "versions" / "planted_contract.py").write_text(CONTRACT)
    config.attributes["url"] = worker_world.sessions.kw["bind"].url.render_as_string(hide_password=False)
    return config


@pytest.mark.timeout(300)
async def test_cases_go_on_while_the_schema_expands_and_contracts(worker_world: World, planted: Config) -> None:
    """A worker of the former build serves throughout: steps before, during and after each revision are recorded."""
    world = worker_world
    async with world.serving():
        cases = [await claim.deciding(world) for _ in range(3)]
        ended = asyncio.Event()

        async def keep_saying(case: str) -> int:
            steps = 0
            while not ended.is_set():
                await world.say(case, "assign_case", handler=f"op-{steps % 2 + 1}")
                steps += 1
            return steps

        saying = [asyncio.create_task(keep_saying(case)) for case in cases[:2]]
        for revision in ("planted_expand", "planted_contract"):
            recorded = [len(await world.timeline(case)) for case in cases[:2]]
            await asyncio.to_thread(command.upgrade, planted, revision)
            await world.until(partial(more, world, cases[:2], recorded), f"steps after {revision}")
        ended.set()
        said = [await task for task in saying]
        for case, steps in zip(cases[:2], said, strict=True):
            assert (await world.entries(case)).count("assigned") == steps
        await world.say(cases[2], "propose_decision", **claim.proposal())
        await world.payment(cases[2], "C1:indemnity", "issued")
    async with world.sessions() as session:
        connection = await session.connection()
        orders = (await connection.execute(text("SELECT currency FROM payment_order"))).scalars().all()
    assert set(orders) == {"EUR"}, "what the former build writes has the new column's default"


async def more(world: World, cases: list[str], before: list[int]) -> bool:
    """Whether each case has another step by now."""
    return all([len(await world.timeline(case)) > n for case, n in zip(cases, before, strict=True)])


def test_every_revision_says_whether_it_expands_or_contracts() -> None:
    """All but the first; a contraction lands one version after the expansion that made it possible."""
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    for script in ScriptDirectory.from_config(config).walk_revisions():
        if script.down_revision is not None:
            assert script.doc.startswith(("Expand: ", "Contract: ")), script.revision


def test_a_revision_is_the_number_that_its_file_begins_with() -> None:
    """By the names alone health says whether the schema is of this version, without loading what migrates."""
    scripts = ScriptDirectory(str(ROOT / "migrations"))
    known, newest = revisions()
    assert known == {script.revision for script in scripts.walk_revisions()}
    assert [newest] == scripts.get_heads()
