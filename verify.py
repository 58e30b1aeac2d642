"""Verify what Termins says of a case: a proof bundle, with the installation's public key and published checkpoints.

    python verify.py BUNDLE --key PUBLIC [--checkpoints FOLDER]

Needs Python 3.11 and the package `cryptography`, and nothing of Termins: it can be copied and used alone. It recomputes
every hash, says in plain words which duty was kept when, and names every fault. Take the public key, and copies of the
checkpoints, from where they were published, not from whoever hands you the bundle.

Exit codes: 0 everything holds · 1 something does not · 2 wrong usage.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PROOF = "termins proof 1"
CHECKPOINT = "termins checkpoint 1"
START = b"termins chain 1\0"
SIGNED = re.compile(
    rb'\{"body":(?P<body>\{.*\}),"public_key":"(?P<key>[0-9a-f]{64})","signature":"(?P<signature>[0-9a-f]{128})"\}\n',
    re.DOTALL,
)
COUNTED = (
    "kind",
    "can_be_late",
    "anchor_at",
    "due",
    "latest",
    "last_day",
    "latest_day",
    "spans",
    "rulebook_version",
    "calendar_version",
    "derivation",
)
LINE = re.compile(r"(?P<case>\S+) (?:(?P<count>\d+) (?P<head>[0-9a-f]{64})|gone)")
"""One case in a checkpoint: its id, the number of its entries and its last link; or that it is there no more."""
ENDED = ("kept", "late", "void")
SLACK = timedelta(hours=1)
"""By so much the clocks of two machines may differ, and a step may still be on its way into the store."""


NO_FORM = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError)
"""What reading a body gives in which a part is missing, or is something else."""
COMMANDS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What would command a terminal, turn the direction of writing, begin another line, or is no character: a bundle can
come from anybody, and no text in it may look like a line of ours."""
FORM = "the form: a part of it is missing or not of its form"


class Broken(Exception):
    """What is to be verified cannot be read at all; the text says why."""


# ---- hashes and signatures ------------------------------------------------------------------------------------------


def canonical(value: Any) -> bytes:
    """The one spelling of a JSON value that is hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256(data: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def opened(line: bytes, what: str) -> tuple[dict[str, Any], str]:
    """The body of a signed line and the key that it names, without verifying it.

    Raises:
        Broken: It is no such line.
    """
    found = SIGNED.fullmatch(line)
    if found is None:
        raise Broken("it is not one line of JSON with body, public_key and signature")
    try:
        body = json.loads(found["body"])
    except (ValueError, RecursionError):
        raise Broken("its body is not JSON") from None
    if not isinstance(body, dict) or body.get("what") != what:
        raise Broken(f"it is no {what}")
    return body, found["key"].decode()


def signature_faults(line: bytes, what: str, key: str) -> list[str]:
    """Why a signed line is not what the key has signed; empty if it is, to the byte."""
    found = SIGNED.fullmatch(line)
    if found is None:
        return ["the form: it is not one line of JSON with body, public_key and signature"]
    faults = []
    if found["key"].decode() != key:
        faults.append("signature: it names another public key than the one given")
    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
        public.verify(bytes.fromhex(found["signature"].decode()), what.encode() + b"\0" + found["body"])
    except InvalidSignature:
        faults.append("signature: it does not fit; at least one byte was changed, or another key signed it")
    return faults


# ---- checkpoints ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """What a checkpoint says of one case."""

    number: int
    at: datetime
    count: int
    head: str
    """Empty where it holds no such case."""


@dataclass
class Checkpoints:
    """Published checkpoints: every file of a folder, in order."""

    at: dict[int, datetime] = field(default_factory=dict)
    """When each was made."""
    statements: dict[int, str] = field(default_factory=dict)
    """The hash of each one's signed line, to which the next one refers."""
    seen: dict[str, list[Seen]] = field(default_factory=dict)
    """Case → what each checkpoint in which it changed says."""
    signed_root: str = ""
    """Of the newest."""
    faults: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path, key: str) -> Checkpoints:
        """Every checkpoint of a folder, verified: signatures and lists, no number missing, each refers to the last."""
        out = cls()
        for path in sorted(folder.glob("*.checkpoint")):
            out.take(path.name, path.read_bytes(), key)
        if out.at and out.root() != out.signed_root:
            out.faults.append(f"checkpoint {out.newest}: its root is not that of all the cases listed so far")
        return out

    @property
    def newest(self) -> int:
        """The number of the newest; 0 where there is none."""
        return max(self.at, default=0)

    def take(self, name: str, data: bytes, key: str) -> None:
        """The next checkpoint."""
        statement, _, listed = data.partition(b"\n")
        statement += b"\n"
        self.faults += [f"{name}: {fault}" for fault in signature_faults(statement, CHECKPOINT, key)]
        try:
            body, _ = opened(statement, CHECKPOINT)
            number, at = int(body["number"]), datetime.fromisoformat(body["at"])
            self.signed_root = str(body["root"])
            previous = body["previous"]
            if sha256(listed) != body["list"]:
                self.faults.append(f"{name}: its list is not the one that was signed")
        except (Broken, *NO_FORM):
            self.faults.append(f"{name}: it is no checkpoint")
            return
        if name != f"{number:06}.checkpoint":
            self.faults.append(f"{name}: it is checkpoint {number}")
        if number != self.newest + 1:
            self.faults.append(f"{name}: the one before it is missing")
        elif previous != self.statements.get(self.newest, ""):
            self.faults.append(f"{name}: it does not refer to the one before it")
        if at < self.at.get(self.newest, at):
            self.faults.append(f"{name}: it is older than the one before it")
        for line in listed.decode(errors="replace").splitlines():
            found = LINE.fullmatch(line)
            if found is None:
                self.faults.append(f"{name}: a line of its list is no case")
                continue
            self.seen.setdefault(found["case"], []).append(
                Seen(number, at, int(found["count"] or 0), found["head"] or "")
            )
        self.at[number], self.statements[number] = at, sha256(statement)

    def root(self) -> str:
        """The root of the tree over all cases as the newest checkpoint has them."""
        level = [
            hashlib.sha256(b"\0" + f"{case} {seen[-1].count} {seen[-1].head}".encode()).digest()
            for case, seen in sorted(self.seen.items())
            if seen[-1].head
        ] or [bytes(32)]
        while len(level) > 1:
            pairs = [hashlib.sha256(b"\1" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
            level = [*pairs, *level[len(pairs) * 2 :]]
        return level[0].hex()

    def of(self, case: str) -> list[Seen]:
        """What they say of a case, in order: each one in which it changed, and the last one before that."""
        out = []
        known = Seen(0, datetime.min.replace(tzinfo=UTC), 0, "")
        for one in [*self.seen.get(case, ()), None]:
            unchanged = one.number - 1 if one else self.newest
            if unchanged > known.number and unchanged in self.at:
                out.append(replace(known, number=unchanged, at=self.at[unchanged]))
            if one is not None:
                out.append(one)
                known = one
        return out


def included(body: dict[str, Any], key: str) -> tuple[Seen | None, list[str]]:
    """What the checkpoint that lies in a bundle says of its case; None where there is none."""
    given = body["checkpoint"]
    if given is None:
        return None, []
    line = str(given["statement"]).encode()
    faults = signature_faults(line, CHECKPOINT, key)
    statement, _ = opened(line, CHECKPOINT)
    node = hashlib.sha256(b"\0" + f"{body['filing']['case']} {given['count']} {given['head']}".encode()).digest()
    for side, sister in given["path"]:
        pair = (bytes.fromhex(sister), node) if side == "left" else (node, bytes.fromhex(sister))
        node = hashlib.sha256(b"\1" + pair[0] + pair[1]).digest()
    if node.hex() != statement["root"]:
        faults.append("it does not hold this case with this head")
    seen = Seen(int(statement["number"]), datetime.fromisoformat(statement["at"]), int(given["count"]), given["head"])
    return seen, [f"checkpoint {seen.number} in the bundle: {fault}" for fault in faults]


def seen_faults(body: dict[str, Any], seen: Iterable[Seen]) -> list[str]:
    """Where a case is not what a checkpoint says it was: a cut tail, another past, an entry dated back."""
    links = [first_link(body["filing"]), *(entry["link"] for entry in body["entries"])]
    faults = []
    for one in seen:
        which = f"checkpoint {one.number} of {said(one.at)}"
        if one.count >= len(links):
            faults.append(f"{which} holds {one.count} entries, here are {len(links) - 1}: the tail is missing")
        elif one.head and links[one.count] != one.head:
            faults.append(f"entry {one.count}: {which} holds another link: this past was written after it")
        faults += [
            f"entry {entry['step']}: recorded {said(entry['recorded_at'])}, but not in {which}: it was dated back"
            for entry in body["entries"][one.count :]
            if datetime.fromisoformat(entry["recorded_at"]) + SLACK < one.at
        ]
    return list(dict.fromkeys(faults))


# ---- the chain ------------------------------------------------------------------------------------------------------


def first_link(filing: dict[str, Any]) -> str:
    """The link before the first entry."""
    return sha256(START + canonical(filing))


def next_link(previous: str, entry: dict[str, Any]) -> str:
    """The link of an entry; none where that before it is no hash."""
    return sha256(bytes.fromhex(previous) + canonical(entry)) if re.fullmatch("[0-9a-f]{64}", str(previous)) else ""


def chain_faults(body: dict[str, Any]) -> list[str]:
    """Every entry that is changed, missing, added or out of order."""
    faults = []
    previous, case = first_link(body["filing"]), body["filing"]["case"]
    entries = body["entries"]
    for place, entry in enumerate(entries, 1):
        name = f"entry {place}"
        if entry["step"] != place:
            faults.append(f"{name}: step {entry['step']} is in its place: entries are missing, added or out of order")
        if entry["case"] != case:
            faults.append(f"{name}: it belongs to another case")
        public = {k: v for k, v in entry.items() if k != "link"}
        if next_link(previous, public) != entry["link"]:
            faults.append(f"{name}: its link does not follow from its content and the link before it")
        previous = entry["link"]
    if body["count"] != len(entries):
        faults.append(f"entry {len(entries) + 1}: the case has {body['count']} entries, here are {len(entries)}")
    if body["head"] != previous:
        faults.append(f"entry {len(entries)}: it is not the head of the case")
    return faults


def committed(public: dict[str, Any], salt: str, sealed: dict[str, Any]) -> bool:
    """Whether this personal part, with the rest of its entry (or filing), is the one that was committed to."""
    whole = {**{k: v for k, v in public.items() if k not in ("commitment", "link")}, **sealed}
    return sha256(bytes.fromhex(salt) + canonical(whole)) == str(public["commitment"])


def personal_faults(body: dict[str, Any]) -> list[str]:
    """Where the personal part, which some bundles hold, does not fit the entry and its commitment."""
    faults = []
    public = {0: body["filing"], **{entry["step"]: entry for entry in body["entries"]}}
    for part in body["personal"] or ():
        step = part["step"]
        if step not in public or part["sealed"] is None or not committed(public[step], part["salt"], part["sealed"]):
            name = f"entry {step}" if step else "the filing"
            faults.append(f"{name}: with its personal part it is not what was recorded")
    return faults


# ---- the clocks -----------------------------------------------------------------------------------------------------


@dataclass
class Life:
    """One clock as the chain tells it: each change with the entry that made it."""

    changes: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)

    @property
    def last(self) -> dict[str, Any]:
        """The last change."""
        return self.changes[-1][1]


Key = tuple[str, str, int]


def lives(body: dict[str, Any]) -> dict[Key, Life]:
    """Every clock that the chain tells of."""
    out: dict[Key, Life] = {}
    for entry in body["entries"]:
        for change in entry["clocks"]:
            key = (change["duty"], change["subject"], change["n"])
            out.setdefault(key, Life()).changes.append((entry, change))
    return out


def clock_faults(body: dict[str, Any]) -> list[str]:
    """Where the clocks are not what the chain tells, or were judged wrongly."""
    faults = []
    told = lives(body)
    clocks = {(c["duty"], c["subject"], c["n"]): c for c in body["clocks"]}
    if len(clocks) != len(body["clocks"]):
        faults.append("clocks: one is there twice")
    for key in {*told, *clocks}:
        name = named(key)
        if key not in clocks or key not in told:
            where = "clocks" if key in told else "entries"
            faults.append(f"{name}: it is missing among the {where}")
            continue
        clock, life = clocks[key], told[key]
        step = life.changes[-1][0]["step"]
        before = None
        for entry, change in life.changes:
            if change["before"] != before:
                faults.append(f"entry {entry['step']}: {name} was {before}, not {change['before']}, before it")
            before = change["after"]
        now = {n: life.last.get(n) for n in ("due", "latest", "happened_at", "happened_on", "proof")}
        for field_, value in {**now, "status": life.last["after"]}.items():
            if not same(value, clock[field_]):
                faults.append(f"entry {step}: {name} has another {field_} in it than among the clocks")
        if life.last["counted"] != sha256(canonical({n: clock[n] for n in COUNTED})):
            faults.append(f"entry {step}: {name} was counted otherwise than is said among the clocks")
        if (fault := judgment_fault(clock, life)) is not None:
            faults.append(f"entry {step}: {name} {fault}")
    return sorted(faults)


def judgment_fault(clock: dict[str, Any], life: Life) -> str | None:
    """Whether kept or late is what the instants say."""
    status = clock["status"]
    entry = life.changes[-1][0]
    if status not in ("kept", "late"):
        return None
    if not clock["can_be_late"]:
        early = clock["kind"] == "not_before" and instant(entry["at"]) < instant(clock["due"])
        return "ended before its time" if early else None if status == "kept" else "can never be late"
    if clock["happened_at"] is not None:
        # the clocks of two machines differ by moments: a proof lies between the start and the entry
        moment = min(max(instant(clock["happened_at"]), instant(clock["anchor_at"])), instant(entry["at"]))
        in_time = moment < instant(clock["latest"])
    elif clock["happened_on"] is not None:
        in_time = date.fromisoformat(clock["happened_on"]) <= date.fromisoformat(clock["latest_day"])
    else:
        return f"is {status} without an instant of its evidence"
    return None if in_time == (status == "kept") else f"is {status}, but its evidence says otherwise"


def same(one: Any, other: Any) -> bool:
    """The same value, instants however they are written."""
    if isinstance(one, str) and isinstance(other, str) and "T" in one and "T" in other:
        return instant(one) == instant(other)
    return bool(one == other)


def instant(text: str) -> datetime:
    """An instant of a bundle."""
    return datetime.fromisoformat(text).astimezone(UTC)


def named(key: Key) -> str:
    """A clock for people: `BTA-10.5b C1`, the second of them `BTA-10.5b C1 no. 2`."""
    duty, subject, n = key
    return f"{duty} {subject}".strip() + (f" no. {n}" if n > 1 else "")


# ---- all of it ------------------------------------------------------------------------------------------------------


def faults_of(body: dict[str, Any]) -> list[str]:
    """Everything within a bundle's body that does not hold, signatures and checkpoints aside."""
    faults: list[str] = []
    for part in (chain_faults, clock_faults, personal_faults):
        try:
            faults += part(body)
        except NO_FORM:
            faults.append(FORM)
    return faults


@dataclass
class Verified:
    """What a bundle says, in plain words, and everything that does not hold."""

    lines: list[str]
    faults: list[str]


def verify(data: bytes, key: str, checkpoints: Checkpoints | None = None) -> Verified:
    """Verify a bundle.

    Raises:
        Broken: It cannot be read at all.
    """
    faults = signature_faults(data, PROOF, key)
    body, _ = opened(data, PROOF)
    try:
        faults += faults_of(body)
        seen, more = included(body, key)
        faults += more
        every = checkpoints.of(body["filing"]["case"]) if checkpoints else []
        faults += seen_faults(body, [*every, *([seen] if seen else [])])
        lines = story(body, holds=not faults)
        if checkpoints is not None:
            faults += checkpoints.faults
            if seen is not None and checkpoints.statements.get(seen.number) != sha256(
                body["checkpoint"]["statement"].encode()
            ):
                faults.append(f"checkpoint {seen.number} in the bundle is not the published one")
        lines += ["", "Checkpoints", *checkpoint_story(seen, checkpoints, every)]
    except (Broken, *NO_FORM):
        return Verified([], list(dict.fromkeys([*faults, FORM])))
    return Verified(lines, faults)


# ---- in plain words -------------------------------------------------------------------------------------------------


def said(at: str | datetime) -> str:
    """An instant for people, in UTC."""
    at = instant(at) if isinstance(at, str) else at
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def story(body: dict[str, Any], *, holds: bool) -> list[str]:
    """What a bundle says."""
    filing, entries = body["filing"], body["entries"]
    lines = [
        filing["case"],
        f"  received {said(filing['received_at'])}, recorded {said(filing['recorded_at'])}",
        f"  {len(entries)} entries" + (f", the last recorded {said(entries[-1]['recorded_at'])}" if entries else ""),
        f"  this bundle was written {said(body['made_at'])}",
    ]
    if holds:
        lines.append("  no entry is changed, missing, added or out of order")
    lines += ["", "Duties"]
    told = lives(body)
    for clock in body["clocks"]:
        key = (clock["duty"], clock["subject"], clock["n"])
        if key in told:
            lines += [*duty_story(clock, named(key), told[key]), ""]
    if not body["clocks"]:
        lines += ["  none began yet", ""]
    lines += effects_story(body)
    lines += [
        "Rulebooks and calendars where this was written",
        *(f"  {table['name']}, version {table['version']}, SHA-256 {table['sha256']}" for table in body["tables"]),
        "",
    ]
    if body["personal"] is not None:
        steps = {part["step"] for part in body["personal"]}
        gone = [str(e["step"]) for e in entries if e["step"] not in steps]
        lines += ["Personal part", f"  of {len(steps)} of {len(entries) + 1} records, the filing being one"]
        if gone:
            lines.append(
                f"  erased since, wholly or in part: entries {', '.join(gone)}; what stands for it is unchanged"
            )
    else:
        lines += ["Personal part", "  not in this bundle; each entry holds a commitment to its own"]
    return lines


def duty_story(clock: dict[str, Any], name: str, life: Life) -> list[str]:
    """One clock."""
    began = life.changes[0][0]
    lines = [
        f"  {name}  {clock['title']}",
        f"    clause {clock['clause']} of {clock['document']}",
        f"    began {said(clock['anchor_at'])} with {clock['anchor'] or 'an event'}",
        f"    recorded by entry {began['step']} “{began['entry']}” of {began['actor'] or 'the case itself'}",
        f"    due before {said(clock['due'])}"
        + (f", late from {said(clock['latest'])}" if clock["latest"] != clock["due"] else ""),
        f"    counted by rulebook {clock['rulebook_version']}, calendar {clock['calendar_version']}:",
        *(f"      {line}" for line in clock["derivation"]),
    ]
    for entry, change in life.changes[1:]:
        if change["before"] != change["after"] and (entry, change) != life.changes[-1]:
            lines.append(
                f"    {said(entry['recorded_at'])}: {change['after']}, by entry {entry['step']} “{entry['entry']}”"
            )
    return [*lines, f"    {verdict(clock, life)}"]


def verdict(clock: dict[str, Any], life: Life) -> str:
    """How a clock stands, in one sentence."""
    entry = life.changes[-1][0]
    when = said(clock["happened_at"]) if clock["happened_at"] else clock["happened_on"]
    recorded = f"recorded {said(entry['recorded_at'])} by entry {entry['step']}"
    proven = f"it happened {when}, proven by {clock['proof']}; {recorded}"
    match clock["status"]:
        case "kept" if clock["kind"] == "not_before":
            return f"KEPT: no effect came before {said(clock['due'])}"
        case "kept":
            return f"KEPT: {proven}"
        case "late":
            return f"LATE: {proven}"
        case "overdue":
            return f"OVERDUE: there was no evidence when this was written; said by entry {entry['step']}"
        case "void":
            return (
                f"ENDED without a judgment, by entry {entry['step']} “{entry['entry']}”, {said(entry['recorded_at'])}"
            )
        case "held":
            return f"HELD since entry {entry['step']} “{entry['entry']}”"
        case _:
            return "RUNNING when this was written"


def effects_story(body: dict[str, Any]) -> list[str]:
    """Letters and payments: signed with the bundle, but not part of the chain."""
    lines = []
    for letter in body["letters"]:
        state = "came back " + said(letter["bounced_at"]) if letter["bounced_at"] else "not sent"
        if letter["sent_at"] and not letter["bounced_at"]:
            state = f"sent {said(letter['sent_at'])}, reference {letter['reference'] or 'none'}"
        lines.append(f"  letter {letter['template']} to {letter['party']}: {state}")
    for payment in body["payments"]:
        state = f"ordered {said(payment['issued_at'])}" if payment["issued_at"] else "not ordered"
        if payment["executed_on"]:
            state += f", executed {payment['executed_on']}"
        lines.append(f"  payment {payment['key']}: {state}")
    return ["Letters and payments, as the store had them", *lines, ""] if lines else []


def checkpoint_story(seen: Seen | None, checkpoints: Checkpoints | None, every: Sequence[Seen]) -> list[str]:
    """Against which checkpoints the case was held, and what is not covered."""
    lines = []
    if seen is not None:
        lines.append(f"  in the bundle: {seen.number} of {said(seen.at)}, which holds {seen.count} entries")
    if checkpoints is not None and every:
        newest = every[-1]
        lines.append(
            f"  published: {len(checkpoints.at)}, the newest {newest.number} of {said(newest.at)} holds "
            f"{newest.count} entries"
        )
    return lines or [
        "  none covers this case: whoever holds the signing key could have written it anew at any time",
    ]


# ---- the program ----------------------------------------------------------------------------------------------------


def public_key(text: str) -> str:
    """A public key, or the file that holds it, in hexadecimal.

    Raises:
        ValueError: It is none.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        try:
            text = Path(text).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            text = ""
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError("--key: 64 digits 0-9 a-f, or a file that holds them")
    return text


def say(text: str, to: TextIO) -> None:
    """Print it, with a mark for each character that is not to be read."""
    print(COMMANDS.sub("\N{REPLACEMENT CHARACTER}", text), file=to)


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; its exit code."""
    parser = argparse.ArgumentParser(description="Verify what Termins says of a case.")
    parser.add_argument("bundle", type=Path, help="the bundle that `starter.py proof` wrote")
    parser.add_argument("--key", required=True, help="the public key: 64 digits, or a file that holds them")
    parser.add_argument("--checkpoints", type=Path, help="the folder of published checkpoints")
    asked = parser.parse_args(arguments)
    try:
        key, data = public_key(asked.key), asked.bundle.read_bytes()
    except OSError as e:
        parser.error(f"{asked.bundle}: {e.strerror}")
    except ValueError as e:
        parser.error(str(e))
    if asked.checkpoints is not None and not asked.checkpoints.is_dir():
        parser.error(f"{asked.checkpoints} is no folder")
    try:
        found = verify(data, key, Checkpoints.read(asked.checkpoints, key) if asked.checkpoints else None)
    except Broken as e:
        found = Verified([], [f"the form: {e}"])
    for line in found.lines:
        say(line, sys.stdout)
    print()
    if not found.faults:
        print("Everything holds: signed by this key, to the byte.")
        return 0
    print("NOT PROVEN: see the faults.")
    print(f"{len(found.faults)} FAULTS" if len(found.faults) > 1 else "1 FAULT", file=sys.stderr)
    for fault in found.faults:
        say(f"  {fault}", sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
