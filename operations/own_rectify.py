"""Rectification in Termins' own tables: the person's party rows of a case, each once, whoever asks again.

What was filed and what letters said stays as it was: it is evidence of what was said then. Clients and policies are
corrected by their own filings, so they are left to a person.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

from models.rectification import OWN_COLUMNS, Corrected, Datum
from models.tables.sealed import sealed

SCREENED_KINDS = frozenset({"claim", "premium_refund"})
"""Kinds whose parties are screened: a name that was corrected is screened anew (GJ-sanctions)."""


async def rectify_parties(
    connection: AsyncConnection,
    case: str,
    rows: Sequence[dict[str, Any]],
    is_person: Callable[[dict[str, Any]], bool],
    data: Sequence[Datum],
) -> Corrected:
    """Correct the person's parties of a case, whose rows are locked; what is known only by what is wrong is left."""
    party = SQLModel.metadata.tables["party"]
    changed, fields, left = 0, [], False
    for row in rows:
        if not is_person(row):
            continue
        new: dict[str, str] = {}
        for datum in data:
            column = OWN_COLUMNS.get(datum.category)
            if column is None:
                # an account number, for one: the case that pays has its own way of changing it
                left = left or (datum.was is not None and datum.was in (row["iban"], row["personal_code"]))
                continue
            stands = row[column]
            if stands == datum.now:
                fields.append(f"{row['party']}.{column}")
            elif same(stands, datum.was):
                if column != "phone" and not row["personal_code"]:
                    # nothing else says whose row it is: changed, it would be found no more
                    left = True
                else:
                    new[column] = datum.now
        if new:
            values = sealed(party, row, new)
            if "name" in new and case.split(":", maxsplit=1)[0] in SCREENED_KINDS:
                values["to_screen"] = True
            await connection.execute(
                update(party).where(party.c.case == case, party.c.party == row["party"]).values(**values)
            )
            changed += len(new)
            fields += [f"{row['party']}.{column}" for column in new]
    return Corrected(changed=changed, fields=tuple(fields), left=left)


def names_wrong(rows: Sequence[dict[str, Any]], data: Sequence[Datum]) -> bool:
    """Whether a client or a policy still says what is wrong."""
    text = json.dumps(rows, ensure_ascii=False, default=str).casefold()
    wrong = [json.dumps(datum.was, ensure_ascii=False)[1:-1].casefold() for datum in data if datum.was is not None]
    return any(value in text for value in wrong)


def same(stands: str | None, was: str | None) -> bool:
    """Whether what stands there is what is to be corrected; nothing is what is missing."""
    if was is None:
        return not stands
    return bool(stands) and " ".join(str(stands).split()).casefold() == " ".join(was.split()).casefold()
