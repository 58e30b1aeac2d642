"""A TCP proxy before PostgreSQL, in which one connection can freeze while all others go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal

from tests.chaos.house import free_port

Where = Literal["asked", "answered"]
"""What of the connection is lost: what the worker asks, or what the server answers after it did what was asked."""


class Proxy:
    """Hands every byte on until a connection freezes: then none, and neither side learns of the other's end.

    So a firewall behaves that forgot a connection: packets vanish, and nobody says so.
    """

    def __init__(self, server: Path) -> None:
        """`server` is the unix socket that PostgreSQL listens at."""
        self._server = server
        self._wanted: tuple[bytes, Where] | None = None
        self._happened = asyncio.Event()
        self.frozen = 0
        self._connections: set[asyncio.Task[None]] = set()
        self.port = free_port()

    async def freeze(self, at: bytes, where: Where) -> None:
        """Freeze the next connection on which a worker says this; returns when one is frozen, and it remains so."""
        self._happened.clear()
        self._wanted = (at, where)
        await self._happened.wait()

    async def serve(self) -> asyncio.Server:
        """Listen at `port`."""
        return await asyncio.start_server(self._connected, "127.0.0.1", self.port)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            from_server, to_server = await asyncio.open_unix_connection(str(self._server))
        except OSError:
            writer.close()
            return
        thawed = asyncio.Event()
        thawed.set()
        asked = asyncio.create_task(self._hand_on(reader, to_server, thawed, "asked"))
        answered = asyncio.create_task(self._hand_on(from_server, writer, thawed, "answered"))
        try:
            await asyncio.wait([asked, answered], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in (asked, answered):
                end.cancel()
            for side in (writer, to_server):
                side.close()
            self._connections.discard(task)

    async def _hand_on(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, thawed: asyncio.Event, way: Where
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                if way == "asked" and self._wanted is not None and self._wanted[0] in data:
                    (_, where), self._wanted = self._wanted, None
                    thawed.clear()
                    if where == "answered":
                        target.write(data)
                    self.frozen += 1
                    self._happened.set()
                # for ever: the proxy ends it, not one of the sides
                await thawed.wait()
                target.write(data)
                await target.drain()

    async def close(self) -> None:
        """End all connections, frozen ones too."""
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


@asynccontextmanager
async def proxy(server: Path) -> AsyncIterator[Proxy]:
    """A proxy before this unix socket, for as long as the block runs."""
    made = Proxy(server)
    listening = await made.serve()
    try:
        yield made
    finally:
        listening.close()
        await made.close()
