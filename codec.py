"""The codec endpoint: where operators sign in, read what is sealed, and say something to a case.

    python codec.py

It ends on SIGTERM, and may run as often as you like: it keeps nothing.
"""

import asyncio
import signal
from contextlib import AsyncExitStack

import structlog

from models.now import wall_clock
from operations import program
from operations.logs import configure
from operations.operators import Operators
from operations.place import beginning, find, keys
from operations.store import engine, sessions
from security.endpoint import Endpoint, serving
from settings import read_settings

log = structlog.get_logger()


async def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    with beginning():
        settings = read_settings()
        configure()
        place = await find(settings)
        keyring = keys(place, settings)
    database = engine(place.database_url, keyring, pool=5)
    endpoint = Endpoint(keyring, Operators(sessions(database), wall_clock), url=place.codec_url, ui=place.ui_url)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with AsyncExitStack() as stack:
            try:
                address = await stack.enter_async_context(serving(endpoint, place.codec_http))
            except (OSError, OverflowError) as e:
                raise SystemExit(f"TERMINS_CODEC_HTTP: cannot listen at {place.codec_http}: {e}") from None
            log.info("codec endpoint serves", http=address, sign_in=f"{place.codec_url}/sign-in")
            await stop.wait()
    finally:
        await database.dispose()
        await keyring.close()


if __name__ == "__main__":
    program.run(lambda: asyncio.run(main()))
