"""The page in a real browser: every screen, by mouse, keyboard and reader; all of it from here."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.web.conftest import Served, serving

from striate import runs
from striate.web import Page, Shelf

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("default")]

playwright = pytest.importorskip("playwright.sync_api")
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PATIENCE = 60_000  # milliseconds


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium that is installed here."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("needs a Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def tab(browser: Any, served: Served) -> Iterator[Any]:
    """A tab; whatever is asked of elsewhere, and every error, fails the test."""
    context = browser.new_context(
        viewport={"width": 1300, "height": 900}, reduced_motion="reduce", base_url=served.url
    )
    page = context.new_page()
    page.set_default_timeout(_PATIENCE)
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    yield page
    context.close()
    elsewhere = [url for url in asked if not url.startswith((served.url, "data:", "blob:"))]
    assert not elsewhere
    assert not wrong


def test_runs_are_opened_and_compared(tab: Any) -> None:
    tab.goto("/#/runs/digits-001")
    tab.locator(".confusion td").nth(11).wait_for()
    assert tab.locator(".confusion tbody tr").count() == 10
    tab.locator("path.curve").nth(3).wait_for()
    assert tab.locator("path.curve").count() == 4
    assert "Test accuracy" in tab.locator(".cards").inner_text()
    tab.get_by_label("Compare below~digits-002").check()
    tab.get_by_text("2 runs compared").wait_for()
    tab.get_by_role("region", name="Side by side").get_by_text(
        "best validation accuracy"
    ).wait_for()


def test_a_live_curve_moves(tab: Any, browser: Any, folder: Path, tmp_path: Path) -> None:
    live = tmp_path / "live-001"
    shutil.copytree(folder / "runs" / "digits-001", live)
    run = runs.open(live)
    lines = run.history()
    run.set_state("running")
    (live / "history.jsonl").write_text("")
    with serving(Page(Shelf([tmp_path]))) as other, run.lock():
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(_PATIENCE)
        for line in lines[:40]:
            run.append(line)
        run.sync()
        page.goto(f"{other.url}/#/runs/live-001")
        page.locator(".chart path.curve").first.wait_for()
        before = page.locator(".chart path.curve").first.get_attribute("d")
        for line in lines[40:80]:
            run.append(line)
        run.sync()
        curve = page.locator(".chart path.curve").first
        playwright.expect(curve).not_to_have_attribute("d", before, timeout=_PATIENCE)
        context.close()


def test_the_list_says_how_a_run_ended_to_whoever_stands_in_it(
    browser: Any, folder: Path, tmp_path: Path
) -> None:
    live = tmp_path / "live-001"
    shutil.copytree(folder / "runs" / "digits-001", live)
    results = (live / "results.json").read_bytes()
    (live / "results.json").unlink()
    run = runs.open(live)
    run.set_state("running")
    with serving(Page(Shelf([tmp_path]))) as other:
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(_PATIENCE)
        with run.lock():
            page.goto(f"{other.url}/#/runs/live-001")
            line = page.locator(".runs .line")
            playwright.expect(line).to_have_text(re.compile(r"^running.*val\. [\d.]+%$"))
            page.locator(".runs button").focus()
            (live / "results.json").write_bytes(results)
            run.set_state("finished")
        playwright.expect(line).to_have_text(re.compile(r"^finished.*test [\d.]+%$"))
        assert page.evaluate("document.activeElement.closest('.runs li').dataset.run") == "live-001"
        page.get_by_label("Compare live-001").click()  # one stays ticked
        playwright.expect(page.get_by_label("Compare live-001")).to_be_checked()
        context.close()


@pytest.mark.parametrize(("count", "fits"), [(12, True), (60, False)])
def test_no_column_of_a_confusion_matrix_is_cut_off_unsaid(
    browser: Any, folder: Path, tmp_path: Path, count: int, fits: bool
) -> None:
    shutil.copytree(folder / "runs" / "digits-001", tmp_path / "many-001")
    path = tmp_path / "many-001" / "results.json"
    results = json.loads(path.read_text())
    some = results["test"]["classes"][0]
    results["test"]["classes"] = [some | {"label": f"Vine tomato {k}"} for k in range(count)]
    results["test"]["confusion"] = (11 * np.eye(count, dtype=int)).tolist()
    path.write_text(json.dumps(results))
    with serving(Page(Shelf([tmp_path]))) as other:
        context = browser.new_context(viewport={"width": 1400, "height": 900})
        page = context.new_page()
        page.set_default_timeout(_PATIENCE)
        page.goto(f"{other.url}/#/runs/many-001")
        page.locator(".confusion tbody td").last.wait_for()
        note = page.get_by_text(f"Scroll sideways to see all {count} answers.")
        playwright.expect(note).to_be_visible(visible=not fits)
        cell = page.locator(".confusion tbody td").last.bounding_box()
        box = page.locator(".counts").bounding_box()
        assert (cell["x"] + cell["width"] <= box["x"] + box["width"] + 1) == fits
        context.close()


def test_a_unit_shows_its_patches_and_its_wish(tab: Any) -> None:
    tab.goto("/#/network/digits-001")
    tab.locator(".drawing [data-layer]").nth(1).click()
    tab.locator(".units .cells button").first.wait_for()
    tab.locator(".units .cells button").nth(3).click()
    tab.locator(".patches img").first.wait_for()
    tab.locator(".wish img").wait_for()
    assert "Unit 3" in tab.locator(".unit h3").inner_text()
    tab.get_by_role("tab", name="Table").click()
    assert tab.locator(".sheet tbody tr").count() > 5


def test_an_image_is_dropped_and_fooled(tab: Any, tmp_path: Path) -> None:
    tab.goto("/#/image/digits-001")
    tab.locator(".top li").first.wait_for()
    file = tmp_path / "own.png"
    Image.fromarray(np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))).save(file)
    seen = tab.locator(".seen")
    before = seen.get_attribute("src")
    tab.locator("#file").set_input_files(file)
    playwright.expect(seen).not_to_have_attribute("src", before, timeout=_PATIENCE)
    tab.locator(".strip button").first.click()
    playwright.expect(seen).to_have_attribute("src", before, timeout=_PATIENCE)
    fooled = tab.locator(".fooled")
    playwright.expect(fooled).to_have_attribute("data-label", re.compile("."), timeout=_PATIENCE)
    clean = tab.locator(".answers .top .label").first.inner_text()
    tab.locator("#eps").fill("0.5")
    playwright.expect(fooled).not_to_have_attribute("data-label", clean, timeout=_PATIENCE)
    tab.locator(".verdict.yes, .verdict.no").nth(7).wait_for()
    tab.locator(".frame").hover(position={"x": 40, "y": 40})
    first = tab.locator(".over rect").get_attribute("x")
    tab.locator(".frame").focus()
    for _ in range(4):
        tab.keyboard.press("ArrowRight")
    assert tab.locator(".over rect").get_attribute("x") != first


def test_a_mistake_in_notation_is_shown_where_it_is(tab: Any) -> None:
    tab.goto("/#/design")
    tab.locator(".designed .sheet").wait_for()
    tab.get_by_role("textbox").fill("INPUT 32x32x3\nconv3-8 pol FC-10")
    tab.locator(".mirror mark").wait_for()
    assert tab.locator(".mirror mark").inner_text() == "pol"
    assert "Line 2, column 9" in tab.locator("#mistake").inner_text()
    tab.get_by_role("textbox").fill("INPUT 32x32x3\nconv3-8 pool FC-10")
    playwright.expect(tab.locator("#mistake")).to_be_empty(timeout=_PATIENCE)
    assert "20,714" in tab.locator(".designed .cards").inner_text()


def test_a_convolution_goes_step_by_step(tab: Any) -> None:
    tab.goto("/#/design")
    tab.locator(".numbers.output").wait_for()
    assert tab.locator(".numbers.output g").count() == 49
    tab.locator("#conv-stride").fill("2")
    tab.locator("#conv-padding").fill("0")
    assert tab.locator(".numbers.output g").count() == 9
    before = tab.locator(".sum").inner_text()
    tab.get_by_label("One step on").click()
    assert tab.locator(".sum").inner_text() != before
    assert tab.locator(".numbers.input .tap").count() == 9


@pytest.mark.parametrize("screen", ["runs", "network", "image", "design", "train"])
def test_everybody_can_use_it(tab: Any, screen: str) -> None:
    axe = Path(pytest.importorskip("axe_playwright_python").__file__).parent
    tab.goto(f"/#/{screen}")
    ready = {"runs": ".confusion", "network": ".cells", "image": ".top", "design": ".sheet"}
    tab.locator(ready.get(screen, "form")).first.wait_for()
    tab.evaluate(next(axe.rglob("axe.min.js")).read_text())
    wide, narrow = {"width": 1300, "height": 900}, {"width": 360, "height": 740}
    contrast = ", runOnly: ['color-contrast']"
    seen = (("light", wide, ""), ("dark", wide, contrast), ("light", narrow, ""))
    for theme, size, rules in seen:
        tab.emulate_media(color_scheme=theme)
        tab.set_viewport_size(size)
        found = tab.evaluate(f"axe.run(document, {{resultTypes: ['violations']{rules}}})")
        serious = [
            (theme, size, each["id"], [node["html"][:120] for node in each["nodes"][:3]])
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
        ]
        assert not serious
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360


def test_all_is_reached_by_the_keyboard(tab: Any) -> None:
    tab.goto("/#/runs")
    tab.locator(".confusion").wait_for()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the content"
    for _ in range(4):
        tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    tab.locator(".frame").wait_for()
