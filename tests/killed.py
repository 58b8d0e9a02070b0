"""Kill runs at random moments and call again; test_runs.py runs this in a process of its own and reads its verdict.

Each run is a fork of this process, in which everything is imported and warm: 60 of them take seconds.
Prints one line of JSON.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import small

import resnet_dynamics as rd
from resnet_dynamics import cache, recording, runs
from resnet_dynamics.recording import cache_dir

KILLS = 60
CONFIG = small.config()


def fork(then) -> int:
    """Run `then` in a child; its exit status is 0 if that returns normally."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        then()
        status = 0
    finally:
        sys.stderr.flush()
        os._exit(status)


def ended(child) -> int:
    """Wait for a child; return its exit status, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run():
    rd.run(CONFIG, device="cpu", progress=False)


def killed_at_random(path: Path) -> dict:
    random.seed(0)
    run()
    path.unlink()
    began = time.perf_counter()
    assert ended(fork(run)) == 0
    length = time.perf_counter() - began
    expected = recording.load(path, CONFIG)
    content, began = recording.content(expected), time.perf_counter()
    cache.write(path, content)
    length_of_save = time.perf_counter() - began

    kills, wholes, parts, i = 0, 0, 0, 0
    while kills < KILLS and i < 4 * KILLS:
        i += 1
        path.unlink()
        reader, writer = os.pipe()
        write = cache.write

        def announced(*given):
            os.write(writer, b"!")  # noqa: B023  the fork has its own
            write(*given)  # noqa: B023

        def saving():
            cache.write = announced  # noqa: B023
            run()

        child = fork(saving if i % 2 else run)
        os.close(writer)
        if i % 2:  # every other one while it saves
            os.read(reader, 1)
            time.sleep(random.uniform(0, length_of_save))
        else:
            time.sleep(random.uniform(0, length))
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        kills += ended(child) == -signal.SIGKILL  # else it had ended before
        parts += len(list(path.parent.glob(".*.part")))
        if path.exists():
            recording.load(path, CONFIG)  # whole: raises otherwise
            wholes += 1
        assert ended(fork(run)) == 0, f"the call after kill {i} failed"
        assert recording.load(path, CONFIG).equals(expected), f"the call after kill {i} is wrong"
    return {"kills": kills, "whole": wholes, "in save": parts, "seconds": [round(length, 3), round(length_of_save, 3)],
            "left": sorted(f.name for f in path.parent.iterdir())}  # fmt: skip


def two_at_once(path: Path) -> dict:
    path.unlink(missing_ok=True)
    log = path.parent / "trained"
    train = runs._train

    def counted(*given):
        with open(log, "a") as file:
            file.write("x")
        return train(*given)

    runs._train = counted
    children = [fork(run) for _ in range(3)]
    statuses = [ended(child) for child in children]
    runs._train = train
    recording.load(path, CONFIG)
    trained = log.read_text()
    log.unlink()
    return {"statuses": statuses, "trained": len(trained)}


if __name__ == "__main__":
    small.use()
    path = cache_dir() / "runs" / f"{CONFIG.digest}.nc"
    print(json.dumps({"killed": killed_at_random(path), "at once": two_at_once(path)}))
