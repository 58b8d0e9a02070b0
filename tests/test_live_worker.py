"""The network in Chromium: in a worker, on the page where there can be no worker, and in plain JavaScript."""

import time

import gate
import pytest

BUNDLE = gate.ROOT / "src" / "resnet_dynamics" / "explorer.js"
PAGE = """<!doctype html><meta charset="utf-8">{policy}<title>a network</title>
<script>
    const revoked = [], made = [];
    URL.revokeObjectURL = ((revoke) => (url) => {{ revoked.push(url); revoke.call(URL, url); }})(URL.revokeObjectURL);
    {before}
</script>
<script>{bundle}</script>
<script>
    const reports = [], errors = [];
    const lab = weightDecay.connect({{
        onReport: (report) => reports.push({{ ...report, at: performance.now() }}),
        onError: (text) => errors.push(text),
    }});
    lab.send({{ type: "start", seed: 1, networks: [{{ lr: 0.5, weight_decay: 0.01 }}] }});
    lab.send({{ type: "step", count: {steps} }});
</script>"""

WORKERS = """const Real = Worker;
    Worker = class extends Real { constructor(url) { super(url); made.push(this); }
                                  terminate() { super.terminate(); this.ended = true; } };"""
REFUSED = 'Worker = class { constructor() { throw new Error("no workers here"); } };'
SILENT = "Worker = class { postMessage() {} terminate() { made.push('ended'); } };"
NO_WORKERS = '''<meta http-equiv="Content-Security-Policy" content="worker-src 'none'">'''
NO_WASM = '''<meta http-equiv="Content-Security-Policy" content="script-src 'unsafe-inline'; worker-src blob:">'''


@pytest.fixture
def opened(browser, tmp_path):
    """Open a page from a file, on which a network takes some steps, and wait until it has taken them."""

    def opened(before="", policy="", steps=5):
        file = tmp_path / "page.html"
        bundle = BUNDLE.read_text(encoding="utf-8")
        file.write_text(PAGE.format(before=before, policy=policy, bundle=bundle, steps=steps), encoding="utf-8")
        browser.get(file.as_uri())
        wait(browser, f"errors.length || reports.at(-1)?.t === {steps}", 30)
        assert browser.execute_script("return errors") == []
        return browser

    yield opened
    browser.get("about:blank")


def wait(browser, condition, seconds=10):
    end = time.monotonic() + seconds
    while not browser.execute_script(f"return {condition}"):
        assert time.monotonic() < end, condition
        time.sleep(0.02)


def products(browser):
    """Of every step, from its reports."""
    return browser.execute_script("return reports.flatMap(one => one.networks.flatMap(n => [...n.products]))")


def last(browser):
    return browser.execute_script("const r = reports.at(-1); return [r.where, r.kernels, r.t, r.state]")


def test_it_trains_in_a_worker_and_ends_with_the_element(opened):
    browser = opened(WORKERS)
    assert last(browser) == ["worker", "simd", 5, "paused"]
    assert browser.execute_script("return made.length") == 1
    browser.execute_script('lab.send({ type: "play" });')
    wait(browser, "reports.at(-1).t > 20")
    browser.execute_script('lab.send({ type: "set", lr: -1 });')
    wait(browser, "errors.length")
    assert browser.execute_script("return errors") == ["lr=-1: must be a number in [0, 1e30]"]
    t = browser.execute_script("lab.dispose(); return reports.length")
    wait(browser, "made[0].ended && revoked.length")
    time.sleep(0.3)
    assert browser.execute_script("return reports.length") <= t + 1  # one may have been on its way


@pytest.mark.parametrize("before, policy", [(REFUSED, ""), (SILENT, ""), ("", NO_WORKERS)],
                         ids=["refused", "silent", "forbidden"])  # fmt: skip
def test_where_there_is_no_worker_it_trains_on_the_page(opened, before, policy):
    assert last(opened(before, policy)) == ["page", "simd", 5, "paused"]


def test_where_webassembly_is_forbidden_it_trains_in_plain_javascript(opened):
    assert last(opened(policy=NO_WASM)) == ["worker", "plain", 5, "paused"]


def test_the_same_numbers_bit_for_bit_in_a_worker_and_on_the_page(opened):
    found = [products(opened(before, steps=20)) for before in (WORKERS, REFUSED, WORKERS)]
    assert len(found[0]) == 20 * 8 * 15
    assert found[0] == found[1] == found[2]
