"""What a controller tells with a copy of somebody's data: purposes, recipients, storage and the rest (SE-16.10).

One file for each controller in `points/`, beside its rulebook: each point with its clause, in the three languages.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints, ValidationError

from models.common import Model
from models.settlement import Label
from rules.rulebook import RulebookError
from rules.wording import label

FOLDER = Path(__file__).parent / "points"
HEADINGS: Mapping[str, Label] = {
    "purposes": label("1. Apstrādes nolūki", "1. Duomenų tvarkymo tikslai", "1. Purposes"),
    "categories": label("2. Datu kategorijas", "2. Duomenų kategorijos", "2. Categories of data"),
    "recipients": label("3. Saņēmēji", "3. Duomenų gavėjai", "3. Recipients"),
    "storage": label("4. Glabāšanas laiks", "4. Saugojimo laikotarpis", "4. Storage"),
    "rights": label("5. Jūsu tiesības", "5. Jūsų teisės", "5. Your rights"),
    "complaint": label("6. Sūdzība", "6. Skundas", "6. Complaint"),
    "source": label("7. Datu avots", "7. Duomenų šaltinis", "7. Source"),
    "automated_decisions": label("8. Automatizēti lēmumi", "8. Automatizuoti sprendimai", "8. Automated decisions"),
}
"""The eight points, in the order of SE-16.10."""
SAFEGUARDS = label(
    "Garantijas nosūtīšanai uz trešo valsti",
    "Perdavimo į trečiąją valstybę apsaugos priemonės",
    "Safeguards of a transfer",
)
"""The heading of what SE-16.11 asks for beside them, where data went to a third country."""

AUTHORITY = "{authority}"
"""Stands in a text for the supervisory authority of the rulebook."""
SPOKEN = ("lv", "lt", "en")

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=10)]


class Point(Model):
    """One point of one controller: where its document says it, and what the person is told."""

    clause: Annotated[str, StringConstraints(min_length=1)]
    lv: Words
    lt: Words
    en: Words


class Points(Model):
    """All of them; a missing one is a fault."""

    purposes: Point
    categories: Point
    recipients: Point
    storage: Point
    rights: Point
    complaint: Point
    source: Point
    automated_decisions: Point


@cache
def points(organisation: str, folder: Path = FOLDER) -> Points:
    """What this controller tells.

    Raises:
        RulebookError: It has no file, or not every point in every language; all faults.
    """
    path = folder / f"{organisation.lower()}.toml"
    try:
        return Points.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise RulebookError(f"{path.name}: missing: what {organisation} tells with a copy of the data") from None
    except tomllib.TOMLDecodeError as e:
        raise RulebookError(f"{path.name}: not TOML: {e}") from None
    except ValidationError as e:
        faults = [f"{path.name}: {'.'.join(map(str, f['loc']))}: {f['msg']}" for f in e.errors()]
        raise RulebookError("\n".join(faults)) from None


def told(organisation: str, authority: str) -> list[tuple[Label, Label]]:
    """Heading and text of each point, in their order.

    Raises:
        RulebookError: As `points`.
    """
    own = points(organisation)
    return [
        (
            heading,
            Label(
                **{language: getattr(getattr(own, name), language).replace(AUTHORITY, authority) for language in SPOKEN}
            ),
        )
        for name, heading in HEADINGS.items()
    ]
