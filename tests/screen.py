"""Headless Chromium without a network, and a server of the built pages: fixtures of all tests that look at pages."""

import functools
import http.server
import json
import shutil
import threading

import pytest

CHROMIUM = next(filter(None, map(shutil.which, (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"))), None)
CHROMEDRIVER = shutil.which("chromedriver")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if not (CHROMIUM and CHROMEDRIVER):
        pytest.skip("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-dev-shm-usage", "--disable-background-networking", "--disable-sync",
            "--disable-component-update", "--window-size=1200,900",
            f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(CHROMEDRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def address(site):
    """The address of a server of the built pages."""
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def requests(browser):
    """Return the URLs asked for since the last call."""
    entries = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [entry["params"]["request"]["url"] for entry in entries
            if entry["method"] == "Network.requestWillBeSent"]


def open_page(browser, url, *, width=1200, scheme="light"):
    """Open a page at a width in CSS pixels and wait until its formulas are typeset."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 700})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": scheme}]})
    browser.get(url)
    WebDriverWait(browser, 30).until(lambda b: b.execute_script("""
        return document.readyState === 'complete' && (!document.querySelector('.math')
            || (window.MathJax && MathJax.startup && MathJax.startup.promise
                && document.querySelector('.math mjx-container')))"""))
    browser.execute_async_script("""
        const done = arguments[0];
        Promise.resolve(window.MathJax && MathJax.startup.promise).then(() => document.fonts.ready)
            .then(() => requestAnimationFrame(() => requestAnimationFrame(() => done())))""")
