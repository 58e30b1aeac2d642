"""The archive of an answer: the data as JSON, and as a page for people, with the eight points of SE-16.10."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from jinja2 import Environment, StrictUndefined

from activities.archive_words import KINDS, field_in, value_in
from models.names import KINDS as CASES
from models.settlement import Label, Language
from rules.points import SAFEGUARDS, told
from rules.rulebook import Rulebook


def _label(lv: str, lt: str, en: str) -> Label:
    return Label(lv=lv, lt=lt, en=en)


TITLE = _label("Jūsu personas dati", "Jūsų asmens duomenys", "Your personal data")
CONTROLLER = _label("Pārzinis", "Duomenų valdytojas", "Controller")
REFERENCE = _label("Atsauce", "Numeris", "Reference")
SYSTEM = _label("Datu sistēma", "Duomenų sistema", "Data system")
UNDER_WAY = _label("izskatīšanā", "nagrinėjama", "under way")
CLOSED = _label("slēgta", "užbaigta", "closed")
NOTHING = _label("Nekas netiek glabāts.", "Nieko nesaugoma.", "Nothing is held.")
WITHHELD = _label("[nav izsniegts]", "[nepateikta]", "[withheld]")
"""In the place of a field that the person does not get: somebody else's, or a trade secret (SE-16.9)."""

_PAGE = Environment(undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    """<!doctype html>
<html lang="{{ language }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{ title }}</title>
<style>
body { font: 1rem/1.5 sans-serif; max-width: 48rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2rem; font-size: 1.2rem; }
h3 { margin-top: 1.5rem; font-size: 1rem; }
dl { display: grid; grid-template-columns: minmax(10rem, 1fr) 2fr; gap: .25rem 1rem; }
dt { color: #555; }
dd { margin: 0; overflow-wrap: anywhere; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p>{{ controller_word }}: {{ controller }}. {{ reference_word }}: {{ reference }}.</p>
{% for heading, text in points %}
<h2>{{ heading }}</h2>
<p>{{ text }}</p>
{% endfor %}
{% for system in systems %}
<h2>{{ system_word }}: {{ system.name }}</h2>
{% if not system.records %}
<p>{{ nothing }}</p>
{% endif %}
{% for record in system.records %}
<h3>{{ record.title }}: {{ record.name }}</h3>
<dl>
{% for path, value in record.lines %}
<dt>{{ path }}</dt><dd>{{ value }}</dd>
{% endfor %}
</dl>
{% endfor %}
{% endfor %}
</body>
</html>
"""
)


def archive_files(
    rulebook: Rulebook,
    reference: str,
    language: str,
    at: datetime,
    systems: list[tuple[str, Label, list[dict[str, Any]]]],
    safeguards: Mapping[str, Label] | None = None,
) -> dict[str, dict[str, str]]:
    """The files of an answer: name → media_type and text.

    `systems`: name, title and records of each one asked; `safeguards`: of those in a third country that hold something.

    Raises:
        RulebookError: The controller has not said what it tells with a copy.
    """

    def say(label: Label) -> str:
        return str(getattr(label, language))

    spoken, zone = cast("Language", language), ZoneInfo(rulebook.zone)
    authority = str(rulebook.values["privacy"]["authority"])
    points = [(say(heading), say(text)) for heading, text in told(rulebook.organisation, authority)]
    abroad = [
        f"{say(title)}: {say((safeguards or {})[name])}" for name, title, _ in systems if name in (safeguards or {})
    ]
    if abroad:
        points.append((say(SAFEGUARDS), " ".join(abroad)))
    data = {
        "controller": rulebook.name,
        "reference": reference,
        "gathered_at": at.isoformat(),
        "about": dict(points),
        "systems": [
            {"system": name, "name": say(title), "found": len(records), "records": records}
            for name, title, records in systems
        ],
    }
    page = _PAGE.render(
        language=language,
        title=say(TITLE),
        controller_word=say(CONTROLLER),
        controller=rulebook.name,
        reference_word=say(REFERENCE),
        reference=reference,
        points=points,
        system_word=say(SYSTEM),
        nothing=say(NOTHING),
        systems=[
            {
                "name": say(title),
                "records": [
                    {
                        "title": _title(record["record"], say),
                        "name": record["record"].rpartition(":")[2],
                        "lines": [
                            (field_in(path, spoken), _stands(record, path, say) or value_in(path, value, spoken, zone))
                            for path, value in lines_of(record)
                        ],
                    }
                    for record in records
                ],
            }
            for _, title, records in systems
        ],
    )
    return {
        "personal-data.json": {
            "media_type": "application/json",
            "text": json.dumps(data, ensure_ascii=False, indent=2),
        },
        "personal-data.html": {"media_type": "text/html", "text": page},
    }


def _stands(record: Mapping[str, Any], path: str, say: Callable[[Label], str]) -> str | None:
    """Of the own store's cases: under way or closed; what its stages are called is the controller's own affair."""
    if path != "stage" or record["record"].partition(":")[0] not in CASES:
        return None
    return say(CLOSED if record["closed_at"] else UNDER_WAY)


def _title(record: str, say: Callable[[Label], str]) -> str:
    """What a record of the own store is; one of another system says so by its name alone."""
    kind, _, name = record.partition(":")
    return say(KINDS[kind]) if kind in KINDS else name


def portable_files(systems: list[tuple[str, Label, list[dict[str, Any]]]]) -> dict[str, dict[str, str]]:
    """What the person provided, for another controller to read: JSON, and CSV with a line for each field.

    Of a record that is what was filed and who the person is in it; what the controller made of it, such as a stage or
    letters, the person did not provide (GDPR 20(1), SE-19.1).
    """
    provided = [
        {
            "system": name,
            **{k: record[k] for k in ("record", "kind", "received_at", "person", "filed", "rows") if k in record},
        }
        for name, _, records in systems
        for record in records
    ]
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(("system", "record", "field", "value"))
    for record in provided:
        fields = {k: v for k, v in record.items() if k not in ("system", "record")}
        writer.writerows((record["system"], record["record"], path, value) for path, value in lines_of(fields))
    return {
        "portable-data.json": {
            "media_type": "application/json",
            "text": json.dumps({"records": provided}, ensure_ascii=False, indent=2),
        },
        "portable-data.csv": {"media_type": "text/csv", "text": table.getvalue()},
    }


def lines_of(value: Any, path: str = "") -> Iterable[tuple[str, str]]:
    """Every field of a record with its path, as people and tables read it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from lines_of(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for i, inner in enumerate(value, 1):
            yield from lines_of(inner, f"{path}.{i}")
    elif value is not None:
        yield path, str(value)


def masked(value: Any, path: str, instead: str) -> tuple[Any, bool]:
    """The value with what stands under a path masked, and whether anything does: `rows.2.notes`, `*` for each."""
    step, _, rest = path.partition(".")
    if isinstance(value, dict):
        items: list[tuple[Any, Any]] = list(value.items())
    elif isinstance(value, list):
        items = [(str(n), inner) for n, inner in enumerate(value, 1)]
    else:
        return value, False
    found = False
    after = []
    for key, inner in items:
        if step in (key, "*") and inner is not None:
            inner, there = masked(inner, rest, instead) if rest else (instead, True)  # noqa: PLW2901  # the one instead
            found = found or there
        after.append((key, inner))
    return (dict(after) if isinstance(value, dict) else [inner for _, inner in after]), found
