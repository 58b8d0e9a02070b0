"""The figure of chapter 5 in which λ(t) is drawn: what it takes, the run its numbers come from, and it in the hand.

`tests/explorer/crossing.test.mjs` has what it computes.
"""

import numpy as np
import pytest

import resnet_dynamics as rd
from resnet_dynamics import measure
from resnet_dynamics.crossing import SCHEDULES, drawn

OWN = dict(lr=1.0, weight_decay=0.01, steps=600, w2_0=2.0, c=1.0)


@pytest.fixture
def figure(browser, tmp_path):
    """Return what opens the figure on a page. Afterwards the console has no error."""

    def opened(one, width=1280):
        file = tmp_path / "page.html"
        file.write_text('<!doctype html><html lang=en><meta charset=utf-8>'
                        '<meta name=viewport content="width=device-width">'
                        f"<title>A figure</title><h1>A figure</h1>{one.static_html()}", encoding="utf-8")  # fmt: skip
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 700})
        browser.get(file.as_uri())
        return browser

    browser.get_log("browser")
    yield opened
    assert [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def knots(browser):
    return [float(one.get_attribute("aria-valuenow")) for one in browser.find_elements("css selector", ".knot")]


def said(browser):
    return browser.find_element("css selector", ".wd-crossing .said").text


def test_its_numbers_are_those_of_the_recorded_run():
    found, run = rd.Crossing(layer="layer2"), rd.run(rd.bundled()["sgd-0"])
    assert (found.lr, found.weight_decay, found.steps) == (run.lr.values.max().round(), 5e-4, run.sizes["step"])
    assert found.w2_0 == pytest.approx(float(run.w2.sel(layer="layer2")[0]), rel=1e-3)
    late = measure.gradient_size(run).sel(layer="layer2")[3 * run.sizes["step"] // 4 :]
    assert found.c == pytest.approx(float(measure.rms(late)), rel=5e-3)


def test_lambda_goes_through_its_points():
    lr = drawn([0, 1, 0.5], 2.0, 8)
    np.testing.assert_allclose(lr, [0.25, 0.75, 1.25, 1.75, 1.875, 1.625, 1.375, 1.125])
    assert {len(points) for points in SCHEDULES.values()} == {13}
    assert all(max(points) == 1 for points in SCHEDULES.values())


@pytest.mark.parametrize("given, words", [
    (dict(lr=-1), "lr=-1"), (dict(weight_decay=0), "weight_decay=0"), (dict(steps=2.5), "steps=2.5"),
    (dict(schedule="ramp"), "schedule='ramp': must be one of"), (dict(layer="conv"), "layer='conv': must be one of"),
    (dict(schedules={"a": [2, 0]}), "schedules="), (dict(c=float("nan")), "c=nan"),
])
def test_what_is_not_allowed_is_named(given, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        rd.Crossing(**(OWN | given))


def test_without_javascript_there_is_a_picture():
    html = rd.Crossing(schedule="cosine", **OWN).static_html()
    assert '<img src="data:image/png;base64,' in html and "over 600 steps" in html and "“cosine”" in html


def test_mouse_and_keys_move_lambda_and_the_norm_follows(figure):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    browser = figure(rd.Crossing(schedule="constant", **OWN))
    norm = "return document.querySelector('[data-panel=norm] .curve.line').getAttribute('d')"
    axis = "return document.querySelector('[data-panel=norm] .axes').textContent"
    before, ticks, points = browser.execute_script(norm), browser.execute_script(axis), knots(browser)
    assert points == [1.0] * 13
    one = browser.find_elements("css selector", ".knot")[4]
    ActionChains(browser).click_and_hold(one).move_by_offset(0, 40).release().perform()
    dragged = knots(browser)
    assert dragged[4] < 0.95 and dragged[:4] + dragged[5:] == points[:4] + points[5:]
    assert browser.execute_script(norm) != before and browser.execute_script(axis) == ticks
    browser.execute_script("arguments[0].focus()", one)
    ActionChains(browser).send_keys(Keys.ARROW_RIGHT, Keys.HOME, Keys.ARROW_RIGHT, Keys.HOME).perform()
    assert knots(browser)[5:7] == [0, 0] and said(browser).startswith("Step 300:")
    browser.find_element("css selector", "[data-schedule=constant]").click()
    assert knots(browser) == points and browser.execute_script(norm) == before


def test_a_finger_draws_lambda_on_a_phone_and_the_page_is_no_wider(figure):
    browser = figure(rd.Crossing(schedule="constant", **OWN), width=360)
    assert browser.execute_script("return document.documentElement.scrollWidth") == 360
    spots = browser.execute_script("""return [...document.querySelectorAll('.knot')].map(one => {
        const box = one.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })""")
    for kind, at in (("touchStart", spots[3]), ("touchMove", spots[4]), ("touchMove", spots[5]), ("touchEnd", None)):
        points = [{"x": at[0], "y": at[1] + 50}] if at else []
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    low = [i for i, one in enumerate(knots(browser)) if one < 0.9]
    assert low == [3, 4, 5]


def test_a_finger_beside_the_points_that_goes_down_scrolls_the_page(figure):
    browser = figure(rd.Crossing(schedule="constant", **OWN), width=360)
    style = "return getComputedStyle(document.querySelector(arguments[0])).touchAction"
    assert browser.execute_script(style, "[data-panel=lr]") == "pan-y"
    assert browser.execute_script(style, "[data-panel=lr] .knot") == "none"
    box = browser.execute_script("""const box = document.querySelector('[data-panel=lr] .plot').getBoundingClientRect();
        return [box.x + box.width / 2, box.y + box.height / 2]""")
    before = knots(browser)
    for kind, down in (("touchStart", 0), ("touchMove", 20), ("touchMove", 60), ("touchEnd", None)):
        points = [{"x": box[0], "y": box[1] + down}] if down is not None else []
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert knots(browser) == before


def test_what_is_drawn_can_be_undone_and_is_there_after_a_reload(figure):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.support.ui import WebDriverWait

    browser = figure(rd.Crossing(schedule="constant", **OWN))
    first, undo = knots(browser), browser.find_element("css selector", ".wd-crossing .undo")
    assert not undo.is_enabled()
    ends = [browser.find_elements("css selector", ".knot")[i] for i in (2, 9)]
    ActionChains(browser).move_to_element(ends[0]).click_and_hold().move_by_offset(0, 50).perform()
    ActionChains(browser, duration=0).move_to_element(ends[1]).release().perform()  # too fast to be seen between
    drawn = knots(browser)
    np.testing.assert_allclose(np.diff(drawn[2:10]), (drawn[9] - drawn[2]) / 7, atol=2e-3)
    assert drawn[2] < 0.9 and drawn[:2] + drawn[10:] == first[:2] + first[10:]
    WebDriverWait(browser, 5).until(lambda _: "#crossing?points=" in browser.current_url)
    browser.refresh()
    assert knots(browser) == drawn
    browser.find_element("css selector", "[data-schedule=cosine]").click()
    browser.back()
    WebDriverWait(browser, 5).until(lambda _: knots(browser) == drawn)
    one = browser.find_elements("css selector", ".knot")[0]
    ActionChains(browser).click_and_hold(one).move_by_offset(0, 40).release().perform()
    assert knots(browser)[0] < 0.9
    for _ in range(2):  # the stroke, and the schedule
        browser.find_element("css selector", ".wd-crossing .undo").click()
    assert knots(browser) == drawn
    browser.get(browser.current_url.split("#")[0] + "#crossing?points=1,2,3")
    browser.refresh()
    error = browser.find_element("css selector", ".wd-crossing .error").text
    assert error == "In the link, points = 1,2,3: must be 13 numbers in [0, 1.25], with commas between them."
    assert knots(browser) == first


def test_play_goes_through_the_training(figure):
    from selenium.webdriver.support.ui import WebDriverWait

    browser = figure(rd.Crossing(**OWN))
    browser.find_element("css selector", ".wd-crossing .play").click()
    WebDriverWait(browser, 20).until(lambda _: said(browser).startswith("Step 599"))
