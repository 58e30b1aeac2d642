"""TLS for tests: a door in front of a server that speaks none."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def door(context: ssl.SSLContext, behind: str) -> AsyncIterator[str]:
    """A port that speaks TLS as this context says, in front of `host:port`; its address."""
    host, _, port = behind.rpartition(":")
    passing: set[asyncio.Task[None]] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(2**16):
                writer.write(data)
                await writer.drain()
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def passes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(host, int(port))
        for task in (copy(reader, server_writer), copy(server_reader, writer)):
            passing.add(asyncio.create_task(task))

    server = await asyncio.start_server(passes, "127.0.0.1", 0, ssl=context)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)
