"""A data system with an HTTP interface of its own, as docs/data-systems.md asks for it.

Every question is a POST of JSON to `<url>/<question>` with a bearer token. Whatever is asked may be asked again. What
the other side says of a failure is not repeated anywhere: it may name people.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from pydantic import TypeAdapter, ValidationError

from integrations.data_systems import Found, Subject, SystemDown
from models.common import Model
from models.rectification import Corrected, Datum
from models.settlement import Label

ANSWERS = aiohttp.ClientTimeout(total=60)
HERE = frozenset({"localhost", "127.0.0.1", "::1"})


class _Located(Model):
    records: tuple[Found, ...]


class _People(Model):
    people: tuple[Subject, ...]
    after: str | None = None
    """Behind what it goes on; nothing: these were the last."""


class _Done(Model):
    done: bool


_COPY: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


class HttpSystem:
    """A system of one controller or of several that answers by HTTP."""

    def __init__(
        self,
        name: str,
        title: Label,
        organisations: Iterable[str],
        url: str,
        token: str,
        safeguards: Label | None = None,
    ) -> None:
        """Raises `ValueError`: an address elsewhere that is asked without TLS."""
        where = urlsplit(url)
        if where.scheme != "https" and where.hostname not in HERE:
            raise ValueError("personal data leave this machine by https only")
        self.name = name
        self.title = title
        self.safeguards = safeguards
        self._organisations = frozenset(organisations)
        self._url = url.rstrip("/")
        self._token = token

    async def locate(self, organisation: str, person: Subject, today: datetime) -> tuple[Found, ...]:
        """Its records; their names are prefixed with the system's."""
        if organisation not in self._organisations:
            return ()
        answer = await self._ask("locate", organisation=organisation, person=person.model_dump())
        try:
            located = _Located.model_validate(answer)
        except ValidationError:
            raise self._down("not as agreed") from None
        return tuple(f.model_copy(update={"record": f"{self.name}:{f.record}"}) for f in located.records)

    async def export(self, person: Subject, record: str) -> dict[str, Any]:
        """What it says it holds; masking what is about others is its own duty."""
        answer = await self._ask("export", person=person.model_dump(), record=self._own(record))
        try:
            return {"record": record, "rows": [_COPY.validate_python(answer)]}
        except ValidationError:
            raise self._down("not as agreed") from None

    async def erase(self, person: Subject, record: str, at: datetime) -> bool:
        """True once it says that the record is erased; False: it is in use there."""
        own = self._own(record)
        return True if own is None else await self._do("erase", person, own)

    async def rectify(self, person: Subject, record: str, data: Sequence[Datum]) -> Corrected:
        """What it says it changed; asked again it changes nothing more."""
        own = self._own(record)
        if own is None:
            return Corrected()
        said = [datum.model_dump(exclude={"party"}) for datum in data]
        answer = await self._ask("rectify", person=person.model_dump(), record=own, data=said)
        try:
            return Corrected.model_validate(answer)
        except ValidationError:
            raise self._down("not as agreed") from None

    async def restrict(self, person: Subject, record: str, ground: str, by: str | None = None) -> bool:
        """True once it says that the record carries the mark; False: it cannot carry it, or is another system's."""
        own = self._own(record)
        return False if own is None else await self._do("restrict", person, own, mark=by or ground)

    async def release(self, person: Subject, record: str, by: str) -> bool:
        """True once it says that it took the mark away; False: the record does not carry it."""
        own = self._own(record)
        return False if own is None else await self._do("release", person, own, mark=by)

    async def people(self, organisation: str) -> AsyncIterator[Sequence[Subject]]:
        """Whom it says it knows, a part at a time."""
        if organisation not in self._organisations:
            return
        after: str | None = None
        while True:
            answer = await self._ask("people", organisation=organisation, after=after)
            try:
                part = _People.model_validate(answer)
            except ValidationError:
                raise self._down("not as agreed") from None
            yield part.people
            if part.after is None:
                return
            if part.after == after:
                raise self._down("not as agreed")
            after = part.after

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _own(self, record: str) -> str | None:
        system, _, own = record.partition(":")
        return own if system == self.name else None

    async def _do(self, what: str, person: Subject, record: str, **more: str) -> bool:
        answer = await self._ask(what, person=person.model_dump(), record=record, **more)
        try:
            return _Done.model_validate(answer).done
        except ValidationError:
            raise self._down("not as agreed") from None

    async def _ask(self, what: str, **question: Any) -> Any:
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            async with (
                aiohttp.ClientSession(timeout=ANSWERS, headers=headers) as session,
                session.post(f"{self._url}/{what}", json=question, allow_redirects=False) as response,
            ):
                if response.status != 200:  # noqa: PLR2004  # the one status of an answer
                    raise self._down(f"status {response.status}")
                return await response.json()
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as e:
            raise self._down(type(e).__name__) from None

    def _down(self, why: str) -> SystemDown:
        return SystemDown(f"{self.name} does not answer: {why}")
