"""Captions without numbers: in this book "Figure 1" is a figure of the post, or of a chapter's text.

The extension for LaTeX, which Jupyter Book always adds, switches the numbers on for every builder.
"""


def without_numbers(app, config):
    config.numfig = False


def setup(app):
    app.connect("config-inited", without_numbers, priority=900)  # after the extension for LaTeX
    return {"parallel_read_safe": True, "parallel_write_safe": True}
