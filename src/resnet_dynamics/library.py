"""What comes with the package: the runs and sweeps that the book plans, and those whose recordings are here."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from .config import Config

__all__ = [
    "bundle_dir", "bundled", "bundled_sweeps", "manifest", "planned", "planned_sweeps", "recording_file", "sweep_file",
]  # fmt: skip


def bundle_dir() -> Path:
    """Return the folder of the recordings that come with the package."""
    return Path(__file__).parent / "recordings"


@functools.cache
def manifest() -> dict:
    """Return what the book plans, as `recordings/manifest.json` has it.

    {"runs": {name: what changes in `Config.book`}, "with_filters": names of those that hold every output filter, too,
     "sweeps": {name: {"base": fields, "axes": {field: values}}}}
    """
    return json.loads((bundle_dir() / "manifest.json").read_text())


def planned() -> dict[str, Config]:
    """Return name → Config of every run that the book wants, in the order of the manifest."""
    return {name: Config.book(**fields) for name, fields in manifest()["runs"].items()}


def bundled() -> dict[str, Config]:
    """Return name → Config of every run of the book whose recording is here, in the order of the manifest."""
    return {name: config for name, config in planned().items() if recording_file(config).is_file()}


def planned_sweeps() -> dict[str, tuple[Config, dict]]:
    """Return name → (base, axes) of every sweep that the book shows, in the order of the manifest."""
    return {name: (Config(**entry["base"]), entry["axes"]) for name, entry in manifest()["sweeps"].items()}


def bundled_sweeps() -> dict[str, tuple[Config, dict]]:
    """Return name → (base, axes) of every sweep of the book whose table is here, in the order of the manifest."""
    return {name: plan for name, plan in planned_sweeps().items() if sweep_file(name).is_file()}


def recording_file(config: Config, folder: Path | None = None) -> Path:
    """Return where the recording of a run is, or would be; folder None is the package."""
    return Path(folder or bundle_dir()) / f"{config.digest}.nc"


def sweep_file(name: str, folder: Path | None = None) -> Path:
    """Return where the table of a sweep of the manifest is, or would be; folder None is the package."""
    return Path(folder or bundle_dir()) / "sweeps" / f"{name}.nc"
