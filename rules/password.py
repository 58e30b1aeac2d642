"""Which own passwords a user may choose (SE 33.3.4.2): long enough, and nothing personal in them."""

from __future__ import annotations

import re
import unicodedata
from datetime import date

from anyascii import anyascii

from models.common import Model

SHORTEST = 8
"""Characters (SE 33.3.4.2)."""
LONGEST = 200
"""Characters; more would only cost time to hash."""

_TELLING = 3
"""Letters from which on a part of a name tells something: one of two is in too many words."""
_DIGITS = 5
"""So many digits in a row of a telephone number or a personal code are taken for a part of it."""


class Personal(Model):
    """What is known of a person, and so stands in no password of theirs. What is not known is left out."""

    names: tuple[str, ...] = ()
    email: str | None = None
    phone: str | None = None
    personal_code: str | None = None
    born: date | None = None
    username: str | None = None


def typed(password: str) -> str:
    """A password as it is hashed: the same characters are the same password, by whatever keyboard (RFC 8265, 4.2)."""
    return unicodedata.normalize("NFC", re.sub(r"[^\S\n]", " ", password))


def faults(password: str, person: Personal) -> tuple[str, ...]:
    """Every reason not to take this password; the texts never show it, nor what it was compared with."""
    found = []
    length = len(typed(password))
    if length < SHORTEST:
        found.append(f"password: fewer than {SHORTEST} characters")
    if length > LONGEST:
        found.append(f"password: more than {LONGEST} characters")
    if any(unicodedata.category(character) == "Cc" for character in password):
        found.append("password: a control character")
    plain = _plain(password)
    found += [
        f"password: holds {what}"
        for what, parts in (
            ("a part of the name", _words(*person.names)),
            ("a part of the e-mail address", _of_address(person.email)),
            ("a part of the telephone number", _runs(person.phone)),
            ("a part of the personal code", _runs(person.personal_code)),
            ("the date of birth", _spellings(person.born)),
            ("the user name", {_plain(person.username or "")} - {""}),
        )
        if any(part in plain for part in parts)
    ]
    return tuple(found)


def _plain(text: str) -> str:
    """Without accents, capitals, blanks and signs, by which a word is not another one."""
    return re.sub(r"[^a-z0-9]", "", anyascii(text).lower())


def _words(*texts: str) -> set[str]:
    """The words of names, whole names among them, as far as they tell something."""
    words = {_plain(word) for text in texts for word in (text, *re.split(r"[\W_]+", text))}
    return {word for word in words if len(word) >= _TELLING}


def _of_address(email: str | None) -> set[str]:
    """What is before the @, and the names of the host but the last, which says a country or a trade."""
    mailbox, _, host = (email or "").partition("@")
    return _words(mailbox, *host.split(".")[:-1])


def _runs(number: str | None) -> set[str]:
    digits = re.sub(r"\D", "", number or "")
    return {digits[n : n + _DIGITS] for n in range(len(digits) - _DIGITS + 1)}


def _spellings(born: date | None) -> set[str]:
    """A date as people write it; the year alone says enough, whatever stands beside it."""
    if born is None:
        return set()
    short = {f"{born:%d%m%y}", f"{born:%m%d%y}", f"{born:%y%m%d}", f"{born.day}{born.month}{born:%y}"}
    return {f"{born:%Y}", *short}
