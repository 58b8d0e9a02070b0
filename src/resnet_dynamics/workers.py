"""Executors for sweeps: processes on this machine, and the machines of a Ray cluster.

An executor has `submit(function, *args)`, which returns at once, and what it returns has `done()` and `result()`: see
concurrent.futures. There are many others: loky, submitit for SLURM, dask's Client.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["RayExecutor", "Workers", "serve", "share"]

# The first line of a process: no Ctrl-C of its own, since it is the caller's to stop, and the caller's imports. Until
# that is read, `_deaf` sees to it.
START = """\
import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); sys.path[:] = {path!r}
from resnet_dynamics.workers import serve; serve({place}, {of}, {threads})
"""


class Workers(contextlib.AbstractContextManager):
    """An executor: n processes on this machine, which share its threads and its GPUs.

        with Workers(4) as executor:
            executor.submit(function, *args).result()

    Functions and arguments are pickled. The processes are fresh ones, as by `spawn`, but do not read the caller's
    script again, so that it needs no `if __name__ == "__main__"`. Each takes an nth of the threads that torch has in
    the caller's process, but at least one, and the GPUs in turn. One that dies is replaced; only the call that it was
    busy with fails, with ChildProcessError. All end with the `with`, whatever they are doing, and with the caller's
    process.

    Args:
        n: number of processes.
        starting: how many of them will be needed at most; None is all.
    """

    def __init__(self, n: int, starting: int | None = None):
        self._workers = [_Worker(place, n) for place in range(n if starting is None else min(n, starting))]
        self._idle = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(len(self._workers), "worker")  # each waits for one process
        for worker in self._workers:
            self._idle.put(worker)

    def submit(self, function, /, *args) -> Future:
        return self._threads.submit(self._call, pickle.dumps((function, args)))

    def _call(self, call):
        worker = self._idle.get()
        try:
            return worker.answer(call)
        finally:
            self._idle.put(worker)

    def __exit__(self, *error):
        for worker in self._workers:  # first, and without waiting: a second Ctrl-C may end all the rest
            worker.stop()
        self._threads.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.end()


class _Worker:
    """A place for a process, which takes calls from one pipe, and puts what they return, or raise, into another."""

    def __init__(self, place, of):
        torch = sys.modules.get("torch")  # without it the process counts as this one would
        self._code = START.format(path=sys.path, place=place, of=of, threads=torch and torch.get_num_threads())
        self._process, self._over = None, False
        self._start()

    def _start(self):
        with _deaf():
            self._process = subprocess.Popen([sys.executable, "-c", self._code], stdin=subprocess.PIPE,
                                             stdout=subprocess.PIPE)  # fmt: skip
        if self._over:  # it was stopped meanwhile
            self._process.kill()

    def answer(self, call: bytes):
        if self._process.poll() is not None and not self._over:
            self._start()
        process = self._process
        try:
            pickle.dump(call, process.stdin)
            process.stdin.flush()
            answer = pickle.load(process.stdout)
        except (OSError, ValueError, EOFError, pickle.UnpicklingError):  # closed, or half an answer
            raise ChildProcessError(_ended(process)) from None
        value, error = pickle.loads(answer)
        if error is not None:
            raise error
        return value

    def stop(self) -> None:
        self._over = True
        self._process.kill()

    def end(self) -> None:
        _killed(self._process)


@contextlib.contextmanager
def _deaf():
    """Let a process that is started inside hear no Ctrl-C: it inherits what this thread does not hear meanwhile."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ended(process) -> str:
    """How a process ended that has closed its pipe, in words."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
    status = _killed(process)
    if status >= 0:
        return f"its process ended with status {status}"
    hint = ", as systems end what wants too much memory" if status == -signal.SIGKILL else ""
    return f"its process was ended by {signal.Signals(-status).name}{hint}"


def _killed(process) -> int:
    """End a process whatever it does; return its status, or minus the signal that ended it."""
    process.kill()
    status = process.wait()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            pipe.close()
    return status


def serve(place: int, of: int, threads: int | None) -> None:
    """Be process number `place` of `of`: answer calls until the pipe is closed, or the caller is gone."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is printed is no answer
    calls = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(calls,), daemon=True).start()
    share(place, of, threads)
    while True:
        pickle.dump(_answer(calls.get()), answers)
        answers.flush()


def _answer(call: bytes) -> bytes:
    """What a call returns and None, or None and what it raises."""
    try:
        function, args = pickle.loads(call)
        return pickle.dumps((function(*args), None))
    except Exception as error:
        return pickle.dumps((None, error))


def _listen(calls) -> None:
    """Put the calls into a queue; end the process, in the middle of a run, too, when nobody is there to call."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            calls.put(pickle.load(sys.stdin.buffer))
    os._exit(0)


def share(place: int, of: int, threads: int | None = None) -> None:
    """Let torch have an nth of the threads (None: of as many as it takes alone), and one GPU if there are several."""
    import torch

    torch.set_num_threads(max(1, (threads or torch.get_num_threads()) // of))
    if torch.cuda.device_count() > 1:
        torch.cuda.set_device(place % torch.cuda.device_count())


class RayExecutor:
    """An executor: the Ray cluster of `ray.init(...)`, or of the machine if that was not called.

        sweep(base, executor=RayExecutor(num_cpus=2), lr=[0.1, 0.2])

    Ray itself calls again what ran on a node that is gone, three times unless `max_retries` says otherwise. torch takes
    `num_cpus` threads. The package must be installed on all nodes.

    Args:
        options: of `ray.remote`: num_cpus, num_gpus, max_retries, resources ...
    """

    def __init__(self, **options):
        import ray

        self._ray, self._remote = ray, ray.remote(**{"num_cpus": 1} | options)(_called)

    def submit(self, function, /, *args):
        return _RayCall(self._ray, self._remote.remote(function, args))


def _called(function, args):
    return function(*args)


class _RayCall:
    """What Ray promises, as a future."""

    def __init__(self, ray, promise):
        self._ray, self._promise = ray, promise

    def done(self) -> bool:
        return bool(self._ray.wait([self._promise], timeout=0)[0])

    def result(self):
        return self._ray.get(self._promise)

    def cancel(self) -> None:
        self._ray.cancel(self._promise, force=True)
