"""The sanctions list: what the EU publishes is read whole, read anew when it changed, and never taken for empty."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from integrations.sanctions import SAMPLE, ListUnavailable, SanctionsFile, parse
from models.screening import BirthDate

TEXT = SAMPLE.read_bytes()


def test_the_sample_is_one_and_has_names_aliases_and_birth_dates() -> None:
    listed = parse(TEXT)
    assert listed.sample
    assert listed.made_at == datetime(2026, 11, 20, 16, 30, tzinfo=UTC)
    igor, yevgeniya, company, _ = listed.entries
    assert igor.id == "EU.9001.11"
    assert igor.names == ("Igor Borisovich Zimogorov", "Игорь Борисович ЗИМОГОРОВ")
    assert igor.births == (BirthDate(year=1961, day=date(1961, 5, 14)),)
    assert yevgeniya.names[1] == "Zhenya Khvorost"
    assert yevgeniya.births == (BirthDate(year=1975), BirthDate(year=1978))
    assert company.births == ()


def test_a_published_list_is_no_sample() -> None:
    assert not parse(TEXT.replace(b'globalFileId="SAMPLE"', b'globalFileId="151385"')).sample


def test_a_birth_date_that_cannot_be_read_clears_nobody() -> None:
    text = TEXT.replace(b'birthdate="1961-05-14" dayOfMonth="14" monthOfYear="5" year="1961"', b'year=""')
    assert parse(text).entries[0].births == ()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<export/>",
        TEXT[:-200],
        TEXT.replace(b"http://eu.europa.ec/fpi/fsd/export", b"http://example.org/other"),
        TEXT.replace(b"2026-11-20T17:30:00.000+01:00", b"today"),
        TEXT[: TEXT.index(b"<sanctionEntity")] + b"</export>",
        b'<!DOCTYPE d [<!ENTITY a "a">]>' + TEXT[TEXT.index(b"<export") :],
    ],
)
def test_what_is_no_list_is_never_taken_for_one_that_names_nobody(content: bytes) -> None:
    with pytest.raises(ListUnavailable):
        parse(content)


async def test_the_file_is_read_anew_when_it_changed_and_only_then(tmp_path: Path) -> None:
    path = tmp_path / "list.xml"
    source = SanctionsFile(path)
    with pytest.raises(ListUnavailable) as missing:
        await source.listed()
    assert str(tmp_path) not in str(missing.value)
    path.write_bytes(TEXT)
    first = await source.listed()
    assert await source.listed() is first
    path.write_bytes(TEXT.replace(b"Zimogorov", b"Zimogorsky"))
    os.utime(path, ns=(1, 1))
    assert (await source.listed()).digest != first.digest
