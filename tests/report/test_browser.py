"""The report in a browser: sorting, filters, words, keyboard, themes, a phone's width, accessibility, and no network at all."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from reporting import HOSTILE, a_mitigation, an_audit, heat_maps
from wordsight.report.html import render_report

playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install 'wordsight[dev]'")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe: pip install 'wordsight[dev]'")
# Playwright's own browsers are large and come from elsewhere; the system's does as well.
CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
pytestmark = [pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"), pytest.mark.slow]

NOTHING = "\N{EN DASH}"
Open = Callable[..., "playwright.Page"]


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with playwright.sync_playwright() as started:
        # Without a sandbox, so that it also starts as root; it opens nothing but our own files.
        launched = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("reports")
    audit = an_audit(folder)
    report = folder / "report.html"
    report.write_text(render_report(audit, heat_maps=heat_maps(audit), mitigations=[a_mitigation(audit)]), encoding="utf-8")
    bad = an_audit(folder, duck=HOSTILE, water=HOSTILE + "w", name=HOSTILE)
    hostile = folder / "hostile.html"
    hostile.write_text(
        render_report(bad, heat_maps=heat_maps(bad), mitigations=[a_mitigation(bad)], title=HOSTILE), encoding="utf-8"
    )
    return SimpleNamespace(report=report, hostile=hostile)


@pytest.fixture
def open_page(browser, files) -> Iterator[Open]:
    """Opens a report; at the end it must have logged no error, asked for nothing but itself, and shown no alert."""
    troubles: list[str] = []
    contexts = []

    def opened(file: Path = files.report, *, width: int = 1280, **options) -> "playwright.Page":
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: troubles.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("dialog", lambda dialog: (troubles.append(dialog.message), dialog.dismiss()))
        address = file.as_uri()
        page.on("request", lambda sent: sent.url.startswith(("data:", address)) or troubles.append(sent.url))
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert troubles == []


@pytest.fixture
def page(open_page) -> "playwright.Page":
    return open_page()


def column(page: "playwright.Page", number: int) -> list[str]:
    cells = page.locator("details.class").first.locator("tbody tr").all()
    return [row.locator("th, td").nth(number).inner_text().split("\n")[0] for row in cells]


def test_sorting(page):
    table = page.locator("details.class").first
    head = table.get_by_role("button", name="Rate", exact=True)
    assert column(page, 0) == ["water", "grass", "dark"]
    head.click()
    assert column(page, 2) == ["60%", "30%", "20%"]
    assert table.locator("th[aria-sort=descending]").inner_text() == "Rate"
    head.click()
    assert column(page, 2) == ["20%", "30%", "60%"]
    table.get_by_role("button", name="Word", exact=True).click()
    assert column(page, 0) == ["dark", "grass", "water"]
    used = table.get_by_role("button", name="Used", exact=True)
    used.click()
    assert column(page, 5) == ["0.30", "0.10", NOTHING]
    used.click()
    assert column(page, 5) == ["0.10", "0.30", NOTHING]  # what is missing stays last


def test_sorting_a_table_that_stands_in_the_page(page):
    table = page.locator("#trust table")
    table.get_by_role("button", name="Its use").click()
    assert table.locator("tbody th").all_inner_texts() == ["duck", "hen"]
    table.get_by_role("button", name="Its use").click()
    assert table.locator("tbody th").all_inner_texts() == ["hen", "duck"]


def test_filters(page):
    status = page.locator("#filter-status")
    playwright.expect(status).to_have_text("4 words in 2 classes")
    page.get_by_label("Word", exact=True).fill("GRA")
    playwright.expect(status).to_have_text("2 words in 2 classes")
    assert column(page, 0) == ["grass"]
    assert not page.locator(".finding").is_visible()
    page.get_by_label("Word", exact=True).fill("wat")
    assert page.locator("details.class:visible h3").all_inner_texts() == ["duck"]
    assert page.locator(".finding").is_visible()
    page.get_by_role("button", name="Clear").click()
    playwright.expect(status).to_have_text("4 words in 2 classes")
    page.locator("#class-filter").select_option("hen")
    assert page.locator("details.class:visible h3").all_inner_texts() == ["hen"]
    assert page.locator("details.class:visible tbody th").all_inner_texts() == ["grass"]
    page.locator("#class-filter").select_option("All classes")
    page.locator("#verdict-filter").select_option("used")
    playwright.expect(status).to_have_text("1 word in 1 class")


def test_a_words_images_by_rate_with_heat_maps_and_the_way_back(page):
    page.locator("details.class").first.get_by_role("button", name="water").click()
    viewer = page.locator("#viewer")
    assert viewer.get_by_role("heading").first.inner_text() == "Images with water"
    assert viewer.locator("[role=status]").inner_text() == "16 images, the highest rate first"
    rates = viewer.locator(".tile .caption .number").all_inner_texts()
    assert rates[:3] == ["90%", "85%", "80%"]
    viewer.get_by_label("Class").select_option("All classes")
    assert viewer.locator(".tile").count() == 24
    toggle = viewer.get_by_role("button", name="Show where “water” comes from")
    toggle.click()
    assert viewer.locator("canvas").count() == 24
    assert toggle.get_attribute("aria-pressed") == "true"
    toggle.click()
    assert viewer.locator("canvas").count() == 0
    viewer.locator(".tile").first.click()
    assert viewer.get_by_role("heading").first.inner_text() == "0.png"
    assert "a duck here" in viewer.inner_text()
    assert viewer.locator("canvas").count() == 1  # of the word that led here
    viewer.get_by_role("button", name="Back").click()
    assert viewer.get_by_role("heading").first.inner_text() == "Images with water"
    viewer.get_by_role("button", name="Close").click()
    assert not viewer.is_visible()


def test_a_findings_examples_and_their_heat_maps(page):
    finding = page.locator(".finding")
    assert finding.locator(".strip h4").all_inner_texts() == [
        "duck with “water”, predicted right",
        "duck missed, lowest rate of “water” first",
    ]
    assert finding.locator(".tile.wrong").count() == 6
    finding.get_by_role("button", name="Show where “water” comes from").click()
    assert finding.locator("canvas").count() == 12
    finding.get_by_role("button", name="All images of duck with “water”").click()
    assert page.locator("#viewer .tile").count() == 16


def test_charts_are_drawn_and_described(page):
    scatter = page.locator("[data-chart=scatter]").first
    assert scatter.locator("g[aria-label=dot] circle").count() == 2
    assert "Words of duck" in (scatter.locator("[role=img]").get_attribute("aria-label") or "")
    sides = page.locator("[data-chart=sides]")
    assert sides.locator("g[aria-label=dot] circle").count() == 3
    page.locator("#sides-class").select_option(index=1)
    assert "“water”" in (sides.locator("[role=img]").get_attribute("aria-label") or "")
    mitigation = page.locator("[data-chart=mitigations] [role=img]").get_attribute("aria-label") or ""
    assert "Worst group accuracy 40% before, 80% after" in mitigation


def focused(page: "playwright.Page") -> str:
    return page.evaluate("document.activeElement.textContent").strip()


def tab_to(page: "playwright.Page", text: str) -> None:
    for _ in range(150):
        page.keyboard.press("Tab")
        if focused(page) == text:
            return
    raise AssertionError(f"{text!r} cannot be reached with the Tab key")


def test_with_the_keyboard_alone(page):
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the report"
    page.keyboard.press("Enter")
    tab_to(page, "Clear")
    tab_to(page, "Rate")
    page.keyboard.press("Space")
    assert page.locator("th[aria-sort=descending]").first.inner_text() == "Rate"
    tab_to(page, "grass")
    page.keyboard.press("Enter")
    assert focused(page) == "Images with grass"
    tab_to(page, "Close")
    page.keyboard.press("Escape")
    assert not page.locator("#viewer").is_visible()
    assert focused(page) == "grass"  # back where it was
    hen = page.locator("details.class").nth(1)
    assert hen.get_attribute("open") is None
    for _ in range(60):
        page.keyboard.press("Tab")
        if focused(page).startswith("hen"):
            break
    page.keyboard.press("Enter")
    hen.locator("tbody th").wait_for()  # it is filled after it has opened
    assert hen.locator("tbody th").all_inner_texts() == ["grass"]


def ground(page: "playwright.Page") -> int:
    """How bright the page's background is, 0 to 255."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return int(colour.split("(")[1].split(",")[0])


def test_dark_and_light(open_page):
    page = open_page(color_scheme="dark")
    assert ground(page) < 60
    toggle = page.get_by_role("button", name="Change between the light and the dark theme")
    toggle.click()
    assert ground(page) > 200
    toggle.click()
    assert ground(page) < 60
    assert ground(open_page(color_scheme="light")) > 200


def test_on_a_phone_nothing_scrolls_sideways(open_page, files):
    for file in (files.report, files.hostile):
        page = open_page(file, width=390)
        page.evaluate("document.querySelectorAll('details').forEach((section) => (section.open = true))")
        page.wait_for_function("document.querySelectorAll('.class-table table').length === 2")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.locator(".class-table .word").first.click()
        page.locator("#viewer .tile").first.click()
        assert page.evaluate("document.querySelector('#viewer').scrollWidth <= document.querySelector('#viewer').clientWidth")


def faults(page: "playwright.Page") -> list[str]:
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {fault['nodes'][0]['html'][:200]}" for fault in found if fault["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(open_page, scheme):
    page = open_page(color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((section) => (section.open = true))")
    page.wait_for_function("document.querySelectorAll('.class-table table').length === 2")
    assert faults(page) == []
    page.locator(".class-table .word").first.click()
    assert faults(page) == []
    page.locator("#viewer .tile").first.click()
    assert faults(page) == []


def test_hostile_text_runs_nothing(open_page, files):
    page = open_page(files.hostile)
    assert HOSTILE.replace("\u2028", " ") in page.locator("h1").inner_text().replace("\u2028", " ")
    page.locator("details.class").first.locator("tbody .word").first.click()
    page.locator("#viewer .tile").first.click()
    assert page.locator("img:not([src^='data:image/webp'])").count() == 0
    assert page.locator("#viewer h2").text_content() == f"{HOSTILE}0.png"


def test_a_script_that_did_break_in_would_not_run(browser, files, tmp_path):
    """The test above for the content security policy: without the policy, the script runs."""
    script = "<script>document.title = 'broken in'</script></body>"
    html = files.report.read_text(encoding="utf-8").replace("</body>", script)
    for name, text, runs in (("with", html, False), ("without", html.replace("http-equiv", "data-off"), True)):
        file = tmp_path / f"{name}.html"
        file.write_text(text, encoding="utf-8")
        page = browser.new_page()
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready]")
        assert (page.title() == "broken in") is runs
        page.close()
