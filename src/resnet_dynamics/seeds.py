"""Several seeds of one run: recordings that differ in nothing else, to be drawn as a band or compared with."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Iterable

import numpy as np
import xarray as xr

from .recording import setting
from .series import alive, checked, fate, length

__all__ = ["band", "fates", "images", "is_list", "nothing", "of_one_run", "semantics", "several"]


def images(recordings: Iterable[xr.Dataset]) -> dict[str, str]:
    """Return the data sets that recordings are of, digest → name, with the digest in the name if two have the same."""
    found = {ds.attrs["dataset_digest"]: ds.attrs.get("dataset", "images") for ds in recordings
             if "dataset_digest" in ds.attrs}  # fmt: skip
    names = list(found.values())
    return {digest: f"{name} ({digest})" if names.count(name) > 1 else name for digest, name in found.items()}


def semantics(ds: xr.Dataset) -> int:
    """Return by which meaning of a configuration a recording was made; those that do not say are of the first."""
    return int(ds.attrs.get("semantics", 1))


def of_one_run(recordings: Iterable[xr.Dataset]) -> list[xr.Dataset]:
    """Return a list of recordings, which must be different seeds of one run."""
    found = [checked(ds) for ds in recordings]
    if not found:
        raise ValueError("seeds=[]: must be a recording or a list of them")
    configs = [setting(ds) for ds in found]
    if (runs := len({c.replace(seed=0) for c in configs})) > 1:
        raise ValueError(f"seeds of {runs} different runs: must be seeds of one run")
    names = [(c.seed, ds.attrs.get("dataset_digest"), semantics(ds)) for c, ds in zip(configs, found, strict=True)]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"seed={twice[0][0]}: must be of one recording, and {names.count(twice[0])} have it")
    return found


def several(recordings: xr.Dataset | Iterable[xr.Dataset]) -> list[xr.Dataset]:
    """Return a list of recordings, each as far as it did not diverge; what became of it, and of how many steps."""
    found = [recordings] if isinstance(recordings, xr.Dataset) or not is_list(recordings) else list(recordings)
    if not found:
        raise ValueError("recordings=[]: must be a recording or a list of them")
    return [alive(ds).assign_attrs({"all_steps": length(ds), **ds.attrs, "fate": fate(ds)})
            for ds in found]  # fmt: skip


def nothing(recordings: list[xr.Dataset]) -> ValueError:
    """Return the error for recordings that took no step."""
    fates = " and ".join(dict.fromkeys(ds.attrs["fate"] for ds in recordings if not ds.sizes["step"]))
    return ValueError(f"recordings: one {fates or 'has no steps'}, nothing to draw: must be runs that took a step")


def is_list(value) -> bool:
    """Return whether several recordings are given, as a list, a tuple or a generator."""
    return isinstance(value, (list, tuple)) or inspect.isgenerator(value)


def band(recordings: xr.Dataset | Iterable[xr.Dataset]) -> list[xr.Dataset]:
    """The same, of the same steps, for recordings that must be seeds of one run."""
    found = several(recordings)
    configs = {setting(ds).replace(seed=0) for ds in found}
    if len(configs) > 1:
        raise ValueError(f"{len(configs)} different runs: must be seeds of one run; draw the others on the same ax")
    kinds, meanings = images(found), sorted({semantics(ds) for ds in found})
    if len(kinds) > 1:
        warnings.warn(f"a band of recordings of {len(kinds)} data sets: {', '.join(kinds.values())}", stacklevel=4)
    if len(meanings) > 1:
        said = ", ".join(map(str, meanings))
        warnings.warn(f"a band of recordings of {len(meanings)} training semantics: {said}", stacklevel=4)
    if not all(ds.sizes["step"] for ds in found):
        raise nothing(found)
    steps = functools.reduce(np.intersect1d, [ds.step.values for ds in found])
    if not len(steps):
        raise ValueError(f"recordings: {len(found)} without a step in common, must be of the same steps")
    return [ds.isel(step=np.isin(ds.step.values, steps)) for ds in found]


def fates(recordings: list[xr.Dataset]) -> list[str]:
    """Say which of the recordings diverged or were stopped, and which do not learn."""
    fates = [ds.attrs["fate"] for ds in recordings if ds.attrs["fate"]]
    if len(recordings) == 1:
        return fates
    return [f"{fates.count(fate)} of {len(recordings)}: {fate}" for fate in dict.fromkeys(fates)]
