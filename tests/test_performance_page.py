"""The page on performance has the numbers of its measurement, and its words are true of them."""

import json
import re
import sys

import gate
import numpy as np
import pytest

sys.path.insert(0, str(gate.ROOT / "book" / "_extensions"))
import performance_page as page  # noqa: E402

FOUND = json.loads((gate.ROOT / "book" / "about" / "performance.json").read_text(encoding="utf-8"))
TEXT = (gate.ROOT / "book" / "about" / "performance.md").read_text(encoding="utf-8")


def seconds(table, loop):
    return np.array(table[loop][FOUND["clock"]])


def rows(part):
    """Return the body of a part's table, text [row][column]."""
    (table,) = (node for made in page.PARTS[part](FOUND) for node in made.findall(page.nodes.tbody))
    return [[entry.astext() for entry in row.findall(page.nodes.entry)] for row in table.findall(page.nodes.row)]


def median_and_range(text):
    return [float(number) for number in re.fullmatch(r"(\S+) \((\S+) to (\S+)\)", text).groups()]


def spread(values):
    return [np.median(values), np.min(values), np.max(values)]


def test_the_page_shows_every_part_once():
    assert re.findall(r"^```{performance} (\w+)$", TEXT, re.M) == list(page.PARTS)


def test_the_measurement_is_that_of_the_page():
    assert re.search(r"bench --budget book --json performance.json", TEXT)
    assert page.rd.Config.from_dict(FOUND["config"]) == page.rd.Config.book(data="synthetic")
    assert min(len(found["wall"]) for found in FOUND["loops"].values()) >= 3
    assert all(len(found["wall"]) >= 3 for row in FOUND["cost"] for found in row["loops"].values())


def test_where_and_how_is_said():
    (made,) = page.conditions(FOUND)
    text = made.astext()
    for what in ("date", "processor", "device", "precision", "torch_version", "python_version", "system"):
        assert FOUND["made"][what] in text, what
    foreign = [cores for table in (FOUND["loops"], *(row["loops"] for row in FOUND["cost"]))
               for found in table.values() for cores in found["foreign"]]  # fmt: skip
    assert None in foreign or f"others kept {np.mean(foreign):.2f} of {FOUND['made']['cores']} cores busy" in text
    assert all(left in text for left in FOUND["left_out"])


def test_loops_are_those_of_the_measurement():
    shown, table = rows("loops"), FOUND["loops"]
    names = [name for name in ("recorded", "bare", "recorder", "plain", "plain32") if name in table]
    assert len(shown) == len(names)
    peak = FOUND["product_flop"] / np.median(seconds(table, "matmul"))
    for name, (_, ms, images, share, times) in zip(names, shown):
        took = np.median(seconds(table, name))
        assert float(ms.replace(",", "")) == pytest.approx(1e3 * took, rel=0.006)
        ratio = spread(seconds(table, name) / seconds(table, "recorded"))
        assert median_and_range(times) == pytest.approx(ratio, rel=0.06 if name == "recorder" else 0.01)
        if name == "recorder":
            assert images == share == ""
        else:
            assert float(images.replace(",", "")) == pytest.approx(FOUND["config"]["batch_size"] / took, abs=0.51)
            assert float(share.split()[0]) == pytest.approx(100 * FOUND["flop"] / took / peak, abs=0.51)


def test_costs_are_those_of_the_measurement():
    measured = {(row["width"], row["batch_size"]): row for row in FOUND["cost"]}
    shown = rows("cost")
    assert [(int(row[0]), int(row[1])) for row in shown] == sorted(measured)
    for width, n, ms, images, _, times in shown:
        table = measured[int(width), int(n)]["loops"]
        took = np.median(seconds(table, "recorded"))
        assert float(ms.replace(",", "")) == pytest.approx(1e3 * took, rel=0.006)
        assert float(images.replace(",", "")) == pytest.approx(int(n) / took, abs=0.51)
        (other,) = set(table) - {"recorded"}
        assert median_and_range(times) == pytest.approx(spread(seconds(table, other) / seconds(table, "recorded")),
                                                        abs=0.006)  # fmt: skip


def test_memory_and_sweeps_are_those_of_the_measurement():
    for row, (width, what, steps, *megabytes) in zip(FOUND["memory"], rows("memory"), strict=True):
        assert (int(width), what == "every filter", int(steps)) == (row["width"], row["filters"], row["steps"])
        for text, name in zip(megabytes, ("series", "recording", "grown")):
            if row[name] is not None:
                assert float(text.replace(",", "")) == pytest.approx(row[name] / 1e6, rel=0.006, abs=0.51)
    if FOUND["sweeps"]:
        for row, (workers, runs, took, others) in zip(FOUND["sweeps"], rows("sweeps"), strict=True):
            assert (int(workers), int(runs)) == (row["workers"], row["runs"])
            assert median_and_range(took) == pytest.approx(spread(row["wall"]), rel=0.006)
            assert float(others) == pytest.approx(np.median(row["foreign"]), abs=0.006)


def test_what_was_not_measured_is_no_table():
    nothing = {**FOUND, "cost": [], "memory": [], "sweeps": []}
    for part in ("cost", "memory", "sweeps"):
        (only,) = page.PARTS[part](nothing)
        assert isinstance(only, page.nodes.paragraph) and only.astext().endswith(".")


def test_the_words_of_the_page_are_true_of_its_numbers():
    """As fast as the fastest loops, a tenth slower where there is little to compute; the recorder costs little."""
    first = " ".join(TEXT.split("## ")[0].split())
    assert "as fast as the fastest loops that we know of, and it records" in first and "about a tenth slower" in first
    for table in (FOUND["loops"], *(row["loops"] for row in FOUND["cost"])):
        plain = next(name for name in ("plain", "plain32") if name in table)
        assert np.median(seconds(table, plain) / seconds(table, "recorded")) > 0.85
    assert np.median(seconds(FOUND["loops"], "recorder") / seconds(FOUND["loops"], "bare")) < 0.02
