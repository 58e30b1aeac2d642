"""Letters: a template of `templates/` and the facts of a case become a letter in the reader's language.

A template is `<name>.<language>.txt`: first line `Subject: …`; where its text also goes as a PDF, a line `Attached: …`
with the file's name; an empty line, and the body. Every fact that a template names has to be given (None where there is
nothing to say), so that a letter with a hole is never sent.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import cast, get_args

from jinja2 import Environment, StrictUndefined, Template, UndefinedError
from jinja2.meta import find_undeclared_variables

from integrations.mail import Language, Letter
from models.citing import cited
from rules import wording

TEMPLATES = Path(__file__).parent.parent / "templates"
LANGUAGES: tuple[str, ...] = get_args(Language)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_NUMBER = re.compile(
    r"(?:[,:]? *\b(?:(?:bylos |prašymo )?Nr\.|atsauce|reference|polise|polisas|policy) *|: *)\{\{[^}]*\}\}"
)
_HOLE = re.compile(r"\{\{[^}]*\}\}")
_PART = re.compile(r"^- - ", re.MULTILINE)


class LetterFault(ValueError):
    """A letter that cannot be written: no such template, or a fact that is missing or of the wrong kind.

    The text names the template and the facts, never their values.
    """


def day(value: object, language: str) -> str:
    """A date (or its ISO text) in words: `2026. gada 21. decembris`, `2026 m. gruodžio 21 d.`, `21 December 2026`."""
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            raise LetterFault("a day is given as a date or as YYYY-MM-DD") from None
    # An instant falls on a day only in a zone, which a letter does not know.
    if not isinstance(value, date) or isinstance(value, datetime):
        raise LetterFault(f"a day is given as a date, not as {type(value).__name__}")
    return wording.day(value, cast("Language", language))


def moment(at: datetime, language: str) -> str:
    """An instant in the zone it comes in: `2026. gada 21. decembris, plkst. 14:00`."""
    return wording.moment(at, cast("Language", language))


def money(value: object, language: str) -> str:
    """An amount of EUR in cents' precision (or its decimal text): `1 234,50 EUR`, in English `EUR 1,234.50`."""
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        raise LetterFault(f"an amount is given as a decimal number, not as {type(value).__name__}")
    try:
        amount = Decimal(value)
        exact = amount.is_finite() and amount == amount.quantize(Decimal("0.01"))
    except InvalidOperation:
        raise LetterFault("an amount is not a number") from None
    if not exact:
        raise LetterFault("an amount has at most two decimals")
    return wording.money(amount, cast("Language", language))


def _unknown(fact: str) -> str:
    raise LetterFault(f"the fact {fact!r} has a value that the letter has no words for")


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - a mail in plain text has nothing to escape
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["unknown"] = _unknown
    environment.filters["day"] = lambda value: day(value, language)
    environment.filters["money"] = lambda value: money(value, language)
    environment.filters["cited"] = lambda value: cited(str(value), language)
    return environment


@cache
def _template(name: str, language: str) -> tuple[Template, Template, Template | None, frozenset[str]]:
    """Subject, body, name of the attached PDF, and the names of the facts of a template."""
    path = TEMPLATES / f"{name}.{language}.txt"
    if not _NAME.fullmatch(name) or language not in LANGUAGES or not path.is_file():
        raise LetterFault(f"there is no letter {name!r} in {language!r}")
    head, _, body = path.read_text(encoding="utf-8").partition("\n\n")
    first, *more = head.split("\n")
    if not first.startswith("Subject: "):
        raise LetterFault(f"{path.name}: the first line is not a subject")
    if more and not (len(more) == 1 and more[0].startswith("Attached: ")):
        raise LetterFault(f"{path.name}: before the first empty line only a subject and an attachment can stand")
    environment = _environment(language)
    subject = first.removeprefix("Subject: ")
    attached = environment.from_string(more[0].removeprefix("Attached: ")) if more else None
    facts = frozenset().union(*(find_undeclared_variables(environment.parse(part)) for part in (head, body)))
    facts -= environment.globals.keys()
    return environment.from_string(subject), environment.from_string(body), attached, facts


def facts_of(template: str, language: str) -> frozenset[str]:
    """The names of the facts that a template needs."""
    return _template(template, language)[3]


def title_of(template: str, language: str) -> str:
    """What a letter is called where its facts are not at hand: its subject without numbers, dots for the rest."""
    first, _, _ = (TEMPLATES / f"{template}.{language}.txt").read_text(encoding="utf-8").partition("\n")
    return _HOLE.sub("…", _NUMBER.sub("", first.removeprefix("Subject: ")))


def attached(template: str, language: str, facts: Mapping[str, object]) -> str | None:
    """The name of the PDF that goes with a letter of this template; None where the text goes as mail alone."""
    name = _template(template, language)[2]
    return name.render(facts) if name is not None else None


def written(template: str, language: str, facts: Mapping[str, object]) -> tuple[str, str]:
    """Subject and text of the letter `template` in `language` (lv, lt, en), for paper too. Raises `LetterFault`."""
    subject, body, _, needed = _template(template, language)
    if missing := sorted(needed - facts.keys()):
        raise LetterFault(f"{template}.{language}: missing facts: {', '.join(missing)}")
    try:
        # a part of a point stands below it
        return subject.render(facts), _PART.sub("  - ", body.render(facts).strip()) + "\n"
    except UndefinedError as fault:
        raise LetterFault(f"{template}.{language}: {fault.message}") from None
    except LetterFault as fault:
        raise LetterFault(f"{template}.{language}: {fault}") from None


def render(
    template: str,
    language: str,
    facts: Mapping[str, object],
    id: str,
    to: str,
    sender: str,
) -> Letter:
    """The letter `template` in `language` (lv, lt, en) for one mailbox; `id` is the notice's stable id.

    Raises `LetterFault`, and pydantic's `ValidationError` for an address or a subject that cannot be mailed.
    """
    subject_text, text = written(template, language, facts)
    return Letter(
        id=id,
        to=to,
        sender=sender,
        subject=subject_text,
        text=text,
        language=cast("Language", language),
    )
