"""The explorer in the hand: what moves when a slider does, links, Back, the pointer, the legend, and small screens.

Each test opens a page that has nothing but explorers, so that no book need be built.
"""

import re

import pytest

import resnet_dynamics as rd

TOP = """<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">
<title>An explorer</title><style>body { margin: 0 auto; max-width: 45rem; padding: 0 1rem; font: 16px/1.5 sans-serif }
</style><h1 id=top>An explorer</h1>"""
END = """return Object.fromEntries([...document.querySelectorAll(
    '.wd-explorer [data-panel=norm] .curve:not(.ghost, .level)')].map(
    path => [path.dataset.layer, +path.getAttribute('d').match(/[\\d.]+$/)[0]]))"""
PATHS = "return [...document.querySelectorAll('.wd-explorer .curve')].map(path => path.getAttribute('d')).join()"

NUMBERS = "return document.querySelector('.wd-explorer tbody').textContent"


@pytest.fixture
def page(browser, tmp_path):
    """Open a page of explorers at a size. Afterwards the console has no error."""

    def opened(*explorers, width=1280, height=800, fragment="", reduced=False):
        file = tmp_path / "page.html"
        file.write_text(TOP + "".join(one.static_html() for one in explorers), encoding="utf-8")
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-reduced-motion", "value": "reduce" if reduced else "no-preference"}]})
        browser.get("about:blank")
        browser.get(file.as_uri() + fragment)
        settled(browser)
        return browser

    browser.get_log("browser")
    yield opened
    assert [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


def settled(browser, ms=0):
    """Wait until what was asked for has been drawn, and then some milliseconds."""
    browser.execute_async_script("""const done = arguments[1];
        requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, arguments[0])))""", ms)


def find(browser, selector):
    return browser.find_element("css selector", f".wd-explorer {selector}")


def value(browser, name):
    return find(browser, f"[data-typed={name}]").get_attribute("value")


def press(browser, slider, times, key=None):
    from selenium.webdriver.common.keys import Keys

    find(browser, f"input[data-value={slider}]").send_keys((key or Keys.ARROW_RIGHT) * times)
    settled(browser)


def opening(**changes):
    return rd.Explorer(**(dict(lr=0.1, weight_decay=0.002, momentum=0.9, gradient="constant") | changes))


def test_the_end_of_a_line_moves_on_the_screen_and_the_axis_stands(page):
    """λ from 0.1 to 3.2 by keyboard, with rests: |w|² grows 5.7 times at a constant c, and the line goes up."""
    browser = page(opening())
    ticks = "return document.querySelector('.wd-explorer [data-panel=norm] .axes').textContent"
    axis, ends = browser.execute_script(ticks), []
    for _ in range(6):
        ends.append(browser.execute_script(END)["layer2"])
        press(browser, "lr", 6)
        settled(browser, 1100)
        if _ < 4:
            assert browser.execute_script(ticks) == axis
    assert all(before - after > 4 for before, after in zip(ends, ends[1:])), ends
    assert ends[0] - ends[-1] > 30, ends


def mouse(browser, kind, element, share):
    """Let the mouse do something with the left button, at a share of the width of an element."""
    box = browser.execute_script("return arguments[0].getBoundingClientRect().toJSON()", element)
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", {
        "type": kind, "x": box["x"] + share * box["width"], "y": box["y"] + box["height"] / 2, "button": "left",
        "buttons": 0 if kind == "mouseReleased" else 1, "clickCount": 1})
    settled(browser)


def test_while_the_mouse_holds_a_slider_no_axis_shrinks(page):
    """λ far up, where axes have to grow, and back: they shrink when the mouse lets go, and not before."""
    browser = page(opening(lr=0.4, weight_decay=0))
    ticks = "return document.querySelector('.wd-explorer [data-panel=norm] .axes').textContent"
    handle, first = find(browser, "input[data-value=lr]"), browser.execute_script(ticks)
    mouse(browser, "mousePressed", handle, 0.5)
    mouse(browser, "mouseMoved", handle, 0.97)
    far, grown = value(browser, "lr"), browser.execute_script(ticks)
    assert float(far) > 5 and grown != first
    mouse(browser, "mouseMoved", handle, 0.05)
    settled(browser, 1500)  # longer than the rest after which axes follow
    assert float(value(browser, "lr")) < 0.05 and browser.execute_script(ticks) == grown
    mouse(browser, "mouseReleased", handle, 0.05)
    settled(browser, 1500)
    assert browser.execute_script(ticks) != grown


def test_the_setting_before_stays_as_a_ghost(page):
    browser = page(opening())
    curve = """return [...document.querySelectorAll(`.wd-explorer [data-panel=norm] .curve${arguments[0]}`)].map(
        path => [path.dataset.layer, path.getAttribute('d')])"""
    before = browser.execute_script(curve, ":not(.level)")
    press(browser, "lr", 3)
    assert browser.execute_script(curve, ".ghost") == before
    settled(browser, 1100)
    second = browser.execute_script(curve, ":not(.ghost, .level)")
    press(browser, "lr", 2)
    assert browser.execute_script(curve, ".ghost") == second
    assert "theory, the setting before" in find(browser, ".key").text


def test_theory_never_falls_where_lambda_rises_between_runs_that_rise(page):
    """As it opens, notch by notch from one recorded λ to the next: |w|² of layer2 at equilibrium, off the table."""
    from selenium.webdriver.common.keys import Keys

    browser = page(rd.Explorer(lr=0.1, weight_decay=0.002, momentum=0.9, layer="layer2"))
    limit = "return +document.querySelector('.wd-explorer tbody tr').cells[3].textContent.replace(',', '')"
    found = [browser.execute_script(limit)]
    for _ in range(24):
        press(browser, "lr", 1, Keys.ARROW_RIGHT)
        found.append(browser.execute_script(limit))
    assert value(browser, "lr") == "1.6"
    ratios = [after / before for before, after in zip(found, found[1:])]
    assert min(ratios) > 0.99 and max(ratios) < 1.13, found


def test_a_link_brings_back_the_setting_and_names_what_is_bad(page):
    first = page(opening())
    press(first, "lr", 12)
    settled(first, 600)
    link = first.current_url
    assert re.search(r"#explorer\?lr=0\.4&weight_decay=0\.002&momentum=0\.9&", link)
    numbers = first.execute_script(NUMBERS)
    other = page(opening(lr=0.02), fragment=link[link.index("#"):])
    assert value(other, "lr") == "0.4"
    settled(other, 1000)
    assert other.execute_script(NUMBERS) == numbers and numbers.count("e") > 8  # c is held as it was at λ = 0.1
    bad = page(opening(), fragment="#explorer?lr=abc&weight_decay=0.01&optimizer=adam")
    said = find(bad, "[role=alert]").text
    assert "λ = abc: must be a number in (0, 1000]." in said and "optimizer = adam: must be one of sgd, " in said
    assert (value(bad, "lr"), value(bad, "weight_decay")) == ("0.1", "0.01")


def test_back_and_forward_go_from_preset_to_preset_and_headings_are_left_alone(page):
    browser = page(rd.Explorer(lr=0.4, weight_decay=0.002, momentum=0.9))
    presets = browser.find_elements("css selector", ".wd-explorer .preset")
    presets[2].click(), settled(browser)
    assert (value(browser, "momentum"), presets[2].get_attribute("aria-pressed")) == ("0.99", "true")
    presets[3].click(), settled(browser)
    assert value(browser, "weight_decay") == "0"
    browser.back(), settled(browser, 100)
    assert (value(browser, "weight_decay"), value(browser, "momentum")) == ("0.002", "0.99")
    browser.back(), settled(browser, 100)
    assert (value(browser, "momentum"), "#" in browser.current_url) == ("0.9", False)
    browser.forward(), settled(browser, 100)
    assert value(browser, "momentum") == "0.99"
    browser.execute_script("location.hash = 'top'")
    settled(browser, 100)
    assert value(browser, "momentum") == "0.99" and browser.current_url.endswith("#top")
    find(browser, ".reset").click(), settled(browser)
    assert value(browser, "momentum") == "0.9" and not find(browser, ".reset").is_enabled()


def test_two_on_a_page_have_a_part_of_the_address_each(page):
    browser = page(opening(), opening(lr=0.2))
    for number, notches in ((0, 12), (1, 6)):
        slider = browser.find_elements("css selector", "input[data-value=lr]")[number]
        from selenium.webdriver.common.keys import Keys

        slider.send_keys(Keys.ARROW_RIGHT * notches)
        settled(browser, 600)
    assert re.search(r"#explorer\?lr=0\.4&.*;explorer-2\?lr=0\.4&", browser.current_url)


def test_a_link_is_copied_or_stands_there_to_be_copied(page):
    browser = page(opening())
    browser.execute_script("""Object.defineProperty(navigator, 'clipboard', {value: {writeText: async () => {
        throw new DOMException('no', 'NotAllowedError'); }}}); document.execCommand = () => false""")
    find(browser, ".copy").click()
    settled(browser, 100)
    field = find(browser, "input.link")
    assert field.is_displayed() and "#explorer?lr=0.1&" in field.get_attribute("value")
    assert find(browser, ".copied").text == "Copy this link:"


def test_movements_are_buttons_from_the_first_setting(page):
    browser = page(opening(moves=["λ × 4, 1−ρ × 4", "λ × 4, α ÷ 4"]))
    first, second = browser.find_elements("css selector", ".wd-explorer .preset")
    assert [first.text, second.text] == ["λ × 4, 1−ρ × 4", "λ × 4, α ÷ 4"]
    for button, wanted in ((first, ("0.4", "0.002", "0.6")), (second, ("0.4", "5e-4", "0.9"))):
        button.click()
        settled(browser)
        assert tuple(value(browser, name) for name in ("lr", "weight_decay", "momentum")) == wanted
        assert button.get_attribute("aria-pressed") == "true"
    assert first.get_attribute("aria-pressed") == "false"


def test_each_preset_opens_its_panels_and_tells_its_story(page):
    browser = page(rd.Explorer(lr=0.4, weight_decay=0.002, momentum=0.9, panels=["accuracy"]))
    stories = set()
    for button in browser.find_elements("css selector", ".wd-explorer .preset"):
        button.click()
        settled(browser)
        stories.add(find(browser, ".story").text)
        shown = [one.get_attribute("data-panel") for one in browser.find_elements(
            "css selector", ".wd-explorer figure:not([hidden]) svg[data-panel]")]
        assert shown == (["norm", "loss"] if button.text == "too hot" else ["norm", "rate"])
    assert len(stories) == 5 and "" not in stories
    assert find(browser, ".verdict").text.startswith("The recorded run broke: its loss is not finite from step 221 on.")
    press(browser, "lr", 1)
    assert not find(browser, ".story").is_displayed()


def test_the_legend_and_the_pointer_make_a_layer_stand_out(page):
    from selenium.webdriver.common.action_chains import ActionChains

    browser = page(opening())
    key = find(browser, "[data-layer-key=layer2]")
    on = "return [...document.querySelectorAll('.wd-explorer .lit .on')].map(path => path.dataset.layer)"
    ActionChains(browser).move_to_element(key).perform()
    assert set(browser.execute_script(on)) == {"layer2"}
    ActionChains(browser).move_to_element(find(browser, ".verdict")).perform()
    assert browser.execute_script(on) == []
    key.click()
    ActionChains(browser).move_to_element(find(browser, ".verdict")).perform()
    settled(browser)
    assert set(browser.execute_script(on)) == {"layer2"} and key.get_attribute("aria-pressed") == "true"
    key.click()
    chart = find(browser, "[data-panel=norm]")
    ends = browser.execute_script(END)
    top = 8 + ends["layer3"] - chart.size["height"] / 2
    ActionChains(browser).move_to_element_with_offset(chart, chart.size["width"] // 2 - 18, int(top)).perform()
    settled(browser)
    assert re.fullmatch(r"layer3: [\d.]+", find(browser, "[data-panel=norm] .tip").text)


@pytest.mark.parametrize("reduced", [False, True])
def test_the_training_plays_and_pauses(page, reduced):
    browser = page(opening(), reduced=reduced)
    step = find(browser, "[data-cursor]")
    browser.execute_script("arguments[0].value = 0; arguments[0].dispatchEvent(new Event('input'))", step)
    play = find(browser, ".play")
    play.click()
    seen = set()
    for _ in range(12):
        settled(browser, 150)
        seen.add(int(step.get_attribute("value")))
    assert play.text == "Pause" and (len(seen) <= 4 if reduced else len(seen) > 6) and max(seen) > 20
    play.click()
    stopped = step.get_attribute("value")
    settled(browser, 300)
    assert play.text == "Play" and step.get_attribute("value") == stopped
    assert not find(browser, ".veil").is_displayed()


@pytest.mark.parametrize("width, height", [(1280, 800), (1366, 650), (360, 740)])
def test_sliders_verdict_and_a_chart_are_in_one_screen(page, width, height):
    browser = page(opening(), width=width, height=height)
    spots = browser.execute_script("""return ['input[data-value=lr]', '.verdict', 'svg[data-panel=norm]'].map(name =>
        document.querySelector(`.wd-explorer ${name}`).getBoundingClientRect()).map(box => [box.top, box.bottom])""")
    assert spots[0][0] >= 0 and spots[-1][1] <= height, spots
    assert spots[0][1] <= spots[1][0] <= spots[1][1] <= spots[2][0]


def test_on_a_phone_the_sliders_stay_while_charts_pass(page):
    browser = page(opening(panels=list(rd.explorer.PANELS)), width=360, height=740)
    chart = find(browser, "svg[data-panel=loss]")
    browser.execute_script("arguments[0].scrollIntoView({block: 'end'})", chart)
    settled(browser)
    top = browser.execute_script("return arguments[0].getBoundingClientRect().top", find(browser, "[data-value=lr]"))
    assert 0 <= top < 60
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360


def test_train_on_a_page_trains_its_small_network_and_theory_takes_its_gradients(page):
    from selenium.webdriver.support.ui import WebDriverWait

    browser = page(rd.Explorer(optimizer="sgd", lr=0.5, weight_decay=0.01, momentum=0.0))
    train = find(browser, ".train")
    assert train.text == "Train a small network here"
    train.click()
    news = "return document.querySelector('.wd-explorer .news').textContent"
    WebDriverWait(browser, 120).until(lambda one: "test accuracy" in one.execute_script(news))
    assert float(re.search(r"([\d.]+) %", browser.execute_script(news))[1]) > 15  # chance is 10
    settled(browser)
    assert "theory, with the size of the gradients in my last run. Open dots: my last run, λ = 0.5, α = 0.01" in find(
        browser, ".source").text  # fmt: skip
    rings = "return document.querySelectorAll('.wd-explorer [data-panel=norm] .dots.mine').length"
    assert browser.execute_script(rings) == 8
    assert find(browser, "select[data-value=plan]").get_attribute("value") == "here"
    assert find(browser, "select[data-value=gradient]").get_attribute("value") == "mine"
    press(browser, "lr", 2)
    assert browser.execute_script(rings) == 8, "what was trained stays where it was"
    find(browser, ".forget").click()
    settled(browser)
    assert browser.execute_script(rings) == 0


def test_a_run_on_a_page_can_be_stopped_and_ends_with_its_element(page):
    from selenium.webdriver.support.ui import WebDriverWait

    browser = page(rd.Explorer(optimizer="sgd", lr=0.5, weight_decay=0.01, momentum=0.0))
    find(browser, ".train").click()
    news = "return document.querySelector('.wd-explorer .news').textContent"
    WebDriverWait(browser, 60).until(lambda one: re.match("step [1-9]", one.execute_script(news)))
    find(browser, ".stop").click()
    settled(browser)
    assert re.fullmatch(r"stopped after [\d,]+ of 1,000 steps", browser.execute_script(news))
    assert find(browser, ".train").is_enabled()
    find(browser, ".train").click()
    browser.execute_script("document.querySelector('weight-decay-explorer').remove()")
    settled(browser, 500)  # and no error is in the console


def test_a_guess_that_is_no_number_is_named(page):
    from selenium.webdriver.common.keys import Keys

    browser = page(opening(predict=True))
    for text in ("abc", "-3", "0"):
        field = find(browser, "[data-guess]")
        field.clear()
        field.send_keys(text, Keys.ENTER)
        settled(browser)
        assert find(browser, ".score").text == f"|w|² = {text}: must be a number above 0."
        assert "hidden" in find(browser, ".verdict").text
    assert not find(browser, "table").is_displayed()


def test_where_there_is_no_equilibrium_the_table_says_none(page):
    for given in (dict(weight_decay=0), dict(optimizer="lars", lr=4.0, momentum=0.0, plan="book")):
        browser = page(rd.Explorer(**given))
        cells = browser.execute_script(
            "return [...document.querySelectorAll('.wd-explorer tbody tr')].map(row => row.cells[3].textContent)")
        assert cells == ["none"] * 8
