"""Chapters are executed side by side, one for each processor, at most four. Most of what they do uses one processor.
Their small trainings then have one thread each.

Sphinx can read documents in parallel; Jupyter Book has no option for it, and Sphinx would deal out the documents in so
few portions that all chapters were in one. They are written one after the other, as ever.
"""

import os

import sphinx.builders


def begin(app, env, docnames):
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    app.parallel = min(available, 4)
    for extension in app.extensions.values():  # three do not say; none of them keeps anything of a document
        if extension.parallel_read_safe is None:
            extension.parallel_read_safe = True
    if app.parallel > 1 and len(docnames) > 5:  # else Sphinx reads them one after the other
        os.environ["OMP_NUM_THREADS"] = "1"


def end(app, env):
    app.parallel = 1


def setup(app):
    sphinx.builders.make_chunks = lambda documents, processes: [[one] for one in documents]
    app.connect("env-before-read-docs", begin)
    app.connect("env-updated", end)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
