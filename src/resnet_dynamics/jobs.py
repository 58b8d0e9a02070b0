"""Runs as jobs: done here, or handed to an executor and collected as they come."""

from __future__ import annotations

import contextlib
import numbers
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from textwrap import shorten
from typing import NamedTuple

import xarray as xr

from . import cache, runs
from .config import Config
from .console import heard, say, warn, words
from .workers import Workers

__all__ = ["Job", "Outcome", "attempt", "checked", "outcomes", "perform"]

LOOKS = 50  # at a job, a second: a look at one of SLURM asks a shared disk


class Outcome(NamedTuple):
    """What came of a run: its recording, or why there is none."""

    ds: xr.Dataset | None
    failed: str = ""


@dataclass(frozen=True)
class Job:
    """Runs for one process, with what must be there as it is here.

    Attributes:
        configs: the runs.
        device: where to train if need be.
        cache: folder of the cache, and those that are read as well, as RESNET_DYNAMICS_CACHE has them.
        stand_in: folder or archive that stands in for CIFAR-10, or None.
        tries: 2 if it has been submitted before; dask would take two equal ones for one.
    """

    configs: tuple[Config, ...]
    device: str | None = None
    cache: str = field(default_factory=lambda: _caches())
    stand_in: str | None = field(default_factory=lambda: _stand_in())
    tries: int = 1


def _caches() -> str:
    return os.pathsep.join(os.path.abspath(one) for one in (cache.cache_dir(), *cache.shared_dirs()))


def _stand_in() -> str | None:
    from . import datasets

    given = datasets.given_stand_in()
    return given if given is None else os.path.abspath(os.path.expanduser(given))


def attempt(config: Config, device=None) -> Outcome:
    """Return the outcome of a run: that it fails is one, too."""
    try:
        return Outcome(runs.run(config, device=device, progress=False))
    except Exception as error:
        return Outcome(None, words(error))


def perform(job: Job) -> tuple[list[Outcome], list[str]]:
    """Do a job, in whatever process: return the outcome of each run, and what was warned of."""
    from . import datasets

    with cache.at(job.cache), datasets.standing_in(job.stand_in), heard() as warned, cache.call():
        return [attempt(config, job.device) for config in job.configs], warned


def checked(workers, executor, runs_per_job) -> None:
    """Raise ValueError if these cannot be meant."""
    for name, value in {"workers": workers, "runs_per_job": runs_per_job}.items():
        whole = isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= 1
        if not whole and (value is not None or name != "workers"):
            raise ValueError(f"{name}={value!r}: must be a whole number, at least 1")
    if executor is not None and workers is not None:
        raise ValueError(f"workers={workers}, executor={executor!r}: must be one of the two")
    if executor is not None and (isinstance(executor, type) or not callable(getattr(executor, "submit", None))):
        raise ValueError(f"executor={executor!r}: must have submit(function, *args), as those of concurrent.futures")


def outcomes(configs: dict, workers=None, executor=None, device=None, runs_per_job=1) -> Iterator[tuple]:
    """Yield (key, outcome) of each of these runs, key → Config, in the order in which they come.

    What is remembered is read here. The rest goes to an executor, or to `workers` processes on this machine, and is
    remembered here, too, where they have another cache. Ended before its time, it cancels what is left.

    What a run raises is its outcome. A job that gives none, because its process has died, is submitted once more, run
    by run; then that is the outcome of the run that it happens to again.
    """
    left = {}
    for key, config in configs.items():
        there = _there(config)
        if there is None:
            left[key] = config
        else:
            yield key, there
    if left:
        with contextlib.nullcontext(executor) if executor is not None else Workers(workers, len(left)) as pool:
            yield from _collected(left, pool, device, runs_per_job)


def _there(config) -> Outcome | None:
    """The outcome of a run, if it needs no training."""
    try:
        found = runs.recalled(config)
    except Exception as error:  # no images, for one
        return Outcome(None, words(error))
    return found if found is None else Outcome(found)


@dataclass(frozen=True, eq=False)
class _Submitted:
    keys: tuple
    job: Job
    future: object


def _collected(configs, executor, device, size):
    pending, said = [], set()
    try:
        for one in _submitted(configs, executor, device, size):
            pending.append(one)
        while pending:
            looked = [(one, one.future.done()) for one in pending]
            pending = [one for one, done in looked if not done]
            for one in (one for one, done in looked if done):
                try:
                    found, warned = _answer(one)
                except Exception as error:  # of the process, not of a run
                    if again := _again(one, executor):
                        pending += again
                        continue
                    found, warned = [Outcome(None, shorten(words(error), 300))] * len(one.keys), []
                yield from zip(one.keys, _kept(one.job, found, warned, said))
            if not any(done for _, done in looked):
                time.sleep(min(2, max(0.05, len(pending) / LOOKS)))
    finally:
        for one in pending:
            with contextlib.suppress(Exception):  # not all know how
                one.future.cancel()


def _answer(one) -> tuple[list[Outcome], list[str]]:
    """What a job gave; TypeError if it is not what `perform` returns of these runs."""
    given, wanted = one.future.result(), [config.digest for config in one.job.configs]
    try:
        found, warned = given
        got = [digest if ds is None else ds.attrs["digest"] for digest, (ds, _) in zip(wanted, found, strict=True)]
    except (TypeError, ValueError, AttributeError, KeyError):
        got = None
    if got != wanted:
        raise TypeError(f"the executor gave {shorten(repr(given), 80)}: must be what the function returns")
    return found, warned


def _submitted(configs, executor, device, size) -> Iterator[_Submitted]:
    keys = list(configs)
    with getattr(executor, "batch", contextlib.nullcontext)():  # submitit: one array of jobs, not many jobs
        for chunk in (tuple(keys[n : n + size]) for n in range(0, len(keys), size)):
            job = Job(tuple(configs[key] for key in chunk), device)
            yield _Submitted(chunk, job, _handed(job, executor))


def _handed(job, executor):
    future = executor.submit(perform, job)
    if not (callable(getattr(future, "done", None)) and callable(getattr(future, "result", None))):
        raise TypeError(f"{executor!r}.submit gave {shorten(repr(future), 80)}: must have done() and result()")
    return future


def _again(one, executor) -> list[_Submitted]:
    """The runs of a job that gave nothing, submitted one by one; nothing if that was its second time, or cannot be."""
    jobs = [replace(one.job, configs=(config,), tries=2) for config in one.job.configs if one.job.tries == 1]
    with contextlib.suppress(Exception):  # a pool that is broken takes no more
        return [_Submitted((key,), job, _handed(job, executor)) for key, job in zip(one.keys, jobs)]
    return []


def _kept(job, found, warned, said) -> list[Outcome]:
    """Remember what came back, if need be, and warn of each thing once."""
    with heard() as here:
        for config, outcome in zip(job.configs, found):
            if outcome.ds is not None:
                runs.keep(config, outcome.ds)
    for text in dict.fromkeys(warned + here):
        if text not in said:
            said.add(text)
            try:
                warn(text)
            except Warning:  # somebody makes errors of warnings; the other runs are worth more
                say(f"warning: {text}")
    return found
