"""The worker's own small HTTP server: `/livez` and `/readyz` for whoever restarts it, `/metrics` for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from aiohttp import ClientError, ClientSession, ClientTimeout, web
from asyncpg import PostgresError
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client

from integrations.identity import IdentityProvider
from models.now import Now
from operations import metrics
from operations.health import ANSWERS_WITHIN, Health, Keys, ask
from operations.intake import Sessions

log = structlog.get_logger()


class Watch:
    """What the server needs to answer."""

    def __init__(
        self,
        sessions: Sessions,
        client: Client,
        keys: Keys,
        checkpoints: Path,
        now: Now,
        own: CollectorRegistry,
        sdk: str | None = None,
        sanctions: Path | None = None,
        provider: IdentityProvider | None = None,
    ) -> None:
        """`own` holds what this process counts itself; `sdk` is where the SDK answers with its metrics."""
        self._sessions = sessions
        self._client = client
        self._keys = keys
        self._checkpoints = checkpoints
        self._now = now
        self._own = own
        self._sdk = sdk
        self._sanctions = sanctions
        self._provider = provider

    async def health(self) -> Health:
        """Ask everything."""
        return await ask(
            self._sessions,
            self._client,
            self._keys,
            self._checkpoints,
            self._now(),
            self._sanctions,
            self._provider,
        )

    async def metrics(self) -> bytes:
        """Everything for one scrape. What does not answer is left out, and `termins_part_ok` says so."""
        health, found = await self.health(), None
        if all(part.ok for part in health.parts if part.needed and part.name in {"store", "schema"}):
            try:
                async with asyncio.timeout(ANSWERS_WITHIN):
                    found = await metrics.clocks(self._sessions, self._now())
            except (SQLAlchemyError, PostgresError, OSError) as e:
                log.warning("the ledger was not counted", problem=type(e).__name__)
        return metrics.exposition(health, found, self._now(), self._own) + await self._of_the_sdk()

    async def _of_the_sdk(self) -> bytes:
        if self._sdk is None:
            return b""
        try:
            async with (
                ClientSession(timeout=ClientTimeout(total=ANSWERS_WITHIN)) as http,
                http.get(self._sdk) as response,
            ):
                return await response.read()
        except (ClientError, TimeoutError) as e:
            log.warning("the engine's client gave no metrics", problem=type(e).__name__)
            return b""


def application(watch: Watch) -> web.Application:
    """The three answers."""

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        health = await watch.health()
        return web.Response(
            text=health.model_dump_json() + "\n",
            content_type="application/json",
            status=web.HTTPOk.status_code if health.ready else web.HTTPServiceUnavailable.status_code,
        )

    async def scrape(_: web.Request) -> web.Response:
        return web.Response(body=await watch.metrics(), headers={"Content-Type": "text/plain; version=0.0.4"})

    made = web.Application()
    made.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", scrape)])
    return made


@asynccontextmanager
async def serving(watch: Watch, address: str) -> AsyncIterator[str | None]:
    """Answer at this address (`host:port`; port 0 takes a free one) while the block runs; gives the base URL.

    An address that cannot be had is logged, and the block runs without: deadlines are kept also where nobody watches.
    """
    host, _, port = address.rpartition(":")
    runner = web.AppRunner(application(watch), access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host.strip("[]"), int(port)).start()
        except OSError as e:
            log.warning("nobody can watch this worker", address=address, problem=type(e).__name__, errno=e.errno)
            yield None
            return
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
