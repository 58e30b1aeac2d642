"""A letter on paper: the words of the mail, letters of three languages, amounts in a column, the same bytes again."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pypdf import PdfReader

from activities.letters import LANGUAGES, day, render
from activities.pdf import Sheet, pdf
from integrations.mail import Language
from tests.activities.test_letters import DECISION
from tests.workflows.test_claim import _is, decided
from tests.world import RIGA, World

ROOT = Path(__file__).parents[2]
SPACE = "\N{NO-BREAK SPACE}"
WRITTEN = datetime(2026, 12, 31, 23, 30, tzinfo=RIGA)
LETTERS = "āčēģīķļņšūž ĀČĒĢĪĶĻŅŠŪŽ ąčęėįšųūž ĄČĘĖĮŠŲŪŽ „“”–§№ Ярослав Ώμέγα"
LINES = [
    f"Pierādītie zaudējumi (noteikumu 9.1. punkts): 1{SPACE}500,00{SPACE}EUR.",
    f"- Ienākumi (noteikumu 9.2.4. punkts): no 300,00{SPACE}EUR uz 20,00{SPACE}EUR. Daļa ir 33,33{SPACE}%.",
    f"Pašrisks (noteikumu 9.5. punkts): no 1{SPACE}500,00{SPACE}EUR uz 1{SPACE}234,50{SPACE}EUR.",
    f"Payable (clause 9): from EUR{SPACE}1,500.00 to EUR{SPACE}1,234.50.",
    f"Jums ir tiesības saņemt vēl līdz 300,00{SPACE}EUR, ievērojot noteikumu 9.6. punktu.",
]


def sheet(language: Language = "lv", lines: int = 1, **more: object) -> Sheet:
    """A decision on paper."""
    facts = DECISION | {"lines": LINES * lines, "reasons": [LETTERS]}
    letter = render("BTA-10.5b-third-party", language, facts, id="1", to="a@b.example", sender="c@d.example")
    words = {"sender": "BTA Insurance Company", "to": "Žanete Ķirse", "reference": "2026-000123", **more}
    known = {"written_at": WRITTEN, "subject": letter.subject, "text": letter.text, "language": language}
    return Sheet.model_validate({**known, **words})


def text_of(content: bytes) -> str:
    """What can be selected and copied, with single spaces."""
    return " ".join(" ".join(page.extract_text() for page in PdfReader(BytesIO(content)).pages).split())


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_paper_has_all_words_of_the_mail(language: Language) -> None:
    """With the sender, the reader, the day and the reference; lists have dashes."""
    said = sheet(language)
    found = text_of(pdf(said))
    words = [w for line in said.text.splitlines() for w in line.removeprefix("- ").removeprefix("- ").split()]
    assert [word for word in words if word not in found] == []
    for part in (said.sender, said.to, said.subject, said.reference, LETTERS, day(WRITTEN.date(), language)):
        assert part in found
    assert "1 / 1" in found


def test_the_amounts_of_a_calculation_end_at_the_same_edge() -> None:
    """Those before a change stand left of them, and a remark under its line."""
    ends: dict[str, float] = {}

    def visit(text: str, cm: list[float], tm: list[float], *_: object) -> None:
        if "EUR" in text:
            ends[text.strip()] = tm[4]

    PdfReader(BytesIO(pdf(sheet()))).pages[0].extract_text(visitor_text=visit)
    after = [x for text, x in ends.items() if text in {"20,00 EUR.", f"20,00{SPACE}EUR."}]
    assert after, ends
    # further right than the same sum with more digits: they are set flush right
    wider = [x for text, x in ends.items() if text.replace(SPACE, " ") == "1 500,00 EUR."]
    assert after[0] > wider[0] > 300


def test_amounts_with_and_without_a_full_stop_stand_figure_under_figure() -> None:
    """A decision's parts have none: the stop hangs over the edge."""
    starts: list[float] = []

    def visit(text: str, cm: list[float], tm: list[float], *_: object) -> None:
        if text.strip().startswith("20,00"):
            starts.append(tm[4])

    said = f"- Kopā: 20,00{SPACE}EUR.\n- Daļa: 20,00{SPACE}EUR"
    PdfReader(BytesIO(pdf(sheet(text=said)))).pages[0].extract_text(visitor_text=visit)
    assert len(starts) == 2
    assert starts[0] == pytest.approx(starts[1], abs=0.01)


@pytest.mark.parametrize("before", range(36, 48))
def test_no_line_of_a_paragraph_stands_alone_on_a_page(before: int) -> None:
    """Wherever the page ends, at the foot and at the head of the next."""
    words = " ".join(f"vārds-{n:03}" for n in range(60))
    read = PdfReader(BytesIO(pdf(sheet(text="- rinda\n" * before + "\n" + words))))
    on = [[line for line in page.extract_text().splitlines() if "vārds-" in line] for page in read.pages]
    assert 1 not in [len(lines) for lines in on]
    assert " ".join(" ".join(" ".join(lines) for lines in on).split()) == words


def test_a_long_letter_has_as_many_pages_as_it_needs_each_with_its_number() -> None:
    pages = PdfReader(BytesIO(pdf(sheet(lines=60)))).pages
    assert len(pages) > 3
    for number, page in enumerate(pages, 1):
        assert f"{number} / {len(pages)}" in page.extract_text()
        assert "2026-000123" in page.extract_text()


def test_the_same_letter_is_the_same_file_in_another_process_and_another_one_is_another() -> None:
    script = "import sys; from activities.pdf import Sheet, pdf; from hashlib import sha256\n"
    script += "print(sha256(pdf(Sheet.model_validate_json(sys.stdin.read()))).hexdigest())"
    done = [
        subprocess.run(
            [sys.executable, "-c", script],
            input=sheet().model_dump_json(),
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "America/Lima"))
    ]
    assert len(set(done)) == 1
    assert pdf(sheet()) == pdf(sheet())
    assert pdf(sheet()) != pdf(sheet(to="Zane Ķirse"))


def test_the_file_says_what_it_is() -> None:
    reader = PdfReader(BytesIO(pdf(sheet())))
    assert reader.metadata is not None
    assert reader.metadata.title == sheet().subject
    assert reader.metadata.author == "BTA Insurance Company"
    assert reader.metadata.creation_date == WRITTEN.replace(tzinfo=ZoneInfo("Europe/Riga"))
    assert str(reader.root_object["/Lang"]) == "lv"


async def test_both_letters_of_a_decision_carry_it(world: World) -> None:
    """10.5: to the third party and to the insured; a receipt has none."""
    case = await decided(world)
    await world.until(lambda: _is(world, case, "BTA-10.5b", "insured", "kept"))
    reference = case.split(":")[2]
    for address in ("anna.berzina@example.lv", "ins@jumtumeistari.example"):
        mails = [
            m for m in world.mails(address) if reference in str(m["Subject"]) and m["Subject"].startswith("Lēmums")
        ]
        (mail,) = mails
        (file,) = mail.iter_attachments()
        assert file.get_filename() == f"Lēmums {reference}.pdf"
        content = file.get_content()
        assert "1 000,00 EUR" in text_of(content)
        body = mail.get_body(("plain",))
        assert body is not None
        last = str(body.get_content()).split()[-1]
        assert last in text_of(content)
    receipts = [m for m in world.mails("anna.berzina@example.lv") if "Saņemta" in str(m["Subject"])]
    assert receipts
    assert not any(list(m.iter_attachments()) for m in receipts)
