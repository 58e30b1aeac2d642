"""The ledger of erasures: what was erased from which system and when; and what a restore brought back, erased again.

It lies beside the backups of keys, outside of every database that a restore sets back, and names nobody: a person is
known by keyed hashes, which differ from controller to controller. A line is written before the erasure that it tells,
and another one after it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from integrations.data_systems import DataSystem, Subject, SystemDown, normal_code, normal_name
from models.common import Model
from operations.appending import append, read
from operations.holds import hold_in_system, none_is_placed
from operations.intake import Sessions
from operations.own_store import OwnStore
from security.index import index_of
from security.keys import Keyring

LEDGER = "erasures"
"""The name of its file."""


class Marks(Model):
    """By what a person is known again; nothing of it can be read, or compared without the installation's key."""

    person: str | None = None
    """Of the personal code."""
    email: str | None = None
    """Of the address: for those of whom a system knows neither code nor name."""
    named: str | None = None
    """Of name and address together: for those without a code, since families share addresses."""


class Line(Model):
    """A line of the file."""

    what: Literal["begun", "done", "kept", "again"]
    """To be erased; erased; left after all, on a ground; erased again after a restore."""
    case: str
    """The privacy request."""
    organisation: str
    system: str
    record: str
    at: datetime
    marks: Marks = Marks()
    """With `begun`."""


class Erasure(Model):
    """One erased record."""

    case: str
    organisation: str
    system: str
    record: str
    begun_at: datetime
    done_at: datetime | None = None
    """None: a death came between; what was to be erased may still be there."""
    again_at: datetime | None = None
    """When a replay last had to erase it again."""
    marks: Marks


Key = tuple[str, str, str]
"""Request, system, record."""


class LedgerFaults(Exception):
    """The file has lines that cannot be read; which ones."""


class Ledger:
    """The file, and the key without which nobody can try out whom it means."""

    def __init__(self, keyring: Keyring, folder: Path) -> None:
        self._keyring = keyring
        self._path = folder / LEDGER

    async def marks(self, organisation: str, person: Subject) -> Marks:
        """By what this person is known again at this controller."""
        code, email = normal_code(person.personal_code), (person.email or "").strip()
        name = normal_name(person.name)
        return Marks(
            person=await self._mark(organisation, "personal_code", code) if code else None,
            email=await self._mark(organisation, "email", email) if email else None,
            named=await self._mark(organisation, "named", f"{name}\n{email}") if name and email else None,
        )

    async def index(self, personal_code: str) -> bytes | None:
        """The keyed hash by which legal holds know this person; none without a code."""
        return await index_of(self._keyring, "personal_code", personal_code) if normal_code(personal_code) else None

    async def begin(
        self, organisation: str, person: Subject, case: str, records: Mapping[str, Iterable[str]], at: datetime
    ) -> None:
        """Write down what is about to be erased: system → records. Again adds nothing."""
        marks = await self.marks(organisation, person)
        wanted = [(case, system, record) for system, named in records.items() for record in named]
        await self._add(wanted, "begun", organisation, at, marks)

    async def done(self, organisation: str, case: str, records: Mapping[str, Iterable[str]], at: datetime) -> None:
        """Write down that it was erased, as the second look has proved; what was begun and is not in it was left."""
        erased = [(case, system, record) for system, named in records.items() for record in named]
        await self._add(erased, "done", organisation, at)

    async def left(self, organisation: str, case: str, system: str, record: str, at: datetime) -> None:
        """Write down that a record was left after all: a replay leaves it too."""
        await self._add([(case, system, record)], "kept", organisation, at)

    async def again(self, erasure: Erasure, at: datetime) -> None:
        """Write down that a replay erased it again."""
        line = Line(
            what="again",
            case=erasure.case,
            organisation=erasure.organisation,
            system=erasure.system,
            record=erasure.record,
            at=at,
        )
        await asyncio.to_thread(append, self._path, lambda _: [line.model_dump_json(exclude_defaults=True)])

    async def _add(
        self,
        keys: Sequence[Key],
        what: Literal["begun", "done", "kept"],
        organisation: str,
        at: datetime,
        marks: Marks | None = None,
    ) -> None:
        """Add a line for each of these whose last one says something else."""

        def lacking(there: list[str]) -> list[str]:
            last = {(line.case, line.system, line.record): line.what for line in _lines(there)}
            return [
                Line(
                    what=what,
                    case=case,
                    organisation=organisation,
                    system=system,
                    record=record,
                    at=at,
                    marks=marks or Marks(),
                ).model_dump_json(exclude_defaults=True)
                for case, system, record in keys
                if last.get((case, system, record)) not in ((what, "done", "again") if what == "begun" else (what,))
            ]

        await asyncio.to_thread(append, self._path, lacking)

    async def _mark(self, organisation: str, kind: str, value: str) -> str:
        index = await index_of(self._keyring, kind, value)
        return hashlib.sha256(f"erasure\0{organisation}\0".encode() + index).hexdigest()

    # ---- reading ----------------------------------------------------------------------------------------------------

    async def erasures(self) -> tuple[Erasure, ...]:
        """Every record that was erased, or was to be when a death came, in the order in which that began.

        Raises:
            LedgerFaults: The file was changed by somebody else.
        """
        found: dict[Key, Erasure] = {}
        for line in _lines(await asyncio.to_thread(read, self._path)):
            key = (line.case, line.system, line.record)
            one = found.get(key)
            if line.what == "begun":
                found[key] = Erasure(
                    **line.model_dump(include={"case", "organisation", "system", "record"}),
                    begun_at=line.at,
                    marks=line.marks,
                )
            elif line.what == "kept":
                found.pop(key, None)
            elif one is not None:
                again = {"again_at": line.at} if line.what == "again" else {}
                found[key] = one.model_copy(update={"done_at": one.done_at or line.at, **again})
        return tuple(found.values())


def _lines(texts: Sequence[str]) -> list[Line]:
    found, faults = [], []
    for number, text in enumerate(texts, 1):
        try:
            found.append(Line.model_validate_json(text))
        except ValidationError:
            faults.append(number)
    if faults:
        raise LedgerFaults(f"{LEDGER}: lines that cannot be read: {', '.join(map(str, faults))}")
    return found


# ---- after a restore ------------------------------------------------------------------------------------------------


class Back(Model):
    """A record that a restore brought back."""

    case: str
    organisation: str
    system: str
    record: str
    result: Literal["found", "erased", "in_use", "still_there"]
    """Found and not touched yet; erased again; in use, and left; still there although it was erased."""
    why: str = ""


class Replayed(Model):
    """What a replay of the ledger came to."""

    since: datetime
    """When the dump was made: what was erased before it is erased in it too."""
    erasures: int
    """How many records were erased since."""
    looked_at: dict[str, int]
    """System → how many identities were compared."""
    back: tuple[Back, ...] = ()
    down: tuple[str, ...] = ()
    """Systems that did not answer, or cannot say whom they know: nothing is known of them. Run it again."""

    @property
    def clean(self) -> bool:
        """Whether nothing is left to be done."""
        return not self.down and all(one.result == "erased" for one in self.back)


Progress = Callable[[str, int], None]
"""Is told the system and how many were compared so far."""


async def replay(
    systems: Sequence[DataSystem],
    ledger: Ledger,
    since: datetime,
    at: datetime,
    *,
    do: bool,
    only: Iterable[str] = (),
    progress: Progress = lambda _system, _n: None,
    sessions: Sessions | None = None,
) -> Replayed:
    """Find what came back by the restore of a dump made at `since`, and with `do` erase it again. Twice is the same.

    Only records that the ledger names are touched. `only`: these systems; without any, all. `sessions`: the store, in
    which the legal holds stand that keep what another system holds; the own store looks itself.

    Raises:
        LedgerFaults: As `Ledger.erasures`.
    """
    names = set(only)
    wanted = [
        one
        for one in await ledger.erasures()
        if (one.done_at is None or one.done_at >= since) and (not names or one.system in names)
    ]
    looked: dict[str, int] = {}
    down: list[str] = []
    back: list[Back] = []
    known = {system.name: system for system in systems}
    down += sorted({one.system for one in wanted} - set(known))
    for name, system in known.items():
        for organisation in sorted({one.organisation for one in wanted if one.system == name}):
            mine = [one for one in wanted if one.system == name and one.organisation == organisation]
            try:
                found = await _known_again(system, ledger, organisation, mine, looked, progress)
                erase = _Eraser(system, ledger, organisation, sessions, at)
                back += await _erased_again(erase, mine, found, do=do)
            except SystemDown:
                if name not in down:
                    down.append(name)
    return Replayed(since=since, erasures=len(wanted), looked_at=looked, back=tuple(back), down=tuple(down))


async def _known_again(
    system: DataSystem,
    ledger: Ledger,
    organisation: str,
    wanted: Sequence[Erasure],
    looked: dict[str, int],
    progress: Progress,
) -> list[tuple[Subject, Marks]]:
    """Those of whom a system knows that are in the ledger, each as the system knows them."""
    people = {one.marks.person for one in wanted} - {None}
    emails = {one.marks.email for one in wanted} - {None}
    named = {one.marks.named for one in wanted} - {None}
    found: dict[tuple[str, str, str | None], tuple[Subject, Marks]] = {}
    async for batch in system.people(organisation):
        for one in batch:
            marks = await ledger.marks(organisation, one)
            # another address of the same person led nowhere when they were erased, and may be another one's
            as_known = one if marks.email in emails else one.model_copy(update={"email": None})
            if marks.person is not None:
                same = marks.person in people
            else:
                same = marks.named in named if one.name else marks.email in emails
            if same:
                found[as_known.name, as_known.personal_code, as_known.email] = as_known, marks
        looked[system.name] = looked.get(system.name, 0) + len(batch)
        progress(system.name, looked[system.name])
    return list(found.values())


def _is(erasure: Erasure, marks: Marks) -> bool:
    """Whether this line of the ledger is about whom a system knows by these."""
    if marks.person is not None:
        return erasure.marks.person == marks.person
    if marks.named is not None:
        return erasure.marks.named == marks.named
    return marks.email is not None and erasure.marks.email == marks.email


@dataclass(frozen=True)
class _Eraser:
    """Erases in one system what came back of one organisation."""

    system: DataSystem
    ledger: Ledger
    organisation: str
    sessions: Sessions | None
    at: datetime

    async def erase(self, person: Subject, record: str) -> str | None:
        """Nothing where it was erased; else why not. No hold is placed in the meantime."""
        if self.sessions is None or self.system.name == OwnStore.name:
            return None if await self.system.erase(person, record, self.at) else ""
        async with self.sessions() as session, session.begin():
            await none_is_placed(session)
            whose = await self.ledger.index(person.personal_code)
            hold = await hold_in_system(session, self.organisation, whose, self.system.name)
            if hold is not None:
                return f"legal_hold {hold}"
            return None if await self.system.erase(person, record, self.at) else ""


async def _erased_again(
    eraser: _Eraser, wanted: Sequence[Erasure], found: Sequence[tuple[Subject, Marks]], *, do: bool
) -> list[Back]:
    system, ledger, organisation, at = eraser.system, eraser.ledger, eraser.organisation, eraser.at
    back: dict[Key, Back] = {}
    for person, marks in found:
        theirs = {one.record: one for one in wanted if _is(one, marks)}
        for located in await system.locate(organisation, person, at):
            one = theirs.get(located.record)
            if one is None:
                continue
            result: Literal["found", "erased", "in_use"] = "found"
            why = None
            if do:
                why = await eraser.erase(person, located.record)
                result = "erased" if why is None else "in_use"
            back[one.case, one.system, one.record] = Back(
                case=one.case,
                organisation=organisation,
                system=one.system,
                record=one.record,
                result=result,
                why=why or located.in_use or "" if result == "in_use" else "",
            )
        if do:
            # the second look
            left = {located.record for located in await system.locate(organisation, person, at)}
            for record, one in theirs.items():
                key = (one.case, one.system, one.record)
                if key in back and back[key].result == "erased":
                    if record in left:
                        back[key] = back[key].model_copy(update={"result": "still_there"})
                    else:
                        await ledger.again(one, at)
    return list(back.values())
