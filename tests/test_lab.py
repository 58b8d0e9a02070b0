"""The explorer in JupyterLab: drawn, trained, stopped, interrupted, restarted and reopened, in headless Chromium.

The kernels have no network, an empty cache, and nothing of what the user has set for Jupyter.
"""

import contextlib
import json
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.request

import gate
import nbformat
import pytest
from screen import requests

pytestmark = [pytest.mark.book, pytest.mark.site]
pytest.importorskip("jupyterlab", reason="needs jupyterlab: pip install -r requirements.txt")

# A plan that lasts half a minute or more, in place of one that lasts seconds.
LONG = """import resnet_dynamics as rd
plans = rd.page_data.configs() | {"smoke": rd.Config.smoke(epochs=100)}
rd.page_data.configs = lambda: plans"""
EXPLORER = 'explorer = rd.Explorer(plan="smoke")\nexplorer'
RUNS = """print("runs:", [(run.sizes["step"], int(run.w2.notnull().all("layer").sum())) for run in explorer.runs])
print("state:", explorer.progress["state"])"""

# What the reader of a widget sees, at every moment at which it changes: [ms, dots of the own run, text, Train is off].
WATCH = """const widget = document.querySelector('.wd-explorer'), seen = window.seen = [];
    const [train, stop] = ['train', 'stop'].map(name => widget.querySelector(`button.${name}`));
    const look = () => {
        const dots = widget.querySelector('[data-panel=norm] .dots.mine')?.getAttribute('d') ?? '';
        const now = [dots.split('M').length - 1, widget.querySelector('.news').textContent, train.disabled];
        if (JSON.stringify(now) !== JSON.stringify(seen.at(-1)?.slice(1))) seen.push([performance.now(), ...now]);
    };
    new MutationObserver(look).observe(widget, {subtree: true, childList: true, attributes: true});
    for (const button of [train, stop])
        button.addEventListener('click', () => seen.push([performance.now(), button.textContent]), {capture: true});
    look();"""


class Lab:
    """A server of notebooks."""

    def __init__(self, address, token, folder):
        self.address, self.token, self.folder = address, token, folder

    def api(self, path, method="GET"):
        request = urllib.request.Request(f"{self.address}api/{path}", method=method)
        request.add_header("Authorization", f"token {self.token}")
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or "null")

    def shut_down(self):
        """End all kernels."""
        for session in self.api("sessions"):
            self.api(f"sessions/{session['id']}", "DELETE")


class Notebook:
    """A notebook in the browser, with an explorer in its second cell."""

    def __init__(self, browser, lab, name, *sources):
        self.browser, self.lab, self.name = browser, lab, name
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        self.path = lab.folder / f"{name}.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), self.path)
        self.open()

    def open(self):
        """Open the file in a browser window that knows nothing of it."""
        address = f"{self.lab.address}lab/workspaces/{secrets.token_hex(4)}/tree/{self.name}.ipynb"
        self.browser.get(f"{address}?token={self.lab.token}")
        self.wait(lambda: self.all(".jp-Notebook .jp-CodeCell") and self.idle(), 60)

    def save(self):
        before = self.path.read_text()
        self.menu("File", "docmanager:save")
        self.wait(lambda: self.path.read_text() not in (before, ""))

    def reopen(self):
        """Open the file again, with a new kernel; nothing is run."""
        self.browser.get("about:blank")
        self.lab.shut_down()
        self.open()

    def all(self, selector):
        return self.browser.find_elements("css selector", selector)

    def find(self, selector):
        return self.browser.find_element("css selector", f".wd-explorer {selector}")

    def wait(self, condition, seconds=20):
        """Wait until something is so; return it."""
        from selenium.common import NoSuchElementException, StaleElementReferenceException
        from selenium.webdriver.support.ui import WebDriverWait

        gone = (NoSuchElementException, StaleElementReferenceException)
        return WebDriverWait(self.browser, seconds, 0.05, gone).until(lambda _: condition())

    def idle(self):
        """Whether there is a kernel, and the page is connected to it."""
        kernels = [session["kernel"] for session in self.lab.api("sessions")]
        status = "return document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status"
        return (any(kernel["connections"] and kernel["execution_state"] == "idle" for kernel in kernels)
                and self.browser.execute_script(status) == "idle")  # fmt: skip

    def menu(self, name, command):
        """Take something from a menu."""
        next(item for item in self.all(".lm-MenuBar-item") if item.text == name).click()
        self.wait(lambda: self.browser.find_element("css selector", f".lm-Menu-item[data-command='{command}']")).click()

    def run(self, button="train"):
        """Run all cells, wait until the widget is there, the kernel has answered the explorer, and watch it."""
        from selenium.common import TimeoutException
        from selenium.webdriver.support.expected_conditions import staleness_of

        self.wait(self.idle, 60)  # a kernel that has just been restarted may not be connected yet
        old = self.all(".wd-explorer")
        prompts = self.prompts()
        self.menu("Run", "runmenu:run-all")
        try:
            self.wait(lambda: self.prompts() != prompts)
        except TimeoutException:  # what is asked of a kernel while it connects may be lost
            self.menu("Run", "runmenu:run-all")
        self.wait(lambda: all(staleness_of(one)(self.browser) for one in old))
        try:
            self.wait(lambda: self.find(f"button.{button}").is_displayed(), 60)
        except TimeoutException:
            raise AssertionError(f"{self.prompts()} {self.shown()}") from None
        if button == "train":
            self.browser.execute_script(WATCH)

    def prompts(self):
        """Return what stands beside the cells: "[*]:" while one runs, its number after that."""
        return [one.text for one in self.all(".jp-Notebook .jp-CodeCell .jp-InputPrompt")]

    def shown(self):
        """Return what the outputs of the second cell are, one text each."""
        cell = self.all(".jp-Notebook .jp-CodeCell")[1]
        return [part.text for part in cell.find_elements("css selector", ".jp-OutputArea-output")]

    def prints(self):
        """Run the third cell; return what it prints."""
        cell = self.all(".jp-Notebook .jp-CodeCell")[2]
        prompt = cell.find_element("css selector", ".jp-InputPrompt")
        before = prompt.text
        prompt.click()
        self.menu("Run", "runmenu:run")
        self.wait(lambda: re.search(r"\d", prompt.text) and prompt.text != before)
        return cell.find_element("css selector", ".jp-OutputArea-output").text

    # The widget
    def seen(self):
        """Return what was seen since the last call: [seconds, dots, text, Train is off] or [seconds, button]."""
        return [[one[0] / 1000, *one[1:]] for one in self.browser.execute_script("return window.seen.splice(0)")]

    def click(self, button):
        self.find(f"button.{button}").click()

    def train(self):
        """Press Train, and wait until the run is drawn and growing."""
        self.click("train")
        self.wait(lambda: re.match(r"step \d+ of \d+, ", self.news()), 60)

    def news(self):
        return self.find(".news").text

    def verdict(self):
        """What theory says, in words and as a formula."""
        return f"{self.find('.verdict').text} {self.find('.formula').text}"

    def ended(self):
        return self.find("button.train").is_enabled()

    def put(self, name, value):
        """Type a value into the field beside a slider."""
        from selenium.webdriver.common.keys import Keys

        field = self.find(f"[data-typed={name}]")
        field.clear()
        field.send_keys(str(value), Keys.TAB)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address and the folder of a JupyterLab of its own."""
    import psutil

    tmp = tmp_path_factory.mktemp("lab")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp / "notebooks").mkdir()
    (tmp / "config" / "labconfig").mkdir(parents=True)
    quiet = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
    (tmp / "config" / "labconfig" / "default_setting_overrides.json").write_text(json.dumps(quiet))
    token = secrets.token_hex()
    given = {f"JUPYTER_{name.upper()}_DIR": str(tmp / name) for name in ("config", "data", "runtime")}
    env = gate.environment(tmp / "cache", **given, JUPYTER_TOKEN=token, OMP_NUM_THREADS="1",
                           JUPYTERLAB_SETTINGS_DIR=str(tmp / "settings"),
                           JUPYTERLAB_WORKSPACES_DIR=str(tmp / "workspaces"))  # fmt: skip
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}",
               "--ServerApp.port_retries=0", f"--ServerApp.root_dir={tmp / 'notebooks'}", "--allow-root"]
    with open(tmp / "log", "w+", encoding="utf-8") as log:
        server = psutil.Popen(command, cwd=tmp, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            one = Lab(f"http://127.0.0.1:{port}/", token, tmp / "notebooks")
            end = time.monotonic() + 60
            while True:
                with contextlib.suppress(OSError):
                    one.api("status")
                    break
                log.seek(0)
                assert server.poll() is None and time.monotonic() < end, log.read()
                time.sleep(0.1)
            yield one
        finally:
            family = []
            with contextlib.suppress(psutil.NoSuchProcess):
                family = [server, *server.children(recursive=True)]
                server.terminate()
            for process in psutil.wait_procs(family, timeout=20)[1]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


@pytest.fixture
def notebook(browser, lab):
    """Open a new notebook in which the given cell comes first. Afterwards nothing was asked for outside."""
    size = {"width": 1200, "height": 1500, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get("about:blank")
    requests(browser)

    def opened(first="import resnet_dynamics as rd", then="", widget=EXPLORER, last=RUNS):
        return Notebook(browser, lab, secrets.token_hex(4), first, widget + then, last)

    yield opened
    lab.shut_down()
    inside = (lab.address, lab.address.replace("http", "ws", 1), "data:", "blob:", "about:")
    assert [url for url in requests(browser) if not url.startswith(inside)] == []


def test_the_widget_appears_and_follows_its_sliders(notebook):
    from selenium.webdriver.common.keys import Keys

    one = notebook()
    one.run()
    assert len(one.all(".wd-explorer")) == 1 and not one.all("weight-decay-explorer")
    assert one.find("button.train").is_enabled() and not one.find("button.stop").is_enabled()
    for slider in ("lr", "weight_decay", "momentum"):
        before = one.verdict()
        one.find(f"input[type=range][data-value={slider}]").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
        one.wait(lambda before=before: one.verdict() != before)
    wide = "const e = arguments[0]; return [e.scrollWidth, e.clientWidth]"
    scroll, client = one.browser.execute_script(wide, one.all(".jp-OutputArea-output")[0])
    assert scroll <= client
    assert one.prints() == "runs: []\nstate: idle"


def test_a_run_is_drawn_from_its_first_second_on(notebook):
    from selenium.webdriver.common.keys import Keys

    one = notebook(then="\n_ = rd.explorer.preload().join()\nexplorer")
    one.run()
    one.find("button.train").send_keys(Keys.ENTER)
    one.wait(lambda: one.ended() and one.news().startswith("test accuracy"), 60)
    seen = one.seen()
    (began,) = [at for at, *rest in seen if rest == ["Train"]]
    looks = [look for look in seen if len(look) == 4]
    first = next(at for at, dots, *_ in looks if dots) - began
    news = {text: at for at, _, text, _ in reversed(looks)}  # and when it came
    steps = sorted(at for text, at in news.items() if text.startswith("step"))
    rate = (len(steps) - 1) / (steps[-1] - steps[0])
    print(f"first points {first:.2f} s after Train, then {rate:.1f} looks a second")
    assert first < 10 and len({dots for _, dots, *_ in looks}) >= 3
    assert "loading" in news and any(re.fullmatch(r"step \d+ of 160, \d+ s left, loss [\d.]+", text) for text in news)
    assert one.prints() == "runs: [(160, 160)]\nstate: done"


def test_stop_ends_a_run_and_keeps_what_was_drawn(notebook):
    one = notebook(LONG)
    one.run()
    one.train()
    assert not one.ended()  # Train is off
    one.wait(lambda: one.browser.execute_script("return window.seen.at(-1)[1]") >= 5)
    one.seen()
    one.click("stop")
    one.wait(one.ended)
    seen = one.seen()
    (asked,) = [at for at, *rest in seen if rest == ["Stop"]]
    print(f"stopped after {seen[-1][0] - asked:.2f} s")
    assert seen[-1][0] - asked < 2
    steps = int(re.fullmatch(r"stopped after (\d+) of 1600 steps", one.news())[1])
    assert seen[-1][1] >= 5
    one.train()
    assert one.all(".wd-explorer [data-panel=norm] .dots.faint")  # the first run, behind the second
    one.click("stop")
    one.wait(one.ended)
    assert one.prints().startswith(f"runs: [({steps}, {steps}), (")


def test_a_run_that_explodes_says_so(notebook):
    one = notebook()
    one.run()
    one.put("lr", 1000)
    one.click("train")
    one.wait(lambda: one.ended() and re.search(r"no longer finite at step \d+|the loss exploded, to ", one.news()), 60)
    one.put("lr", 0.3)
    one.click("train")
    one.wait(lambda: one.ended() and one.news().startswith("test accuracy"), 60)
    assert "exploded" not in one.news()


def test_a_run_survives_an_interrupt(notebook):
    one = notebook(LONG)
    one.run()
    one.train()
    one.menu("Kernel", "kernelmenu:interrupt")
    step = int(re.match(r"step (\d+)", one.news())[1])
    one.wait(lambda: int(re.match(r"step (\d+)", one.news())[1]) > step + 10)
    one.click("stop")
    one.wait(one.ended)
    assert one.news().startswith("stopped after ")
    assert one.prints().endswith("state: stopped")


def test_a_restart_is_noticed_and_the_cells_can_run_again(notebook):
    one = notebook(LONG)
    one.run()
    one.train()
    one.menu("Kernel", "kernelmenu:restart")
    one.wait(lambda: one.browser.find_element("css selector", ".jp-Dialog .jp-mod-accept")).click()
    one.wait(lambda: one.news().endswith("If the kernel was restarted, run the cell again."), 30)
    verdict = one.verdict()
    one.put("lr", 1.6)
    one.wait(lambda: one.verdict() != verdict)  # theory needs no kernel
    one.click("train")
    one.wait(lambda: one.news() == (
        "The kernel does not answer. Another cell may keep it busy; if it was restarted, run the cell again."))
    one.run()
    one.train()
    one.click("stop")
    one.wait(one.ended)
    assert one.news().startswith("stopped after ")


def test_a_saved_notebook_from_elsewhere_shows_a_picture_and_a_table(notebook):
    """In the notebook's own Lab it says "model not found": there is nothing that a widget can do about it."""
    one = notebook()
    one.run()
    one.save()
    one.reopen()
    one.wait(lambda: one.shown() == ["Error displaying widget: model not found"])
    one.path.write_text(one.path.read_text().replace("state:", "State:"))  # somebody else's: the signature is gone
    one.reopen()
    one.wait(lambda: one.shown()[0].startswith("The recorded run that is nearest: heavy-ball, λ = 0.4, α = 0.0005"))
    (image,) = one.all(".jp-OutputArea-output figure img")
    assert image.is_displayed() and image.size["width"] > 200 and gate.good_alt(image.get_attribute("alt"))
    assert len(one.all(".jp-OutputArea-output table tbody tr")) == 8 and not one.all(".wd-explorer")
    one.run()
    assert len(one.shown()) == 1 and not one.all(".jp-OutputArea-output figure img")


def test_where_widgets_are_saved_the_explorer_lives_without_a_kernel(notebook, lab):
    settings = lab.folder.parent / "settings" / "@jupyter-widgets" / "jupyterlab-manager" / "plugin.jupyterlab-settings"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text('{"saveState": true}')  # before a page asks for it: the menu takes effect only later
    one = notebook()
    one.run()
    one.put("lr", 1.6)

    def saved():
        """The notebook's Lab puts the widgets into a notebook while it already writes it: the first time may miss."""
        one.save()
        states = json.loads(one.path.read_text())["metadata"].get("widgets", {}).values()
        return any(state["state"].get("lr") == 1.6 for all_ in states for state in all_["state"].values())

    one.wait(saved)
    one.reopen()
    one.wait(lambda: one.find("[data-typed=lr]").get_attribute("value") == "1.6")
    verdict = one.verdict()
    one.put("lr", 0.8)
    one.wait(lambda: one.verdict() != verdict)
    assert not one.find("button.train").is_displayed()


def test_controls_train_in_the_background_and_can_be_stopped(notebook):
    one = notebook(first="""import resnet_dynamics as rd


def draw(lr=0.1):
    if lr > 0.1:
        rd.run(rd.Config.smoke(lr=lr, epochs=1000), progress=False)
    rd.plots.figure()


rd.Controls(draw, "Axes without anything on them.", lr=[0.1, 0.2])""")
    one.run()
    from selenium.webdriver.common.keys import Keys

    cell = one.all(".jp-Notebook .jp-CodeCell")[0]

    def button(word):
        return next(each for each in cell.find_elements("css selector", "button.jupyter-button") if each.text == word)

    def status():
        return cell.find_element("css selector", "[role=status]").text

    picture = cell.find_element("css selector", "img").get_attribute("src")
    assert "λ" in cell.find_element("css selector", ".widget-label").text and not button("Stop").is_enabled()
    cell.find_element("css selector", ".noUi-handle").send_keys(Keys.ARROW_RIGHT)
    one.wait(lambda: cell.find_element("css selector", ".widget-readout").text == "0.2")
    button("Run").click()
    one.wait(lambda: re.match(r"training: step \d+ of \d+", status()), 90)
    assert one.prints().startswith("runs: "), "the kernel hears other cells meanwhile"
    button("Stop").click()
    one.wait(lambda: status().startswith("stopped"), 30)
    assert cell.find_element("css selector", "img").get_attribute("src") == picture
    assert button("Run").is_enabled() and not cell.find_elements("css selector", "[aria-busy]")


HISTORY = """from resnet_dynamics import measure
ds = live.history
print(ds.sizes["step"], float(ds.lr[-1]), float(measure.rate(ds).median() / measure.line(ds).median()))"""


def test_a_live_network_trains_and_the_next_cell_has_its_history(notebook):
    one = notebook(widget="live = rd.Live()\nlive", last=HISTORY)
    one.run("play")
    live = one.all(".wd-live")[0]
    step = lambda: int(re.search(r"step ([\d,]+)", live.text)[1].replace(",", ""))  # noqa: E731
    one.wait(lambda: step() > 250, 60)
    length, lr, ratio = map(float, one.prints().split())
    assert length > 100 and lr == 0.5 and 0.7 < ratio < 1.5
    field = live.find_element("css selector", "[data-typed=lr]")
    field.clear()
    field.send_keys("0.25\t")
    now = step()
    one.wait(lambda: step() > now + 100, 60)
    longer, lr, _ = map(float, one.prints().split())
    assert longer > length and lr == 0.25
