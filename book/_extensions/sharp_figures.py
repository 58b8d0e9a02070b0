"""The figures of slides (book/_slides.py) are drawn a second time, larger, into `_build/pictures`; pages stay as they
are.

A figure of a page has 511 pixels and fills a slide only blurred. So each kernel of the build looks at what it shows,
and where a figure of matplotlib comes from a cell that is a slide, a larger one is stored under the SHA-256 of the
small one.

A kernel begins with what its home has in `startup`, and the build has a home of its own (Makefile). A build in the
reader's home writes nothing there; slides then have the figures of the pages.
"""

import base64
import functools
import hashlib
import json
from pathlib import Path

DPI = 220  # of pages: 100

START = '__import__("runpy").run_path({file!r})["listen"](get_ipython(), {folder!r}, {sources!r})\n'


def digest(data):
    return hashlib.sha256(data).hexdigest()


def listen(shell, folder, sources):
    """Let a kernel draw larger what it shows; `sources` are the digests of the cells that are slides."""

    def asked():
        return digest(shell.kernel.get_parent()["content"].get("code", "").encode()) in sources

    formatter = shell.display_formatter
    formatter.format = functools.partial(also, formatter.format, Path(folder), asked)


def also(format, folder, asked, shown, *more, **named):
    """Return what `format` makes of what is shown; if it is the picture of a figure, and asked for, draw it larger."""
    made = format(shown, *more, **named)
    picture = made[0].get("image/png")
    if picture and hasattr(shown, "savefig") and asked():
        from IPython.core.pylabtools import print_figure

        small = picture if isinstance(picture, bytes) else base64.b64decode(picture)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{digest(small)}.png").write_bytes(print_figure(shown, "png", dpi=DPI))
    return made


def begin(app):
    build = Path(app.outdir).parent
    if app.builder.name == "html" and Path.home() == build / "home":
        sources = [digest("".join(cell["source"]).encode())
                   for chapter in sorted(Path(app.srcdir, "book").glob("*.ipynb"))
                   for cell in json.loads(chapter.read_text(encoding="utf-8"))["cells"]
                   if cell["cell_type"] == "code" and "slide" in cell["metadata"]]
        start = build / "home" / ".ipython" / "profile_default" / "startup" / "sharp_figures.py"
        start.parent.mkdir(parents=True, exist_ok=True)
        start.write_text(START.format(file=__file__, folder=str(build / "pictures"), sources=sources), encoding="utf-8")


def setup(app):
    app.connect("builder-inited", begin)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
