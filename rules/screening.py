"""Screening: whether a payee's name is that of somebody on a sanctions list, in whatever script and spelling (GJ, 230).

Names are compared word by word. A word loses its marks, its script and the endings of Latvian and Lithuanian, and the
spellings in which one Slavic name comes become one: Хворостухин, Khvorostukhin, Hvorostuhins, Chvorostuchinas. Two
words are the same if they are alike enough. Every word of the shorter name must be one of the longer one, in any order.
A birth date that both sides know and that differs clears a name; nothing else does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date
from functools import lru_cache

from anyascii import anyascii
from rapidfuzz.fuzz import ratio
from stdnum.ee import ik
from stdnum.exceptions import ValidationError
from stdnum.lv import pvn

from models.screening import BirthDate, Hit, Listed
from rules.personal_code import Country, read

LIKE = 85.0
"""Percent from which two words are the same: twice the letters that they share in order, over all letters of both."""

_LEGAL = frozenset(
    re.findall(r"\w+", "sia as uab ab mb ou ooo oao ao pao zao llc ltd limited inc plc gmbh ag co company jsc the")
)
"""Words that say what kind of company it is, and not which."""

_SPELLINGS = (
    ("shch", "s"),
    ("sch", "s"),
    ("kh", "h"),
    ("ch", "c"),
    ("sh", "s"),
    ("zh", "z"),
    ("ts", "c"),
    ("tz", "c"),
    ("ph", "f"),
    ("x", "ks"),
    ("w", "v"),
    ("q", "k"),
    ("y", "i"),
    ("j", "i"),
)
"""Ways in which one sound is written in Latin letters → one of them."""

_ENDING = re.compile(r"(?<=[a-z]{4})(ius|as|is|us|es|s)$")
"""What Latvian and Lithuanian put behind a man's name, where enough of it is left to tell it by."""


def screen(name: str, born: date | None, entries: Iterable[Listed], like: float = LIKE) -> tuple[Hit, ...]:
    """Everybody on the list whom this payee may be, by the list's order.

    `born` is None where it is not known for sure; `like` is in percent.
    """
    payee = words(name)
    hits = []
    for entry in entries:
        if born is not None and _born_otherwise(born, entry.births):
            continue
        found = [(alike, alias) for alias in entry.names if (alike := likeness(payee, words(alias), like))]
        if found:
            alike, alias = max(found)
            hits.append(Hit(id=entry.id, name=alias, likeness=int(alike)))
    return tuple(hits)


def birth_date(personal_code: str | None) -> date | None:
    """The birth date in a personal code of Latvia or Lithuania; None where it has none, or could be read both ways."""
    if personal_code is None:
        return None
    found = set()
    ways: tuple[tuple[Country, Callable[[str], date]], ...] = (("LV", pvn.get_birth_date), ("LT", ik.get_birth_date))
    for country, born in ways:
        code = read(personal_code, country).code
        try:
            found |= {born(code)} if code is not None else set()
        except ValidationError:
            continue
    return found.pop() if len(found) == 1 else None


@lru_cache(maxsize=200_000)
def words(name: str) -> tuple[str, ...]:
    """The words of a name as they are compared, without those that name a legal form."""
    plain = re.sub(r"[^a-z0-9]+", " ", re.sub(r"['’`]", "", anyascii(name).lower())).split()
    kept = [word for word in plain if word not in _LEGAL] or plain
    return tuple(_spelled(word) for word in kept)


def _spelled(word: str) -> str:
    for written, sound in _SPELLINGS:
        word = word.replace(written, sound)
    # doubled letters come and go with the alphabet
    return _ENDING.sub("", re.sub(r"(.)\1+", r"\1", word))


def likeness(one: tuple[str, ...], other: tuple[str, ...], like: float = LIKE) -> float:
    """How alike two names are, in percent: by their least alike words, or all written together; 0 if they are not."""
    shorter, longer = sorted((one, other), key=len)
    if not shorter:
        return 0.0
    together = ratio("".join(one), "".join(other), score_cutoff=like)
    if len(shorter) == 1 and len(longer) > 1:
        # one word alone is too common a part of names: it must be all of it
        return together
    pairs = sorted(
        (
            (alike, n, m)
            for n, word in enumerate(shorter)
            for m, another in enumerate(longer)
            if (alike := ratio(word, another, score_cutoff=like))
        ),
        reverse=True,
    )
    taken: dict[int, float] = {}
    used: set[int] = set()
    for alike, n, m in pairs:
        if n not in taken and m not in used:
            taken[n] = alike
            used.add(m)
    apart = min(taken.values()) if len(taken) == len(shorter) else 0.0
    return max(apart, together)


def _born_otherwise(born: date, listed: tuple[BirthDate, ...]) -> bool:
    """Whether the list knows when this one was born, and it was another day: a year alone is right within one."""
    return bool(listed) and all(
        birth.day != born if birth.day is not None else abs(birth.year - born.year) > 1 for birth in listed
    )
