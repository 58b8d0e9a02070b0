"""The cache holds whole files or none, and whatever is wrong with it, the call goes on."""

import errno
import fcntl
import os
import random
import re
import stat
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import small

import resnet_dynamics as rd
from resnet_dynamics import cache, image_cache, jobs, library, recording, runs


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    small.use(monkeypatch)
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def run(**given):
    return rd.run(small.config(), device="cpu", progress=False, **given)


def test_a_seal_sees_every_flipped_bit():
    content = bytes(range(256))
    sealed = content + cache.seal(content)
    assert cache.unseal(sealed) == cache.unseal(sealed + b"\r\n") == content
    for i in range(8 * len(sealed)):
        flipped = bytearray(sealed)
        flipped[i // 8] ^= 1 << i % 8
        with pytest.raises(cache.Damaged):
            cache.unseal(bytes(flipped))


def test_every_bundled_file_is_sealed_and_every_flip_in_one_is_named():
    files = sorted(library.bundle_dir().rglob("*.nc"))
    for path in files:
        assert cache.unseal(path.read_bytes()), path
    rng, file = random.Random(0), bytearray(files[0].read_bytes())
    for _ in range(20):
        at = rng.randrange(8 * (len(file) - len(cache.seal(b""))))
        file[at // 8] ^= 1 << at % 8
        with pytest.raises(recording.BrokenRecording, match="its checksum differs"):
            recording.parsed(bytes(file), files[0])
        file[at // 8] ^= 1 << at % 8


def test_a_tilde_is_a_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(cache.VARIABLE, "~/remembered")
    assert cache.cache_dir() == tmp_path / "remembered"
    monkeypatch.setenv(cache.VARIABLE, "~nobody-of-that-name/x")
    with pytest.raises(ValueError, match=f"{cache.VARIABLE}='~nobody-of-that-name/x': must be a folder"):
        cache.cache_dir()


# Folders that a class shares
def tree(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def shared(folder, monkeypatch, tmp_path):
    """A folder that somebody has filled, and which is not ours to change."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "shared"))
    run()
    monkeypatch.setenv(cache.VARIABLE, os.pathsep.join((str(folder), str(tmp_path / "shared"))))
    return tmp_path / "shared"


def test_what_a_class_shares_is_found_and_not_written(folder, shared, monkeypatch):
    before, train = tree(shared), runs._train
    monkeypatch.setattr(runs, "_train", None)  # which is an error
    assert runs.remembered(small.config()) and runs.recalled(small.config()) is not None
    assert run().attrs["config"] == recording.load(*shared.glob("runs/*.nc")).attrs["config"] and not folder.exists()
    monkeypatch.setattr(runs, "_train", train)
    mine = small.config(seed=1)
    rd.run(mine, device="cpu", progress=False)
    assert tree(shared) == before and {path.stem for path in folder.glob("runs/*.nc")} == {mine.digest}


def test_images_that_a_class_shares_are_not_made_again(folder, shared):
    pixels, labels = np.zeros((2, 2, 2, 3), np.uint8), [0, 0]
    made = image_cache.arrays(pixels, labels, pixels, labels, ["one"])
    assert image_cache.stored(image_cache.own_file(made.digest), made)
    (folder / "datasets").rename(shared / "datasets")
    assert image_cache.recalled(image_cache.own_file(made.digest)).digest == made.digest


def test_a_damaged_file_that_a_class_shares_is_named_and_made_here(folder, shared):
    (file,) = shared.glob("runs/*.nc")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.warns(UserWarning, match=f"{re.escape(str(file))}.* The run is done again"):
        run()
    assert (folder / "runs" / file.name).is_file() and run().sizes["step"] == 10  # and no warning


def test_ones_own_folder_comes_first_and_is_the_usual_one_if_it_has_no_name(folder, monkeypatch, tmp_path):
    monkeypatch.setenv(cache.VARIABLE, os.pathsep.join(("", " ~/class", "", str(folder))))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(cache.platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    assert cache.cache_dir() == tmp_path / "resnet_dynamics"
    assert cache.shared_dirs() == [tmp_path / "class", folder]
    own = cache.cache_dir() / "runs" / "a.nc"
    assert cache.found(own) == own
    for there in (folder, tmp_path / "class", cache.cache_dir()):
        (there / "runs").mkdir(parents=True)
        (there / "runs" / "a.nc").touch()
        assert cache.found(own) == there / "runs" / "a.nc"


def test_a_job_reads_what_a_class_shares(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(cache.VARIABLE, os.pathsep.join(("own", "shared")))
    with cache.at(jobs.Job(()).cache):
        assert (cache.cache_dir(), *cache.shared_dirs()) == (tmp_path / "own", tmp_path / "shared")


def test_what_is_not_a_file_of_the_cache_is_nowhere_else(shared, tmp_path):
    assert cache.found(tmp_path / "runs" / "a.nc") == tmp_path / "runs" / "a.nc"


# What cannot be used: one warning, and the recording all the same
def occupied(path):
    path.write_text("mine")


def occupied_inside(path):
    path.mkdir()
    (path / "runs").write_text("mine")


def device(path):
    path.symlink_to(os.devnull)


@pytest.mark.parametrize("make", [occupied, occupied_inside, device])
def test_a_cache_that_cannot_be_used_is_one_warning(folder, make):
    make(folder)
    with pytest.warns(UserWarning) as warned:
        ds = run()
    assert ds.sizes["step"] == 10 and len(warned) == 1 and warned[0].filename == __file__
    words = str(warned[0].message)
    assert str(folder) in words and cache.VARIABLE in words and "comes back all the same" in words
    assert run(remember=False).equals(ds)  # and no warning


def test_no_home_is_no_cache_and_no_folder_named_tilde(tmp_path, monkeypatch):
    monkeypatch.delenv(cache.VARIABLE)
    monkeypatch.setattr(cache.platformdirs, "user_cache_dir", lambda name: f"~/.cache/{name}")
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match=cache.VARIABLE) as warned:
        assert run().sizes["step"] == 10
    assert len(warned) == 1 and list(tmp_path.iterdir()) == []


OTHER = """
import os, sys, warnings
sys.path[:0] = %r
import small, resnet_dynamics as rd
small.use()
rd.run(small.config(), device="cpu", progress=False, remember=False)  # all is imported
os.setgid(65534), os.setuid(65534)
with warnings.catch_warnings():
    warnings.simplefilter("error")
    print(float(rd.run(small.config(), progress=False).loss[-1]))
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    print(rd.run(small.config(seed=1), device="cpu", progress=False).sizes["step"], len(warned), warned[0].message)
"""


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can be somebody else for a while")
@pytest.mark.parametrize("mode", [0o755, 0o555])
def test_a_cache_of_somebody_else_is_read_and_not_needed(monkeypatch, mode):
    """A teacher has filled it; a student asks for what is there, and for more."""
    code = OTHER % [str(Path(__file__).parent), str(Path(rd.__file__).parents[1])]
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv(cache.VARIABLE, folder)
        there = run()
        for one in (folder, f"{folder}/runs"):
            os.chmod(one, mode)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert float(first) == float(there.loss[-1])
    assert second.startswith("10 1 the cache") and cache.VARIABLE in second


def test_folders_in_a_shared_cache_are_as_open_as_it_is(folder):
    folder.mkdir()
    folder.chmod(0o2770)
    run()
    assert stat.S_IMODE((folder / "runs").stat().st_mode) == 0o2770
    (lock,) = (folder / "runs").glob("*.lock")
    assert stat.S_IMODE(lock.stat().st_mode) == 0o660


FULL = """
import resource, sys, warnings
sys.path[:0] = %r
import small, resnet_dynamics as rd
small.use()
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))  # no file may be larger: as on a full disk
    ds = rd.run(small.config(), device="cpu", progress=False)
print(ds.sizes["step"], len(warned), warned[0].message)
"""


def test_on_a_full_disk_the_recording_comes_back(folder):
    code = FULL % [str(Path(__file__).parent), str(Path(rd.__file__).parents[1])]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0 and done.stderr == "", (done.returncode, done.stderr)
    assert done.stdout.startswith("10 1 the cache") and "File too large" in done.stdout
    assert [f.name for f in (folder / "runs").iterdir() if not f.name.endswith(".lock")] == []
    assert run().sizes["step"] == 10  # with room again


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, 524], ids=str)
def test_without_locks_it_goes_on_with_one_warning(folder, monkeypatch, number):
    """As on network file systems. What is read needs no lock at all."""
    there = run()

    def flock(*given):
        raise OSError(number, "no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)
    assert run().equals(there)
    name = next(iter(rd.bundled()))
    assert rd.run(rd.bundled()[name]).sizes["step"] > 1000
    with pytest.warns(UserWarning) as warned:
        other = rd.run(small.config(seed=1), device="cpu", progress=False)
    assert len(warned) == 1 and "has no locks: two processes may make the same" in str(warned[0].message)
    assert rd.run(small.config(seed=1), device="cpu").equals(other)  # it is remembered all the same


def test_what_somebody_else_has_open_is_read_and_not_replaced(folder):
    there = run()
    (file,) = (folder / "runs").glob("*.nc")
    before = file.stat()
    with open(file, "r+b") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        assert run().equals(there)
    assert file.stat().st_mtime_ns == before.st_mtime_ns and file.stat().st_ino == before.st_ino


def test_what_cannot_be_read_is_not_replaced(folder, monkeypatch):
    there = run()
    (file,) = (folder / "runs").glob("*.nc")
    content, read = file.read_bytes(), Path.read_bytes

    def failing(path):
        if path == file:
            raise OSError(errno.EIO, "Input/output error")
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", failing)
        with pytest.warns(UserWarning, match="Input/output error") as warned:
            assert run().equals(there)
    assert len(warned) == 1 and file.read_bytes() == content


def test_what_is_not_to_be_remembered_touches_nothing(folder, monkeypatch):
    run(remember=False)
    assert not folder.exists()
    there = run()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert run(remember=False).equals(there)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_without_a_home_in_the_password_file_there_is_no_cache(monkeypatch):
    def nobody(name):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(cache.VARIABLE)
    monkeypatch.setattr(cache.platformdirs, "user_cache_dir", nobody)
    with pytest.warns(UserWarning, match=cache.VARIABLE):
        assert run().sizes["step"] == 10


def test_where_warnings_are_errors_the_recording_comes_back(folder, capsys):
    folder.write_text("mine")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run().sizes["step"] == 10
    assert "is of no use" in capsys.readouterr().out


def test_files_in_a_shared_cache_are_as_open_as_it_is(folder):
    folder.mkdir()
    folder.chmod(0o2777)
    before = os.umask(0o077)
    try:
        run()
    finally:
        os.umask(before)
    (file,) = (folder / "runs").glob("*.nc")
    assert stat.S_IMODE(file.stat().st_mode) == 0o666


# Files that are somebody's own
def test_a_file_is_written_where_a_link_leads_and_keeps_its_mode(tmp_path):
    real, link = tmp_path / "real.nc", tmp_path / "link.nc"
    real.write_bytes(b"before")
    real.chmod(0o600)
    link.symlink_to(real)
    cache.write(link, b"content")
    assert link.is_symlink() and cache.unseal(real.read_bytes()) == b"content"
    assert stat.S_IMODE(real.stat().st_mode) == 0o600


def test_a_device_a_pipe_or_a_folder_is_not_replaced(tmp_path):
    pipe, to_device = tmp_path / "pipe.nc", tmp_path / "null.nc"
    os.mkfifo(pipe)
    to_device.symlink_to(os.devnull)
    for path in (pipe, to_device):
        with pytest.raises(OSError, match=f"{path.name}: must be a file; a device or pipe is there"):
            cache.write(path, b"content")
    with pytest.raises(IsADirectoryError, match="a folder is where a file should be"):
        cache.write(tmp_path, b"content")
    assert stat.S_ISFIFO(pipe.stat().st_mode) and stat.S_ISCHR(to_device.stat().st_mode)


def test_a_pipe_in_the_place_of_a_recording_is_not_waited_for(folder):
    path = runs.place(small.config(), small.expected("synthetic"))
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    with pytest.warns(UserWarning, match="neither a file nor a folder"):
        assert run().sizes["step"] == 10
    assert stat.S_ISFIFO(path.stat().st_mode)


# Waiting
def test_waiting_for_another_process_is_said_and_ends_when_told(folder, capsys):
    path = runs.place(small.config(), small.expected("synthetic"))
    code = f"""
import sys, time
from filelock import FileLock
with FileLock({str(path)!r} + ".lock"):
    print("held", flush=True)
    time.sleep(60)
"""
    path.parent.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "held\n"
            asked = []

            def enough():
                asked.append(1)
                if len(asked) == 3:
                    raise LookupError

            with pytest.raises(LookupError):
                rd.run(small.config(), device="cpu", waiting=enough)
            assert capsys.readouterr().out.count(f"Another process is making {path.stem}") == 1
            end = threading.Timer(0.5, process.kill)
            end.start()
            assert run().sizes["step"] == 10  # once that process is gone
            end.join()
        finally:
            process.kill()


def test_a_run_that_asks_for_itself_is_an_error_and_not_a_deadlock():
    def again(t, so_far):
        run()

    began = time.monotonic()
    with pytest.raises(RuntimeError, match="it would wait for itself"):
        run(each=again)
    assert time.monotonic() - began < 60 and run().sizes["step"] == 10


# What is there
def test_what_is_there_can_be_seen_and_cleared(folder):
    run()
    found = cache.files("runs")
    assert {path.suffix for path in found} == {".nc", ".lock"} and sum(found.values()) > 10_000
    with cache.turn(next(path for path in found if path.suffix == ".nc")):
        assert cache.clear("runs") == {}  # somebody makes it
    assert cache.clear("runs") == found and cache.files("runs") == {}
    with pytest.raises(ValueError, match="kind='run': must be one of runs, images, downloads"):
        cache.files("run")
