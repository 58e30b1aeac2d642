"""How a letter cites what it rests on: an article of the GDPR, a clause or the lines of the controller's own document.

The rulebooks cite shortly and in English (`GDPR 17(3)(b)`, `14.5.5`, `lines 96–104`); people read it in their language.
"""

from __future__ import annotations

import re

_ARTICLE = re.compile(r"(?:GDPR|Art(?:icle|\.)) (?P<article>\d+)(?:\((?P<point>\d+)\))?(?:\((?P<letter>[a-z])\))?")
_CLAUSE = re.compile(r"(?P<clause>\d+(?:\.\d+)*)(?: (?P<letter>[a-z])\))?")
_LINES = re.compile(r"lines? (?P<first>\d+)(?:–(?P<last>\d+))?")


def cited(text: str, language: str) -> str:
    """The citations of `text`, which `; ` parts, as `language` writes them; what is no citation stays as it is."""
    return "; ".join(_one(part, language) for part in text.split("; "))


def named(clause: str) -> str:
    """Where a duty stands, for a page in English: `clause 10.5`, `lines 155–159, 368`, `product, with BTA 9.6`."""
    return f"clause {clause}" if clause[:1].isdigit() else clause


def source(clause: str, document: str) -> str:
    """The same with its document: `clause 10.5 of …`, `lines 359–368 of …`, `The product's own terms, with BTA 9.6`."""
    if clause.startswith("product"):
        return document + clause.removeprefix("product")
    return f"{named(clause)} of {document}"


def _one(text: str, language: str) -> str:
    if found := _ARTICLE.fullmatch(text):
        return _article(found["article"], found["point"], found["letter"], language) or text
    if found := _CLAUSE.fullmatch(text):
        return _clause(found["clause"], found["letter"], language)
    if found := _LINES.fullmatch(text):
        return _lines(found["first"], found["last"], language)
    return text


def _article(article: str, point: str | None, letter: str | None, language: str) -> str | None:
    """None in English, where the short form is the usual one."""
    if language == "lv":
        if letter and point:
            return f"VDAR {article}. panta {point}. punkta {letter}) apakšpunkts"
        return f"VDAR {article}. panta {point}. punkts" if point else f"VDAR {article}. pants"
    if language == "lt":
        if letter and point:
            return f"BDAR {article} straipsnio {point} dalies {letter} punktas"
        return f"BDAR {article} straipsnio {point} dalis" if point else f"BDAR {article} straipsnis"
    return None


def _clause(clause: str, letter: str | None, language: str) -> str:
    if language == "lv":
        return f"mūsu noteikumu {clause}. punkt" + (f"a {letter}) apakšpunkts" if letter else "s")
    if language == "lt":
        return f"mūsų taisyklių {clause} punkt" + (f"o {letter} papunktis" if letter else "as")
    return f"clause {clause}{f' {letter})' if letter else ''} of our rules"


def _lines(first: str, last: str | None, language: str) -> str:
    if language == "lv":
        return f"mūsu noteikumu {first}.–{last}. rinda" if last else f"mūsu noteikumu {first}. rinda"
    if language == "lt":
        return f"mūsų taisyklių {first}–{last} eilutės" if last else f"mūsų taisyklių {first} eilutė"
    return f"lines {first}–{last} of our rules" if last else f"line {first} of our rules"
