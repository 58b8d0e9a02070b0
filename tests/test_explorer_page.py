"""The explorer on the built pages: alive without a kernel and without a network, and a picture without JavaScript."""

import re

import gate
import nbformat
import numpy as np
import pytest
from screen import open_page, requests

import resnet_dynamics as rd

pytestmark = [pytest.mark.book, pytest.mark.site]

CHAPTERS = [path.relative_to(gate.ROOT).with_suffix("").as_posix() for path in gate.CHAPTERS
            if "rd.Explorer(" in "".join(cell.source for cell in nbformat.read(path, as_version=4).cells)]
EACH_PAGE = pytest.mark.parametrize("name", CHAPTERS)
SLIDERS = ("lr", "weight_decay", "momentum")

# Everything that the reader of an explorer sees change: the words of theory, and the shape of the curves.
SEEN = """const words = part => document.querySelector(`weight-decay-explorer .${part}`).textContent;
    return [`${words('story')} ${words('verdict')} ${words('formula')}`,
    [...document.querySelectorAll('weight-decay-explorer figure:not([hidden]) .curve')]
    .map(c => c.getAttribute('d')).join()]"""


@pytest.fixture
def page(browser, address):
    """Open a page and wait for its explorer. Afterwards the console has no error, and nothing was asked for outside."""
    browser.get("about:blank")
    browser.get_log("browser"), requests(browser)

    def opened(name, base=address, **screen):
        open_page(browser, f"{base}{name}.html", **screen)
        settled(browser)
        return browser

    yield opened
    assert [e["message"] for e in browser.get_log("browser") if e["level"] in ("SEVERE", "WARNING")] == []
    inside = (address, "file:", "data:", "blob:", "about:", "chrome:")
    assert [url for url in requests(browser) if not url.startswith(inside)] == []


def settled(browser):
    """Wait until what was asked for has been drawn."""
    browser.execute_async_script(
        "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()))")


def find(browser, selector):
    return browser.find_element("css selector", f"weight-decay-explorer {selector}")


def seen(browser):
    settled(browser)
    return browser.execute_script(SEEN)


def put(browser, **values):
    """Type values into the fields beside the sliders."""
    from selenium.webdriver.common.keys import Keys

    for name, value in values.items():
        field = find(browser, f"[data-typed={name}]")
        field.clear()
        field.send_keys(str(value), Keys.TAB)
    settled(browser)


def choose(browser, name, value):
    browser.execute_script("""
        const select = document.querySelector(`weight-decay-explorer select[data-value=${arguments[0]}]`);
        select.value = arguments[1]; select.dispatchEvent(new Event('change'))""", name, value)
    settled(browser)


def test_the_chapters_that_should_have_an_explorer_have_one():
    assert {re.match(r"book/(\d*)", name)[1] or name for name in CHAPTERS} == {
        "02", "04", "05", "06", "08", "book/explorer"}
    assert "](explorer.ipynb)" in (gate.ROOT / "book" / "index.md").read_text()


@EACH_PAGE
def test_every_slider_moves_by_keyboard_and_by_mouse(page, name):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    browser = page(name)
    choose(browser, "optimizer", "heavy-ball")
    if find(browser, "[data-predict]").is_selected():
        find(browser, "[data-predict]").click()
    put(browser, lr=0.4, weight_decay=5e-4, momentum=0.9)
    for slider in SLIDERS:
        handle, before = find(browser, f"input[type=range][data-value={slider}]"), seen(browser)
        handle.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
        moved = seen(browser)
        assert moved[0] != before[0] and moved[1] != before[1], slider
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", handle)
        ActionChains(browser).move_to_element_with_offset(handle, -handle.size["width"] // 5, 0).click().perform()
        assert seen(browser)[0] != moved[0] and seen(browser)[1] != moved[1], slider
        assert handle.get_attribute("aria-valuetext").endswith(
            find(browser, f"[data-typed={slider}]").get_attribute("value"))


@EACH_PAGE
def test_a_page_is_light_and_nothing_trains_until_it_is_asked_to(page, site, name):
    assert (site / f"{name}.html").stat().st_size < 400_000
    browser = page(name)
    assert find(browser, ".news").text == "" and not find(browser, "button.stop").is_enabled()
    assert browser.find_elements("css selector", "weight-decay-explorer img, weight-decay-explorer > table") == []


@EACH_PAGE
def test_without_javascript_there_is_a_picture_and_a_table(browser, address, name):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(f"{address}{name}.html")
        picture = browser.find_element("css selector", "weight-decay-explorer figure img")
        assert picture.is_displayed() and picture.size["width"] > 200
        assert gate.good_alt(picture.get_attribute("alt"))
        table = browser.find_element("css selector", "weight-decay-explorer table")
        assert table.is_displayed() and len(table.find_elements("css selector", "tbody tr")) in (1, 8)
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_every_preset_tells_its_story(page):
    browser = page("book/explorer")
    stories = {"the post's setting": "^λ rises and falls.* It settles after .* lost again",
               "never settles": "^λ and α are small.* It does not settle in this training: that would take",
               "rings": "^Momentum remembers.* The norms ring, ",
               "no decay": r"^Nothing shrinks \|w\|.* It never settles",
               "too hot": "^λ is too large.* The recorded run broke: its loss is not finite from step 221 on"}
    buttons = browser.find_elements("css selector", "weight-decay-explorer .preset")
    assert [button.text for button in buttons] == list(stories)
    looks = set()
    for button in buttons:
        name = button.text
        button.click()
        words, curves = seen(browser)
        assert re.search(stories[name], words), (name, words)
        assert "recorded at exactly these values" in find(browser, ".source").text, name
        looks.add(curves)
    assert len(looks) == len(stories)
    assert "its loss was not finite from step" in find(browser, ".source").text


def test_it_works_from_a_file(page, site):
    browser = page("book/explorer", f"{site.as_uri()}/")
    before = seen(browser)
    put(browser, lr=1.6)
    assert seen(browser)[0] != before[0] and seen(browser)[1] != before[1]


def test_the_dots_are_the_recording_and_the_words_are_theory(page):
    """At settings of the grid and between them; the numbers are read off the page."""
    browser, random = page("book/explorer"), np.random.default_rng(0)
    grid = rd.page_data.grid()
    for _ in range(30):
        lr, decay, rho = (random.choice(grid[name].values[skip:]) for name, skip in (
            ("lr", 0), ("weight_decay", 1), ("momentum", 0)))
        if exact := random.random() < 0.7:
            factor = 1.0
        else:
            factor = 1.13  # between two settings, still nearest to the first
        choose(browser, "optimizer", "heavy-ball")
        put(browser, lr=f"{factor * lr:.6g}", weight_decay=decay, momentum=rho)
        words, source = seen(browser)[0], find(browser, ".source").text
        assert exact == ("exactly these values" in source)
        run = grid.sel(lr=lr, weight_decay=decay, momentum=rho)
        tau = rd.theory.time_constant(factor * lr, decay, rho)
        ring = rd.theory.ringing(factor * lr, decay, rho) if rho else None
        rate = rd.theory.lars_rate(factor * lr, decay, rho)
        assert said(r"√\(2λα\(1−ρ\)\) = (\S+) in every layer", words) == pytest.approx(rate, rel=6e-3)
        if ring and ring[0] / 2 < 3 * ring[1]:
            assert said(r"period of (\S+) steps", words) == pytest.approx(ring[0], rel=6e-3, abs=0.5)
        elif not ring:
            assert said(r"\(1−ρ\)/\(4λα\) = (\S+) steps", words) == pytest.approx(tau, rel=6e-3)
        steps = 3 * (ring[1] if ring else tau)
        asked = "settles after about" if steps <= grid.edges[-1] else "that would take"
        assert said(rf"{asked} (\S+) steps", words) == pytest.approx(steps, rel=6e-3, abs=0.5)
        cells = browser.execute_script("""return [...document.querySelectorAll('weight-decay-explorer tbody tr')].map(
            row => [row.cells[0].textContent, row.cells[2].textContent])""")
        at = int(np.searchsorted(grid.window.values, round(0.75 * (grid.edges[-1] - 1)), "right")) - 1
        for layer, shown in cells:
            value = float(run.w2.sel(layer=layer)[at])
            if np.isfinite(value) and value < 1e15:
                assert float(shown.replace(",", "")) == pytest.approx(value, rel=6e-3)


def said(pattern, words):
    """The number that the words have at a place."""
    return float(re.search(pattern, words)[1].replace(",", ""))


def test_a_guess_is_hidden_then_scored(page):
    from selenium.webdriver.common.keys import Keys

    browser = page("book/explorer")
    choose(browser, "optimizer", "sgd")
    put(browser, lr=1.6, weight_decay=0.002)
    assert find(browser, ".verdict").text.startswith("It settles")
    find(browser, "[data-predict]").click()
    settled(browser)
    assert "hidden" in find(browser, ".verdict").text
    assert not browser.execute_script("return document.querySelector('weight-decay-explorer .curve:not(.guess)')")
    field = find(browser, "[data-guess]")
    field.send_keys("30", Keys.ENTER)
    settled(browser)
    score = find(browser, ".score").text
    said, theory, factor = re.search(
        r"You said (\S+)\. Theory, equilibrium: (\S+); you are off by a factor of (\S+)\.", score).groups()
    ratio = float(said) / float(theory)
    assert said == "30" and float(factor) == pytest.approx(max(ratio, 1 / ratio), rel=1e-2)
    assert "The recorded run ends at" in score
    assert find(browser, ".verdict").text.startswith("It settles")
    put(browser, lr=0.4)
    assert "hidden" in find(browser, ".verdict").text


def test_a_bad_value_is_named_and_changes_nothing(page):
    browser = page("book/explorer")
    before = seen(browser)
    put(browser, momentum="1.5")
    alert = find(browser, "[role=alert]")
    assert alert.text == "ρ = 1.5: must be a number in [0, 0.999]."
    assert find(browser, "[data-typed=momentum]").get_attribute("aria-invalid") == "true"
    assert seen(browser) == before
    put(browser, momentum="0.5")
    assert not alert.is_displayed() and seen(browser) != before


def test_everything_has_a_name_and_the_dark_is_dark(page):
    browser = page("book/explorer")
    tree = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {"slider", "textbox", "combobox", "checkbox", "button", "image", "progressbar", "region"}
    named = [(node["role"]["value"], node.get("name", {}).get("value", "").strip()) for node in tree
             if not node["ignored"] and node["role"]["value"] in roles]
    assert [role for role, name in named if not name] == []
    assert {"slider", "textbox", "combobox", "checkbox", "image"} <= {role for role, _ in named}
    for scheme in ("dark", "light"):
        browser = page("book/explorer", scheme=scheme)
        dark = browser.execute_script(
            "return document.querySelector('weight-decay-explorer .wd-explorer').classList.contains('dark')")
        assert dark == (scheme == "dark")
        faint = browser.execute_script(COLORS)
        assert faint == [], f"{scheme}: less than 3 to 1 against the page"


# WCAG contrast of the curves' colors, and of what is said in color, with the page behind them.
COLORS = """
    const part = c => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
    const light = s => { const c = s.match(/[\\d.]+/g).map(Number);
                         return 0.2126 * part(c[0]) + 0.7152 * part(c[1]) + 0.0722 * part(c[2]); };
    let behind = document.querySelector('weight-decay-explorer .wd-explorer');
    while (behind && /, 0\\)|transparent/.test(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
    const page = light(getComputedStyle(behind ?? document.body).backgroundColor), probe = document.createElement('i');
    document.querySelector('weight-decay-explorer .wd-explorer').append(probe);
    return ['--c0', '--c1', '--c2', '--c3', '--shrink', '--growth', '--accent', '--alert'].filter(name => {
        probe.style.color = `var(${name})`;
        const [a, b] = [light(getComputedStyle(probe).color), page].sort((x, y) => y - x);
        return (a + 0.05) / (b + 0.05) < 3; });
"""


def test_every_choice_can_be_drawn(page):
    """Each optimizer in each training, with each size of gradients and all panels: curves, and no error."""
    browser = page("book/explorer")
    for box in browser.find_elements("css selector", "weight-decay-explorer [data-panel-box]"):
        if not box.is_selected():
            box.click()
    for plan in ("short", "book"):
        for optimizer in ("sgd", "heavy-ball", "nesterov", "lars"):
            for gradient in ("recorded", "correlated", "constant"):
                for name, value in (("plan", plan), ("optimizer", optimizer), ("gradient", gradient)):
                    choose(browser, name, value)
                shapes = browser.execute_script("""return [...document.querySelectorAll(
                    'weight-decay-explorer [data-panel=norm] .curve:not(.level, .ghost)')]
                    .map(c => c.getAttribute('d'))""")
                assert len(shapes) == 8 and all(shape and "NaN" not in shape for shape in shapes), (plan, optimizer)


def test_sgd_is_without_momentum_whatever_is_asked(tmp_path, browser):
    explorer = rd.Explorer(optimizer="sgd", lr=1.6, weight_decay=2e-3)
    (tmp_path / "page.html").write_text(f"<!doctype html><meta charset=utf-8><body>{explorer.static_html()}")
    browser.get((tmp_path / "page.html").as_uri())
    settled(browser)
    assert find(browser, "[data-typed=momentum]").get_attribute("value") == "0"
    assert "= 0.08 in every layer" in find(browser, ".formula").text


def test_what_is_being_typed_stays_and_the_last_panel_too(page):
    browser = page("book/explorer")
    field = find(browser, "[data-typed=lr]")
    field.clear()
    field.send_keys("1.2")
    browser.execute_script("""const r = document.querySelector('weight-decay-explorer input[data-value=momentum]');
        r.value = 3; r.dispatchEvent(new Event('input'))""")
    settled(browser)
    assert field.get_attribute("value") == "1.2"
    boxes = browser.find_elements("css selector", "weight-decay-explorer [data-panel-box]:checked")
    for box in boxes:
        box.click()
    assert len(browser.find_elements("css selector", "weight-decay-explorer [data-panel-box]:checked")) == 1


def test_the_button_that_goes_away_hands_on_the_focus(page):
    from selenium.webdriver.common.keys import Keys

    browser = page("book/explorer")
    put(browser, lr=0.5)
    find(browser, "button.go").send_keys(Keys.ENTER)
    settled(browser)
    assert not find(browser, "button.go").is_displayed()
    assert browser.switch_to.active_element.get_attribute("data-value") == "lr"


def test_it_can_be_moved_to_another_place(page):
    """Taken out and put in again, as scripts of a page may do, it works as before and is there once."""
    browser = page("book/explorer")
    browser.execute_script("""const one = document.querySelector('weight-decay-explorer'), place = one.parentElement;
        one.remove(); place.append(one)""")
    before = seen(browser)
    put(browser, lr=1.6)
    assert seen(browser)[0] != before[0]
    assert len(browser.find_elements("css selector", "weight-decay-explorer .wd-explorer")) == 1


PRINTED = """
    const seen = window.printed = [];
    const all = () => document.querySelectorAll('weight-decay-explorer .wd-explorer');
    addEventListener('beforeprint', () => all().forEach(one => seen.push([
        one.querySelector('.printed').textContent, one.querySelector('.verdict').textContent,
        one.querySelectorAll('figure:not([hidden]) .curve').length, one.querySelectorAll('tbody tr').length,
        one.querySelector('details:not(.choices)').open])));"""


@EACH_PAGE
def test_on_paper_an_explorer_has_its_values_and_its_curves(page, name):
    """Nobody can move a slider there, or press a button: no guess is waited for, and every box is open."""
    browser = page(name)
    hidden = browser.execute_script("return document.body.innerText.includes('The answer is hidden')")
    browser.execute_script(PRINTED)
    browser.execute_cdp_cmd("Page.printToPDF", {})
    seen = browser.execute_script("return window.printed")
    assert seen
    for values, verdict, curves, rows, opened in seen:
        assert re.fullmatch(r"λ = [\d.,e-]+, α = [\d.,e-]+, ρ = [\d.]+, .+; .+\.", values)
        assert "hidden" not in verdict and curves and rows and opened
    settled(browser)
    assert browser.execute_script("return document.body.innerText.includes('The answer is hidden')") == hidden
    assert not find(browser, ".printed").is_displayed()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert find(browser, ".printed").is_displayed() and not find(browser, ".controls").is_displayed()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_a_layer_has_the_same_hue_in_the_light_and_in_the_dark(page):
    def hues(scheme):
        browser = page("book/explorer", scheme=scheme)
        return browser.execute_script("""
            const style = getComputedStyle(document.querySelector('weight-decay-explorer .wd-explorer'));
            return ['--c0', '--c1', '--c2', '--c3', '--shrink', '--growth'].map(name => {
                const [r, g, b] = style.getPropertyValue(name).match(/[\\da-f]{2}/g).map(part => parseInt(part, 16));
                const [high, low] = [Math.max(r, g, b), Math.min(r, g, b)], c = high - low;
                const turn = high === r ? ((g - b) / c + 6) % 6 : high === g ? (b - r) / c + 2 : (r - g) / c + 4;
                return 60 * turn; });""")

    for light, dark in zip(hues("light"), hues("dark")):
        assert abs((light - dark + 180) % 360 - 180) < 15
