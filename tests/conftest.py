"""Shared by all tests: an empty cache, no device assumed, one build of the book."""

import os
import signal
import sys
import tempfile
from pathlib import Path

import hints
import pytest
from screen import CHROMEDRIVER, CHROMIUM, address, browser  # noqa: F401  (fixtures)


def pytest_addoption(parser):
    parser.addoption("--site", metavar="DIR", help="check the site that is already built in DIR, "
                     "such as _build/html, instead of building one")


def pytest_configure(config):
    # Before any module of the package is imported: no test sees, or fills, the reader's cache.
    config.cache_folder = tempfile.TemporaryDirectory(prefix="resnet-dynamics-test-")
    os.environ["RESNET_DYNAMICS_CACHE"] = config.cache_folder.name
    os.environ["MPLBACKEND"] = "agg"
    hints.install()
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # in the background of a shell: children would not hear it
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config):
    config.cache_folder.cleanup()


def pytest_terminal_summary(terminalreporter):
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if "chromedriver" in str(report.longrepr)]
    if skipped and not (CHROMIUM and CHROMEDRIVER):
        terminalreporter.write_line(
            f"{len(skipped)} tests of pages were skipped for want of Chromium. On Debian and Ubuntu: apt-get install "
            "chromium chromium-driver; or run .ci/run, which does that first.", yellow=True)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Let one of the two processes of `make test` build the book and read its pages; others get the rest, by files."""
    from xdist.scheduler import LoadScopeScheduling

    class Files(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            return "book" if "mark.book" in (config.rootpath / file).read_text(encoding="utf-8") else file

    return Files(config, log)


def pytest_collection_modifyitems(items):
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device; torch sees none"))


@pytest.fixture(autouse=True)
def figures_closed():
    """Which tests come before another in its process is not known; none leaves a figure to it."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """A copy of the project, as a clone would be."""
    import gate

    return gate.copy_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def builder(project, tmp_path_factory):
    """An environment that builds books with the project's package and without a network."""
    import gate

    folder = tmp_path_factory.mktemp("builder")
    gate.fresh_environment(folder, project)
    return folder


@pytest.fixture(scope="session")
def build_log(project, builder):
    """Status and output of the book's build from a clean state, without a network."""
    import gate

    return gate.build(project, builder)


@pytest.fixture(scope="session")
def site(request, project):
    """The folder with the built pages."""
    if given := request.config.getoption("--site"):
        return Path(given).resolve()
    status, output = request.getfixturevalue("build_log")
    html = project / "_build" / "html"
    if status or not html.is_dir():
        pytest.fail(f"the book does not build:\n{output[-3000:]}", pytrace=False)
    return html
