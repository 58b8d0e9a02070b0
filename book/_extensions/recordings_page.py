"""The directive ``{recordings}``: what is bundled and its provenance, read from the files."""

import json

from docutils import nodes
from docutils.parsers.rst import Directive

import resnet_dynamics as rd
from resnet_dynamics.sweep import planned as planned_sweeps

# Of each recording, in this order; what a file lacks is left out.
PROVENANCE = ("digest", "dataset", "dataset_digest", "device", "precision", "torch_version", "package_version",
              "semantics", "date", "seconds", "images_per_second", "diverged_at", "format_version")


def table(head, rows):
    """Return a table; a cell is a node or a plain value."""
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=1) for _ in head]
    for part, lines in ((nodes.thead(), [head]), (nodes.tbody(), rows)):
        for line in lines:
            row = nodes.row()
            row += [nodes.entry("", nodes.paragraph("", "", inline(cell))) for cell in line]
            part += row
        group += part
    return nodes.table("", group)


def inline(value):
    if isinstance(value, nodes.Node):
        return value
    return nodes.Text(f"{value:.4g}" if isinstance(value, float) else str(value))


def code(fields):
    """Return a config's fields as they are written in Python."""
    written = ", ".join(f"{name}={value!r}" for name, value in fields.items())
    return nodes.literal(written, written)


class Recordings(Directive):
    """The baseline, one table of all runs, the provenance of each; then the same for tables of many runs."""

    def run(self):
        baseline = rd.Config.book().as_dict()
        runs, sections = [], []
        for name, config in rd.recording.planned().items():
            changed = {field: value for field, value in config.as_dict().items() if value != baseline[field]}
            what = code(changed) if changed else "the baseline"
            path = rd.recording.bundle_dir() / f"{config.digest}.nc"
            if not path.is_file():
                runs.append([name, what, "not recorded yet"])
                continue
            recording = rd.recording.load(path, config)
            place = nodes.make_id(f"recording-{name}")
            link = nodes.reference("", name, internal=True, refid=place)
            runs.append([link, what, f"{100 * float(recording.test_accuracy[-1]):.1f} %"])
            section = nodes.section(ids=[place], names=[place])
            section += nodes.title("", name)
            section += table(["what", "value"], [[key.replace("_", " "), recording.attrs[key]]
                                                 for key in PROVENANCE if key in recording.attrs])
            sections.append(section)
        said = nodes.Text("The baseline, at the scale of the recordings, is ")
        return [nodes.paragraph("", "", said, code(baseline), nodes.Text(".")),
                table(["recording", "what differs from it", "test accuracy"], runs), *sections, *sweeps()]


def sweeps():
    """Return the section of the tables of many runs, if there are any."""
    planned, here = planned_sweeps(), rd.bundled_sweeps()
    if not planned:
        return []
    rows, sections = [], []
    for name, (base, axes) in planned.items():
        varied = "; ".join(f"{axis}: {', '.join(f'{v}' for v in values)}" for axis, values in axes.items())
        if name not in here:
            rows.append([name, varied, "not recorded yet"])
            continue
        runs = rd.sweep(base, progress=False, **axes)
        place = nodes.make_id(f"table-{name}")
        rows.append([nodes.reference("", name, internal=True, refid=place), varied, runs.digest.size])
        section = nodes.section(ids=[place], names=[place])
        section += nodes.title("", name)
        section += nodes.paragraph("", "", nodes.Text("In common: "), code(base.changes), nodes.Text("."))
        section += table(["what", "value"], provenance(runs))
        sections.append(section)
    section = nodes.section(ids=["tables-of-many-runs"], names=["tables-of-many-runs"])
    section += nodes.title("", "Tables of many runs")
    section += nodes.paragraph("", "", nodes.Text(
        "Of these runs the package keeps the accuracies and losses after each epoch, not every step; of those of the "
        "explorer also means over parts of the run."))
    section += table(["table", "what is varied", "runs"], rows)
    section += sections
    return [section]


def provenance(runs):
    """Return rows (what, value) for a table of runs: each value that occurs."""
    made = [json.loads(text) for text in runs.provenance.values.ravel()]
    keys = dict.fromkeys(key for one in made for key in one)
    rows = [[key.replace("_", " "), ", ".join(sorted({str(one[key]) for one in made if key in one}))] for key in keys]
    seconds, diverged = runs.seconds.values.ravel(), int((runs.diverged_at >= 0).sum())
    rows.append(["seconds of one run", f"{seconds.min():.0f} to {seconds.max():.0f}"])
    return [*rows, ["runs that diverged", diverged]]


def setup(app):
    app.add_directive("recordings", Recordings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
