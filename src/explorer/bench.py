"""How fast the network of the page is: a step in Chromium's worker and in node, over the same step in PyTorch.

    python src/explorer/bench.py [rounds]

All are CPU seconds of one thread, since these are what it would need on an idle machine: of the worker's thread, of
the node process, of the process of PyTorch. They take turns, and ratios are taken within a round. The step in the page
draws its 32 images, tests on 512 every 250 steps, and records; in PyTorch the images lie ready, and there is no test.
"""

import itertools
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from selenium import webdriver
from torch.nn import functional

from resnet_dynamics.models import ResNet9, conv_layers
from resnet_dynamics.recorder import Recorder

HERE = Path(__file__).parent
PAGE = """<!doctype html><meta charset="utf-8"><script>{bundle}</script><script>
    let t = 0, kernels = null, where = null;
    const onReport = (report) => {{ ({{ t, kernels, where }} = report); }};
    const lab = weightDecay.connect({{ onReport, onError: console.error }});
    lab.send({{ type: "start", seed: 1, networks: [{{}}] }});
</script>"""


def in_pytorch(steps, recorded=True):
    """Return the ms of a step: SGD with weight decay on the convolutions, batches of 32 images of 16 × 16."""
    torch.set_num_threads(1)
    model = ResNet9(width=4)
    images, labels = torch.randn(32, 3, 16, 16), torch.randint(0, 10, (32,))
    weights = conv_layers(model)
    rest = [p for p in model.parameters() if all(p is not w for w in weights.values())]
    groups = [{"params": list(weights.values()), "weight_decay": 0.01}, {"params": rest}]
    optimizer = torch.optim.SGD(groups, lr=0.5)
    recorder = Recorder(weights, [optimizer], 2 * steps)

    def step(t):
        optimizer.zero_grad()
        logits = model(images)
        loss = functional.cross_entropy(logits, labels)
        loss.backward()
        if recorded:
            recorder.before()
        optimizer.step()
        if recorded:
            recorder.after(t, loss.detach(), (logits.argmax(1) == labels).float().mean())

    for t in range(steps):
        step(t)
    began = time.process_time()
    for t in range(steps, 2 * steps):
        step(t)
    return 1000 * (time.process_time() - began) / steps


def in_node(kind, steps):
    out = subprocess.run(["node", "bench.mjs", kind, str(steps)], cwd=HERE, check=True, capture_output=True).stdout
    found = json.loads(out)
    assert found["kernels"] == kind, found
    return found["ms"]


class Chromium:
    """A page whose worker trains, and the CPU time of that worker."""

    def __init__(self, folder):
        page = Path(folder, "bench.html")
        bundle = (HERE.parent / "resnet_dynamics" / "explorer.js").read_text(encoding="utf-8")
        page.write_text(PAGE.format(bundle=bundle), encoding="utf-8")
        options = webdriver.ChromeOptions()
        for argument in ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile"):
            options.add_argument(argument)
        options.binary_location = shutil.which("chromium") or shutil.which("google-chrome")
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
        self.driver.get(page.as_uri())
        self.train(2)

    def train(self, seconds):
        """Let it train for so long, and return the CPU ms of a step."""
        ticks, t = self._clock(), self._steps()
        self.driver.execute_script('lab.send({ type: "play" })')
        time.sleep(seconds)
        self.driver.execute_script('lab.send({ type: "pause" })')
        time.sleep(0.3)
        steps = self._steps() - t
        return 10 * (self._clock() - ticks) / steps if steps else None

    def _steps(self):
        return self.driver.execute_script("return t")

    def _clock(self):
        """Hundredths of a second that all threads of this browser's Web Workers have used: there is only ours."""
        total = 0
        for process in descendants(self.driver.service.process.pid):
            for comm in Path(f"/proc/{process}/task").glob("*/comm"):
                if comm.read_text().startswith("DedicatedWorker"):
                    fields = comm.with_name("stat").read_text().rsplit(")", 1)[1].split()
                    total += int(fields[11]) + int(fields[12])
        return total


def descendants(process):
    """Yield a process and all that come from it."""
    yield process
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from descendants(int(child))


def main(rounds=5):
    rows = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        chromium = Chromium(folder)
        try:
            for _ in range(rounds):
                rows.append({
                    "PyTorch, recorded": in_pytorch(150), "PyTorch, bare": in_pytorch(150, recorded=False),
                    "Chromium, worker": chromium.train(3), "node, SIMD": in_node("simd", 500),
                    "node, plain": in_node("plain", 40),
                })  # fmt: skip
        finally:
            print(chromium.driver.execute_script("return `${where}, ${kernels}, ${t} steps`"))
            chromium.driver.quit()
    for name in rows[0]:
        print(f"{name:20} {statistics.median(row[name] for row in rows):6.2f} ms a step")
    others = ("PyTorch, recorded", "PyTorch, bare", "node, plain")
    for a, b in itertools.product(("Chromium, worker", "node, SIMD"), others):
        ratios = sorted(row[b] / row[a] for row in rows)
        print(f"{a} over {b}: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
