"""The directive ``{recordings}``: what is bundled and its provenance, read from the files.

One table of runs and one of tables of runs. What a reader rarely needs is folded in the first cell of a row. The heads
of the columns sort, with sort.js; without JavaScript the order is that of the manifest.
"""

import json

from docutils import nodes
from docutils.parsers.rst import Directive

import resnet_dynamics as rd
from resnet_dynamics.library import planned_sweeps

# Of each recording, in this order; what a file lacks is left out.
PROVENANCE = ("digest", "dataset", "dataset_digest", "device", "precision", "torch_version", "package_version",
              "semantics", "date", "seconds", "images_per_second", "format_version")
SYMBOLS = {"lr": "λ", "weight_decay": "α", "momentum": "ρ", "batch_size": "N"}


def table(head, rows):
    """Return a table; a cell is a list of nodes or a plain value, a row has the id of its place."""
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=1) for _ in head]
    for part, lines in ((nodes.thead(), [(None, head)]), (nodes.tbody(), rows)):
        for place, line in lines:
            row = nodes.row(ids=[place] if place else [])
            for cell in line:
                inside = cell if isinstance(cell, list) else [nodes.paragraph("", text(cell))]
                row += nodes.entry("", *inside, classes=[] if isinstance(cell, list | str) else ["number"])
            part += row
        group += part
    return nodes.table("", group, classes=["sortable"])


def text(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def fold(name, *inside):
    """Return a cell that shows a name, and the rest when it is opened."""
    start = nodes.raw("", f"<details><summary>{name}</summary>", format="html")
    return [start, *inside, nodes.raw("", "</details>", format="html")]


def listed(pairs):
    """Return a list of what: value."""
    points = nodes.bullet_list(classes=["plain"])
    points += [nodes.list_item("", nodes.paragraph("", f"{what}: {text(value)}")) for what, value in pairs]
    return points


def code(written):
    return nodes.paragraph("", "", nodes.literal(written, written))


def python(fields):
    """Return a config's fields as they are written in Python."""
    return ", ".join(f"{name}={value!r}" for name, value in fields.items())


def words(fields):
    """Return the same as it is read."""
    return ", ".join(f"{SYMBOLS.get(name, name.replace('_', ' '))} {text(value)}" for name, value in fields.items())


class Recordings(Directive):
    """The baseline, one table of all runs; then one of the tables of many runs."""

    def run(self):
        baseline, rows = rd.Config.book().as_dict(), []
        for name, config in rd.library.planned().items():
            changed = {field: value for field, value in config.as_dict().items() if value != baseline[field]}
            differs, place = words(changed) or "the baseline", nodes.make_id(f"recording-{name}")
            path = rd.library.recording_file(config)
            if not path.is_file():
                rows.append((place, [name, differs, "not yet"]))
                continue
            run = rd.recording.load(path, config)
            pairs = [("steps", run.sizes["step"])]
            pairs += [(key.replace("_", " "), run.attrs[key]) for key in PROVENANCE if key in run.attrs]
            if run.attrs["diverged_at"] >= 0:
                pairs.append(("the loss is no longer finite from step", int(run.attrs["diverged_at"])))
            inside = fold(name, code(f'rd.run(rd.bundled()["{name}"])'), code(f"rd.Config.book({python(changed)})"),
                          listed(pairs))  # fmt: skip
            accuracy = 100 * float(run.test_accuracy[-1])
            rows.append((place, [inside, differs, f"{accuracy:.1f} %"]))
        said = nodes.paragraph("", "The baseline, at the scale of the recordings, is ")
        said += [nodes.literal("", python(baseline)), nodes.Text(".")]
        return [said, table(["recording", "what differs from the baseline", "test accuracy"], rows), *sweeps()]


def sweeps():
    """Return the section of the tables of many runs, if there are any."""
    planned, here = planned_sweeps(), rd.bundled_sweeps()
    if not planned:
        return []
    rows = []
    for name, (base, axes) in planned.items():
        varied = "; ".join(f"{SYMBOLS.get(axis, axis.replace('_', ' '))}: {', '.join(map(text, values))}"
                           for axis, values in axes.items())  # fmt: skip
        place = nodes.make_id(f"table-{name}")
        if name not in here:
            rows.append((place, [name, varied, "not yet"]))
            continue
        runs = rd.sweep(base, progress=False, **axes)
        inside = fold(name, code(f"In common: {python(base.changes)}"), listed(provenance(runs)))
        rows.append((place, [inside, varied, runs.digest.size]))
    section = nodes.section(ids=["tables-of-many-runs"], names=["tables-of-many-runs"])
    section += nodes.title("", "Tables of many runs")
    section += nodes.paragraph("", (
        "Of these runs the package keeps the accuracies and losses after each epoch, not every step; of those of the "
        "explorer also means over parts of the run."))
    section += table(["table", "what is varied", "runs"], rows)
    return [section]


def provenance(runs):
    """Return pairs (what, value) for a table of runs: each value that occurs."""
    made = [json.loads(one) for one in runs.provenance.values.ravel()]
    keys = dict.fromkeys(key for one in made for key in one)
    pairs = [(key.replace("_", " "), ", ".join(sorted({str(one[key]) for one in made if key in one}))) for key in keys]
    seconds, diverged = runs.seconds.values.ravel(), int((runs.diverged_at >= 0).sum())
    pairs.append(("seconds of one run", f"{seconds.min():.0f} to {seconds.max():.0f}"))
    return [*pairs, *([("runs that diverged", diverged)] if diverged else [])]


def setup(app):
    app.add_directive("recordings", Recordings)
    app.add_js_file("sort.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
