"""The page in a browser: sorting, notes, keyboard, phone width, light and dark, and hostile text, in Chromium."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semidbench.leaderboards.claims.judge import Ledger
from semidbench.leaderboards.page import render_page
from semidbench.leaderboards.page.escaping import visible
from semidbench.published import table_rows
from tests.page_boards import HOSTILE_NAMES, HOSTILE_TEXT, hostile, ledger, many_rows

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install semidbench[test]"
)
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium, as .ci/run does"
)
PHONE = {"width": 360, "height": 740}


@dataclass
class Seen:
    """What the browser reported: nothing of this should ever happen, but the one request for the page."""

    errors: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return ledger(tmp_path_factory.mktemp("demo"), "demo", table_rows("2"), 4)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, demo: Ledger) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    paper = ledger(folder, "paper", table_rows("3"), 2)
    pages = {"plain": [paper, demo], "hostile": [hostile(demo)], "many": [many_rows(demo, 200)]}
    for name, ledgers in pages.items():
        (folder / f"{name}.html").write_text(render_page(ledgers), "utf-8")
    return {name: folder / f"{name}.html" for name in pages}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Visitor:
    """Opens pages, and sees to it that they stay quiet."""

    browser: Any
    files: dict[str, Path]
    seen: Seen = field(default_factory=Seen)

    def visit(self, name: str, fragment: str = "#demo", **options: Any) -> Any:
        context = self.browser.new_context(**{"viewport": {"width": 1200, "height": 900}} | options)
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.on("console", lambda message: self.seen.errors.append(message.text))
        page.on("pageerror", lambda error: self.seen.errors.append(str(error)))
        page.on("dialog", lambda dialog: (self.seen.dialogs.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: self.seen.requests.append(request.url))
        page.goto(f"{self.files[name].as_uri()}{fragment}")
        return page


@pytest.fixture
def visitor(browser: Any, files: dict[str, Path]) -> Iterator[Visitor]:
    visitor = Visitor(browser, files)
    yield visitor
    for context in browser.contexts:
        context.close()
    assert visitor.seen.errors == []
    assert visitor.seen.dialogs == []
    assert not [url for url in visitor.seen.requests if not url.startswith(("file:", "data:"))]


def column(page: Any, n: int, body: str = "schemes") -> list[str]:
    """The text of one column of the demo's leaderboard, in the order shown."""
    cells = page.locator(f'table[data-track="demo"] tbody.{body} tr > :nth-child({n + 1})')
    return [" ".join(text.split()) for text in cells.all_inner_texts()]


def header(page: Any, n: int) -> Any:
    return page.locator(f'table[data-track="demo"] th[data-column="{n}"]')


def test_sorting_by_click(visitor: Visitor, demo: Ledger) -> None:
    page = visitor.visit("plain")
    board, key = demo.board, demo.board.columns[3].key
    falling = sorted(board.rows, key=lambda row: -(row.mean(key) or 0))
    rising = sorted(falling, key=lambda row: row.mean(key) or 0)  # ties stay as they stood
    references = [row.name for row in sorted(board.references, key=lambda row: -(row.mean(key) or 0))]
    assert column(page, 1) == [row.name for row in board.rows]
    header(page, 5).locator("button").click()
    assert column(page, 1) == [row.name for row in falling]
    assert column(page, 1, "references") == references
    assert header(page, 5).get_attribute("aria-sort") == "descending"
    assert header(page, 0).get_attribute("aria-sort") is None
    header(page, 5).locator("button").click()
    assert column(page, 1) == [row.name for row in rising]
    assert header(page, 5).get_attribute("aria-sort") == "ascending"
    header(page, 0).locator("button").click()
    assert column(page, 1) == [row.name for row in board.rows]


def test_sorting_by_keyboard_and_in_every_table(visitor: Visitor, demo: Ledger) -> None:
    page = visitor.visit("plain")
    header(page, 1).locator("button").focus()
    page.keyboard.press("Enter")
    assert column(page, 1) == sorted(row.name for row in demo.board.rows)
    page.keyboard.press("Space")
    assert column(page, 1) == sorted((row.name for row in demo.board.rows), reverse=True)
    assert "descending" in page.locator("#page\\.said").inner_text()
    lost = """() => {
      const texts = (table) => [...table.querySelectorAll("tbody tr")].map((row) => row.textContent);
      const tables = [...document.querySelectorAll("table.sortable")];
      const orders = new Set();
      const bad = tables.filter((table) => {
        const before = texts(table);
        for (const button of table.querySelectorAll(".sort")) { button.click(); orders.add(texts(table).join()); }
        return before.sort().join() !== texts(table).sort().join();
      });
      return [bad.length, tables.length, orders.size];
    }"""
    bad, tables, orders = page.evaluate(lost)
    assert bad == 0
    assert orders > tables > 20


def note_of(demo: Ledger, row: int, at: int) -> list[list[str]]:
    """The lines that the note on a number should have."""
    column, names = demo.board.columns[at], [one.name for one in demo.board.rows]
    tests, verdicts = column.tests, column.verdicts
    lines = []
    for b in np.flatnonzero(verdicts.holds[row] | verdicts.likely[row]).tolist():
        difference, half = verdicts.difference[row, b], verdicts.margin_of_error[row, b]
        lines.append(
            [
                f"{b + 1} {names[b]}",
                f"{difference:.3f}",
                verdicts.verdict(row, b),
                f"{difference - half:+.3f} to {difference + half:+.3f}".replace("-0.000", "+0.000"),
                f"{verdicts.holm[row, b]:.1e}" if verdicts.holm[row, b] < 1 else "1",
                f"{tests.seeds_ahead[row, b]}/{tests.n_seeds[row, b]}",
            ]
        )
    return lines


def lines_of(tip: Any) -> list[list[str]]:
    script = "all => all.map(row => [...row.cells].map(cell => cell.textContent))"
    return list(tip.locator("tbody tr").evaluate_all(script))


def test_a_note_on_hover_and_focus(visitor: Visitor, demo: Ledger) -> None:
    page = visitor.visit("plain")
    tip, verdicts = page.get_by_role("tooltip"), demo.board.columns[1].verdicts
    row = max(range(len(demo.board.rows)), key=lambda a: int((verdicts.holds | verdicts.likely)[a].sum()))
    number = page.locator(f"#demo\\.row\\.{row + 1} .tell").nth(1)
    assert tip.count() == 0
    number.hover()
    tip.wait_for()
    assert lines_of(tip) == note_of(demo, row, 1)
    assert len(lines_of(tip)) > 0
    assert number.get_attribute("aria-describedby") == "page.tip"
    tip.hover()
    page.keyboard.press("Escape")
    assert tip.count() == 0
    assert number.get_attribute("aria-describedby") is None
    number.focus()
    tip.wait_for()
    assert "Search R@30 Head" in tip.inner_text()
    assert re.search(r"Tested on \d+ items?\.", tip.inner_text())
    page.keyboard.press("Escape")
    assert tip.count() == 0
    assert number.evaluate("one => one === document.activeElement")


def test_every_note_says_what_the_tests_say(visitor: Visitor, demo: Ledger) -> None:
    page = visitor.visit("plain")
    found = page.evaluate(
        """() => [...document.querySelectorAll("#demo .tell")].map((number) => {
             number.focus();
             const tip = document.getElementById("page.tip");
             return [tip.querySelector("p").textContent,
                     [...tip.querySelectorAll("tbody tr")].map((row) => [...row.cells].map((cell) => cell.textContent)),
                     [...tip.querySelectorAll(".weak")].map((line) => line.textContent)];
           })"""
    )
    board = demo.board
    assert len(found) == len(board.rows) * len(board.columns)
    for i, (heading, lines, rest) in enumerate(found):
        row, at = divmod(i, len(board.columns))
        verdicts = board.columns[at].verdicts
        assert heading.startswith(f"{row + 1} {board.rows[row].name}")
        assert lines == note_of(demo, row, at)
        others = [
            ("Below, which holds", verdicts.holds[:, row]),
            ("Below, which is likely", verdicts.likely[:, row]),
            ("Unsettled", [verdicts.verdict(row, b) == "unsettled" for b in range(len(board.rows))]),
        ]
        wanted = [
            f"{what}: {', '.join(str(b + 1) for b in np.flatnonzero(found))}." for what, found in others if any(found)
        ]
        assert rest == wanted


def test_the_table_is_one_tab_stop_and_arrows_move_in_it(visitor: Visitor) -> None:
    page = visitor.visit("plain")
    assert page.locator('#demo .tell[tabindex="0"]').count() == 1
    page.locator("#demo .tell").first.focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowUp", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    at = page.evaluate("[document.activeElement.dataset.row, document.activeElement.dataset.column]")
    assert at == ["1", "2"]
    assert page.locator('#demo .tell[tabindex="0"]').count() == 1
    assert page.get_by_role("tooltip").count() == 1


def test_a_note_on_tap(visitor: Visitor) -> None:
    page = visitor.visit("plain", viewport=PHONE, has_touch=True, is_mobile=True)
    page.locator("#demo\\.row\\.1 .tell").first.tap()
    box = page.get_by_role("tooltip").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
    page.locator("#demo h2").tap()
    assert page.get_by_role("tooltip").count() == 0


@pytest.mark.parametrize("name", ["plain", "hostile"])
def test_nothing_overflows_a_phone(visitor: Visitor, name: str) -> None:
    page = visitor.visit(name, viewport=PHONE)
    page.evaluate(
        "for (const part of document.querySelectorAll('details, section')) part.open = !(part.hidden = false)"
    )
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    board = page.locator("#demo\\.board .scroll").first
    board.evaluate("box => { box.scrollLeft = 300; }")
    first = page.locator("#demo\\.row\\.1 th").bounding_box()
    assert 0 <= first["x"] < 100, "names stay in sight while the numbers scroll"


def test_light_and_dark(visitor: Visitor) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light = visitor.visit("plain", color_scheme="light")
    dark = visitor.visit("plain", color_scheme="dark")
    colours = light.evaluate(background), dark.evaluate(background)
    assert colours[0] != colours[1]
    button = light.get_by_role("button", name=re.compile("Theme"))
    assert button.inner_text() == "Theme: auto"
    button.click()
    button.click()
    assert button.inner_text() == "Theme: dark"
    assert light.evaluate(background) == colours[1]
    light.reload()
    assert light.evaluate(background) == colours[1]
    button.click()
    assert light.evaluate(background) == colours[0]


# Contrast of every visible text with the nearest opaque background: WCAG 2.2, success criterion 1.4.3.
CONTRAST = """() => {
  const read = (text) => { context.fillStyle = "#000"; context.fillStyle = text; context.clearRect(0, 0, 1, 1);
                           context.fillRect(0, 0, 1, 1); return [...context.getImageData(0, 0, 1, 1).data]; };
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const linear = (v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * linear(r / 255) + .7152 * linear(g / 255) + .0722 * linear(b / 255);
  const behind = (at) => {
    const colour = read(getComputedStyle(at).backgroundColor);
    return colour[3] === 255 ? colour : behind(at.parentElement);
  };
  const found = new Map();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const on = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !on.checkVisibility() || on.closest("svg, .unseen, .skip, script")) continue;
    const [a, b] = [light(read(getComputedStyle(on).color)), light(behind(on))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) found.set(on.className + " " + on.tagName, ratio);
  }
  return [...found];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_aa(visitor: Visitor, scheme: str) -> None:
    page = visitor.visit("plain", color_scheme=scheme)
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    assert page.evaluate(CONTRAST) == []


def test_every_control_has_a_name_and_a_role(visitor: Visitor) -> None:
    page = visitor.visit("plain", "")
    nameless = """() => [...document.querySelectorAll("button, a, input, summary, svg[role], .scroll")]
      .filter((one) => !(one.textContent.trim() || one.getAttribute("aria-label") || one.labels?.length))
      .filter((one) => !document.getElementById(one.getAttribute("aria-labelledby"))?.textContent.trim())
      .map((one) => one.outerHTML)"""
    assert page.evaluate(nameless) == []
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("main").count() == 1
    assert page.get_by_role("grid", name="Leaderboard of track paper").count() == 1
    assert page.evaluate("[...document.querySelectorAll('th')].every((one) => one.scope)")
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"


def test_hostile_text_does_nothing(visitor: Visitor) -> None:
    page = visitor.visit("hostile")
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    names = page.locator("#demo\\.board tbody.schemes .name").all_text_contents()
    assert set(names) == {visible(name) for name in HOSTILE_NAMES}
    assert page.locator("img, body svg [onload], [onclick], [onerror], iframe").count() == 0
    assert page.locator("script").count() == 2
    for number in page.locator("#demo .tell").all()[:7]:
        number.focus()
        assert page.get_by_role("tooltip").count() == 1
    page.locator("#demo .mark").first.focus()
    assert page.get_by_role("tooltip").inner_text().count(": search") == 0
    assert visible(HOSTILE_TEXT) in page.locator("#demo\\.origins").inner_text()
    page.locator(".filter input").fill("<script>alert(1)")
    assert page.locator("tbody.schemes tr:visible").count() == 2
    header(page, 1).locator("button").click()


def test_without_a_script_all_is_shown(visitor: Visitor, demo: Ledger) -> None:
    page = visitor.visit("plain", java_script_enabled=False)
    assert page.locator("section.track:visible").count() == 2
    assert page.locator("button").count() == 0
    assert page.locator("#demo tbody.schemes tr").count() == len(demo.board.rows)
    assert "hover, focus or tap" not in page.locator("#demo .key").inner_text()
    assert page.locator("noscript p").count() == 1


def test_each_track_and_part_has_an_address(visitor: Visitor) -> None:
    page = visitor.visit("plain", "#demo.row.3")
    assert page.locator("#demo").is_visible()
    assert page.locator("#demo\\.row\\.3").is_visible()
    assert not page.locator("#paper").is_visible()
    page.get_by_role("link", name="paper", exact=True).click()
    assert page.locator("#paper").is_visible()
    assert not page.locator("#demo").is_visible()
    assert page.locator("nav [aria-current]").inner_text() == "paper"
    page.evaluate("location.hash = '#demo.origin.2'")
    page.locator("#demo\\.origin\\.2[open]").wait_for()
    page.get_by_role("link", name="How to read").click()
    assert page.locator("#demo").is_visible(), "a link to a common part leaves the track where it is"
    assert visitor.visit("plain", "").locator("section.track:visible").get_attribute("id") == "paper"


def test_paper_shows_every_track_open(visitor: Visitor) -> None:
    page = visitor.visit("plain")
    page.emulate_media(media="print")
    assert page.locator("section.track:visible").count() == 2
    assert not page.locator("nav").is_visible()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("[...document.querySelectorAll('details')].every((one) => one.open)")


def test_the_filter_hides_rows_and_dims_marks(visitor: Visitor, demo: Ledger) -> None:
    page = visitor.visit("plain")
    page.locator("#demo .filter input").fill("FUSED")
    assert column(page, 1)
    visible_rows = page.locator("#demo tbody.schemes tr:visible").count()
    assert visible_rows == sum("fused" in row.name for row in demo.board.rows) > 0
    marks = len(demo.board.rows) + len(demo.board.references)
    assert page.locator("#demo .mark.off").count() == marks - visible_rows
    rule = page.locator("#demo tbody.rule")
    assert not rule.is_visible()
    page.locator("#demo .filter input").fill("")
    assert page.locator("#demo .mark.off").count() == 0
    assert rule.is_visible()


def test_marks_lead_to_rows_and_labels_do_not_overlap(visitor: Visitor, demo: Ledger) -> None:
    page = visitor.visit("plain")
    marks = page.locator("#demo .mark")
    assert marks.count() == len(demo.board.rows) + len(demo.board.references)
    boxes = page.locator("#demo .mark > text").evaluate_all(
        "all => all.map((one) => one.getBBox()).map((at) => [at.x, at.y + 2, at.x + at.width, at.y + at.height - 2])"
    )
    assert len(boxes) == marks.count()
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]
    mark = page.locator('#demo .mark[data-row="2"]')
    mark.focus()
    assert demo.board.rows[1].name in page.get_by_role("tooltip").inner_text()
    assert "linked" in (page.locator("#demo\\.row\\.2").get_attribute("class") or "")
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash === '#demo.row.2'")
    page.locator("#demo\\.row\\.2 .tell").first.hover()
    assert "linked" in (mark.get_attribute("class") or "")


def test_the_command_can_be_copied(visitor: Visitor, demo: Ledger) -> None:
    page = visitor.visit("plain", "#demo.origin.1", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the command of row 1", exact=True).click()
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").startswith("semidbench run --track demo --scheme ")


def test_two_hundred_rows_stay_quick(visitor: Visitor) -> None:
    page = visitor.visit("many")
    assert page.locator("#demo tbody.schemes tr").count() == 200
    page.locator("#demo\\.row\\.200 .tell").first.focus()
    assert page.locator("#page\\.tip tbody tr").count() > 50
    took = page.evaluate(
        """() => {
             const start = performance.now();
             for (let i = 2; i < 8; i++) {
               document.querySelector(`[data-column="${i}"] .sort`).click();
               document.body.offsetHeight; // lay out
             }
             return performance.now() - start;
           }"""
    )
    assert took < 6_000  # six sorts with their layout: about a second on an idle machine
