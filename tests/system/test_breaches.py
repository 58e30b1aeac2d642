"""Breaches on the command line: the register, the authority's form, and who is to be told."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from models.settlement import Language
from operations.breach import form
from rules.wording import moment
from tests.system.test_starter import Environment, ask, cli
from tests.system.test_story import Parsed
from tests.workflows.test_breach import (
    SAID,
    assess,
    high,
    numbers,
    people,
    present,
    reported,
    told,
    write,
)
from tests.world import RIGA, World

pytestmark = pytest.mark.usefixtures("present")


async def test_people_are_loaded_from_a_file_and_shown_as_codes(
    world: World, where: Environment, tmp_path: Path
) -> None:
    """Bad rows are named with all their faults; names and addresses are there only where they are asked for."""
    case = await high(world, at=world.now() - timedelta(hours=1), begin=False)
    first, second = people(2)
    file = tmp_path / "people.csv"
    rows = [f"{first['name']};{first['email']};;lv", f"{second['name']};;Liepu iela 1, Valmiera;", "Bez adreses;;;de"]
    file.write_text("\n".join(["name;email;address;language", *rows]), encoding="utf-8")
    bad = await cli(where, "breaches", "load", case, str(file), "--actor", "system:tests", code=1)
    assert "2 people, 0 named again, 1 bad" in bad.stdout
    assert "language" in bad.stdout
    again = await ask(where, "breaches", "load", case, str(file), "--actor", "system:tests", code=1)
    assert (again["before"], again["people"]) == (True, 0)
    assert await numbers(world, case) == {"known": 2, "told": 0, "failed": 0, "no_mail": 1}
    await write(world, case)
    await told(world, case, 1)
    lines = await ask(where, "breaches", "people", case)
    assert [(one["party"], one["state"], one["name"], one["email"]) for one in lines] == [
        ("P1", "told", None, None),
        ("P2", "no e-mail", None, None),
    ]
    shown = await cli(where, "breaches", "people", case, "--left", "--personal")
    assert "Liepu iela 1, Valmiera" in shown.stdout
    assert first["name"] not in shown.stdout
    seen = (await cli(where, "show", case)).stdout
    assert "tell:P1:1" not in seen, "thousands of letters are listed elsewhere"
    await cli(where, "breaches", "load", "breach:BTA:NOBODY", str(file), code=3)
    await cli(where, "breaches", "people", "claim:BTA:NOBODY", code=3)


async def test_the_register_says_how_each_breach_stands(world: World, where: Environment) -> None:
    case = await reported(world, "GJ", world.now() - timedelta(hours=2), begin=False)
    await assess(world, case, "none")
    await world.say(case, "decide_not_to_notify", reason="Laiškas neperskaitytas")
    await world.say(case, "enter_register", facts="Laiškas", effects="Nėra", corrective_action="Mokymai")
    [one] = [line for line in await ask(where, "breaches", "--organisation", "GJ") if line["case"] == case]
    assert (one["risk"], one["authority"], one["facts"], one["reasons"]) == ("none", "not to be notified", None, None)
    shown = (await cli(where, "breaches", "--organisation", "GJ", "--personal")).stdout
    assert f"{case}  corrective action: Mokymai" in shown
    assert f"{case}  reasons: Laiškas neperskaitytas" in shown
    page = await form(world.sessions, world.now(), case, personal=False, language="lv")
    assert "<strong>Iestādei nav jāpaziņo" in page, "that comes first, and nothing is asked for"
    assert 'class="lacks"' not in page
    assert "Vēl trūkst" not in page
    assert "Mokymai" not in (await cli(where, "breaches")).stdout
    await cli(where, "breaches", "--organisation", "XX", code=2)


async def test_the_form_says_what_the_authority_asks_for_and_what_is_missing(
    world: World, where: Environment, tmp_path: Path
) -> None:
    """GDPR 33(3): in the controller's language or another; people's words only where they are asked for."""
    case = await reported(world, "SE", world.now() - timedelta(hours=2), begin=False)
    words = {"nature": SAID["nature"], "contact": SAID["contact"], "measures": SAID["measures"]}
    await world.say(case, "add_facts", **words)
    await assess(world, case, "risk")
    sent: dict[str, Any] = {"phase": 1, "sent_at": present(world).isoformat(), "reference": "VDAI-77"}
    await world.say(case, "notify_authority", **sent)
    await world.say(case, "add_facts", subjects=140, nature="Pavogtas <b>kompiuteris</b>")
    out = tmp_path / "form.html"
    await cli(where, "breaches", "form", case, "--out", str(out), "--personal")
    page = out.read_text(encoding="utf-8")
    parsed = Parsed(page)
    assert "Valstybinė duomenų apsaugos inspekcija" in page
    assert "Pavogtas &lt;b&gt;kompiuteris&lt;/b&gt;" in page
    for text in ("33(3)(c)", "Tikėtinos pažeidimo pasekmės", "trūksta", "praneština kitu etapu", "140", "VDAI-77"):
        assert text in page, text
    assert not any(day in parsed.text for day in ("Mon ", "Tue ", "Wed ", "Thu ", "Fri ", "Sat ", "Sun "))
    assert parsed.open == []
    assert parsed.fetched == []
    hidden = await form(world.sessions, world.now(), case, personal=False, language="en")
    assert SAID["contact"] not in hidden
    assert "VDAI-77" not in hidden
    assert "140" in hidden
    assert "to be said in the next phase" in hidden
    assert "Still missing: categories of data subjects, categories of personal data records" in hidden
    latvian = await form(world.sessions, world.now(), case, personal=True, language="lv")
    assert "Pārkāpuma iespējamās sekas" in latvian
    # instants and phases as each language writes them
    told = datetime.fromisoformat(sent["sent_at"]).astimezone(RIGA)
    language: Language
    for language, written, phase in (
        ("lv", moment(told, "lv"), "paziņots 1. posmā"),
        ("lt", moment(told, "lt"), "pranešta (1 etapas)"),
        ("en", moment(told, "en"), "notified in phase 1"),
    ):
        spoken = await form(world.sessions, world.now(), case, personal=True, language=language)
        assert written in spoken
        assert phase in spoken
        assert "+0200" not in spoken
    await cli(where, "breaches", "form", case, "--out", "form.pdf", "--language", "de", code=2)
    await cli(where, "breaches", "form", "breach:SE:NOBODY", "--out", str(out), code=3)
