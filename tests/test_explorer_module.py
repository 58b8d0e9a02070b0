"""The explorer's JavaScript: its equations are those of theory.py, and the bundle is made of its sources."""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import gate
import numpy as np
import pytest

import resnet_dynamics as rd
from resnet_dynamics import correlation, explorer, schedules, theory

SOURCE = gate.ROOT / "src" / "explorer"
BUNDLE = gate.ROOT / "src" / "resnet_dynamics" / "explorer.js"
PACKED = "simd.wasm.js"  # made of simd.ts
KERNELS = f"network/{PACKED}"
OPTIMIZERS = {"sgd": "sgd", "heavy-ball": "sgd", "nesterov": "nesterov", "lars": "lars"}  # theory's words for them


def node(*arguments, cwd=gate.ROOT, **changes):
    """Run node; return its exit status and its output, both streams together."""
    executable = shutil.which("node")
    if executable is None:
        pytest.skip("needs node 18 or newer: apt-get install nodejs")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NODE_")} | changes
    version = gate.run(executable, "--version", cwd=cwd, env=environment)[1]
    if int(re.match(r"v(\d+)\.", version)[1]) < 18:
        pytest.skip(f"needs node 18 or newer, not {version.strip()}")
    return gate.run(executable, *arguments, cwd=cwd, env=environment, timeout=600)


# The equations


def cases(number=200, seed=0):
    """Random settings, trainings and gradients, with what theory.py makes of them."""
    rng = np.random.default_rng(seed)

    def log_uniform(low, high):
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    for i in range(number):
        kind = list(OPTIMIZERS)[i % 4]
        rho = 0.0 if kind == "sgd" or i % 20 > 15 else 1 - log_uniform(0.005, 1)
        lowest = (1e-3, 1e-5) if i // 8 % 2 else (0.1, 1e-2)  # half of them strong: few steps are enough
        values = {"lr": log_uniform(lowest[0], 10), "weight_decay": log_uniform(lowest[1], 0.1), "momentum": rho}
        steps, per_epoch = int(rng.integers(20, 301)), int(rng.integers(3, 41))
        epochs = steps / per_epoch
        warmup = epochs * float(rng.choice([0.0, 0.125, rng.uniform(), 1.0]))
        schedule = ("constant", "triangular")[i // 4 % 2]
        plan = {"epochs": epochs, "warmup": warmup, "schedule": schedule}
        lr_t = schedules.rates(rd.Config(lr=values["lr"], **plan), per_epoch)
        plan |= {"steps": steps, "steps_per_epoch": per_epoch}
        assert len(lr_t) == steps
        c = log_uniform(0.1, 100) * np.exp(0.5 * rng.standard_normal(steps))
        start = float(np.mean(c)) * log_uniform(0.1, 1000)
        yield {"values": values | {"optimizer": kind}, "plan": plan, "start": start, "c2": c**2,
               **expected(SimpleNamespace(**values, kind=kind), plan, start, c, lr_t)}  # fmt: skip


def expected(v, plan, start, c, lr_t):
    optimizer, setting = OPTIMIZERS[v.kind], (v.lr, v.weight_decay, v.momentum)
    rates = theory.lars_rate(lr_t, v.weight_decay, v.momentum)
    used, alpha = (rates, 0.0) if v.kind == "lars" else (lr_t, v.weight_decay)
    m = theory.moments(start, c, used, v.weight_decay, v.momentum, optimizer=optimizer)
    g2 = m.w2 if v.kind == "lars" else c**2 / m.w2
    if v.momentum == 0:
        growth, shrink = theory.growth(g2, used), theory.shrink(m.w2, lr_t, alpha)
    else:  # as in measure.py, of independent batches: w·g = 0 and g·v = 0
        overlap = v.momentum**2 if v.kind == "nesterov" else v.momentum
        d2, dv = g2 + alpha**2 * m.w2, alpha * m.wv
        growth = (used / (1 - v.momentum)) ** 2 * (d2 + 2 * overlap * dv)
        shrink = theory.shrink(m.w2, lr_t, alpha, exact=False) / (1 - v.momentum)
    rings = theory.ringing(*setting) if v.kind == "heavy-ball" else None
    out = {"rates": lr_t, "lars_rates": rates, "w2": m.w2, "growth": growth, "shrink": shrink,
           "equilibrium": None, "c": float(c.mean()), "ringing": list(rings or ()),
           "turn": theory.rotation_angle(*setting, optimizer="sgd" if v.kind == "lars" else optimizer, exact=True),
           "time_constant": rings[1] if rings else theory.time_constant(*setting)}  # fmt: skip
    if v.kind != "lars":
        out["equilibrium"] = theory.equilibrium_norm(out["c"], *setting, optimizer=optimizer, exact=True) ** 2
    if plan["schedule"] == "triangular" and 4 * v.lr * v.weight_decay < (1 - v.momentum**0.5) ** 2:  # never rings
        left = theory.memory(np.append(lr_t, 0.0), v.weight_decay, v.momentum)
        settled = np.flatnonzero(left <= np.exp(-3))
        out["settled"] = int(settled[0]) if settled.size else None
    return out


def directed_cases(number=100, seed=1):
    """The same of the optimizers that convolutions have to themselves, from a start under way."""
    rng = np.random.default_rng(seed)
    kinds, shapes = ("sgdw", "adamw", "lion", "muon", "adam"), ((4, 27), (8, 36), (16, 72), (32, 144), (32, 288))
    for i in range(number):
        kind, shape, steps = kinds[i % 5], shapes[i // 5 % 5], int(rng.integers(20, 200))
        rho = float(rng.choice([0.5, 0.9, 0.95, 0.99]))
        lr, x, c = 10 ** rng.uniform(-3, -1), 10 ** rng.uniform(-3, -0.5), 10 ** rng.uniform(-1, 1)
        alpha = x / lr if kind != "adam" else x / lr * c / 300
        found = cut(kind, rho, shape)
        law = settled(kind, shape, found, c, lr, alpha, rho)
        lr_t = lr * rng.uniform(0.2, 1, steps) if i % 2 else np.full(steps, lr)
        c_t = c * rng.uniform(0.5, 2, steps)
        w2, size = law["level"] * rng.uniform(0.3, 3), law["square"]
        under_way = dict(wv_0=-0.2 * float(np.sqrt(w2 * size)), v2_0=size)
        start = dict(w2=w2, wv=under_way["wv_0"], v2=size, steps=int(rng.choice([0, 7, 2000])), s=c**2 / w2 / 300)
        values = dict(lr=lr, weight_decay=alpha, momentum=rho, optimizer=kind)
        if kind == "sgdw":
            series = theory.moments(w2, c_t, lr_t, alpha, rho, optimizer=kind, **under_way).w2
        elif kind in ("lion", "muon"):
            series = theory.decoupled_recurrence(w2, size, found, lr_t, alpha, wv_0=start["wv"])
        else:
            series = theory.adam_recurrence(w2, c_t, shape[0] * shape[1], lr_t, alpha, rho, steps_0=start["steps"],
                                            s_0=start["s"], decoupled=kind == "adamw", **under_way)  # fmt: skip
        yield {"values": values, "shape": shape, "start": start, "c2": c_t**2, "size": {"c2": c**2}, "lr": lr_t,
               "w2": series, **law}  # fmt: skip


def cut(kind, rho, shape):
    """C_k of Lion and Muon as far as it is above 1e-3, as the page takes it; of the others of no matter."""
    k = np.arange(1.0, 3000)
    if kind == "lion":
        found = correlation.sign_overlap(correlation.mean_correlation(rho, 0.99)(k))
    else:
        r = correlation.mean_correlation(rho**2, rho)(k)
        found = correlation.polar_overlap(r, shape, correlation.newton_schulz)
    return found[: np.argmax(found <= 1e-3)]


def settled(kind, shape, found, c, lr, alpha, rho):
    weights, x = shape[0] * shape[1], lr * alpha
    square = {"lion": weights, "muon": correlation.polar_square(shape, correlation.newton_schulz)}.get(
        kind, weights * (1 - rho) / (1 + rho))  # fmt: skip
    if kind == "adam":
        law = theory.adam_l2(c, weights, lr, alpha, rho)
        return {"level": law.norm**2, "overlap": law.overlap, "square": square, "line": np.sqrt(2 * x / law.overlap)}
    if kind == "sgdw":
        law, rings = theory.sgdw(c, lr, alpha, rho, exact=True), theory.ringing(lr, alpha, rho, optimizer="sgdw")
        more = {"ringing": list(rings or ()), "relaxation": rings[1] if rings else 1 / (4 * x)}
    else:
        known = found if kind in ("lion", "muon") else lambda k: rho**k
        law = theory.decoupled(square, known, lr, alpha, exact=True)
        memory = 0.99 if kind == "lion" else rho
        more = {"relaxation": max(1 / (2 * x), -0.5 / np.log(memory))}
    return {"level": law.norm**2, "overlap": law.overlap, "square": square, "line": np.sqrt(2 * x / law.overlap),
            "angle": 2 * np.arcsin(law.update_rate / 2), **more}  # fmt: skip


@pytest.fixture(scope="module")
def directed_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("cases") / "directed.json"
    path.write_text(json.dumps(list(directed_cases()), allow_nan=False, default=lambda array: array.tolist()))
    return path


@pytest.fixture(scope="module")
def case_file(tmp_path_factory):
    """JSON of all cases; None where there is no finite number."""
    path = tmp_path_factory.mktemp("cases") / "cases.json"
    path.write_text(json.dumps(list(cases()), allow_nan=False, default=lambda array: array.tolist()))
    return path


def test_the_cases_are_of_all_kinds(case_file):
    found = json.loads(case_file.read_text())
    kinds = {(one["values"]["optimizer"], one["plan"]["schedule"]) for one in found}
    assert len(kinds) == 8
    assert 10 <= sum(bool(one["ringing"]) for one in found) <= 40  # of 50 of heavy ball
    settled = [one["settled"] for one in found if "settled" in one]
    assert min(settled.count(None), len(settled) - settled.count(None)) >= 10


def test_node_agrees(case_file, directed_file):
    tests = sorted((gate.ROOT / "tests" / "explorer").glob("*.test.mjs"))
    assert len(tests) >= 6
    status, output = node("--test", *tests, EXPLORER_CASES=str(case_file), EXPLORER_DIRECTED=str(directed_file))
    # "# skipped 0" in TAP, "ℹ skipped 0" in words
    if status or not re.search(r"^\S+ skipped 0$", output, re.M) or not re.search(r"^\S+ pass [1-9]\d+$", output, re.M):
        pytest.fail(output, pytrace=False)


def test_no_file_is_long_and_no_line():
    """biome breaks code at 120 columns; comments and strings it leaves."""
    folders = {Path("src/explorer", name) for name in (".", "crossing", "live", "network")} | {Path("tests/explorer")}
    found = [path for path in gate.sources() if path.suffix in (".js", ".mjs", ".ts") and path.name != PACKED]
    assert folders <= {path.parent for path in found}
    for path in found:
        if path.parent in folders:
            lines = (gate.ROOT / path).read_text(encoding="utf-8").splitlines()
            assert len(lines) <= 400 and max(map(len, lines)) <= 120, path


def test_the_half_that_computes_never_looks_at_the_page():
    """What node tests: it imports nothing of the other half, and no name of a browser stands in it."""
    pure = {"between.js", "captions.js", "compute.js", "decoupled.js", "evidence.js", "frames.js", "links.js",
            "moves.js", "own.js", "scales.js", "series.js", "settings.js", "state.js", "theory.js", "ticks.js",
            "verdict.js", "words.js"}  # fmt: skip
    for name in pure:
        text = (SOURCE / name).read_text(encoding="utf-8")
        assert set(re.findall(r'from "\./([\w.]+)"', text)) <= pure, name
        found = re.findall(r"\b(?:document|window|globalThis)\.\w+|\b(?:setTimeout|requestAnimationFrame)\(", text)
        assert found == [], name


def test_the_network_knows_nothing_of_a_page():
    """It runs in a worker and in node: it imports its own files alone, and no name of a page stands in it."""
    for path in (SOURCE / "network").glob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert all(name.startswith("./") for name in re.findall(r'from "([^"]+)"', text)), path.name
        assert not re.search(r"\b(?:document|window|self\.postMessage|requestAnimationFrame)\b", text), path.name


# The bundle


def made_of():
    """The names of what build.js finds in its folder and makes the digest of, in its order."""
    paths = [path.relative_to(SOURCE.relative_to(gate.ROOT)) for path in gate.sources()
             if path.is_relative_to(SOURCE.relative_to(gate.ROOT))]  # fmt: skip
    return sorted(str(path) for path in paths if path.suffix in (".js", ".ts", ".json"))


def test_the_bundle_is_current():
    digest = hashlib.sha256()
    for name in made_of():
        digest.update(f"{name}\n".encode() + (SOURCE / name).read_bytes())
    first = BUNDLE.read_text(encoding="utf-8").split("\n", 1)[0]
    assert f"sha256 {digest.hexdigest()}." in first, "make explorer makes it again"


def test_the_bundle_is_small_and_keeps_to_itself():
    text = BUNDLE.read_text(encoding="utf-8")
    assert len(text.encode()) <= 160_000
    assert "</script" not in text.lower()  # it can stand in a page
    assert {address for address in re.findall(r"https?://([^/\s\"'`]*)", text)} <= {"www.w3.org"}
    assert not re.search(r"""\bimport\b\s*[\w{*"'(]""", text)
    assert not re.search(r"\beval\s*\(|\bFunction\s*\(", text)
    assert re.search(r"^(?:\"use strict\";)?var weightDecay=", text, re.M)  # a classic script, whose name is global


def test_building_again_makes_the_same_bundle_and_the_same_kernels(tmp_path):
    modules = SOURCE / "node_modules"
    for name, tool in {"esbuild": "esbuild", "assemblyscript": "AssemblyScript"}.items():
        if not (modules / name).is_dir():
            pytest.skip(f"needs {tool}: cd src/explorer && npm ci")
    copy = tmp_path / "src" / "explorer"
    (tmp_path / "src" / "resnet_dynamics").mkdir(parents=True)
    for name in made_of():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(SOURCE / name, copy / name)
    (copy / "node_modules").symlink_to(modules, target_is_directory=True)
    status, output = node("build.js", cwd=copy)
    assert status == 0, output
    assert (copy / KERNELS).read_bytes() == (SOURCE / KERNELS).read_bytes()  # kept where they are those of simd.ts
    assert (tmp_path / "src" / "resnet_dynamics" / BUNDLE.name).read_bytes() == BUNDLE.read_bytes()


def test_python_and_javascript_know_the_same_values():
    script = ("import * as w from './words.js'; console.log(JSON.stringify({"
              "VALUES: w.VALUES, PANELS: Object.keys(w.PANELS), optimizer: Object.keys(w.OPTIMIZERS), "
              "gradient: Object.keys(w.GRADIENTS), RANGES: w.RANGES, EXPLODED: w.EXPLODED}))")
    status, output = node("--input-type=module", "-e", script, cwd=SOURCE)
    assert status == 0, output
    theirs = json.loads(output)
    assert tuple(theirs["VALUES"]) == tuple(explorer.VALUES) and tuple(theirs["PANELS"]) == explorer.PANELS
    for name in ("optimizer", "gradient"):
        assert set(theirs[name]) == set(explorer.CHOICES[name])
    for name, (words, low, high) in explorer.RANGES.items():
        assert theirs["RANGES"][name][1:] == [high, words] and (theirs["RANGES"][name][0] > 0) == (low > 0)
    assert theirs["EXPLODED"] == explorer.EXPLODED
