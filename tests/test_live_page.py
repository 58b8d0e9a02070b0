"""The live network in headless Chromium, without a network and a kernel: it trains, and does what the reader does."""

import re

import gate
import pytest
from screen import open_page, requests

import resnet_dynamics as rd
from resnet_dynamics import element, stories

OLD = "ignore:Deprecated in traitlets 4.1:DeprecationWarning"  # of ipywidgets 7, which Colab has
pytestmark = pytest.mark.filterwarnings(OLD)
ON_THE_SITE = [pytest.mark.book, pytest.mark.site]
PATIENCE = 60  # seconds: two cores may be busy with other tests


def wait(browser, condition, seconds=PATIENCE):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, seconds, poll_frequency=0.1).until(lambda _: condition())


class Seen:
    """A live network in the browser, by what its reader sees."""

    def __init__(self, browser, which=0):
        self.browser, self.which = browser, which
        wait(browser, lambda: len(browser.find_elements("css selector", ".wd-live")) > which)

    @property
    def root(self):
        return self.browser.find_elements("css selector", ".wd-live")[self.which]

    def find(self, selector):
        return self.root.find_element("css selector", selector)

    def text(self, selector):
        return self.find(selector).get_attribute("textContent")

    @property
    def step(self):
        found = re.match(r"step ([\d,]+)", self.text(".runs"))
        return int(found[1].replace(",", "")) if found else 0

    def reaches(self, step):
        wait(self.browser, lambda: self.step >= step)

    def press(self, selector):
        self.browser.execute_script("arguments[0].click()", self.find(selector))

    def put(self, name, value):
        from selenium.webdriver.common.keys import Keys

        self.find(f"[data-typed={name}]").send_keys(Keys.CONTROL, "a", Keys.NULL, str(value), Keys.TAB)

    def choose(self, name, value):
        script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change'))"
        self.browser.execute_script(script, self.find(f"select[data-value={name}]"), value)

    def value(self, name):
        return self.find(f"[data-typed={name}]").get_attribute("value")

    @property
    def state(self):
        """running, paused or stopped."""
        text = self.text(".runs")
        return "running" if "steps a second" in text else "paused" if "paused" in text else "stopped"

    def stands(self):
        """Wait until it pauses, and return at which step."""
        wait(self.browser, lambda: self.state == "paused")
        step = self.step
        self.browser.execute_async_script("setTimeout(arguments[0], 700)")
        assert self.step == step
        return step


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with pages of our own, and with the two files that pages share."""
    folder = tmp_path_factory.mktemp("pages")
    for name, one in element.SHARED.items():
        (folder / name).write_text(one.text(), encoding="utf-8")
    return folder


@pytest.fixture
def page(browser, place):
    """Open a page with some elements from a file. Afterwards the console has no error and nothing outside was asked."""
    browser.get("about:blank")
    browser.get_log("browser"), requests(browser)

    def opened(*elements, link="", before="", width=1200, height=900):
        body, names = element.shared("\n".join(one.static_html() for one in elements))
        scripts = "".join(f'<script defer src="{name}"></script>' for name in names)
        head = "<meta charset=utf-8><meta name=viewport content='width=device-width, initial-scale=1'>"
        html = f"<!doctype html><html lang=en>{head}<title>A page</title>{scripts}<body>{body}"
        (place / "page.html").write_text(html, encoding="utf-8")
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700})
        script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": before})
        browser.get("about:blank")
        browser.get((place / "page.html").as_uri() + link)
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
        return Seen(browser)

    yield opened
    assert [e["message"] for e in browser.get_log("browser") if e["level"] in ("SEVERE", "WARNING")] == []
    assert [url for url in requests(browser) if not url.startswith(("file:", "data:", "blob:", "about:"))] == []


# ------------------------------------------------------------------------------------ it trains


def test_it_trains_without_being_asked_and_theory_is_drawn(page):
    live = page(rd.Live())
    live.reaches(300)
    assert "plain" not in live.text(".runs") and "page itself" not in live.text(".runs")
    live.press("details:last-of-type > summary")

    def rows():
        return live.browser.execute_script(
            "return [...arguments[0].querySelectorAll('tbody tr')].map(r => [...r.cells].map(c => c.textContent))",
            live.root)

    read = wait(live.browser, lambda: (now := rows()) and "–" not in sum(now, []) and now)  # "–": not known yet
    assert len(read) == 8
    for layer, w2, theory, ratio, rate, over, cosine, angle in read:
        assert 0.1 < float(w2) < 1000 and 0.1 < float(theory) < 1000, layer
        assert float(ratio) == pytest.approx(float(w2) / float(theory), rel=0.02)
        assert float(over) == pytest.approx(float(rate) / 0.1, rel=0.02) and 0.7 < float(over) < 1.4
        assert abs(float(cosine)) < 1e-2 and 0.03 < float(angle) < 0.3
    assert live.root.find_elements("css selector", "weight-decay-live > figure") == []


@pytest.mark.parametrize("missing, said", [
    ("delete window.Worker", "on the page itself"), ("delete window.WebAssembly", "plain JavaScript")])  # fmt: skip
def test_where_something_is_missing_it_trains_all_the_same_and_says_so(page, missing, said):
    live = page(rd.Live(), before=missing)
    if "Assembly" in missing:  # a worker has one of its own
        live = page(rd.Live(), before=f"{missing}; delete window.Worker")
    live.reaches(3)
    assert said in live.text(".runs")


def test_two_on_a_page_train_each_for_itself(page):
    first = page(rd.Live(lr=0.5, small=True), rd.Live(lr=0.25, story="kick", small=True), height=2400)
    second = Seen(first.browser, 1)
    first.reaches(20), second.reaches(20)
    second.press("button.play")
    step = second.stands()
    first.reaches(first.step + 20)
    assert second.step == step and (first.value("lr"), second.value("lr")) == ("0.5", "0.25")


WORKERS = {"filter": [{"type": "worker"}]}


def test_the_worker_ends_with_the_element(page):
    live = page(rd.Live())
    browser = live.browser
    live.reaches(5)
    workers = lambda: len(browser.execute_cdp_cmd("Target.getTargets", WORKERS)["targetInfos"])  # noqa: E731
    if not workers():
        pytest.skip("this browser does not list its workers")
    browser.execute_script("document.querySelector('weight-decay-live').remove()")
    wait(browser, lambda: workers() == 0)


def test_taken_out_and_put_in_again_it_begins_anew(page):
    live = page(rd.Live())
    live.reaches(10)
    live.browser.execute_script("""const one = document.querySelector('weight-decay-live'), place = one.parentElement;
        one.remove(); place.append(one)""")
    assert len(live.browser.find_elements("css selector", ".wd-live")) == 1
    live.reaches(10)


# ------------------------------------------------------------------------ what the reader does


def test_each_slider_acts_in_flight(page):
    from selenium.webdriver.common.keys import Keys

    live = page(rd.Live())
    live.reaches(40)
    for name in ("lr", "weight_decay", "momentum"):
        before, verdict, step = live.value(name), live.text(".verdict"), live.step
        live.find(f"input[type=range][data-value={name}]").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
        wait(live.browser, lambda was=verdict: live.text(".verdict") != was, 2)
        assert live.value(name) != before and live.step >= step, name
    wait(live.browser, lambda: f"lr={live.value('lr')}" in live.browser.current_url)
    live.reaches(live.step + 20)
    assert live.find("select[data-value=optimizer]").get_attribute("value") == "heavy-ball"


def test_adamw_takes_over_in_flight_and_its_dots_arrive(page):
    """With another λ and α, and the page says so; the sliders reach there, and back it is as it was."""
    live = page(rd.Live())
    live.reaches(150)
    live.choose("optimizer", "adamw")
    wait(live.browser, lambda: live.value("lr") == "0.005" and live.value("weight_decay") == "1")
    assert "AdamW begins without a memory" in live.text(".news")
    assert "λ, α and ρ are now 0.005, 1 and 0.9" in live.text(".news")
    assert live.text(".law").startswith("AdamW: v = m/√s")
    slider = live.find("input[type=range][data-value=lr]")
    assert float(slider.get_attribute("min")) < float(slider.get_attribute("value"))
    assert "λ|v|/|w| = 0.0235 in every layer" in live.text(".verdict")
    switched = live.step
    live.reaches(switched + 300)
    found = re.search(r"\|w\|² is ([\d.]+) to ([\d.]+) times the line in all 8 layers", live.text(".agrees"))
    assert 0.5 < float(found[1]) <= float(found[2]) < 2
    assert "λ|v|/|w|" in live.find("[data-panel=rate]").find_element("xpath", "..").text
    wait(live.browser, lambda: "optimizer=adamw" in live.browser.current_url)
    live.choose("optimizer", "sgd")
    wait(live.browser, lambda: live.value("lr") == "0.5" and live.value("weight_decay") == "0.01")
    live.reaches(live.step + 20)


def test_every_story_runs(page):
    live = page(rd.Live(story="settle"))
    for story in stories.names()[1:] + stories.names()[:1]:
        look = live.text(".look")
        live.press(f"[data-story={story}]")
        wait(live.browser, lambda before=look: live.text(".look") != before)
        assert live.find(f"[data-story={story}]").get_attribute("aria-pressed") == "true"
        assert float(live.value("lr")) == pytest.approx(stories.scene(story)["lr"], rel=1e-3)
        live.reaches(5)
        if story == "hot":
            wait(live.browser, lambda: "no longer finite" in live.text(".agrees"))
            assert live.state == "stopped" and "Restart" in live.text(".agrees")
            live.put("lr", 0.5)
            live.press("button.restart")
            wait(live.browser, lambda: live.state == "running" and live.step > 3)
            assert "no longer finite" not in live.text(".agrees")
        if story == "twins":
            live.reaches(20)
            assert "equal, bit for bit, in all" in live.text(".agrees")
        if story == "beside":
            wait(live.browser, lambda: "Open: λ = 0.005, α = 1, ρ = 0, AdamW" in live.text(".agrees"))
            assert "open: AdamW, λ|v|/|w|; dashed" in live.find("[data-panel=rate]").find_element("xpath", "..").text


def test_a_story_acts_at_its_step(page):
    """The network rests there until it is done, so the same seed gives the same run."""
    live = page(rd.Live(story="kick", small=True))
    live.reaches(610)
    live.press("button.play")
    last = live.stands() - 1

    def drawn():
        found = re.search(r"^([\d,]+) steps? after theory was drawn", live.text(".agrees"))
        return found and last - int(found[1].replace(",", ""))

    wait(live.browser, lambda: drawn() == 600)
    assert "The weights of layer2 were multiplied by 3" in live.text(".news")


def test_restart_takes_back_what_the_story_has_moved(page):
    live = page(rd.Live(story="double", small=True))
    live.reaches(610)
    wait(live.browser, lambda: live.value("lr") == "1")
    live.press("button.restart")
    wait(live.browser, lambda: live.value("lr") == "0.5" and live.step < 590)


def test_a_kick_leaves_the_outputs_as_they_are(page):
    live = page(rd.Live())
    live.reaches(30)
    live.press('[data-kick="3"]')
    wait(live.browser, lambda: "multiplied by 3" in live.text(".news"))
    change = re.search(r"changed by ([\d.]+(?:e-\d+)?)", live.text(".news").replace("−", "-"))
    assert 0 <= float(change[1]) < 2e-3
    live.press("[data-no-norm]")
    wait(live.browser, lambda: "no batch norm" in live.root.get_attribute("textContent"))


def test_pause_step_restart_and_seed(page):
    live = page(rd.Live(seed=5))
    live.reaches(10)
    live.press("button.play")
    step = live.stands()
    live.press("button.step")
    wait(live.browser, lambda: live.step == step + 1)
    live.press("button.restart")
    wait(live.browser, lambda: live.step < step)
    live.put("seed", 7)
    live.press("button.play") if live.state == "paused" else None
    live.reaches(3)
    wait(live.browser, lambda: "seed=7" in live.browser.current_url)
    live.put("seed", "1.5")
    wait(live.browser, lambda: "must be a whole number" in live.text(".news"))
    live.put("seed", "abc")
    wait(live.browser, lambda: live.text(".news").startswith("seed = abc: must be"))
    live.put("lr", "-1")
    wait(live.browser, lambda: "λ = -1: must be" in live.text(".settings"))
    live.press("button.restart")
    wait(live.browser, lambda: live.value("lr") == "0.5" and "must be" not in live.text(".settings"))


def test_a_network_that_is_lost_can_only_begin_again(page):
    live = page(rd.Live(story="hot"))
    wait(live.browser, lambda: live.state == "stopped")
    buttons = ["button.play", "button.step", '[data-kick="3"]', "[data-no-norm]"]
    assert live.text("button.play") == "Play" and not any(live.find(one).is_enabled() for one in buttons)
    live.put("lr", "0.5")
    live.press("button.restart")
    wait(live.browser, lambda: live.find("button.step").is_enabled())
    assert "you have moved that" in live.text(".look")


def test_the_pointer_over_a_chart_moves_nothing_around_it(page):
    from selenium.webdriver.common.action_chains import ActionChains

    live = page(rd.Live())
    live.reaches(100)
    live.press("button.play")
    live.stands()
    height = live.find(".legend").size["height"]
    chart = live.find("[data-panel=norm]")
    past = 80 - chart.size["width"] // 2  # from the middle: a step that is measured
    ActionChains(live.browser).move_to_element_with_offset(chart, past, 0).perform()
    wait(live.browser, lambda: "theory" in live.text(".legend"))
    assert live.find(".legend").size["height"] == height


def test_a_link_holds_the_setting_and_back_leads_back(page):
    live = page(rd.Live(), link="#live?lr=0.2&weight_decay=0.02&momentum=0.5&optimizer=nesterov&seed=9")
    values = [live.value(name) for name in ("lr", "weight_decay", "momentum", "seed")]
    assert values == ["0.2", "0.02", "0.5", "9"]
    assert live.find("select[data-value=optimizer]").get_attribute("value") == "nesterov"
    live.reaches(3)
    live.press("[data-story=rings]")
    wait(live.browser, lambda: live.value("momentum") == "0.99")
    live.browser.back()
    wait(live.browser, lambda: live.value("momentum") == "0.5")
    assert live.value("lr") == "0.2"
    live.browser.forward()
    wait(live.browser, lambda: live.value("momentum") == "0.99")
    live.press("[data-panel-box=angle]")
    wait(live.browser, lambda: "panels=norm,rate,angle" in live.browser.current_url)


def test_out_of_view_and_in_a_hidden_tab_it_rests(page):
    live = page(rd.Live())
    live.reaches(3)
    hide = """Object.defineProperty(document, 'hidden', {value: arguments[0], configurable: true});
        document.dispatchEvent(new Event('visibilitychange'))"""
    live.browser.execute_script(hide, True)
    step = live.stands()
    live.browser.execute_script(hide, False)
    live.reaches(step + 3)
    live.browser.execute_script("document.body.style.paddingTop = '5000px'")
    step = live.stands()
    live.browser.execute_script("document.body.style.paddingTop = ''")
    live.reaches(step + 3)


def test_who_wants_less_motion_presses_play(page, browser):
    still = {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", still)
    try:
        live = page(rd.Live())
        assert live.stands() == 0 and live.find("button.play").text == "Play"
        paper = {"media": "print", **still}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", paper)  # what has not begun is printed as its recording
        assert live.find(".recorded figure img").is_displayed() and not live.find(".charts").is_displayed()
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", **still})
        live.press("button.play")
        live.reaches(3)
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", paper)
        assert live.find(".charts").is_displayed() and not live.find("button.play").is_displayed()
        assert not live.root.find_elements("css selector", ".recorded")
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


@pytest.mark.parametrize("width, story", [(360, "settle"), (360, "muon"), (1200, "adamw")])
def test_it_fits_and_everything_has_a_name(page, width, story):
    live = page(rd.Live(story=story), width=width, height=740)
    live.reaches(3)
    browser = live.browser
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    tree = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {"slider", "textbox", "combobox", "checkbox", "button", "image", "region"}
    named = [(node["role"]["value"], node.get("name", {}).get("value", "").strip()) for node in tree
             if not node["ignored"] and node["role"]["value"] in roles]
    assert [role for role, name in named if not name] == []
    assert {"slider", "textbox", "combobox", "button"} <= {role for role, _ in named}


# ------------------------------------------------------------------------- pages of the book


CHAPTERS = [path.relative_to(gate.ROOT).with_suffix("").as_posix() for path in gate.CHAPTERS
            if "rd.Live(" in path.read_text(encoding="utf-8")]  # fmt: skip


@pytest.mark.parametrize("name", ["book/index", "book/live", *CHAPTERS])
class TestThePage:
    pytestmark = ON_THE_SITE

    def test_it_trains(self, browser, address, site, name):
        assert (site / f"{name}.html").stat().st_size < 400_000
        browser.get("about:blank")
        browser.get_log("browser"), requests(browser)
        open_page(browser, f"{address}{name}.html", width=1280)
        live = Seen(browser)
        if name in CHAPTERS:
            browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", live.root)
        live.reaches(20 if name in CHAPTERS else 300)
        assert browser.execute_script("""
            const edge = arguments[0].closest('article').getBoundingClientRect().right;
            return [...arguments[0].querySelectorAll('input, button, canvas')].filter(
                one => one.getBoundingClientRect().right > edge + 1).map(one => one.outerHTML)""", live.root) == []
        assert [e["message"] for e in browser.get_log("browser") if e["level"] in ("SEVERE", "WARNING")] == []
        inside = (address, "data:", "blob:", "about:")
        assert [url for url in requests(browser) if not url.startswith(inside)] == []

    @pytest.mark.parametrize("width", [1280, 360])
    def test_the_sliders_stay_in_view_below_the_header(self, browser, address, name, width):
        open_page(browser, f"{address}{name}.html", width=width)
        live = Seen(browser)
        top, header = browser.execute_async_script("""const [root, done] = arguments;
            document.documentElement.style.scrollBehavior = 'auto';
            root.querySelector('.charts').scrollIntoView();
            scrollBy(0, 30);
            requestAnimationFrame(() => requestAnimationFrame(() => done([
                root.querySelector('.settings').getBoundingClientRect().top,
                document.querySelector('.bd-header-article').getBoundingClientRect().bottom])))""", live.root)
        assert header <= top < header + 12

    def test_it_works_from_a_file(self, browser, site, name):
        if name in CHAPTERS:
            pytest.skip("as the page of its own")
        open_page(browser, f"{site.as_uri()}/{name}.html")
        Seen(browser).reaches(20)

    def test_without_javascript_there_is_a_picture_and_a_table(self, browser, address, name):
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        try:
            browser.get(f"{address}{name}.html")
            picture = browser.find_element("css selector", "weight-decay-live figure img")
            assert picture.is_displayed() and picture.size["width"] > 200
            assert gate.good_alt(picture.get_attribute("alt"))
            assert len(browser.find_elements("css selector", "weight-decay-live table tbody tr")) == 8
        finally:
            browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.book
@pytest.mark.site
def test_pages_share_what_draws_them_and_load_no_more(site):
    """Evidence and formulas stand on the pages that show them; both files are there once."""
    live, explorer = ((site / "book" / f"{name}.html").read_text() for name in ("live", "explorer"))
    for html in (live, explorer):
        assert html.count("_static/explorer.js") == 1 and "data-shared" not in html and "var weightDecay" not in html
    assert "_static/evidence.js" in explorer and "_static/evidence.js" not in live and "mathjax/" not in live
    for name, one in element.SHARED.items():
        assert (site / "_static" / name).read_text(encoding="utf-8") == one.text()
