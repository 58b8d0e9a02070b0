"""The explorer without a front end: messages, the training in the background, and what stands in for it on a page."""

import json
import os
import re
import subprocess
import sys
import threading
import time
import types
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import small
import torch

import resnet_dynamics as rd
from resnet_dynamics import cache as caches
from resnet_dynamics import datasets, element, explorer, fallback, page_data, recording, runs, theory
from resnet_dynamics.explorer import Explorer, setting
from resnet_dynamics.train import train

OLD = "ignore:Deprecated in traitlets 4.1:DeprecationWarning"  # of ipywidgets 7, which Colab has
pytestmark = pytest.mark.filterwarnings(OLD)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    small.use(monkeypatch)
    monkeypatch.setenv("RESNET_DYNAMICS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(datasets.VARIABLE, raising=False)
    return tmp_path / "cache" / "runs"


def lasts(monkeypatch, **changes):
    """Let the plan "smoke" be a small run."""
    real = page_data.configs()
    monkeypatch.setattr(page_data, "configs", lambda: real | {"smoke": small.config(**changes)})


class Front:
    """An explorer, what it has sent, and every value that a front end would have seen, as JSON."""

    def __init__(self, **given):
        self.sent, self.seen = [], []
        self.explorer = Explorer(plan="smoke", **given)
        self.explorer.send = lambda message, buffers=None: self.sent.append(message)
        self.explorer.observe(lambda change: self.seen.append((change.name, change.new, time.monotonic())))

    def says(self, type, **more):
        before = len(self.sent)
        self.explorer._handle_custom_msg({"type": type, **more}, [])
        return [message["type"] for message in self.sent[before:]]

    def train(self, lr=0.1, weight_decay=5e-4, momentum=0.9, optimizer="heavy-ball", plan="smoke"):
        return self.says("train", lr=lr, weight_decay=weight_decay, momentum=momentum, optimizer=optimizer, plan=plan)

    def ends(self):
        """Wait for the run; return the states that it went through."""
        self.explorer.thread.join(60)
        assert not self.explorer.thread.is_alive()
        for _, value, _ in self.seen:
            json.dumps(value, allow_nan=False)
        return list(dict.fromkeys(value["state"] for name, value, _ in self.seen if name == "progress"))

    def waits_for(self, name, condition):
        end = time.monotonic() + 30
        while not condition(getattr(self.explorer, name)):
            assert time.monotonic() < end
            time.sleep(0.01)


# ------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("given, said", [
    (dict(lr=0), "lr=0: must be a number in (0, 1000]"), (dict(lr=1001), "in (0, 1000]"),
    (dict(lr="4"), "lr='4': must be a number"), (dict(lr=True), "lr=True"), (dict(lr=float("nan")), "lr=nan"),
    (dict(weight_decay=-1e-4), "weight_decay=-0.0001: must be a number in [0, 1]"),
    (dict(momentum=1.0), "momentum=1.0: must be a number in [0, 0.999]"),
    (dict(optimizer="adam"), 'optimizer=\'adam\': must be one of "sgd", "heavy-ball", "nesterov", "lars"'),
    (dict(plan="long"), 'plan=\'long\': must be one of "short", "book", "smoke", "class", "full"'),
    (dict(layer="layer4"), 'layer=\'layer4\': must be one of "all", "prep", '), (dict(layer=["prep"]), "layer=['pr"),
    (dict(gradient="theirs"), 'must be one of "recorded", "correlated", "constant", "mine"'),
    (dict(panels=["norm", "speed"]), 'must be a list of some of "norm", "balance", "rate", "accuracy", "loss"'),
    (dict(panels="norm"), "panels='norm'"), (dict(panels=[]), "panels=[]"), (dict(panels=["norm"] * 2), "panels="),
    (dict(panels=[["norm"]]), "panels=[['norm']]: must be a list of some of"), (dict(panels=[None]), "panels=[None]"),
    (dict(panels=None), "panels=None: must be a list"), (dict(panels={"norm": 1}), "panels={'norm': 1}: must be"),
    (dict(optimizer=np.array(["sgd", "lars"])), "optimizer=array(['sgd',"),
    (dict(optimizer=None), "optimizer=None: must be one of"), (dict(lr=[0.4]), "lr=[0.4]: must be a number"),
    (dict(lr=np.array([0.1, 0.2])), "lr=array([0.1, 0.2]): must be a number"), (dict(lr=1j), "lr=1j: must be a number"),
    (dict(predict=None), "predict=None: must be True or False"),
    (dict(moves=["λ x 4"]), "moves=['λ x 4']: must be a list of movements such as"),
    (dict(moves="λ × 4"), "moves='λ × 4'"),
    (dict(moves=["λ × 0"]), "moves="), (dict(moves=["ρ × 2"]), "moves="), (dict(moves=["λ × 4,α ÷ 4"]), "moves="),
    (dict(moves=None), "moves=None: must be"), (dict(moves=[4]), "moves=[4]: must be"),
    (dict(small=1), "small=1: must be True or False")], ids=str)  # fmt: skip
def test_a_bad_value_is_named_with_what_is_allowed(given, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        Explorer(**given)


@pytest.mark.parametrize("given", [
    dict(lr=0.0), dict(lr=float("inf")), dict(momentum=1.0), dict(weight_decay=-1.0), dict(plan="long"),
    dict(layer="layer4"), dict(panels=["speed"]), dict(lr="x"), dict(lr=None), dict(optimizer=1), dict(small="yes"),
    dict(lr=10**400), dict(weight_decay=-(10**400)), dict(momentum=Fraction(10**400)), dict(lr=torch.ones(2)),
    dict(panels="norm"), dict(panels=[["norm"]]), dict(optimizer=np.array(["sgd"]))], ids=str)  # fmt: skip
def test_a_bad_value_is_not_taken_later_either(given):
    one, ((name, value),) = Explorer(), given.items()
    before = getattr(one, name)
    with pytest.raises(ValueError, match=f"^{name}=.*: must be "):
        setattr(one, name, value)
    assert getattr(one, name) == before


@pytest.mark.parametrize("call, said", [
    (lambda: Explorer(foo=1), "foo=1: must be one of the arguments, by name: lr, weight_decay, momentum, optimizer"),
    (lambda: Explorer(0.4), "Explorer((0.4,)): must be one of the arguments, by name: lr"),
    (lambda: Explorer(learning_rate=0.4, lr=0.1), "learning_rate=0.4: must be one of the arguments")])  # fmt: skip
def test_an_argument_that_there_is_not_is_named(call, said):
    with pytest.raises(TypeError, match=f"^{re.escape(said)}"):
        call()


def test_numbers_of_other_libraries_are_the_decimals_that_they_print():
    for value in (np.float32(0.1), torch.tensor(0.1), np.float64(0.1), np.array(0.1), Fraction(1, 10), np.float16(0.1)):
        one = Explorer(lr=value)
        assert one.lr == 0.1 and type(one.lr) is float
        one.lr = 0.2
        one.lr = value
        assert one.lr == 0.1
    assert Explorer(optimizer=np.str_("sgd")).optimizer == "sgd"


def test_a_front_end_that_sends_nonsense_changes_nothing():
    one = Explorer()
    for state in ({"lr": "x"}, {"lr": -1}, {"panels": [["norm"]]}, {"momentum": 0.5, "plan": "long"}):
        with pytest.raises(ValueError, match="must be "):
            one.set_state(state)
        assert (one.lr, one.momentum, one.plan, one.panels) == (0.4, 0.9, "short", ["norm", "rate"])
    one.set_state({"lr": 1, "panels": ["loss"]})
    assert (one.lr, one.panels) == (1.0, ["loss"]) and type(one.lr) is float


def test_values_are_plain():
    one = Explorer(lr=np.float32(4), weight_decay=0, panels=("loss",), small=np.True_)
    assert [one.lr, one.weight_decay, one.momentum, one.optimizer] == [4.0, 0.0, 0.9, "heavy-ball"]
    assert one.panels == ["loss"] and one.small is True and one.evidence == page_data.pack()
    state = {name: getattr(one, name) for name in one.traits(sync=True) if not name.startswith("_")}
    every = {"layout", "tabbable", "tooltip"}  # of every widget
    assert {*state} - every == {*explorer.VALUES, "evidence", "curves", "progress", "guesses"}
    del state["layout"]
    json.dumps(state, allow_nan=False)
    assert one.progress == {"state": "idle", "fraction": 0.0, "text": ""} and one.runs == [] and one.thread is None


@pytest.mark.parametrize("optimizer, momentum, run", [
    ("sgd", 0.9, ("sgd", 0.0)), ("heavy-ball", 0.9, ("sgd", 0.9)), ("heavy-ball", 0.0, ("sgd", 0.0)),
    ("nesterov", 0.9, ("nesterov", 0.9)), ("nesterov", 0.0, ("sgd", 0.0)), ("lars", 0.9, ("lars", 0.9))])  # fmt: skip
def test_the_run_of_a_setting(optimizer, momentum, run):
    config, note = setting("smoke", 0.3, 0.01, momentum, optimizer)
    own = dict(epochs=10.0, warmup=2.0, lr=0.3, weight_decay=0.01, optimizer=run[0], momentum=run[1])
    assert config == rd.Config.smoke(**own) and note == ""


def test_without_cifar10_the_generated_images_are_used(monkeypatch, tmp_path):
    config, note = setting("class", 0.3, 0.01, 0.9, "heavy-ball")
    assert config == rd.Config.classroom(lr=0.3, weight_decay=0.01, data="synthetic")
    assert note == "generated images, CIFAR-10 is not on this machine"
    assert setting("short", 0.3, 0.01, 0.9, "heavy-ball")[0].train_images == 12_000
    real = page_data.configs()
    monkeypatch.setattr(page_data, "configs", lambda: {"full": real["full"].replace(train_images=30_000)})
    assert setting("full", 0.3, 0.01, 0.9, "heavy-ball")[0].train_images == 20_000
    monkeypatch.setattr(page_data, "configs", lambda: real)
    if "momentum-0" in rd.bundled():  # what is recorded needs no images
        assert setting("book", 0.4, 5e-4, 0.9, "heavy-ball") == (rd.Config.book(), "")
    monkeypatch.setenv(datasets.VARIABLE, str(tmp_path))
    assert setting("class", 0.3, 0.01, 0.9, "sgd") == (rd.Config.classroom(lr=0.3, weight_decay=0.01, momentum=0), "")


# ----------------------------------------------------------------------------------------- messages


def test_a_bad_value_of_the_front_end_is_taken_back():
    one = Explorer()
    for name, bad in (("panels", []), ("lr", 5000.0), ("optimizer", "x")):
        before = getattr(one, name)
        with pytest.raises(ValueError, match=f"^{name}="):
            one.set_state({name: bad})
        assert getattr(one, name) == before


def test_a_ping_is_answered_and_loads_what_a_run_needs(monkeypatch):
    loaded = []
    monkeypatch.setattr(datasets, "load", loaded.append)
    explorer.preload.cache_clear()
    front = Front()
    assert front.says("ping") == front.says("ping") == ["pong"]
    assert front.sent[0] == {"type": "pong"}
    explorer.preload().join(30)
    assert loaded == ["synthetic"] and front.explorer.thread is None
    monkeypatch.setenv(datasets.VARIABLE, "there")
    front.says("ping")
    assert front.sent[-1] == {"type": "pong"} and front.says("nonsense") == []
    explorer.preload.cache_clear()


def test_train_shows_the_run_as_it_goes(monkeypatch, cache):
    lasts(monkeypatch)
    monkeypatch.setattr(explorer, "PAUSE", 0)
    front = Front(lr=0.4)
    assert front.train(lr=0.2, momentum=0) == ["heard"]
    assert front.ends() == ["loading", "training", "done"]
    config = small.config(lr=0.2, momentum=0.0)
    _, whole = train(config, device="cpu", progress=False)
    assert front.explorer.runs[0].equals(whole) and recording.config(front.explorer.runs[0]) == config
    assert runs.remembered(config) and front.explorer.lr == 0.2
    growing = [value[0] for name, value, _ in front.seen if name == "curves"]
    assert [one["edges"][-1] for one in growing] == [*range(1, 11), 10]
    assert [one["state"] for one in growing] == ["training"] * 10 + ["done"]
    assert growing[-1] == page_data.curve(front.explorer.runs[0], id=growing[-1]["id"], plan="smoke")
    texts = [value["text"] for name, value, _ in front.seen if name == "progress"]
    assert texts[0] == "loading" and texts[1].startswith("step 1 of 10, loss 1.")
    assert re.fullmatch(r"step 5 of 10, \d+ s left, loss [\d.]+", texts[5])
    accuracy = 100 * float(whole.test_accuracy[-1])
    assert front.explorer.progress == {"state": "done", "fraction": 1.0, "text": f"test accuracy {accuracy:.1f} %"}


def test_at_most_three_looks_a_second(monkeypatch):
    lasts(monkeypatch, epochs=100)
    front = Front()
    front.train()
    front.waits_for("curves", bool)
    began = time.monotonic()
    front.waits_for("progress", lambda progress: progress["state"] == "done" or time.monotonic() > began + 1.5)
    front.says("stop")
    front.ends()
    looks = [at for name, value, at in front.seen if name == "curves" and value[0]["state"] == "training"]
    assert looks and min(np.diff(looks), default=1) >= 0.33


def test_one_at_a_time_and_stop_keeps_what_there_is(monkeypatch, cache):
    lasts(monkeypatch, epochs=400)
    front = Front()
    front.train()
    first = front.explorer.thread
    assert first.daemon  # a kernel can end
    front.waits_for("curves", bool)
    with pytest.raises(RuntimeError, match=r"train\(\): a run is under way"):
        front.explorer.train()
    assert front.train(lr=0.3) == ["heard"] and front.explorer.thread is first and front.explorer.lr == 0.1
    assert front.says("stop") == ["heard"]
    asked = time.monotonic()
    assert front.ends() == ["loading", "training", "stopped"] and time.monotonic() - asked < 1
    (one,), (ds,) = front.explorer.curves, front.explorer.runs
    steps = ds.sizes["step"]
    assert one["state"] == "stopped" and one["edges"][-1] == steps < one["steps"] == 2000
    assert ds.w2.notnull().all() and front.explorer.progress["text"] == f"stopped after {steps} of 2000 steps"
    assert (ds.attrs["stopped_at"], ds.attrs["steps"]) == (steps, 2000)  # it does not pass for a whole run
    assert front.explorer.progress["fraction"] == round(steps / 2000, 4)
    assert not runs.remembered(small.config(epochs=400)) and not list(cache.glob("*.nc"))
    lasts(monkeypatch)
    front.train()
    assert front.ends()[-1] == "done" and [c["state"] for c in front.explorer.curves] == ["stopped", "done"]
    assert front.says("forget") == [] and front.explorer.curves == [] and len(front.explorer.runs) == 2


def test_waiting_for_another_process_is_said_and_ends_with_stop(monkeypatch, cache):
    lasts(monkeypatch)
    front = Front(lr=0.2, momentum=0.0)
    path = runs.place(small.config(lr=0.2, momentum=0.0), small.expected("synthetic"))
    held, over = threading.Event(), threading.Event()

    def other():
        with caches.turn(path):
            held.set()
            over.wait(60)

    thread = threading.Thread(target=other)
    thread.start()
    held.wait(10)
    try:
        front.train(lr=0.2, momentum=0)
        front.waits_for("progress", lambda progress: progress["text"].startswith("waiting for another process"))
        front.says("stop")
        assert front.ends()[-1] == "stopped" and front.explorer.progress["text"] == "stopped before it began"
    finally:
        over.set()
        thread.join()
    front.train(lr=0.2, momentum=0)
    assert front.ends()[-1] == "done" and len(front.explorer.runs) == 1


def test_a_cache_that_cannot_be_used_is_said_and_the_run_is_there(monkeypatch, tmp_path):
    lasts(monkeypatch)
    (tmp_path / "occupied").write_text("mine")
    monkeypatch.setenv("RESNET_DYNAMICS_CACHE", str(tmp_path / "occupied"))
    front = Front()
    with pytest.warns(UserWarning, match="is of no use"):
        front.train()
        assert front.ends()[-1] == "done"
    assert front.explorer.progress["text"].endswith("; not remembered, see RESNET_DYNAMICS_CACHE")
    assert len(front.explorer.runs) == 1


def test_what_stands_in_for_cifar10_does_so_in_the_training(monkeypatch, tmp_path):
    real, asked = page_data.configs(), []
    config = small.config(data="cifar10")
    monkeypatch.setattr(page_data, "configs", lambda: real | {"smoke": config})
    monkeypatch.setattr(datasets, "load", lambda key: asked.append(datasets.available("cifar10")) or small.images())
    front = Front()
    with datasets.standing_in(tmp_path):
        front.explorer.train().join()
    assert front.explorer.progress["state"] == "done" and set(asked) == {True}


def test_a_process_that_ends_while_it_trains_ends_quietly(tmp_path):
    """In the middle of a run: torch's threads abort a process that ends beneath them."""
    script = tmp_path / "script.py"
    script.write_text(f"""
import sys, time
sys.path[:0] = {[str(Path(__file__).parent), str(Path(rd.__file__).parents[1])]}
import small, resnet_dynamics as rd
from resnet_dynamics import page_data
small.use()
real = page_data.configs()
page_data.configs = lambda: real | {{"smoke": small.config(epochs=4000)}}
one = rd.Explorer(plan="smoke")
one.train()
while not one.curves:
    time.sleep(0.05)
print("ends")
""")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True,
                          env={**os.environ, "RESNET_DYNAMICS_CACHE": str(tmp_path)})  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "ends\n", "")


def test_a_run_that_diverges_is_said_and_the_next_one_trains(monkeypatch):
    lasts(monkeypatch, epochs=20, schedule="constant")
    front = Front()
    front.train(lr=1000, weight_decay=1, momentum=0)
    assert front.ends()[-1] == "diverged"
    end = front.explorer.runs[0].attrs["diverged_at"]
    assert front.explorer.progress["text"] == f"the loss is no longer finite at step {end}"
    assert front.explorer.curves[0]["state"] == "diverged" and front.explorer.curves[0]["diverged_at"] == end > 0
    front.train()
    assert front.ends()[-1] == "done" and len(front.explorer.runs) == 2


def test_a_loss_that_exploded_and_stayed_finite_is_said(monkeypatch):
    lasts(monkeypatch)
    front = Front()
    front.train(lr=100, momentum=0)
    assert front.ends()[-1] == "done"
    said = front.explorer.progress["text"]
    assert re.fullmatch(r"test accuracy [\d.]+ %, the loss exploded, to [\d.]+e\d+", said), said


def test_an_exception_is_shown_in_words(monkeypatch):
    lasts(monkeypatch)
    front = Front()

    def fails(config, **given):
        raise MemoryError("none left")

    with monkeypatch.context() as patch:
        patch.setattr(runs, "run", fails)
        front.train()
        assert front.ends()[-1] == "failed"
    assert front.explorer.progress["text"] == "MemoryError: none left" and front.explorer.runs == []
    assert front.train(lr=-1) == ["heard"]
    assert front.explorer.progress["text"] == "BadValue: lr=-1: must be a number in (0, 1000]"
    assert front.says("train") == ["heard"] and front.explorer.progress["text"].startswith("BadValue: lr=None")
    front.train()
    assert front.ends()[-1] == "done"


def test_what_was_drawn_stays_when_a_run_fails(monkeypatch):
    lasts(monkeypatch)
    monkeypatch.setattr(explorer, "PAUSE", 0)
    monkeypatch.setattr(explorer, "_how_far", lambda ds, t, seconds: "far" if t < 4 else [][0])
    front = Front()
    front.train()
    assert front.ends()[-1] == "failed" and "IndexError: list index out of range" in front.explorer.progress["text"]
    assert front.explorer.curves[0]["state"] == "stopped" and front.explorer.curves[0]["edges"][-1] == 4


def test_a_remembered_run_appears_at_once(monkeypatch):
    lasts(monkeypatch)
    ds = rd.run(small.config(), device="cpu", progress=False)
    monkeypatch.setattr(runs, "_train", None)
    front = Front(lr=0.1)
    front.explorer.train().join()
    assert front.ends() == ["loading", "done"] and front.explorer.runs[0].identical(ds)
    assert front.explorer.progress["text"].startswith("remembered: test accuracy ")
    assert front.explorer.curves[0]["state"] == "done"
    front.train(lr=0.1)
    front.ends()
    assert [one["id"] for one in front.explorer.curves] == [2] and len(front.explorer.runs) == 2  # drawn once


def test_generated_images_are_named(monkeypatch):
    lasts(monkeypatch, data="cifar10")
    front = Front()
    front.train()
    front.ends()
    said, ds = "generated images, CIFAR-10 is not on this machine", front.explorer.runs[0]
    assert all(value["text"].endswith(said) for name, value, _ in front.seen if name == "progress")
    assert front.explorer.curves[0]["what"].endswith(said) and recording.config(ds).data == "synthetic"


def test_the_last_curves_are_kept(monkeypatch):
    lasts(monkeypatch)
    monkeypatch.setattr(explorer, "KEPT", 2)
    front = Front()
    for lr in (0.1, 0.2, 0.3):
        front.train(lr=lr)
        front.ends()
    assert [one["lr"] for one in front.explorer.curves] == [0.2, 0.3] and len(front.explorer.runs) == 3


def test_guesses_come_from_the_front_end():
    one = Explorer()
    one.set_state({"guesses": [{"layer": "prep", "guess": 3.5}], "lr": 1, "gradient": "correlated"})
    assert one.guesses == [{"layer": "prep", "guess": 3.5}] and one.lr == 1.0 and one.gradient == "correlated"


# --------------------------------------------------------------------------------------------- page


class Twin(HTMLParser):
    """What is in the HTML that stands for a widget."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.images = [], {}, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "img":
            self.images.append(dict(attributes))

    def handle_endtag(self, tag):
        self.tags.append((f"/{tag}", {}))

    def handle_data(self, data):
        tag, attributes = self.tags[-1]
        self.texts.setdefault(attributes.get("type", tag), []).append(data)


def twin(**given):
    data, _ = Explorer(**given)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    return Twin(data["text/html"])


def fail(constant):
    raise AssertionError(constant)


@pytest.mark.parametrize("given", [
    dict(), dict(plan="book", optimizer="sgd", lr=4.0, momentum=0.0, layer="layer2"), dict(plan="smoke", predict=True),
    dict(plan="book", optimizer="lars"), dict(plan="book", weight_decay=0),
    dict(optimizer="nesterov", lr=1000)], ids=str)  # fmt: skip
def test_the_twin_has_values_a_picture_a_table_and_what_draws_them(given):
    found = twin(**given)
    order = [tag for tag, _ in found.tags if tag in ("weight-decay-explorer", "script", "figure", "table", "p")
             or tag == "/weight-decay-explorer"]  # fmt: skip
    assert order == ["weight-decay-explorer", "script", "figure", "table", "/weight-decay-explorer", "script", "script"]
    values = json.loads("".join(found.texts["application/json"]), parse_constant=fail)
    assert set(values) == set(explorer.VALUES) and given.items() <= values.items()
    assert "".join(found.texts["module"]).strip() == element.BUNDLE.strip() and "</script" not in element.BUNDLE.lower()
    (evidence,) = re.findall(r"weightDecayEvidence = (.*);\n", "".join(found.texts["script"]))
    assert json.loads(evidence, parse_constant=fail) == page_data.pack()
    (image,) = found.images
    assert image["src"].startswith("data:image/png;base64,iVBOR") and len(image["alt"].split()) >= 10
    cells = found.texts["td"]
    layers = 1 if "layer" in given else 8
    assert len(found.texts["th"]) == 6 + layers and len(cells) == 5 * layers
    assert all(re.fullmatch(r"none|[\d.]+(e[+-]\d+)?", cell) for cell in cells), cells


def test_the_picture_is_of_the_nearest_run_and_theory_is_on_it():
    pack = page_data.pack()
    n = 0 if pack["sets"][0]["runs"] else 1
    found = twin()
    assert f"over {pack['sets'][n]['edges'][-1]} steps" in found.images[0]["alt"]
    asked = dict(lr=4.1, weight_decay=5e-4, momentum=0.0, optimizer="sgd")
    run, _, edges, w2, c2, lr_t = fallback.recorded(pack, "book", **asked)
    assert run["name"] == "sgd-0" and len(lr_t) == edges[-1] == 2328
    path = fallback.followed(run, edges, w2, c2, lr_t)
    assert np.abs(path[:, edges[:-1]] / w2 - 1).max() < 0.03  # plain SGD: exact but for the windows
    found = twin(plan="book", optimizer="sgd", lr=4.0, momentum=0.0, layer="prep")
    start, end, settled, rate, line = map(float, found.texts["td"])
    assert start == pytest.approx(w2[0, 0], rel=0.01) and end == pytest.approx(w2[0, -1], rel=0.01)
    late, length = slice(-(w2.shape[1] // 4), None), np.diff(edges)
    c = np.sqrt(np.average(c2[0, late], weights=length[late]))
    lr = np.mean(lr_t[edges[late.start - 1] :])
    assert settled == pytest.approx(theory.equilibrium_norm(c, lr, 5e-4, exact=True) ** 2, rel=0.01)
    assert line == pytest.approx(theory.lars_rate(lr, 5e-4), rel=0.01) and 0.5 < rate / line < 1.5


def test_a_page_can_do_without_the_files_that_pages_share():
    whole = Explorer().static_html()
    page, names = element.shared(f"<h1>Two</h1>{whole}{whole}<script>one()</script>")
    assert names == ["explorer.js", "evidence.js"] and len(page) < 250_000
    assert page.count("<weight-decay-explorer>") == page.count("<figure>") == 2
    assert page.endswith("</weight-decay-explorer>\n<script>one()</script>") and "data-shared" not in page
    assert element.shared("<p>none</p>") == ("<p>none</p>", [])


def test_where_no_run_is_like_it_the_twin_says_so():
    found = twin(optimizer="lars", weight_decay=0)
    assert found.texts["p"] == ["No run with such an optimizer and decay is recorded."] and not found.images


def test_colab_gets_the_widget_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    data, _ = Explorer()._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data and "text/html" not in data


def test_making_and_showing_one_starts_nothing(tmp_path):
    code = """
import sys, threading
import resnet_dynamics as rd
assert not {"anywidget", "ipywidgets"} & set(sys.modules)
from IPython.display import display
before = threading.enumerate()
explorer = rd.Explorer(plan="class")
display(explorer)
explorer._repr_mimebundle_()
assert threading.enumerate() == before and not {"torch", "torchvision"} & set(sys.modules)
explorer._hear(explorer, {"type": "forget"}, [])
assert threading.enumerate() == before and explorer.progress["state"] == "idle" and dir(rd.explorer)
"""
    command = [sys.executable, "-W", "error", "-W", OLD, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
