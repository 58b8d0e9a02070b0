"""The directive ``{performance}``: parts of the last measurement of `bench`, read from about/performance.json.

    ```{performance} loops
    ```

Parts are conditions, loops, cost, memory and sweeps.
"""

import json
import statistics
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from recordings_page import listed
from recordings_page import table as sortable

import resnet_dynamics as rd
from resnet_dynamics import bench

FILE = Path(__file__).parents[1] / "about" / "performance.json"
LOOPS = {
    "recorded": "our step, recorded",
    "bare": "the same without the recorder",
    "recorder": "the recorder alone",
    "plain": "a plain loop at its best, in {precision}",
    "plain32": "a plain loop in float32 and torch's default layout",
}


def said(text):
    return nodes.paragraph("", text)


def table(head, rows):
    """Return a table that keeps its order, whose columns are as wide as what is in them."""
    made = sortable(head, rows)
    made["classes"] = ["colwidths-auto"]
    return made


def milliseconds(seconds):
    return f"{1e3 * seconds:,.0f}" if seconds >= 0.1 else f"{1e3 * seconds:.3g}"


def conditions(found):
    made = found["made"]
    memory = f"{made['memory'] / 1e9:.0f} GB of memory" if made["memory"] < 1e18 else "memory unknown"
    return [listed([
        ("measured on", made["date"]),
        ("processor", f"{made['processor']}; {made['cores']} cores, {memory}"),
        ("trains on", f"{made['device']} in {made['precision']}"),
        ("with", f"torch {made['torch_version']}, Python {made['python_version']}, {made['system']}"),
        ("what is measured", bench.conditions(found)),
        ("left out", bench.missing(found) or "nothing"),
    ])]  # fmt: skip


def loops(found):
    config, all_loops, clock = rd.Config.from_dict(found["config"]), found["loops"], found["clock"]
    peak = found["product_flop"] / statistics.median(all_loops["matmul"][clock])
    rows = []
    for name, words in LOOPS.items():
        if name in all_loops:
            seconds = statistics.median(all_loops[name][clock])
            works = name != "recorder"
            rows.append((nodes.make_id(f"loop-{name}"), [
                words.format(precision=found["made"]["precision"]), milliseconds(seconds),
                f"{config.batch_size / seconds:,.0f}" if works else "",
                f"{100 * found['flop'] / seconds / peak:.0f} %" if works else "",
                bench.spread(bench.ratios(all_loops, name, "recorded", clock), ".2g" if name == "recorder" else ".2f"),
            ]))  # fmt: skip
    return [
        said(f"ResNet-9 of width {config.width}, N = {config.batch_size}: {found['flop'] / 1e9:.3g} GFLOP a step. A "
             f"large product of matrices runs at {peak / 1e9:.3g} GFLOP/s here. Medians of "
             f"{bench.rounds_of(all_loops)} rounds; in brackets the range of the rounds."),
        table(["loop", "ms a step", "images/s", "share of product", "time, ours = 1"], rows),
    ]  # fmt: skip


def cost(found):
    rows, clock = [], found["clock"]
    peak = found["product_flop"] / statistics.median(found["loops"]["matmul"][clock])
    for row in sorted(found["cost"], key=lambda row: (row["width"], row["batch_size"])):
        seconds = statistics.median(row["loops"]["recorded"][clock])
        other = next(name for name in ("plain", "plain32") if name in row["loops"])
        rows.append((f"cost-{row['width']}-{row['batch_size']}", [
            row["width"], row["batch_size"], milliseconds(seconds), f"{row['batch_size'] / seconds:,.0f}",
            f"{100 * row['flop'] / seconds / peak:.0f} %",
            bench.spread(bench.ratios(row["loops"], other, "recorded", clock), ".2f"),
        ]))  # fmt: skip
    head = ["width", "N", "ms a step", "images/s", "share of product", "plain loop, ours = 1"]
    return [table(head, rows)] if rows else [said("This measurement ended before it.")]


def memory(found):
    rows = [(None, [row["width"], "every filter" if row["filters"] else "every layer", row["steps"],
                    f"{row['series'] / 1e6:,.3g}", f"{row['recording'] / 1e6:,.3g}",
                    "not measured" if row["grown"] is None else f"{row['grown'] / 1e6:,.0f}"])
            for row in found["memory"]]  # fmt: skip
    head = ["width", "recorded", "steps", "device, MB", "recording, MB", "host, MB"]
    return [table(head, rows)] if rows else [said("This measurement ended before it.")]


def sweeps(found):
    rows = [(None, [row["workers"], row["runs"], bench.spread(row["wall"]), f"{statistics.median(row['foreign']):.2f}"])
            for row in found["sweeps"]]
    head = ["workers", "runs", "seconds", "cores that others kept busy"]
    return [table(head, rows)] if rows else [said("In this measurement sweeps were not timed.")]


PARTS = {part.__name__: part for part in (conditions, loops, cost, memory, sweeps)}


class Performance(Directive):
    """One part of the measurement."""

    required_arguments = 1

    def run(self):
        if (part := self.arguments[0]) not in PARTS:
            raise self.error(f"performance {part}: must be one of {', '.join(PARTS)}")
        self.state.document.settings.env.note_dependency(str(FILE))
        return PARTS[part](json.loads(FILE.read_text(encoding="utf-8")))


def setup(app):
    app.add_directive("performance", Performance)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
