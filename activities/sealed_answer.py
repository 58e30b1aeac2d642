"""The archive of an answer as one encrypted PDF: readable pages, and its files within, for machines (SE-33.4.6)."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from activities.archive import TITLE, lines_of
from activities.pdf import FONT, LEADING, MARGIN, NORMAL
from integrations.mail import Language

NAME = "personal-data.pdf"


def sealed_pdf(files: Mapping[str, Mapping[str, str]], language: Language, at: datetime, password: str) -> bytes:
    """AES-256, opened by this password alone: what was gathered on pages, and each file of the archive attached.

    `files` is name → media_type and text, `at` when they were gathered.
    """
    from fpdf import FPDF  # noqa: PLC0415  # half a second that only whoever writes a PDF has to wait
    from pypdf import PdfReader, PdfWriter  # noqa: PLC0415  # as above

    title = str(getattr(TITLE, language))
    page: Any = FPDF(format="A4")
    page.set_creation_date(at)
    page.set_producer("Termins")
    page.set_lang(language)
    page.set_margins(MARGIN, MARGIN, MARGIN)
    page.set_auto_page_break(auto=True, margin=24)
    page.add_font("Roboto", style="", fname=FONT / "Roboto-Regular.ttf")
    page.add_font("Roboto", style="B", fname=FONT / "Roboto-Bold.ttf")
    page.add_page()
    _line(page, title, bold=True)
    told = files.get("personal-data.json")
    for text, bold in _told(json.loads(told["text"])) if told is not None else ():
        _line(page, text, bold=bold)
    for name in sorted(files):
        _line(page, name)
    # not by the encryption of fpdf: it leaves the names of attached files as they are, and readers then find none
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(bytes(page.output()))))
    for name, file in sorted(files.items()):
        writer.add_attachment(name, file["text"].encode())
    writer.encrypt(password, algorithm="AES-256")
    sealed = io.BytesIO()
    writer.write(sealed)
    return sealed.getvalue()


def _told(data: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """What stands on the pages, and whether it is a heading: the eight points, then each system with its records."""
    told = [line for heading, text in data["about"].items() for line in ((heading, True), (text, False))]
    for system in data["systems"]:
        told.append((system["name"], True))
        for record in system["records"]:
            told += [(f"{path}: {value}", False) for path, value in lines_of(record)]
    return told


def _line(page: Any, text: str, *, bold: bool = False) -> None:
    page.set_font("Roboto", style="B" if bold else "", size=NORMAL)
    page.multi_cell(0, LEADING, text, align="L", new_x="LMARGIN", new_y="NEXT")
