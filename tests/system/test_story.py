"""The story of a case as a page: all that the record says, the same in Markdown and HTML, and nobody named unasked."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from models.citing import source
from operations import story
from tests.system.test_starter import Environment, cli, complete
from tests.workflows.test_authenticator_withdrawal import noticed
from tests.workflows.test_claim import MONDAY, decided, deciding, paid_on, proposal
from tests.workflows.test_late_premium import REASON, refused
from tests.workflows.test_limits import claim, confirmed, tight
from tests.workflows.test_privacy_request import file, person
from tests.workflows.test_salvage import agreed, handed
from tests.world import World

CHROMIUM = shutil.which("chromium")
SECRETS = ("Bērziņa", "anna.berzina", "LV97", "Jumtu", "dms/", "the statement of the bank", "ceiling")


class Parsed(HTMLParser):
    """What a reader of the HTML sees, which tags there are, and what it would fetch."""

    VOID = ("meta", "link", "img", "br", "hr", "input")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.fetched: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.fetched += [v for k, v in attrs if k in ("src", "href", "srcset") and v and not v.startswith("#")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


async def pages(world: World, case: str, *, personal: bool = False) -> tuple[str, str]:
    """The story in both forms."""
    told = await story.tell(world.sessions, world.now(), case, personal=personal)
    return story.page(told, "markdown"), story.page(told, "html")


async def part_paid(world: World) -> str:
    """A claim that got 300 of 1 200, because one filed earlier holds the limit; the 300 are paid."""
    policy = await tight(world)
    await claim(world, policy)
    second = await claim(world, policy)
    await world.say(second, "propose_decision", **proposal())
    await confirmed(world, second, "C1:indemnity")
    await world.stage(second, "awaiting_limit")
    return second


async def test_the_story_of_a_claim_says_what_was_decided_why_and_what_proves_it(world: World) -> None:
    case = await part_paid(world)
    for page in await pages(world, case):
        text = re.sub(r"\\(.)", r"\1", page.replace("\N{NO-BREAK SPACE}", " "))
        for part in (
            "BTA-10.5a",
            "30 calendar days",  # how it was counted
            "event day is not counted",
            "decision, happened",  # what proves it
            "You are entitled to up to EUR 900.00 more",  # the calculation of the letter
            "300.00",
            "C1:indemnity",
            "clear, ",  # the screening of the payee
            "1,500.00 EUR, 300.00 of it taken",  # the limit of the occurrence
            "1,200.00 EUR of the period",  # what the earlier claim reserves
            "proof of the amount",
            "awaiting limit",
            "op-1",
        ):
            assert part in text, part


async def test_nobody_is_named_and_nothing_freely_written_stands_there_unasked(world: World) -> None:
    case = await decided(world)
    await world.advance(case, datetime(2027, 3, 24, 9, 0, tzinfo=MONDAY.tzinfo))
    correction = {"reason": "the statement of the bank came late", "document": "dms/9", "second_person": "op-2"}
    await world.say(case, "confirm_payment", **paid_on("2027-03-22"), correction=correction)
    for page in await pages(world, case):
        for secret in SECRETS:
            assert secret not in page, secret
        assert "corrected, second person op-2" in page
    for page in await pages(world, case, personal=True):
        for part in ("Anna Bērziņa", "the statement of the bank came late", "with personal data"):
            assert part in page


async def test_what_people_wrote_is_shown_and_explained_only_where_asked(world: World, where: Environment) -> None:
    """Reasons of steps and of clocks that ended, and why something was corrected."""
    case = await decided(world)
    await world.advance(case, datetime(2027, 3, 24, 9, 0, tzinfo=MONDAY.tzinfo))
    correction = {"reason": "the statement of the bank came late", "document": "dms/9", "second_person": "op-2"}
    await world.say(case, "confirm_payment", **paid_on("2027-03-22"), correction=correction)
    premium = await refused(world)
    secrets = {case: ("dms/9", "the statement of the bank"), premium: (REASON,)}
    for one, told in secrets.items():
        asked = ""
        for words in (("show", one), ("show", one, "--json"), ("explain", one), ("explain", one, "--json")):
            plain = (await cli(where, *words)).stdout
            assert not [word for word in told if word in plain], words
            asked += (await cli(where, *words, "--personal")).stdout
        assert [word for word in told if word in asked] == list(told)
        for page in await pages(world, one):
            assert not [word for word in told if word in page]


async def test_a_rejection_gives_the_clause_and_the_handlers_words_only_where_asked(world: World) -> None:
    case = await deciding(world)
    found = [{"code": "4.1.24", "outcome": "not_met", "reason": "came through the ceiling"}]
    await world.say(case, "judge_findings", findings=found)
    said = proposal(outcome="reject", reasons=["4.1.24: the water came through the ceiling"])
    await world.say(case, "propose_decision", **said)
    for page in await pages(world, case):
        assert "reject" in page
        assert "4.1.24" in page
        assert "ceiling" not in page
    for page in await pages(world, case, personal=True):
        assert "the water came through the ceiling" in page


async def test_the_story_says_what_became_of_each_head_and_of_the_salvage(world: World) -> None:
    """Code, title and clause always; the words only where personal data were asked for."""
    case, _ = await agreed(world)
    await world.say(case, "salvage_handed_over", **handed())
    await world.payment(case, "C1:salvage-2", "issued")
    for page in await pages(world, case):
        assert "the salvage was handed over" in page
        assert "dms/handover" not in page
    other = await deciding(world)
    reduced = {"claimant": "C1", "head": "property_damaged", "outcome": "reduce", "code": "restoring_only"}
    said = proposal("900.00", "pay_reduced", heads=[{**reduced, "text": "New wheels were on it"}])
    await world.say(other, "propose_decision", **said)
    await world.stage(other, "telling_and_paying")
    for page in await pages(world, other):
        assert "Only restoring the former state is paid (clause 9.3.2)" in re.sub(r"\\(.)", r"\1", page)
        assert "New wheels" not in page
    for page in await pages(world, other, personal=True):
        assert "New wheels were on it" in page


async def test_what_people_wrote_is_text_and_no_markup(world: World) -> None:
    """A name that is HTML, or a table's bar, changes neither page."""
    name = "<img src=x onerror=alert(1)> | **A_B** [x](http://example.lv)"
    parties = [{"name": name, "email": "a@example.lv", "language": "lv"}]
    case = await deciding(world, claimants=parties)
    markdown, html = await pages(world, case, personal=True)
    assert "<img" not in html
    assert name in Parsed(html).text
    row = next(line for line in markdown.splitlines() if "onerror" in line)
    columns = 8  # party, role, language, and the five that are personal
    assert len(re.findall(r"(?<!\\)\|", row)) == columns + 1
    assert "\\<img" in row


async def test_the_html_is_one_file_of_plain_semantic_tags(world: World) -> None:
    _, html = await pages(world, await part_paid(world))
    parsed = Parsed(html)
    assert parsed.open == []
    assert parsed.fetched == []
    assert "script" not in parsed.tags
    assert {"header", "main", "footer", "nav", "h1", "h2", "h3", "dl", "table", "thead", "th"} <= parsed.tags
    ids = re.findall(r'id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(ids)


async def test_the_markdown_has_tables_with_as_many_cells_as_columns(world: World) -> None:
    markdown, _ = await pages(world, await part_paid(world))
    table = ""
    for line in markdown.splitlines():
        if line.startswith("|"):
            bars = re.sub(r"\\.", "", line).count("|")
            table = table or str(bars)
            assert str(bars) == table, line
        else:
            table = ""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
async def test_the_page_fits_a_screen_and_a_sheet(world: World, tmp_path: Path) -> None:
    """Nothing is wider than a window of 1200 pixels, or than A4 where it is printed."""
    _, html = await pages(world, await part_paid(world))
    (tmp_path / "story.html").write_text(html)
    async with async_playwright() as browsers:
        browser = await browsers.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = await browser.new_page(viewport={"width": 1200, "height": 900})
        await page.goto((tmp_path / "story.html").as_uri())
        assert await page.evaluate("document.documentElement.scrollWidth") <= 1200
        await page.emulate_media(media="print")
        await page.set_viewport_size({"width": 703, "height": 1000})  # A4 less its margins, at 96 dots an inch
        assert await page.evaluate("document.documentElement.scrollWidth") <= 703
        await browser.close()


@pytest.mark.usefixtures("present")
async def test_the_command_prints_a_page_or_writes_it_into_a_file(
    world: World, where: Environment, tmp_path: Path
) -> None:
    case = await complete(world, where, datetime.now(UTC) - timedelta(days=60))
    assert (await cli(where, "show", case, "--format", "markdown")).stdout.startswith(f"# {case}\n".replace("_", "\\_"))
    for name, begin in (("story.md", "# "), ("story.html", "<!doctype html>")):
        said = (await cli(where, "show", case, "--out", str(tmp_path / name))).stdout
        assert name in said
        text = (tmp_path / name).read_text()
        assert text.startswith(begin)
        assert "overdue" in text
        assert "Bērziņa" not in text
    await cli(where, "show", case, "--out", str(tmp_path / "story.doc"), code=2)
    await cli(where, "show", case, "--out", str(tmp_path / "no" / "story.md"), code=2)
    await cli(where, "show", case, "--format", "html", "--json", code=2)
    await cli(where, "show", "claim:BTA:NOBODY", "--format", "html", code=3)


async def test_every_kind_of_case_has_a_story(world: World) -> None:
    """A privacy request, which has no decision, no payment and no policy."""
    await world.begin(MONDAY)
    who = person()
    case = await file(world, "GJ", "access", who=who)
    await world.stage(case, "identifying")
    for page in await pages(world, case):
        assert "privacy" in page.lower()
        assert who["name"] not in page
        assert "Decisions" not in page


async def test_a_notice_that_runs_gives_its_day_though_nobody_can_be_late_with_it(world: World) -> None:
    """What the reader of a withdrawal asks first: when does it take effect."""
    _, case = await noticed(world)
    markdown, html = await pages(world, case)
    clock = await world.clock(case, "BL-3-notice")
    assert f"**Next date**: {clock.last_day:%a %Y-%m-%d}, in 10 d: BL-3-notice" in markdown
    assert "Next due" not in html
    assert "Authenticator withdrawal · " in html
    assert not re.search(r"\d\d:\d\d:\d\d\.\d", html), "fractions of a second are for the signed evidence"


def test_facts_are_words_instants_are_local_and_ids_stay_as_they_are() -> None:
    facts = {"sent_at": "2026-11-23T14:41:49.639998+00:00", "access_request:BL:2026-1": "done", "by_post": True}
    assert story.in_words(facts, "BL") == "sent at 2026-11-23 16:41; access_request:BL:2026-1 done; by post yes"


@pytest.mark.parametrize(
    ("clause", "said"),
    [
        ("10.5", "clause 10.5 of Rules"),
        ("16; GDPR 12(3)", "clause 16; GDPR 12(3) of Rules"),
        ("lines 155–159, 368", "lines 155–159, 368 of Rules"),
        ("product, with BTA 9.6", "Rules, with BTA 9.6"),
    ],
)
def test_a_duty_is_cited_as_its_document_is_parted(clause: str, said: str) -> None:
    assert source(clause, "Rules") == said
