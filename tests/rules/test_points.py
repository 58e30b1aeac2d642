"""What each controller tells with a copy: its own eight points, by clause, in three languages (SE-16.10, SE-16.11)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from activities.archive import archive_files
from models.settlement import Label
from rules.points import FOLDER, HEADINGS, SPOKEN, points, told
from rules.rulebook import RulebookError, book, books

CONTROLLERS = [b.organisation for b in books().values() if "privacy" in b.values]
AT = datetime(2027, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("organisation", CONTROLLERS)
def test_every_controller_that_takes_requests_tells_all_eight_points(organisation: str) -> None:
    own = points(organisation)
    assert len(HEADINGS) == 8
    for name in HEADINGS:
        point = getattr(own, name)
        assert point.clause
        assert len({getattr(point, language) for language in SPOKEN}) == 3, "each language has its own text"
    authority = book(organisation).values["privacy"]["authority"]
    complaint = dict(zip(HEADINGS, told(organisation, authority), strict=True))["complaint"][1]
    assert all(authority in getattr(complaint, language) for language in SPOKEN)


def test_controllers_tell_different_things() -> None:
    """What one does is not what another does: only Gjensidige decides automatically, only Segosta keeps 15 years."""
    assert len({points(o).purposes.en for o in CONTROLLERS}) == len(CONTROLLERS)
    assert "risk group" in points("GJ").automated_decisions.en
    assert "people decide" in points("SE").automated_decisions.en
    assert "15 years" in points("SE").storage.en


def test_no_file_is_left_over() -> None:
    assert {path.stem.upper() for path in FOLDER.glob("*.toml")} == set(CONTROLLERS)


def test_a_point_or_a_language_that_is_missing_is_named(tmp_path: Path) -> None:
    text = (FOLDER / "se.toml").read_text()
    start = text.index("[source]")
    (tmp_path / "se.toml").write_text(text[:start] + '[source]\nclause = "4.2"\nlv = "Jūs vai Jūsu pārstāvis"\n')
    with pytest.raises(RulebookError) as faults:
        points("SE", tmp_path)
    assert {line.split(": ")[1] for line in str(faults.value).splitlines()} == {
        "source.lt",
        "source.en",
        "automated_decisions",
    }
    with pytest.raises(RulebookError, match=r"dz\.toml: missing"):
        points("DZ", tmp_path)


@pytest.mark.parametrize("language", SPOKEN)
def test_where_data_went_to_a_third_country_the_safeguards_are_named(language: str) -> None:
    """SE-16.11: beside the eight points, for each system that holds something there."""
    label = Label(lv="Laboratorija", lt="Laboratorija", en="Laboratory")
    said = Label(lv="standartklauzulas", lt="standartinės sąlygos", en="standard contractual clauses")
    systems = [("lab", label, [{"record": "lab:1"}]), ("clinic", label, [])]
    files = archive_files(book("SE"), "R1", language, AT, systems, {"lab": said})
    about = json.loads(files["personal-data.json"]["text"])["about"]
    assert len(about) == 9
    assert list(about.values())[-1] == f"{getattr(label, language)}: {getattr(said, language)}"
    assert getattr(said, language) in files["personal-data.html"]["text"]
    plain = archive_files(book("SE"), "R1", language, AT, systems)
    assert len(json.loads(plain["personal-data.json"]["text"])["about"]) == 8


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("lv", ("autentifikācijas pakalpojumu sniedzējs", "neatkarīgs pārzinis")),
        ("lt", ("autentifikavimo paslaugų teikėjas", "savarankiškas duomenų valdytojas")),
        ("en", ("the provider of authentication", "a controller of its own")),
    ],
)
def test_the_provider_of_an_authenticator_is_named_as_a_controller_of_its_own(
    language: str, words: tuple[str, str]
) -> None:
    """BL-16-recipient: in the answer to whoever asks for the own data, by clause, in each language."""
    recipients = points("BL").recipients
    assert recipients.clause == "3, 16"
    assert all(word in getattr(recipients, language) for word in words)
