"""An operator's work in the real Temporal UI: sign in, find what is late, see where it stands, decide it there."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import FrameLocator, Locator, Page, async_playwright, expect
from sqlmodel import col, select

from models.now import wall_clock
from models.tables import CaseRow, ClockRow, TimelineRow
from operations.connection import Connection, connect
from operations.demo import coding, load_file, operators, working
from operations.local import local
from operations.place import find, keys
from operations.samples import SAMPLES, Sample, read, resolved
from operations.setup import setup
from settings import Settings

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]

WIDTH, HEIGHT = 1400, 900
PATIENCE = 20_000  # milliseconds until a condition must hold, on a busy machine
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
RIGA = ZoneInfo("Europe/Riga")
LATE = "claim:BTA:2026-1003"
ON_TIME = "claim:BTA:2026-1004"
COUNTED = "sign_in_review:BL:2026-10"
OTHERS = {
    ON_TIME: "Collecting",
    "access_request:BL:2026-2002": "Resting",
    "authenticator_withdrawal:BL:2026-2101": "Running",
    "privacy_request:GJ:2026-3102": "Identifying",
    COUNTED: "Reviewing",
}
"""One case of each kind, and where it comes to stand by itself."""

SCROLLS_SIDEWAYS = """() => [document.scrollingElement, ...document.querySelectorAll('*')]
    .filter(e => e === document.scrollingElement || ['auto', 'scroll'].includes(getComputedStyle(e).overflowX))
    .filter(e => e.scrollWidth > e.clientWidth + 1)
    .map(e => `${e.tagName}.${e.className}: ${e.scrollWidth} > ${e.clientWidth}`)"""


@dataclass
class Desk:
    """An operator's browser in front of an installation of its own."""

    page: Page
    door: str
    base: str
    connection: Connection
    tokens: dict[str, str]
    shots: Path

    async def sign_in(self, code: str) -> None:
        """Sign in as an operator, as a person types the token."""
        await self.page.goto(f"{self.door}/sign-in")
        if await self.page.get_by_role("button", name="Sign out").is_visible():
            await self.page.get_by_role("button", name="Sign out").click()
        await self.page.get_by_label("Your token").fill(self.tokens[code])
        await self.page.get_by_role("button", name="Sign in").click()
        await self.page.wait_for_url("**/namespaces/**")

    async def search(self, query: str) -> None:
        """Open the list of workflows with a query, as a link of the guide does."""
        await self.page.goto(f"{self.base}?query={quote(query)}")

    async def open(self, case: str) -> FrameLocator:
        """Open a case at the tab that says where it stands; its current details."""
        await self.page.goto(f"{self.base}/{quote(case)}")
        await self.page.get_by_text("User Metadata", exact=True).click()
        return self.page.frame_locator("#user-metadata-current-details")

    async def form(self, update: str) -> Locator:
        """The form that sends this update."""
        await self.page.get_by_role("button", name="More Actions").click()
        await self.page.get_by_role("menuitem", name="Send an Update").click()
        form = self.page.locator("dialog[open]")
        await form.get_by_test_id("update-select-button").click()
        await form.get_by_role("option", name=update).click()
        return form

    async def shot(self, name: str) -> None:
        """Keep what is to be seen now, for people."""
        await self.page.screenshot(path=self.shots / f"{name}.png")

    async def sideways(self) -> list[str]:
        """Whatever scrolls sideways: the page, anything in it, or a frame of it."""
        return [found for frame in self.page.frames for found in await frame.evaluate(SCROLLS_SIDEWAYS)]

    async def rows(self, table: Any, case: str) -> list[Any]:
        """The ledger's rows of a case."""
        async with self.connection.sessions() as session:
            return list((await session.exec(select(table).where(col(table.case) == case))).all())


@pytest.fixture(scope="module")
def var() -> Iterator[Path]:
    """Not pytest's own folder: each pytest that starts closes those to other users, so to PostgreSQL's."""
    with tempfile.TemporaryDirectory(prefix="termins-test-") as folder:
        yield Path(folder) / "var"


@pytest.fixture(scope="module")
async def desk(var: Path) -> AsyncIterator[Desk]:
    """Servers, a worker and cases as `make demo` has them, and a browser that nobody has used before."""
    settings = Settings(var=var)
    shots = Settings().var / "screenshots"
    shots.mkdir(parents=True, exist_ok=True)
    async with local(var) as services:
        place = await find(settings)
        keyring = keys(place, settings)
        client = await place.connect(keyring)
        await setup(client, services.database_url, keyring)
        await keyring.close()
        async with (
            working(settings, client),
            coding(settings, place),
            connect(settings, engine="needed") as connection,
        ):
            for name in ("policies.json", "clients.json"):
                await load_file(connection, SAMPLES / name)
            for sample in read():
                if sample.case in (LATE, *OTHERS):
                    await connection.intake.submit(_now(sample))
            tokens = await operators(connection, var)
            async with async_playwright() as playwright:
                context = await playwright.chromium.launch_persistent_context(
                    var / "browser",
                    executable_path=CHROMIUM,
                    args=list(QUIET),
                    viewport={"width": WIDTH, "height": HEIGHT},
                )
                context.set_default_timeout(PATIENCE)
                expect.set_options(timeout=PATIENCE)
                base = f"{place.codec_url}/namespaces/{services.namespace}/workflows"
                desk = Desk(context.pages[0], place.codec_url, base, connection, tokens, shots)
                await desk.sign_in("op-7")
                yield desk
                await context.close()


def _now(sample: Sample) -> dict[str, Any]:
    filing: dict[str, Any] = resolved(sample.filing, wall_clock(), RIGA)
    return filing


async def _within_the_window(*what: Locator) -> None:
    """Seen at once: no part lies outside of the window, so nobody has to scroll."""
    for each in what:
        await expect(each).to_be_visible()
        box = await each.bounding_box()
        assert box is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= HEIGHT, each
        assert box["x"] + box["width"] <= WIDTH, each


async def test_a_late_claim_is_found_by_its_due_date_and_by_its_mark(desk: Desk) -> None:
    """Both queries of the guide find it and nothing that still has time; the guide's columns fit the window."""
    page = desk.page
    for query in (
        f"Due < '{wall_clock():%Y-%m-%dT%H:%M:%SZ}' AND ExecutionStatus = 'Running'",
        "Overdue = true AND ExecutionStatus = 'Running'",
    ):
        await desk.search(query)
        await expect(page.get_by_role("link", name=LATE)).to_be_visible()
        await expect(page.get_by_role("link", name=ON_TIME)).to_have_count(0)
    await page.get_by_role("button", name="Configure Columns").click()
    for column in ("Run ID", "Type", "Start", "End"):
        await page.get_by_role("button", name=f"Remove {column} column", exact=True).click()
    for column in ("Stage", "Due", "Handler"):
        await page.get_by_role("button", name=f"Add {column} column", exact=True).click()
    await page.reload()
    await expect(page.get_by_role("row").filter(has_text=LATE)).to_contain_text("deciding")
    assert await desk.sideways() == []
    await desk.shot("1-list-of-what-is-late")
    await page.get_by_role("link", name=LATE).click()
    await expect(page.get_by_role("heading", name=LATE)).to_be_visible()
    assert await desk.sideways() == []
    await desk.shot("2-case")


async def test_a_late_claim_is_decided_once_from_the_form(desk: Desk) -> None:
    """Its details say all that is needed in one look; the form refuses nothing at all, and takes the pasted JSON."""
    (clock,) = [row for row in await desk.rows(ClockRow, LATE) if row.duty == "BTA-10.5a"]
    assert wall_clock() - clock.anchor_at > timedelta(days=40)
    details = await desk.open(LATE)
    line = details.get_by_role("listitem")
    due, waits, possible = (line.filter(has_text=f"{name}:") for name in ("Next due", "Waits for", "Possible now"))
    await _within_the_window(details.get_by_role("heading", name="Deciding · OVERDUE"), due, waits, possible)
    await expect(due).to_contain_text("BTA-10.5a Decide the claim, OVERDUE")
    await expect(due).to_contain_text(f"{clock.due.astimezone(RIGA) - timedelta(days=1):%Y-%m-%d}")
    await expect(waits).to_contain_text("the handler’s findings and decision")
    await expect(possible).to_contain_text("propose_decision")
    assert await desk.sideways() == []
    await desk.shot("3-late-claim")

    # cover first: what no date can say is met, as the ready JSON has it
    ready = await details.locator("p").filter(has_text="judge_findings:").locator("code").inner_text()
    assert {finding["outcome"] for finding in json.loads(ready)["findings"]} == {"met"}
    form = await desk.form("judge_findings")
    await form.locator(".cm-content").click()
    await desk.page.keyboard.insert_text(ready)
    await form.get_by_role("button", name="Submit").click()
    await expect(form).to_have_count(0)
    details = await desk.open(LATE)
    await expect(details.get_by_role("listitem").filter(has_text="Cover:")).to_contain_text("met on every point")

    text = await details.locator("p").filter(has_text="propose_decision:").locator("code").inner_text()
    assert json.loads(text)["case"] == LATE
    assert "actor" not in json.loads(text), "who says it is known from the token"
    text = text.replace("‹EUR, such as 1200.00›", "640.00")
    assert "‹" not in text

    before = await desk.rows(TimelineRow, LATE)
    form = await desk.form("propose_decision")
    await form.get_by_role("button", name="Submit").click()
    await expect(form).to_contain_text("no message: one JSON object is needed")  # opened for who may see the case
    await desk.shot("4-refused")
    assert len(await desk.rows(TimelineRow, LATE)) == len(before)

    await form.locator(".cm-content").click()
    await desk.page.keyboard.insert_text(text)
    await desk.shot("5-filled-in")
    await form.get_by_role("button", name="Submit").click()
    await expect(form).to_have_count(0)
    details = await desk.open(LATE)
    await expect(details.get_by_role("heading", name="Telling and paying")).to_be_visible()
    await expect(details.get_by_role("listitem").filter(has_text="Decision:")).to_contain_text("pay")
    assert await desk.sideways() == []
    await desk.shot("6-decided")

    decided = [row for row in await desk.rows(TimelineRow, LATE) if row.entry == "decided"]
    assert [row.actor for row in decided] == ["op-7"]
    assert [row.stage for row in await desk.rows(CaseRow, LATE)] == ["telling_and_paying"]
    statuses = {row.duty: row.status for row in await desk.rows(ClockRow, LATE)}
    assert statuses["BTA-10.5a"] == "late", "decided after the 30 days: said so, and for ever"


async def test_a_case_of_another_organisation_is_not_shown(desk: Desk) -> None:
    """The handler of claims sees that the case is there, and nothing of what it holds."""
    await desk.sign_in("op-7")
    details = await desk.open("privacy_request:GJ:2026-3102")
    await expect(details.locator("body")).to_contain_text("No Current Details")
    await desk.shot("7-not-yours-to-see")


@pytest.mark.parametrize("case", list(OTHERS))
async def test_every_kind_says_in_one_look_where_it_stands(desk: Desk, case: str) -> None:
    """Stage, date and who acts are seen without scrolling; nothing is too wide; every JSON can be pasted."""
    await desk.sign_in("op-1")
    details = await desk.open(case)
    line = details.get_by_role("listitem")
    await _within_the_window(details.locator("h2"))
    await expect(details.locator("h2")).to_contain_text(OTHERS[case])
    await _within_the_window(line.filter(has_text="Next d"), line.filter(has_text="Waits for:"))
    await _within_the_window(line.filter(has_text="Possible now:"))
    assert await desk.sideways() == []
    for code in await details.locator("code").all():
        assert json.loads(await code.inner_text())["case"] == case
    if case == COUNTED:  # a command is copied as it has to be typed
        await expect(line.filter(has_text="To read it:")).to_contain_text("sign-in month BL 2026-10 --personal")
    await desk.shot(case.replace(":", "-"))
