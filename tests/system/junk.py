"""Hypothesis strategies for bad input: valid JSON that was damaged, plain junk, and payloads of every wrong encoding.

Every junk text holds `JUNK`, so that an answer that repeats what was sent is found.
"""

from __future__ import annotations

import copy
import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload

from security.codec import CIPHER, ENCODING, KEY, seal
from security.keys import DataKey

JUNK = "jUnK"
"""Stands in every junk text; nothing of ours says it."""

RAW = {
    "raw: too many digits": "9" * 5000,
    "raw: no end": "1e999",
    "raw: no beginning": "-1e999",
    "raw: not a number": "NaN",
    "raw: almost nothing": "1e-5000",
    "raw: deep": "[" * 300 + "]" * 300,
    "raw: very deep": '{"a":' * 3000 + "1" + "}" * 3000,
    "raw: half a character": f'"{JUNK} \\ud800"',
    "raw: half a key": '{"\\udfff": 1}',
    "raw: NUL": f'"{JUNK}\\u0000"',
    "raw: keys twice": '{"case": "x", "case": 7}',
    "raw: no JSON": "{]",
}
"""Stand-ins → what a JSON text holds in their place: Python could not write it."""

INSTANTS: tuple[Any, ...] = (
    *("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59.999999Z"),
    *("1899-12-31T00:00:00+02:00", "1970-01-01T00:00:00Z", "2026-02-30T10:00:00Z", "2026-11-21T10:00:00"),
    *("2026-11-21T10:00:60Z", "2026-11-21T10:00:00+23:59", "2026-11-21T10:00:00-23:59", "2026-11-21T24:00:00Z"),
    *("2026-10-25T03:30:00[Europe/Riga]", "0000-00-00T00:00:00Z", "+10000-01-01T00:00:00Z", "2200-01-01T00:00:00Z"),
    *("0001-01-01", "9999-12-31", "2026-02-29", "-0001-01-01", "P3D", "10:00", ""),
    *(0, -1, 10**11, -(10**11), 253402300800, 1e300, 0.5),
)
AMOUNTS: tuple[Any, ...] = (
    *("-0.00", "0", "0.001", "-1", "1e3", "1e12", "1e999999999", "1e-999999999", "NaN", "sNaN", "Infinity", "١٢.٥٠"),
    *("999999999999.99", "1000000000000.00", "12,50", " 12.50 ", "0x10", "1_000.00", 12.5, 0, -7, 10**30, True),
)
TEXTS: tuple[Any, ...] = (
    *("", " ", "\n", "‹YYYY-MM-DD›", f"{JUNK}\r\nBcc: {JUNK}@example.com", f"<script>{JUNK}</script>", f"{JUNK}\x00"),
    *(f"{JUNK}\ud800", f"{JUNK}\u202eabc", f"{JUNK}\ufeff", f"{JUNK}{{0}} %s $x", f"'; DROP TABLE cases; --{JUNK}"),
    *(f"{JUNK}" * 600, f"{JUNK}" * 30_000, f"{JUNK}@xn--80ak6aa92e.example", f"{JUNK}@", f"{JUNK} 320505-10058"),
    *(f"../../../{JUNK}", f"{JUNK}\u0301" * 40, "C1\n", "op-1\n", "proof_of_amount\n", "None", "null", "[]"),
)
ACTORS: tuple[Any, ...] = (
    "op-1",
    "op-2",
    "op-999",
    "OP-1",
    "op-1 ",
    "op-1\n",
    "system:",
    "system:x",
    "system:tests",
    "",
)
NAMES: tuple[Any, ...] = ("BTA", "BL", "DZ", "GJ", "SE", "T", "ZZ", "bta", "BTA\n", "claim", "privacy_request", "sweep")
NUMBERS: tuple[Any, ...] = (0, 1, -1, 2**31, 2**63, 10**99, 10**100, 0.1, 1e308, float("nan"), float("inf"), True, None)

texts = st.one_of(st.sampled_from(TEXTS), st.text(max_size=30).map(lambda text: f"{JUNK}{text}"))
leaves = st.one_of(
    texts,
    st.sampled_from([*INSTANTS, *AMOUNTS, *ACTORS, *NAMES]),
    st.sampled_from(list(RAW)),
    st.sampled_from(NUMBERS),
)
keys = st.one_of(
    st.sampled_from(["case", "actor", "kind", "once", "", "a.b", "__proto__"]),
    texts.map(lambda t: t.replace(JUNK, "kEy")),
)
"""Faults name fields, so what stands in a key may come back."""
junk = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(keys, inner, max_size=4),
    ),
    max_leaves=6,
)
"""Any JSON value."""


# ---- damage ---------------------------------------------------------------------------------------------------------


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from _places(inner, (*path, key))


def _holder(value: Any, path: Sequence[Any]) -> Any:
    for key in path[:-1]:
        value = value[key]
    return value


OPERATIONS = ("drop", "replace", "replace", "retype", "nest", "double", "swap", "add", "odd")


@dataclass(frozen=True)
class Damage:
    """One thing that is done to a JSON value; where it is done depends on the value."""

    operation: str
    place: int
    key: str
    value: Any


damage = st.builds(Damage, st.sampled_from(OPERATIONS), st.integers(0, 2**16), keys, junk)
damages: st.SearchStrategy[list[Damage]] = st.one_of(st.just([]), st.lists(damage, min_size=1, max_size=3))
"""Up to three damages; none: the value stays as it is."""


def damaged(value: Any, done: Sequence[Damage]) -> Any:
    """A JSON value with parts dropped, replaced, retyped, nested, doubled, swapped or added."""
    value = copy.deepcopy(value)
    for damage in done:
        places = list(_places(value))
        if not places:
            return damage.value
        path = places[damage.place % len(places)]
        holder, key = _holder(value, path), path[-1]
        many = damage.place % 4
        match damage.operation:
            case "drop":
                del holder[key]
            case "replace":
                holder[key] = damage.value
            case "retype":
                old = holder[key]
                holder[key] = [str(old), [old], {"value": old}, json.dumps(old)][many]
            case "nest":
                for depth in range([1, 3, 60, 400][many]):
                    holder[key] = [holder[key]] if depth % 2 else {"a": holder[key]}
            case "double":
                holder[key] = [holder[key]] * [2, 3, 30, 300][many]
            case "swap":
                other = places[(damage.place // 7) % len(places)]
                if path[: len(other)] != other and other[: len(path)] != path:
                    there = _holder(value, other)
                    holder[key], there[other[-1]] = there[other[-1]], holder[key]
            case "add" if isinstance(holder, dict):
                holder[damage.key] = damage.value
            case _:
                holder[key] = (INSTANTS + AMOUNTS)[damage.place % len(INSTANTS + AMOUNTS)]
    return value


def text_of(value: Any) -> str:
    """A value as the JSON text that goes over the wire, stand-ins put in."""
    text = json.dumps(value, ensure_ascii=True)
    for name, raw in RAW.items():
        text = text.replace(json.dumps(name), raw)
    return text


def value_of(value: Any) -> Any:
    """A value as a Python caller has it: with what its JSON text reads as, where Python reads it at all."""
    try:
        return json.loads(text_of(value))
    except (ValueError, RecursionError):
        return value


# ---- names and ids --------------------------------------------------------------------------------------------------

names = st.sampled_from(
    [
        "",
        "no_such",
        "__temporal_x",
        "__stack_trace",
        "live",
        "look_again",
        f"{JUNK} x",
        "a" * 900,
        "ā",
        "a\x00b",
        "../x",
    ]
)
"""What is the name of no update, signal, query or type."""

ids = st.sampled_from(
    [
        *(
            "",
            " ",
            "x" * 101,
            "x" * 999,
            "x" * 1200,
            "320505-10058",
            "32050510058",
            "a 320505-10058",
            "id\n",
            "id/1",
            "ā",
        ),
        *("a\x00b", f"{JUNK} ?&#", "Jānis Bērziņš", "{}", "event-1", "\u202e", "38001010018", "e-38001010018"),
    ]
)
"""What cannot be the id of an update or an event."""


# ---- payloads -------------------------------------------------------------------------------------------------------


def plain(text: str) -> Payload:
    """JSON in clear."""
    return Payload(metadata={"encoding": b"json/plain"}, data=text.encode())


WRAPPINGS = (
    *(
        "foreign key",
        "unknown key",
        "wrong cipher",
        "cut",
        "turned",
        "no key id",
        "odd key id",
        "twice",
        "not a payload",
    ),
    *("clear", "no encoding", "binary", "null", "protobuf", "json protobuf", "unheard of", "empty", "elsewhere"),
    *("elsewhere, marked", "elsewhere, sealed", "marked inside", "many metadata"),
)
"""All that a payload can be beside sealed under its case's key."""


def wrapped(how: str, text: str, key: DataKey, foreign: DataKey) -> Payload:
    """A JSON text in a payload, sealed or otherwise."""
    sealed = seal(key, plain(text))
    data = sealed.data
    reference = {"encoding": b"json/protobuf", "messageType": b"temporal.api.sdk.v1.ExternalStorageReference"}
    match how:
        case "sealed":
            return sealed
        case "foreign key":
            return seal(foreign, plain(text))
        case "unknown key":
            return seal(DataKey("nobody", secrets.token_bytes(16), secrets.token_bytes(32)), plain(text))
        case "wrong cipher":
            return seal(DataKey("nobody", key.id, secrets.token_bytes(32)), plain(text))
        case "cut":
            return Payload(metadata=sealed.metadata, data=data[: len(data) // 2])
        case "turned":
            return Payload(metadata=sealed.metadata, data=data[:-1] + bytes([data[-1] ^ 1]))
        case "no key id":
            return Payload(metadata={"encoding": ENCODING, "cipher": CIPHER}, data=data)
        case "odd key id":
            return Payload(metadata={"encoding": ENCODING, KEY: b"\xff\x00zz"}, data=data)
        case "twice":
            return seal(key, sealed)
        case "not a payload":
            return Payload(metadata=sealed.metadata, data=key.seal(text.encode("utf-8", "replace"), b"payload"))
        case "clear":
            return plain(text)
        case "no encoding":
            return Payload(data=text.encode())
        case "binary":
            return seal(key, Payload(metadata={"encoding": b"binary/plain"}, data=text.encode()))
        case "null":
            return seal(key, Payload(metadata={"encoding": b"binary/null"}, data=text.encode()))
        case "protobuf":
            metadata = {"encoding": b"binary/protobuf", "messageType": b"no.Such"}
            return seal(key, Payload(metadata=metadata, data=b"\xff\xff"))
        case "json protobuf":
            metadata = {"encoding": b"json/protobuf", "messageType": b"temporal.api.common.v1.Payload"}
            return seal(key, Payload(metadata=metadata, data=text.encode()))
        case "unheard of":
            return seal(key, Payload(metadata={"encoding": b"x/unheard-of"}, data=text.encode()))
        case "empty":
            return Payload()
        case "elsewhere":
            return Payload(metadata=reference, data=b'{"driverName": "s3", "driverClaim": {}}')
        case "elsewhere, marked":
            return Payload(metadata={**sealed.metadata, "__temporal_external_storage_reference": b"true"}, data=data)
        case "elsewhere, sealed":
            return seal(key, Payload(metadata=reference, data=text.encode()))
        case "marked inside":
            return seal(key, Payload(metadata={"encoding": b"json/plain", "origin": b"in clear"}, data=text.encode()))
        case "many metadata":
            return Payload(metadata={"encoding": ENCODING, **{f"m{n}": b"\xff" for n in range(200)}}, data=b"\x00" * 9)
    raise AssertionError(how)


@dataclass(frozen=True)
class Plan:
    """One input, as far as it does not depend on where the cases stand; what does, the dice say."""

    door: str
    seed: int
    damages: Sequence[Damage]
    plain: bool
    """Nothing of a valid input is left: the junk alone."""
    junk: Any
    name: str | None
    """A name instead of the right one."""
    id: str
    """An id, right or wrong."""
    wrappings: Sequence[str]
    """How the payloads are wrapped: none to three of them."""


def plans(doors: Sequence[str]) -> st.SearchStrategy[Plan]:
    """Inputs through these doors."""
    uuids = st.uuids().map(str)
    wrapping = st.one_of(*[st.just("sealed")] * 3, st.just("clear"), st.sampled_from(WRAPPINGS))
    seeds = st.integers(0, 2**32)
    wild = st.builds(
        Plan,
        door=st.sampled_from(doors),
        seed=seeds,
        damages=damages,
        plain=st.sampled_from([False] * 5 + [True]),
        junk=junk,
        name=st.one_of(*[st.none()] * 4, names),
        id=st.one_of(*[uuids] * 4, ids),
        wrappings=st.one_of(*[st.tuples(wrapping)] * 5, st.lists(wrapping, max_size=3)),
    )
    # all but one thing is right: what is taken goes deeper into the house
    gentle = st.builds(
        Plan,
        door=st.sampled_from(doors),
        seed=seeds,
        damages=st.lists(damage, max_size=1),
        plain=st.just(False),
        junk=leaves,
        name=st.none(),
        id=uuids,
        wrappings=st.just(("sealed",)),
    )
    return st.one_of(wild, gentle)
