"""A letter as a PDF: the same text as the mail, laid out to be printed and kept. Equal letters give equal bytes."""

import re
from collections.abc import Iterator
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from activities.letters import day
from integrations.mail import Language
from models.common import Model

FONT = Path(str(files("font_roboto") / "files"))
"""Roboto (Apache 2.0): it has every letter of the three languages, and Cyrillic and Greek for names."""

MARGIN, LEADING, INDENT = 22.0, 5.4, 5.0
"""Millimetres."""
NORMAL, SMALL, LARGE = 10.5, 8.5, 13.0
"""Points."""
TOGETHER = 2
"""Lines of a paragraph that stay together at the foot and at the head of a page."""

_LABELS: dict[Language, tuple[str, str, str]] = {
    "lv": ("Saņēmējs", "Datums", "Atsauce"),
    "lt": ("Gavėjas", "Data", "Bylos Nr."),
    "en": ("To", "Date", "Reference"),
}
_MONEY = "(?:\\d[\\d\N{NO-BREAK SPACE}]*,\\d\\d\N{NO-BREAK SPACE}EUR|EUR\N{NO-BREAK SPACE}[\\d,]+\\.\\d\\d)"
_SUM = re.compile(f"(?P<what>.+?:) (?P<before>(?:\\w+ {_MONEY} \\w+ )?)(?P<after>{_MONEY}\\.?)(?P<note> .+)?")
"""A line of a calculation: what it is about, from which amount if it changes one, the amount, and a remark."""


class Sheet(Model):
    """What stands on the paper."""

    sender: str
    to: str
    """The reader's name."""
    reference: str
    written_at: datetime
    """In the sender's zone: its day is the letter's date, and the file says that it was made then."""
    subject: str
    text: str
    """Paragraphs and lists (`- `, of parts `  - `), as in the mail."""
    language: Language


def pdf(sheet: Sheet) -> bytes:
    """The letter on as many pages as it needs, with its text selectable."""
    page = _page(sheet)
    page.add_page()
    _head(page, sheet)
    for line, follows in _lines(sheet.text):
        if not line:
            page.ln(LEADING * 0.6)
        elif line.lstrip(" ").startswith("- "):
            _item(page, line)
        else:
            heads_a_list = line.endswith(":") and follows.startswith("- ")
            page.set_font(style="B" if heads_a_list else "")
            # a heading does not stay alone at the foot of a page
            if heads_a_list and page.will_page_break(LEADING * 3):
                page.add_page()
            _paragraph(page, line)
            page.set_font(style="")
    return bytes(page.output())


def _page(sheet: Sheet) -> Any:
    from fpdf import FPDF  # noqa: PLC0415  # half a second that only whoever writes a PDF has to wait

    class Page(FPDF):
        def footer(self) -> None:
            self.set_y(-16)
            self.set_font(size=SMALL)
            self.set_text_color(90)
            self.cell(0, 5, sheet.reference, align="L", new_x="LMARGIN", new_y="TOP")
            self.cell(0, 5, f"{self.page_no()} / {{nb}}", align="R")

    made = Page(format="A4")
    made.set_creation_date(sheet.written_at)
    made.set_producer("Termins")
    made.set_title(sheet.subject)
    made.set_author(sheet.sender)
    made.set_lang(sheet.language)
    made.set_margins(MARGIN, MARGIN, MARGIN)
    made.set_auto_page_break(auto=True, margin=24)
    made.add_font("Roboto", style="", fname=FONT / "Roboto-Regular.ttf")
    made.add_font("Roboto", style="B", fname=FONT / "Roboto-Bold.ttf")
    made.set_font("Roboto", size=NORMAL)
    return made


def _head(page: Any, sheet: Sheet) -> None:
    page.set_font(style="B", size=LARGE)
    page.cell(0, 7, sheet.sender, new_x="LMARGIN", new_y="NEXT")
    page.set_draw_color(150)
    page.line(MARGIN, page.get_y() + 1.5, page.w - MARGIN, page.get_y() + 1.5)
    page.ln(7)
    values = (sheet.to, day(sheet.written_at.date(), sheet.language), sheet.reference)
    for label, value in zip(_LABELS[sheet.language], values, strict=True):
        page.set_font(style="", size=NORMAL)
        page.set_text_color(90)
        page.cell(26, LEADING, label)
        page.set_text_color(0)
        page.multi_cell(0, LEADING, value, align="L", new_x="LMARGIN", new_y="NEXT")
    page.ln(LEADING)
    page.set_font(style="B", size=LARGE)
    page.multi_cell(0, 6.5, sheet.subject, align="L", new_x="LMARGIN", new_y="NEXT")
    page.ln(LEADING * 0.8)
    page.set_font(style="", size=NORMAL)


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Each line with the one that follows; of several empty lines one, and none between a heading and its list."""
    lines = text.strip().split("\n")
    for n, line in enumerate(lines):
        following = lines[n + 1] if n + 1 < len(lines) else ""
        if line or following:
            yield line, following


def _paragraph(page: Any, text: str) -> None:
    """A paragraph; where it goes over to the next page, no line of it stands alone on either."""
    lines = page.multi_cell(0, LEADING, text, align="L", dry_run=True, output="LINES")
    fit = next((n for n in range(len(lines)) if page.will_page_break(LEADING * (n + 1))), len(lines))
    if fit < len(lines):
        stays = min(fit, len(lines) - TOGETHER)
        if stays >= TOGETHER:
            page.multi_cell(0, LEADING, " ".join(lines[:stays]), align="L", new_x="LMARGIN", new_y="NEXT")
            text = " ".join(lines[stays:])
        page.add_page()
    page.multi_cell(0, LEADING, text, align="L", new_x="LMARGIN", new_y="NEXT")


def _item(page: Any, text: str) -> None:
    """A point of a list; an amount stands at the right edge, so that those of a calculation are under each other."""
    left = page.l_margin + INDENT * (1 + text.startswith("  "))
    text = text.lstrip(" ").removeprefix("- ")
    found = _SUM.fullmatch(text)
    if found is None:
        _mark(page, left)
        page.multi_cell(0, LEADING, text, align="L", new_x="LMARGIN", new_y="NEXT")
        return
    what, before, after, note = found["what"], found["before"].strip(), found["after"], (found["note"] or "").strip()
    # a full stop hangs over the edge: amounts with and without one stand figure under figure
    stop = page.get_string_width(".") if after.endswith(".") else 0
    widths = [page.get_string_width(part) + 2.5 if part else 0 for part in (before, after.removesuffix("."))]
    room = page.w - page.r_margin - left - sum(widths) - 2
    height = LEADING * len(page.multi_cell(room, LEADING, what, align="L", dry_run=True, output="LINES"))
    # a remark stays with its amount
    if page.will_page_break(height + (LEADING if note else 0)):
        page.add_page()
    _mark(page, left)
    top = page.get_y()
    page.multi_cell(room, LEADING, what, align="L", new_x="RIGHT", new_y="TOP")
    page.set_y(top + height - LEADING)
    page.set_x(page.w - page.r_margin - sum(widths))
    if before:
        page.set_text_color(90)
        page.cell(widths[0], LEADING, before, align="R")
        page.set_text_color(0)
    page.cell(widths[1] + stop, LEADING, after, align="R", new_x="LMARGIN", new_y="NEXT")
    if note:
        page.set_font(size=SMALL)
        page.set_x(left)
        page.multi_cell(room, LEADING * 0.85, note, align="L", new_x="LMARGIN", new_y="NEXT")
        page.set_font(size=NORMAL)
    page.ln(LEADING * 0.15)


def _mark(page: Any, left: float) -> None:
    """The dash before a point; what follows begins, and goes on, to the right of it."""
    page.set_x(left - INDENT * 0.8)
    page.cell(INDENT * 0.8, LEADING, "–")
