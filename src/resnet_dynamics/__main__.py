"""The command line: python -m resnet_dynamics train | sweep | record | bench | cache."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import inspect
import json
import os
import re
import sys
import time
from pathlib import Path

from . import __version__, cache, library, measure, recording, runs
from .config import BUDGETS, Config
from .sweep import record as record_sweep
from .sweep import sweep as run_sweep

EXAMPLES = """\
examples:
  python -m resnet_dynamics train --budget smoke         a small network on generated images: seconds, no download
  python -m resnet_dynamics train --budget class --lr 4 --momentum 0
  python -m resnet_dynamics sweep --budget smoke --lr 0.1 0.2 0.4 --seed 0 1 2 --output table.nc
  python -m resnet_dynamics record --data cifar10.tar.xz --minutes 60
  python -m resnet_dynamics bench                        how fast is this machine?
  python -m resnet_dynamics cache                        what is remembered, where, and how large it is
"""
BUDGET = (
    "how much of the baseline, before the flags below change it: smoke (seconds, for a first look), class (about a "
    "minute on a T4), full (the baseline, default), book (the scale of the runs in the book)"
)


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns the exit status.

    0; 1 after the reader of a pipe has left; 2 after a value, a file or a machine that will not do; 130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):  # a console that has no λ shows a ?
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.reconfigure(errors="replace")
    try:
        arguments = parser().parse_args(argv)
        arguments.command(arguments)
        with contextlib.suppress(AttributeError):  # there is no stdout
            sys.stdout.flush()
    except BrokenPipeError:
        with contextlib.suppress(OSError, AttributeError, ValueError):  # what is still to be written has nowhere to go
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, ImportError, RuntimeError, MemoryError) as error:
        _complain(f"error: {' '.join(str(error).split()) or type(error).__name__}")
        return 2
    except KeyboardInterrupt as stop:
        if not getattr(stop, "said", False):  # else the training has said so itself
            _complain("Stopped. What was not finished is not remembered.")
        return 130
    return 0


def _complain(text: str) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(text, file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    """Return the parser: every field of Config is a flag of train and bench, explained as in Config's docstring."""
    wide = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(
        prog="python -m resnet_dynamics",
        description="Train networks, record how their weights move, and measure how fast that goes.",
        epilog=EXAMPLES,
        formatter_class=wide,
    )
    top.add_argument("--version", action="version", version=f"resnet_dynamics {__version__}")
    commands = top.add_subparsers(metavar="train | sweep | record | bench | cache", required=True)
    device = argparse.ArgumentParser(add_help=False)
    device.add_argument("--device", help='"cpu", "cuda" ...; without it the GPU if there is one')
    quiet = argparse.ArgumentParser(add_help=False)
    quiet.add_argument("--quiet", action="store_true", help="no announcement, no progress bar")
    several = argparse.ArgumentParser(add_help=False)
    several.add_argument("--workers", type=int, metavar="N", help="do N runs of a sweep at a time, in processes that "
                         "share the machine's threads; without it one after another")  # fmt: skip

    def command(name, function, parents, text):
        sub = commands.add_parser(name, parents=parents, help=text, description=text, formatter_class=wide)
        sub.set_defaults(command=function)
        return sub

    sub = command("train", train, [device, quiet], "Train one network, or fetch its recording if there is one.")
    sub.add_argument("--output", type=_file, metavar="FILE", help="write the recording here, too (NetCDF)")
    sub.add_argument("--filters", action="store_true", help="record every output filter as well as every layer")
    _add_config(sub)

    sub = command("sweep", sweep, [device, quiet, several], "Train every combination of some values, and print what "
                  "came of it. Resumable: what has run is remembered.")  # fmt: skip
    sub.add_argument("--output", type=_file, metavar="FILE", help="write the table here, too (NetCDF)")
    _add_config(sub, several=True)

    sub = command("record", record, [device, quiet, several], "Record the runs of the book that are missing.")
    sub.add_argument("--data", metavar="ARCHIVE", help="images in place of CIFAR-10: train|test/<class>/* in a folder, "
                     "tar or zip; without it CIFAR-10 is downloaded")  # fmt: skip
    names = ", ".join([*library.planned(), *library.planned_sweeps()])
    sub.add_argument("--only", nargs="+", metavar="NAME", default=(), help=f"of {names}")
    sub.add_argument("--minutes", type=_minutes, metavar="M", help="start no run that would not end within M minutes; "
                     "a sweep can be stopped at any time, and goes on where it was")  # fmt: skip
    sub.add_argument("--folder", type=_place, default=library.bundle_dir(), help="default: in the package")

    sub = command("bench", bench, [device, quiet], "Measure a training step: with and without the recorder, against "
                  "a plain loop, as a share of what matrix products reach; then memory, and other widths.")  # fmt: skip
    sub.add_argument("--rounds", type=int, default=5, help="times that each loop is measured, in turn (default 5)")
    sub.add_argument("--minutes", type=_minutes, metavar="M", default=5.0, help="at most about so many (default 5); "
                     "Ctrl-C keeps what was measured until then")  # fmt: skip
    sub.add_argument("--json", type=_file, metavar="FILE", help="write what was measured here, too")
    _add_config(sub)

    sub = command("cache", show_cache, [], "Say what is remembered, where, and how large it is; or clear it. What is "
                  "cleared is made, or downloaded, again when it is needed.")  # fmt: skip
    sub.add_argument("--clear", nargs="+", choices=cache.KINDS, metavar="KIND",
                     help=f"remove all of these kinds: {', '.join(cache.KINDS)}")  # fmt: skip
    return top


def _place(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise argparse.ArgumentTypeError(f"{text!r}: nobody has that home") from None


def _file(text: str) -> Path:
    """A file that can be written, as far as one can tell before the work."""
    path = _place(text)
    try:
        if not text.strip() or not cache.regular(path).parent.is_dir():
            raise OSError(f"{text!r}: must be a file in a folder that is there")
    except OSError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return path


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 0 <= minutes < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: must be a number of minutes, 0 or more")
    return minutes


def _add_config(sub, several=False) -> None:
    title = "what determines the runs; several values make a dimension" if several else "what determines the run"
    group = sub.add_argument_group(title, "Defaults are those of the budget.")
    group.add_argument("--budget", choices=[*BUDGETS], default="full", help=BUDGET)
    for field in dataclasses.fields(Config):
        flag, many = "--" + field.name.replace("_", "-"), {"nargs": "+"} if several else {}
        text = f"{explained()[field.name]} Baseline: {field.default}.".strip().replace("%", "%%")
        if isinstance(field.default, bool):
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=text)
        else:
            group.add_argument(flag, type=_value, default=argparse.SUPPRESS, help=text, metavar=_metavar(field), **many)


def explained() -> dict[str, str]:
    """Return field → what Config's docstring says of it, in one line."""
    if "Attributes:" not in (Config.__doc__ or ""):  # python -OO
        return {field.name: "" for field in dataclasses.fields(Config)}
    text = inspect.cleandoc(Config.__doc__).split("Attributes:\n")[1].split("\n\n")[0]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", text, re.MULTILINE)
    return {name: " ".join(line.strip() for line in lines.splitlines()) for name, lines in entries}


def _metavar(field) -> str:
    return {"str": "NAME", "int": "N", "float": "X"}[field.type.split(" ")[0]]


def _value(text: str):
    """A number if it reads as one, None for "none"; Config says whether it may be."""
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            pass
    return None if text.lower() == "none" else text


def _config(arguments, **given) -> Config:
    names = {field.name for field in dataclasses.fields(Config)}
    given |= {name: value for name, value in vars(arguments).items() if name in names}
    make = {"smoke": Config.smoke, "class": Config.classroom, "full": Config.full, "book": Config.book}
    return make[arguments.budget](**given)


def train(arguments) -> None:
    config, begin = _config(arguments), time.perf_counter()
    there = runs.remembered(config)
    ds = runs.run(config, filters=arguments.filters, device=arguments.device, progress=not arguments.quiet)
    if arguments.output:
        recording.save(ds, arguments.output)
    kept = "was there" if there else "now remembered" if runs.remembered(config) else "not remembered"
    print(f"{config} {config.digest}: {_outcome(ds)}; {kept}, "
          f"{time.perf_counter() - begin:.1f} s")  # fmt: skip


def sweep(arguments) -> None:
    fields = [field.name for field in dataclasses.fields(Config) if hasattr(arguments, field.name)]
    given = {name: getattr(arguments, name) for name in fields}
    axes = {name: values for name, values in given.items() if isinstance(values, list) and len(values) > 1}
    one = {name: values[0] if isinstance(values, list) else values for name, values in given.items()}
    for name, values in one.items():
        setattr(arguments, name, values)  # of an axis its first value: a base that is allowed
    how = dict(workers=arguments.workers, device=arguments.device, progress=not arguments.quiet)
    table = run_sweep(_config(arguments), **how, **axes)
    if arguments.output:
        recording.save(table, arguments.output)
    for n in range(max(1, table.digest.size)):
        row = table.stack(run=list(axes)).isel(run=n) if axes else table
        said = ", ".join(f"{name}={row[name].item()}" for name in axes) or "the run"
        print(f"{said}: {_row(row)}")


def _row(row) -> str:
    if row.failed.item():
        return f"failed, {row.failed.item()}"
    if row.diverged_at >= 0:
        return f"diverged at step {row.diverged_at.item():.0f}"
    return f"test accuracy {row.final_accuracy.item():.2%}, {row.seconds.item():.0f} s"


def record(arguments) -> None:
    begin = time.monotonic()
    planned, sweeps = library.planned(), library.planned_sweeps()
    names = [*planned, *sweeps]
    if unknown := [name for name in arguments.only if name not in names]:  # said before the others take hours
        raise ValueError(f"no such run or sweep: {', '.join(unknown)}; the manifest has {', '.join(names)}")
    for name in arguments.only or names:
        if name in sweeps:
            table, there = record_sweep(
                name, arguments.data, arguments.device, arguments.folder, not arguments.quiet, arguments.workers
            )
            print(f"{name}: {table.digest.size} runs; {'was there' if there else 'recorded'}", flush=True)
            continue
        there = library.recording_file(planned[name], arguments.folder).is_file()
        if arguments.minutes is not None and not there:
            from .bench import estimate

            left = 60 * arguments.minutes - (time.monotonic() - begin)
            takes = estimate(planned[name], arguments.device, arguments.data) if left > 0 else 0
            if takes >= left:
                print(f"{name}: not started, it takes {takes / 60:.1f} min and {max(left, 0) / 60:.1f} min are left")
                continue
        recorded = runs.record(
            arguments.data, [name], arguments.device, arguments.folder, progress=not arguments.quiet
        )
        for _, ds in recorded:
            print(f"{name}: {_outcome(ds)}; {'was there' if there else 'recorded'}, {ds.attrs['seconds']:.0f} s "
                  f"on {ds.attrs['device']}", flush=True)  # fmt: skip


def bench(arguments) -> None:
    from .bench import bench, report

    config = _config(arguments, data="synthetic")
    measured = bench(config, arguments.device, rounds=arguments.rounds, minutes=arguments.minutes,
                     progress=not arguments.quiet)  # fmt: skip
    if arguments.json:
        cache.write(arguments.json, (json.dumps(measured, indent=1, ensure_ascii=False) + "\n").encode(), sealed=False)
    print(report(measured))
    if not measured["finished"]:
        raise KeyboardInterrupt


def show_cache(arguments) -> None:
    for kind in arguments.clear or ():
        files = cache.clear(kind)
        print(f"cleared {kind}: {_count(files)}")
    print(f"{cache.cache_dir()}; {cache.VARIABLE} moves it")
    for folder in cache.shared_dirs():
        print(f"found as well: {folder}, whose files are not listed or cleared")
    for kind in cache.KINDS:
        files = cache.files(kind)
        print(f"  {kind:9} {_count(files)}")
        for path, size in sorted(files.items()):
            print(f"    {path.name:40} {_size(size):>9}  {_what(path)}".rstrip())


def _count(files) -> str:
    return f"{len(files)} file{'s' * (len(files) != 1)}, {_size(sum(files.values()))}"


def _size(size) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def _what(path) -> str:
    """What a remembered run is, in short; of a file that does not read, why."""
    if path.suffix != ".nc":
        return ""
    try:
        ds = recording.read(path)
        return f"{recording.config(ds)}, {ds.attrs['dataset']}: {_outcome(ds)}"
    except Exception as error:  # of another version, or not of this package: the list goes on
        return f"does not read ({' '.join(str(error).split())})"


def _outcome(ds) -> str:
    if ds.attrs["diverged_at"] >= 0:
        return f"diverged at step {ds.attrs['diverged_at']}"
    if measure.dead(ds):
        return f"does not learn, the loss stays at {float(ds.loss[-1]):.3g}"
    return f"test accuracy {float(ds.test_accuracy[-1]):.2%}"


if __name__ == "__main__":
    sys.exit(main())
