"""The live network in Python: its values, what it hears of a front end, and what stands for it on a page."""

import hashlib
import json
import re
import subprocess
import sys

import gate
import numpy as np
import pytest
from test_explorer import Twin
from test_explorer_module import SOURCE, node
from test_history import Network

import resnet_dynamics as rd
from resnet_dynamics import arms, element, explorer, history, live, page_data, stories, theory
from resnet_dynamics.history import SERIES
from resnet_dynamics.live import Live

OLD = "ignore:Deprecated in traitlets 4.1:DeprecationWarning"  # of ipywidgets 7, which Colab has
pytestmark = pytest.mark.filterwarnings(OLD)


# ------------------------------------------------------------------------------------------- values


def test_a_story_sets_the_scene_and_what_is_given_stays():
    rings = stories.scene("rings")
    one = Live(story="rings")
    assert {name: getattr(one, name) for name in rings} == rings and one.story == "rings" and one.small is False
    assert Live(story="rings", lr=0.1).lr == 0.1 and Live(story="rings", panels=["loss"]).panels == ["loss"]
    plain = Live()
    assert plain.story is None and {name: getattr(plain, name) for name in stories.scene(None)} == stories.scene(None)
    assert (Live(momentum=0.9).optimizer, Live(momentum=0.9).momentum) == ("heavy-ball", 0.9)
    assert (Live(momentum=0.9, optimizer="sgd").optimizer, Live(momentum=0.9, optimizer="sgd").momentum) == ("sgd", 0)
    adamw = Live(optimizer="adamw", momentum=0.8)  # λ = 0.5 would ruin it
    assert (adamw.lr, adamw.weight_decay, adamw.momentum, adamw.optimizer) == (0.005, 1.0, 0.8, "adamw")
    assert Live(story="muon").lr == 0.5 and Live(story="adamw").optimizer == "adamw"
    assert type(Live(seed=np.int64(7)).seed) is int and Live(lr=np.float32(0.1)).lr == 0.1


@pytest.mark.parametrize("given, said", [
    (dict(lr=0), "lr=0: must be a number in (0, 1000]"), (dict(momentum=1.0), "momentum=1.0: must be a number in [0"),
    (dict(optimizer="adagrad"), "optimizer='adagrad': must be one of \"sgd\""), (dict(small=1), "True or False"),
    (dict(weight_decay=101), "weight_decay=101: must be a number in [0, 100]"),
    (dict(seed=-1), "seed=-1: must be a whole"), (dict(seed=0.5), "seed=0.5: must be a whole number in [0, 2³²)"),
    (dict(seed=2**32), "seed=4294967296: must be"), (dict(seed=True), "seed=True: must be a whole number"),
    (dict(seed=float("nan")), "seed=nan: must be a whole"), (dict(story=["kick"]), "story=['kick']: must be"),
    (dict(story="long"), "story='long': must be one of None, \"settle\""),
    (dict(layer="layer4"), "must be one of \"all\""),
    (dict(panels=["speed"]), "must be a list of some of \"norm\", \"rate\", \"angle\"")], ids=str)  # fmt: skip
def test_a_bad_value_is_named_with_what_is_allowed(given, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        Live(**given)
    one, ((name, value),) = Live(), given.items()
    before = getattr(one, name)
    with pytest.raises(ValueError, match=re.escape(said)):
        setattr(one, name, value)
    assert getattr(one, name) == before


def test_an_argument_that_there_is_not_is_named():
    with pytest.raises(TypeError, match=r"foo=1: must be one of the arguments, by name: lr, weight_decay, mom"):
        Live(foo=1)
    with pytest.raises(TypeError, match=r"Live\(\('kick',\)\): must be one of the arguments"):
        Live("kick")


def test_python_and_javascript_know_the_same_values():
    script = ("import * as s from './live/state.js'; import {STORIES, scene} from './live/stories.js'; "
              "import {ARRAYS} from './live/reports.js'; import {OPTIMIZERS} from './live/optimizers.js'; "
              "import {SHAPES} from './live/forecast.js'; console.log(JSON.stringify({VALUES: s.VALUES, ARRAYS, "
              "PANELS: Object.keys(s.PANEL_NAMES), LAYERS: s.LAYERS, OPTIMIZERS, SHAPES, "
              "scenes: Object.fromEntries(Object.keys(STORIES).map(name => [name, scene(name)]))}))")  # fmt: skip
    status, output = node("--input-type=module", "-e", script, cwd=SOURCE)
    assert status == 0, output
    theirs = json.loads(output)
    assert set(theirs["VALUES"]) == set(live.VALUES) and tuple(theirs["PANELS"]) == live.PANELS
    assert tuple(theirs["ARRAYS"]) == SERIES and tuple(theirs["scenes"]) == stories.names()
    assert theirs["LAYERS"] == stories.recorded()["layers"]
    assert set(theirs["OPTIMIZERS"]) == {*explorer.CHOICES["optimizer"], *arms.SEPARATE}
    convs = rd.models.conv_layers(rd.models.build(rd.Config(width=4))).values()
    assert theirs["SHAPES"] == [list(w.flatten(1).shape) for w in convs]
    assert [rows * columns for rows, columns in theirs["SHAPES"]] == list(history.WEIGHTS)
    for name, values in theirs["scenes"].items():
        assert values.items() <= stories.scene(name).items()
    said = Live.__doc__
    assert all(f'"{name}"' in said for name in (*stories.names(), *live.PANELS))


# ---------------------------------------------------------------------------------------- reports


def front(one, network):
    """Let a widget hear a report as a front end sends it."""
    header, arrays = network.report()
    header = json.loads(json.dumps({"type": "report", "arrays": list(SERIES), "state": "running", **header}))
    one._handle_custom_msg(header, [memoryview(a.tobytes()) for a in arrays])


def test_the_history_is_a_recording():
    one, network = Live(), Network(seed=3)
    with pytest.raises(ValueError, match="no step of this network is known: show it in a cell, and let it run"):
        _ = one.history
    network.steps(30)
    front(one, network)
    network.does("set", lr=1.0)
    network.steps(30)
    front(one, network)
    ds = one.history
    assert ds.sizes["step"] == 60 and [event["type"] for event in one.events] == ["start", "set"]
    assert float(abs(rd.measure.telescoping(ds).closure).max()) < 1e-5 and len(one.histories) == 1
    rd.plots.ratio(ds)
    ds.attrs["mine"] = 1
    ds["w2"][:] = 0
    assert float(one.history.w2.min()) > 0 and "mine" not in one.history.attrs


@pytest.mark.parametrize("message", [None, "report", {"type": "pong"}, {"type": "report"},
                                     {"type": "report", "arrays": ["lr"], "t0": 0, "t": 1}], ids=str)  # fmt: skip
def test_what_is_no_report_changes_nothing(message):
    one = Live()
    one._handle_custom_msg(message, [])
    assert one.events == []


# ------------------------------------------------------------------------------------------ pages


@pytest.mark.parametrize("story", [None, "kick", "hot", "twins"])
def test_the_twin_has_values_a_picture_a_table_and_what_draws_them(story):
    found = Twin(Live(story=story).static_html())
    order = [tag for tag, _ in found.tags if tag.strip("/") in ("weight-decay-live", "script", "figure", "table")]
    assert [tag for tag in order if tag[0] != "/" or "live" in tag] == [
        "weight-decay-live", "script", "figure", "table", "/weight-decay-live", "script"]
    values = json.loads("".join(found.texts["application/json"]))
    assert set(values) == set(live.VALUES) and values["story"] == story
    assert "".join(found.texts["module"]).strip() == element.BUNDLE.strip()
    (image,) = found.images
    assert image["src"].startswith("data:image/png;base64,iVBOR") and gate.good_alt(image["alt"])
    assert len(found.texts["td"]) == 4 * 8 and all(re.fullmatch(r"none|over 1e\+19|[\d.]+(e[+-]\d+)?", cell)
                                                   for cell in found.texts["td"])  # fmt: skip
    page, names = element.shared(Live(story=story).static_html())
    assert names == ["explorer.js"] and len(page) < 200_000


def test_the_picture_draws_what_was_recorded():
    """The dots of layer2 jump by nine, and the lines of theory begin where the dots are."""
    found = stories.recorded()
    run = found["stories"]["kick"]["picture"]
    first, second = (mark["t"] for mark in run["marks"])
    of = [one for one in stories.series(run["panels"]["norm"], found["layers"]) if one["layer"] == "layer2"]
    dots, line = ({kind: one for kind, one in ((one["kind"], one) for one in of)}[kind] for kind in ("dots", "line"))
    before, after = (dots["ys"][dots["xs"] < t].max() for t in (first, second))
    assert 7 < after / before < 10
    assert np.interp(line["xs"][0], dots["xs"], dots["ys"]) == pytest.approx(line["ys"][0], rel=0.5)
    settle = {one["layer"]: one for one in found["stories"]["settle"]["picture"]["numbers"]}
    assert set(settle) == set(found["layers"]) and all(0.85 < one["rate"] / 0.1 < 1.25 for one in settle.values())


def test_the_recorded_stories_are_current():
    """The file says what it was made from; and a short run of today comes to the same."""
    status, output = node("--input-type=module", "-e", "console.log((await import('./record.js')).sources().join())",
                          cwd=SOURCE)  # fmt: skip
    assert status == 0, output
    digest = hashlib.sha256()
    for name in output.strip().split(","):
        digest.update(f"{name}\n".encode() + (SOURCE / name).read_bytes())
    assert stories.recorded()["made_from"] == digest.hexdigest(), "make live records them again"
    assert stories.FILE.stat().st_size < 80_000


def test_a_run_of_today_is_the_recorded_one():
    script = ("import {recorded} from './record.js'; import {picture} from './live/picture.js'; "
              "const run = recorded('hot', 40); console.log(JSON.stringify(picture(run, ['norm'], [0, run.t])))")
    status, output = node("--input-type=module", "-e", script, cwd=SOURCE)
    assert status == 0, output
    found, again = stories.recorded(), json.loads(output)
    theirs = stories.series(found["stories"]["hot"]["picture"]["panels"]["norm"], found["layers"])
    mine = {one["layer"]: one for one in again["panels"]["norm"] if one["kind"] == "dots"}
    for one in theirs:
        if one["kind"] == "dots":
            now = page_data.decode(page_data.encode([np.nan if y is None else y for y in mine[one["layer"]]["ys"]]))
            assert now[:4] == pytest.approx(one["ys"][:4], rel=0.01)  # later rounding, which differs, has grown


def test_making_and_showing_one_starts_nothing(tmp_path):
    code = """
import sys, threading
import resnet_dynamics as rd
assert not {"anywidget", "ipywidgets"} & set(sys.modules)
from IPython.display import display
before = threading.enumerate()
live = rd.Live(story="kick")
display(live)
live._repr_mimebundle_()
assert threading.enumerate() == before and not {"torch", "torchvision"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-W", OLD, "-c", code], cwd=tmp_path, capture_output=True,
                          text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr


def prose(name):
    """The text of a chapter's Markdown, with single spaces."""
    cells = json.loads((gate.ROOT / "book" / f"{name}.ipynb").read_text())["cells"]
    return " ".join(" ".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown").split())


def test_the_numbers_that_pages_state_of_it():
    """In the sections with a live network, and on its page: by the equations of the package."""
    page = (gate.ROOT / "book" / "live.md").read_text()
    convs = rd.models.conv_layers(rd.models.build(rd.Config(width=4))).values()
    assert f"{sum(w.numel() for w in convs):,} weights" in page
    tau = theory.time_constant(0.5, 0.01)
    back = int(tau * np.log((3**4 - 1) / (1.1**4 - 1)))
    assert tau == 50 and "50 steps" in page
    assert f"τ is {tau:.0f} steps" in prose("05-equilibrium") and f"(The law says {back}.)" in prose("05-equilibrium")
    lr = np.r_[np.full(600, 0.5), 0.5 * (1 - np.arange(1800) / 1800)]  # the story "decay"
    low = 100 * (1 - np.sqrt(theory.master_ode(lr, 0.01)))
    lost = (4 * 0.5 / 1800 * 0.01) ** -0.5
    assert (f"= {lost:.0f} steps before the end. With a constant $c$ the dots are {low[1800]:.0f} % below the line "
            f"600 steps before the end, and {low[2100]:.0f} % at 300.") in prose("05b-moving-target")  # fmt: skip
    over = 4 * 0.02 * 0.01 / (1 - 0.99**0.5) ** 2  # the story "rings"
    period, _ = theory.ringing(0.02, 0.01, 0.99)
    assert f"4λα is above the border by a factor of {over:.0f}." in prose("08-momentum")
    assert f"The formula says {period:.0f} steps for small swings." in prose("08-momentum")
    assert theory.ringing(0.02, 0.01, 0.9) is None
