import hashlib
import http.server
import io
import os
import pickle
import re
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pets
import pytest
import torch
import torchvision
from pets import pack, picture, saved
from PIL import Image
from torchvision.datasets import CIFAR10

from resnet_dynamics import cache as caches
from resnet_dynamics import cifar, datasets, download, folders, image_cache


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache and an empty folder for temporary files, in which no test leaves anything."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv(caches.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(datasets.VARIABLE, raising=False)
    monkeypatch.setattr(image_cache, "_unkept", {})
    yield tmp_path / "cache" / "datasets"
    assert list(temporary.iterdir()) == []


def stored(folder: Path) -> list[str]:
    """The names of the files in a folder, without locks."""
    return sorted(f.name for f in folder.glob("*") if f.suffix != ".lock")


# ---------------------------------------------------------------------------------------- your own


@pytest.fixture
def tree(tmp_path):
    return pets.folder(tmp_path)


def test_images_are_bytes_with_labels_in_the_order_of_names(tree):
    mine = datasets.images(tree)
    assert mine.train_x.shape == (6, 32, 32, 3) and mine.train_x.dtype == torch.uint8
    assert mine.train_y.tolist() == [0, 0, 0, 1, 1, 1] and mine.train_y.dtype == torch.int64
    assert mine.test_x.shape == (4, 32, 32, 3) and mine.test_y.tolist() == [0, 0, 1, 1]
    assert mine.classes == ("cat", "dog")
    assert mine.train_x[3].numpy().tolist() == np.asarray(picture(13)).tolist()
    assert mine.name == f"images {mine.digest}" and mine.key == f"images:{mine.digest}"


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar", "bztar", "xztar"])
def test_an_archive_is_the_folder_that_it_was_made_from(tree, kind):
    assert datasets.images(pack(tree, kind)).digest == datasets.images(tree).digest


def test_decoded_once_and_found_by_its_key(tree, monkeypatch):
    mine = datasets.images(tree)
    monkeypatch.setattr(folders, "decoded", lambda content: pytest.fail("decoded again"))
    for again in (datasets.images(str(tree)), datasets.load(mine.key)):
        assert again.train_x.equal(mine.train_x) and again.test_y.equal(mine.test_y)
        assert (again.classes, again.name, again.key) == (mine.classes, mine.name, mine.key)


def test_a_changed_folder_is_another_set(tree):
    before = datasets.images(tree)
    picture(99).save(tree / "test" / "dog" / "9.png")
    after = datasets.images(tree)
    assert len(after.test_x) == 5 and after.digest != before.digest
    assert len(datasets.load(before.key).test_x) == 4


def test_the_digest_tells_pixels_labels_and_names_apart():
    x, y = np.zeros((4, 32, 32, 3), np.uint8), [0, 0, 1, 1]
    same = image_cache.arrays(x, y, x, y, ("a", "b")).digest
    assert image_cache.arrays(x.copy(), np.array(y), x, y, ["a", "b"]).digest == same
    assert image_cache.arrays(x + 1, y, x, y, ("a", "b")).digest != same
    assert image_cache.arrays(x, y[::-1], x, y, ("a", "b")).digest != same
    assert image_cache.arrays(x, y, x, y, ("a", "c")).digest != same


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "RGBA", "CMYK"])
def test_every_8_bit_mode_becomes_rgb(tree, mode):
    gray = Image.new("L", (32, 32), 255).convert(mode)
    options = {"transparency": b"\x80" * 256} if mode == "P" else {}
    (tree / "train/cat/0.png").unlink()
    gray.save(tree / "train/cat/0.tif" if mode == "CMYK" else tree / "train/cat/0.png", **options)
    assert (datasets.images(tree).train_x[0] == 255).all()


def test_what_computers_leave_in_folders_is_skipped(tree):
    clean = datasets.images(tree)
    for folder in ("train/.ipynb_checkpoints", "train/cat/.thumbs", "__MACOSX/train/cat", ".git"):
        (tree / folder).mkdir(parents=True)
    for file in ("train/cat/._0.png", "train/dog/Thumbs.db", "test/.DS_Store", "readme.txt"):
        (tree / file).write_bytes(b"not an image")
    picture().save(tree / "train/cat/.thumbs/0.png")
    assert datasets.images(tree).digest == clean.digest
    outer = tree.parent / "outer"
    shutil.copytree(tree, outer / "pets 2026")
    assert datasets.images(pack(outer)).digest == clean.digest


# Ways to spoil a good folder, and what the error has to say.
def replaced(by: bytes):
    return lambda tree: (tree / "train/dog/1.png").write_bytes(by)


def removed(folder: str):
    return lambda tree: shutil.rmtree(tree / folder)


def emptied(folder: str):
    return lambda tree: [file.unlink() for file in (tree / folder).iterdir()]


def added(folder: str):
    def add(tree):
        (tree / folder).mkdir()
        picture().save(tree / folder / "0.png")

    return add


GOOD = saved(picture())
HUGE = GOOD[:16] + struct.pack(">II", 60_000, 60_000) + GOOD[24:]  # says so, and holds no pixels
SPOILED = {
    "wide": (replaced(saved(picture(size=(48, 32)))), "train/dog/1.png: 48 × 32 pixels"),
    "gigantic": (replaced(HUGE), "train/dog/1.png: cannot be read"),
    "text": (replaced(b"Hello, I am a dog"), "train/dog/1.png: cannot be read"),
    "nothing in it": (replaced(b""), "train/dog/1.png: cannot be read"),
    "half a file": (replaced(GOOD[: len(GOOD) // 2]), "train/dog/1.png: cannot be read"),
    "16 bits": (
        replaced(saved(Image.fromarray(np.full((32, 32), 40_000, np.uint16)))),
        "train/dog/1.png: more than 8 bits",
    ),
    "no test": (removed("test"), "holds no test/<class>"),
    "no train": (removed("train"), "holds no train/<class>"),
    "one class": (
        lambda tree: [removed("train/dog")(tree), removed("test/dog")(tree)],
        r"two classes are needed, train/ has \['cat'\]",
    ),
    "no class": (
        lambda tree: [removed(f"{p}/{c}")(tree) for p in ("train", "test") for c in ("cat", "dog")],
        "two classes are needed, train/ has none",
    ),
    "no image to train": (emptied("train/cat"), "train/cat holds no image"),
    "no image to test": (emptied("test/dog"), "test/dog holds no image"),
    "class not tested": (removed("test/dog"), "only one of train and test has the class 'dog'"),
    "class not trained": (added("test/cow"), "only one of train and test has the class 'cow'"),
    "class renamed": (
        lambda tree: (tree / "test/dog").rename(tree / "test/dogs"),
        "only one of train and test has the class 'dog', 'dogs'",
    ),
}


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "archive"])
@pytest.mark.parametrize("what", SPOILED)
def test_what_is_wrong_in_a_folder_is_named(tree, cache, what, packed):
    spoil, words = SPOILED[what]
    spoil(tree)
    path = pack(tree, "gztar") if packed else tree
    with pytest.raises(ValueError, match=words) as error:
        datasets.images(path)
    assert str(error.value).startswith(f"{path}: ") and len(str(error.value).splitlines()) == 1
    assert stored(cache) == []


def zip_with(name: str):
    """A zip of the folder, and in it one file more."""

    def make(tree):
        path = pack(tree)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, GOOD)
        return path

    return make


def tar_with(name: str, **attributes):
    """A tar of the folder, and in it one thing more."""

    def make(tree):
        path = pack(tree, "tar")
        info = tarfile.TarInfo(name)
        info.size = 0 if "type" in attributes else len(GOOD)
        for attribute, value in attributes.items():
            setattr(info, attribute, value)
        with tarfile.open(path, "a") as archive:
            archive.addfile(info, io.BytesIO(GOOD))
        return path

    return make


def shortened(kind: str):
    def make(tree):
        path = pack(tree, kind)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return path

    return make


def encrypted(tree):
    """A zip that says of every file that it needs a password."""
    path = pack(tree)
    data = bytearray(path.read_bytes())
    for entry in re.finditer(b"PK\x01\x02", data):
        data[entry.start() + 8] |= 1
    path.write_bytes(data)
    return path


def file_of(content: bytes, name: str):
    def make(tree):
        (tree.parent / name).write_bytes(content)
        return tree.parent / name

    return make


BROKEN = {
    "zip that escapes": (
        zip_with("train/../../../escaped.png"),
        "will not unpack 'train/../../../escaped.png'",
    ),
    "tar that escapes": (tar_with("../../escaped.png"), "will not unpack '../../escaped.png'"),
    "link that escapes": (
        tar_with("train/cat/3.png", type=tarfile.SYMTYPE, linkname="../../../../etc/hostname"),
        "train/cat/3.png: a link, which is not followed in an archive",
    ),
    "device": (
        tar_with("train/cat/3.png", type=tarfile.CHRTYPE),
        "train/cat/3.png: neither a file nor a folder",
    ),
    "half a zip": (shortened("zip"), "cannot be unpacked, is it whole?"),
    "half a tar": (shortened("tar"), "pets.tar: "),
    "half a tar.gz": (shortened("gztar"), "cannot be unpacked, is it whole?"),
    "half a tar.xz": (shortened("xztar"), "cannot be unpacked, is it whole?"),
    "encrypted": (encrypted, "train/cat/0.png, .* and 7 more: protected by a password"),
    "text": (file_of(b"Hello, I am a dog", "dog.zip"), "must be a folder, or a zip, tar"),
    "one image": (file_of(GOOD, "dog.png"), "must be a folder, or a zip, tar"),
    "nothing": (file_of(b"", "dog.tar"), "dog.tar: "),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_wrong_with_an_archive_is_named(tree, cache, what):
    make, words = BROKEN[what]
    path = make(tree)
    before = sorted(tree.parent.rglob("*"))
    with pytest.raises(ValueError, match=words) as error:
        datasets.images(path)
    assert str(error.value).startswith(f"{path}: ")
    assert stored(cache) == []
    assert [f for f in tree.parent.rglob("*") if f not in before and cache not in f.parents] in (
        [],
        [cache.parent, cache],
    )


def test_no_such_path(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such file or folder"):
        datasets.images(tmp_path / "nowhere")


@pytest.mark.parametrize("key", ["cifar100", "CIFAR10", "", "images:", "images:xyz", "images"])
def test_an_unknown_key_is_named_with_what_is_allowed(key):
    with pytest.raises(ValueError, match=f"data='{key}': must be 'cifar10', 'synthetic' or"):
        datasets.load(key)


def test_images_that_are_gone_from_the_cache_can_be_brought_back(tree, cache):
    mine = datasets.images(tree)
    shutil.rmtree(cache)
    with pytest.raises(FileNotFoundError, match=f"'{mine.key}': .* rd.datasets.images once"):
        datasets.load(mine.key)
    datasets.images(tree)
    assert datasets.load(mine.key).train_x.equal(mine.train_x)


# ------------------------------------------------------------------------------------------- cache


@pytest.mark.parametrize("damage", ["shorter", "empty", "one bit", "foreign"])
def test_a_damaged_cache_is_made_again(tree, cache, damage):
    mine = datasets.images(tree)
    (file,) = cache.glob("*.npz")
    data = bytearray(file.read_bytes())
    if damage == "one bit":
        data[len(data) // 3] ^= 1  # in the pixels
    file.write_bytes(
        {"shorter": data[:-100], "empty": b"", "one bit": data, "foreign": b"GIF89a"}[damage]
    )
    assert datasets.images(tree).train_x.equal(mine.train_x)
    assert datasets.load(mine.key).train_x.equal(mine.train_x)


@pytest.mark.parametrize("module, function", [(folders, "decoded"), (image_cache, "arrays"), (os, "replace")])
def test_interrupted_at_any_point_leaves_nothing_behind(tree, cache, monkeypatch, module, function):
    with monkeypatch.context() as patch:
        calls = iter([getattr(module, function)] if module is folders else [])  # works once, then the user interrupts

        def interrupt(*args):
            if call := next(calls, None):
                return call(*args)
            raise KeyboardInterrupt

        patch.setattr(module, function, interrupt)
        with pytest.raises(KeyboardInterrupt):
            datasets.images(pack(tree))
    assert stored(cache) == []
    assert datasets.images(tree).train_x.equal(datasets.images(pack(tree)).train_x)


def test_all_who_ask_at_once_wait_for_one(tree, monkeypatch):
    decode, calls = folders.Origin.decode, []
    monkeypatch.setattr(folders.Origin, "decode", lambda self: calls.append(self) or decode(self))
    with ThreadPoolExecutor(4) as pool:
        digests = set(pool.map(lambda _: datasets.images(tree).digest, range(4)))
    assert len(calls) == len(digests) == 1


def test_a_set_is_kept_once_wherever_it_was_decoded(tree, cache):
    mine = datasets.images(tree)
    os.utime(tree / "train/cat/0.png")
    assert datasets.images(tree).digest == datasets.images(pack(tree)).digest == mine.digest
    assert [name for name in stored(cache) if name.endswith(".npz")] == [f"images-{mine.digest}.npz"]


def test_a_file_of_an_earlier_version_is_made_again(tree, cache):
    mine = datasets.images(tree)
    file = cache / f"images-{mine.digest}.npz"
    sealed = file.read_bytes()
    file.write_bytes(caches.unseal(sealed))
    with pytest.raises(FileNotFoundError, match="not in the cache"):
        datasets.load(mine.key)
    assert datasets.images(tree).train_x.equal(mine.train_x) and file.read_bytes() == sealed


def test_where_nothing_may_be_written_nothing_is(tree, cache, monkeypatch):
    decode, calls = folders.Origin.decode, []
    monkeypatch.setattr(folders.Origin, "decode", lambda self: calls.append(self) or decode(self))
    with caches.call(write=False), datasets.standing_in(tree):
        source = datasets.expected("cifar10")
        first, second = datasets.load("cifar10"), datasets.load("cifar10")
        first.train_x.zero_()
        assert (second.name, second.digest) == source and second.train_x.any()
    assert len(calls) == 1 and not cache.parent.exists()


def test_a_cache_that_cannot_be_used_is_one_warning(tree, monkeypatch):
    clean = datasets.images(tree)
    monkeypatch.setenv(caches.VARIABLE, os.devnull + "/cache")
    with pytest.warns(UserWarning, match="the cache, .* is of no use") as warned:
        assert datasets.images(tree).train_x.equal(clean.train_x)
    assert len(warned) == 1


@pytest.mark.parametrize("when", ["folders, 'decoded'", "cache.os, 'replace'"])
@pytest.mark.parametrize("kind", ["xztar", "zip"])
def test_killed_at_any_point_leaves_nothing_behind(tree, cache, when, kind):
    path, temporary = pack(tree, kind), Path(tempfile.gettempdir())
    code = f"""if True:
        import os, signal
        from resnet_dynamics import cache, datasets, folders
        setattr({when}, lambda *args: os.kill(os.getpid(), signal.SIGKILL))
        datasets.images({str(path)!r})"""
    environment = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert list(temporary.iterdir()) == []
    mine = datasets.images(path)
    assert [name for name in stored(cache) if not name.startswith("seen-")] == [f"images-{mine.digest}.npz"]


def test_ones_own_images_need_no_torchvision_and_their_names_no_torch(tree):
    code = f"""if True:
        import sys
        sys.modules["torchvision"] = None
        from resnet_dynamics import datasets
        with datasets.standing_in({str(tree)!r}):
            source = datasets.expected("cifar10")
            assert "torch" not in sys.modules
            assert datasets.load("cifar10").digest == source.digest"""
    subprocess.run([sys.executable, "-c", code], check=True)


# --------------------------------------------------------------------------------------- synthetic


def test_the_synthetic_set_is_the_same_on_every_machine():
    made = datasets.synthetic()
    assert made.digest == "8e21f5d7dc4723e8"
    assert made.train_x.shape == (20_000, 32, 32, 3) and made.test_x.shape == (2_000, 32, 32, 3)
    assert made.train_y[:500].bincount().tolist() == [50] * 10
    assert made.classes[0] == "disk" and len(made.classes) == 10
    again = datasets.load("synthetic")
    assert again.key == made.key == again.name == "synthetic"
    assert again.train_x.equal(made.train_x) and again.digest == made.digest
    assert len({image.tobytes() for image in made.train_x.numpy()}) == 20_000
    assert datasets.expected("synthetic") == (made.name, made.digest)


def test_a_machine_that_draws_something_else_is_told(monkeypatch):
    x, y = np.zeros((4, 32, 32, 3), np.uint8), [0, 0, 1, 1]
    monkeypatch.setattr(datasets, "draw", lambda: (x, y, x, y))
    with pytest.raises(RuntimeError, match="the synthetic set came out as [0-9a-f]{16}, must be 8e21f5d7dc4723e8"):
        datasets.synthetic()


# ---------------------------------------------------------------------------------------- CIFAR-10


@pytest.fixture(scope="module")
def archive():
    """A CIFAR-10 archive in small, pickled as numpy did in 2009."""
    buffer, random = io.BytesIO(), np.random.default_rng(0)
    sums = {}
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for i, name in enumerate([n for n, _ in CIFAR10.train_list + CIFAR10.test_list]):
            pixels = random.integers(0, 256, (4, 3072), np.uint8)
            content = pickle.dumps({"data": pixels, "labels": [i, 1, 2, 3]}, protocol=2)
            content = content.replace(b"\x89\x88\x87", b"K\x00K\x01\x87")  # dtype("u1", 0, 1)
            add(tar, name, content, sums)
        names = "airplane automobile bird cat deer dog frog horse ship truck".split()
        add(tar, "batches.meta", pickle.dumps({"label_names": names}, protocol=2), sums)
    return buffer.getvalue(), sums


def add(tar, name, content, sums):
    info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
    sums[name] = hashlib.md5(content).hexdigest()


ASTRAY = {"port": "http://127.0.0.1:port/", "host": f"http://{'a' * 70}.example/", "scheme": "gopher://a/b"}


@pytest.fixture
def server(archive, monkeypatch):
    """Mirrors on 127.0.0.1: `server.use("half", "good")` sets them, `server.asked` counts."""
    content, sums = archive
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(content).hexdigest())
    monkeypatch.setattr(cifar, "BYTES", len(content))
    for part in ("train_list", "test_list"):
        changed = [[name, sums[name]] for name, _ in getattr(CIFAR10, part)]
        monkeypatch.setattr(CIFAR10, part, changed)
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    done = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            kind = self.path.split("/")[1]
            server.asked.append(kind)
            if kind in ASTRAY:
                self.send_response(302)
                self.send_header("Location", ASTRAY[kind])
                return self.end_headers()
            if kind == "missing":
                return self.send_error(404)
            body = b"<html>Welcome to our new site" if kind == "page" else content
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if kind in ("half", "silent") else body)
            if kind == "silent":
                done.wait(10)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.done = [], done

    def use(*kinds):
        port = {"dead": 9}  # nobody listens on 9
        urls = [
            f"http://127.0.0.1:{port.get(k, server.server_port)}/{k}/cifar-10-python.tar.gz"
            for k in kinds
        ]
        monkeypatch.setattr(cifar, "MIRRORS", tuple(urls[:-1]))
        monkeypatch.setattr(CIFAR10, "url", urls[-1])
        server.asked.clear()

    server.use = use
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    done.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_mirrors_are_tried_in_turn(server, cache, archive):
    server.use("dead", "missing", "half", "page", "silent", "good", "never")
    images = datasets.load("cifar10")
    assert server.asked == ["missing", "half", "page", "silent", "good"]
    assert images.train_x.shape == (20, 32, 32, 3) and images.test_x.shape == (4, 32, 32, 3)
    assert images.train_y.tolist()[:5] == [0, 1, 2, 3, 1] and images.test_y[0] == 5
    assert (images.name, images.key, images.classes[9]) == ("CIFAR-10", "cifar10", "truck")
    assert stored(cache) == ["cifar-10-python.tar.gz", "cifar10.npz"]
    assert (cache / "cifar-10-python.tar.gz").read_bytes() == archive[0]
    server.use("dead")
    assert datasets.load("cifar10").train_x.equal(images.train_x)


@pytest.mark.parametrize("kind", ASTRAY)
def test_a_mirror_that_leads_astray_is_not_the_last(server, kind):
    server.use(kind, "good")
    assert datasets.load("cifar10").name == "CIFAR-10" and server.asked == [kind, "good"]


def test_without_any_mirror_the_error_says_what_to_do(server, cache):
    server.use("dead", "half", "missing")
    with pytest.raises(ConnectionError) as error:
        datasets.cifar10()
    for words in (
        "/dead/cifar-10-python.tar.gz: <urlopen error",
        "/half/cifar-10-python.tar.gz: ",
        "/missing/cifar-10-python.tar.gz: HTTP Error 404",
        f"put cifar-10-python.tar.gz (MD5 {CIFAR10.tgz_md5}) into {cache} yourself",
        'data="synthetic"',
        "rd.datasets.images(path)",
        "of 0.1 MB are kept, and the next download goes on from there",
    ):
        assert words in str(error.value)
    assert stored(cache) == ["cifar-10-python.tar.gz.part", "cifar-10-python.tar.gz.part.json"]
    assert set(stored(cache)) <= {path.name for path in caches.files("downloads")}
    server.use("good")
    assert datasets.cifar10().name == "CIFAR-10"
    assert stored(cache) == ["cifar-10-python.tar.gz", "cifar10.npz"]


def test_an_interrupted_download_is_not_in_the_way(server, cache, monkeypatch):
    server.use("good")
    with monkeypatch.context() as patch:

        def interrupted(self, n=1, says=None):
            if n:
                raise KeyboardInterrupt

        patch.setattr(download.Bar, "update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            datasets.cifar10()
    assert "cifar-10-python.tar.gz.part" in stored(cache)
    (cache / ".cifar-10-python.tar.gz-0123abcd.part").write_bytes(b"what a killed process leaves" * 10_000)
    assert datasets.cifar10().name == "CIFAR-10"
    assert stored(cache) == ["cifar-10-python.tar.gz", "cifar10.npz"]


def spoil(folder: Path, archive: bytes):
    """Half an archive, and half of what is in one."""
    (folder / "cifar-10-batches-py").mkdir(parents=True)
    (folder / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"half")
    (folder / "cifar-10-python.tar.gz").write_bytes(archive[:-1])


def test_a_broken_archive_in_the_cache_is_replaced(server, cache, archive):
    spoil(cache, archive[0])
    server.use("missing")
    with pytest.raises(ConnectionError):
        datasets.cifar10()
    server.use("good")
    assert datasets.cifar10().name == "CIFAR-10" and server.asked == ["good"]
    assert (cache / "cifar-10-python.tar.gz").read_bytes() == archive[0]


@pytest.mark.parametrize("what", ["another file", "a folder", "a link that leads nowhere"])
def test_in_a_folder_of_ones_own_nothing_is_replaced(server, archive, tmp_path, what):
    root = tmp_path / "data"
    spoil(root, archive[0])
    file = root / "cifar-10-python.tar.gz"
    if what != "another file":
        file.unlink()
        file.mkdir() if what == "a folder" else file.symlink_to("nowhere")
    before = sorted(root.rglob("*")), file.is_file() and file.read_bytes()
    server.use("good")
    with pytest.raises(FileExistsError, match=f"^root='{root}': .* {file.name} must be .*{CIFAR10.tgz_md5}.*move"):
        datasets.cifar10(root)
    assert server.asked == [] and before == (sorted(root.rglob("*")), file.is_file() and file.read_bytes())


def test_a_download_belongs_to_the_folder_that_was_given(server, cache, archive, tmp_path):
    """What has come of it is in the cache until then, so that no file of that folder is touched."""
    server.use("half")
    with pytest.raises(ConnectionError):
        datasets.cifar10(tmp_path / "data")
    assert not (tmp_path / "data").exists() and "cifar-10-python.tar.gz.part" in stored(cache)
    server.use("good")
    datasets.cifar10(tmp_path / "data")
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["cifar-10-python.tar.gz"]
    assert stored(cache) == ["cifar10.npz"]


def test_a_folder_that_keeps_nothing_is_named(server, cache, tmp_path, monkeypatch):
    server.use("good")
    root, replace = tmp_path / "data", os.replace

    def full(part, file):
        if Path(file).parent == root:
            raise OSError(28, "No space left on device")
        return replace(part, file)

    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(UserWarning, match=f"^root='{root}': .*cannot be kept there .No space") as warned:
        assert datasets.cifar10(root).name == "CIFAR-10"
    assert len(warned) == 1 and list(root.iterdir()) == []


@pytest.mark.parametrize("root", [5, 0, b"x", "", " ", "a\0b"])
def test_what_is_no_folder_for_cifar10_is_named(server, root):
    server.use("good")
    with pytest.raises((TypeError, ValueError), match=f"^{re.escape(f'root={root!r}')}: must be a folder"):
        datasets.cifar10(root)
    assert server.asked == []


def test_cifar10_is_read_without_a_word_to_the_whole_process(server, monkeypatch):
    server.use("good")
    monkeypatch.setattr(warnings, "catch_warnings", lambda *args, **kwargs: pytest.fail("filters are everybody's"))
    assert datasets.cifar10().train_x.shape == (20, 32, 32, 3)


@pytest.mark.parametrize("root", ["~nosuchuser/data", os.devnull])
def test_a_place_for_cifar10_that_is_no_folder_is_named(server, root):
    server.use("good")
    with pytest.raises((ValueError, OSError), match=f"root='{root}': (nobody has that home|must be a folder)"):
        datasets.cifar10(root)
    assert server.asked == []


@pytest.mark.parametrize("unpacked", [False, True])
def test_what_is_on_the_disk_is_not_downloaded(server, archive, tmp_path, unpacked):
    server.use("dead")
    file = tmp_path / "cifar-10-python.tar.gz"
    file.write_bytes(archive[0])
    if unpacked:
        with tarfile.open(file) as tar:
            for member in tar:
                (tmp_path / member.name).parent.mkdir(exist_ok=True)
                (tmp_path / member.name).write_bytes(tar.extractfile(member).read())
        file.unlink()
    assert datasets.cifar10(tmp_path).name == "CIFAR-10"


def test_what_came_for_an_archive_that_cannot_be_kept_stays(server, cache, archive, monkeypatch):
    """As on a full disk: the part is the whole by then, and nobody is asked again."""
    server.use("good")
    with monkeypatch.context() as patch:
        patch.setattr(caches, "write", lambda *given: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.warns(UserWarning, match="No space left on device"):
            assert datasets.cifar10().name == "CIFAR-10"
    assert (cache / "cifar-10-python.tar.gz.part").read_bytes() == archive[0]
    image_cache._unkept.clear()
    server.use("dead")
    assert datasets.cifar10().name == "CIFAR-10"
    assert stored(cache) == ["cifar-10-python.tar.gz", "cifar10.npz"]


def test_the_archive_has_several_addresses_and_each_is_one():
    hosts = [urlsplit(url) for url in (*cifar.MIRRORS, CIFAR10.url)]
    assert len({url.hostname for url in hosts}) == len(hosts) == 6
    assert {(url.scheme, Path(url.path).name) for url in hosts} == {("https", cifar.ARCHIVE)}


def test_all_who_ask_at_once_download_once(server):
    server.use("good")
    with ThreadPoolExecutor(3) as pool:
        digests = set(pool.map(lambda _: datasets.cifar10().digest, range(3)))
    assert len(digests) == 1 and server.asked == ["good"]


def test_where_nothing_may_be_written_cifar10_is_downloaded_all_the_same(server, cache):
    server.use("good")
    with caches.call(write=False):
        assert datasets.load("cifar10").train_x.equal(datasets.load("cifar10").train_x)
    assert server.asked == ["good"] and not cache.parent.exists()


@pytest.mark.parametrize("error", [
    RuntimeError("operator torchvision::nms does not exist\nand more"),
    ImportError("libtorch_cuda.so: cannot open shared object file"),
    AttributeError("partially initialized module 'torchvision' has no attribute 'ops'"),
    ValueError("numpy.dtype size changed, may indicate binary incompatibility"),
    *(kind("of an import") for kind in (TypeError, SystemError, SyntaxError, NameError)),
])
def test_a_torchvision_that_does_not_fit_is_said_in_a_sentence(monkeypatch, error):
    class Broken:
        @staticmethod
        def find_spec(name, *_):
            if name == "torchvision":
                raise error

    monkeypatch.delitem(sys.modules, "torchvision")
    monkeypatch.setattr(sys, "meta_path", [Broken, *sys.meta_path])
    with pytest.raises(ImportError, match=r"^torchvision \d.* does not fit torch \d.*: .*Install the two") as said:
        datasets.load("cifar10")
    assert str(error).splitlines()[0] in str(said.value) and "\n" not in str(said.value)


@pytest.mark.parametrize("part, name", [("datasets", "CIFAR10"), ("models", "vgg")])
def test_a_torchvision_in_parts_is_said_in_a_sentence(monkeypatch, part, name):
    monkeypatch.delattr(getattr(torchvision, part), name)
    with pytest.raises(ImportError, match=f"^torchvision .* does not fit torch .* has no attribute '{name}'"):
        datasets.load("cifar10")


@pytest.mark.parametrize("name", ["cifar10", "synthetic-1", f"images-{16 * '0'}"])
def test_a_copy_under_another_name_is_not_taken_for_it(server, tree, cache, name):
    mine = datasets.images(tree)
    shutil.copy(cache / f"images-{mine.digest}.npz", cache / f"{name}.npz")
    if name.startswith("images"):
        with pytest.raises(FileNotFoundError, match="not in the cache"):
            datasets.load(name.replace("-", ":"))
    else:
        server.use("good")
        assert len(datasets.load(name.split("-")[0]).classes) == 10
    assert datasets.load(mine.key).train_x.equal(mine.train_x)


def test_images_that_were_kept_without_their_name_are_known_by_their_digest(tree, cache):
    mine = datasets.images(tree)
    file = cache / f"images-{mine.digest}.npz"
    with np.load(file) as saved:
        np.savez(content := io.BytesIO(), **{name: saved[name] for name in saved if name != "called"})
    for name in (file, cache / f"images-{16 * '0'}.npz"):
        caches.write(name, content.getvalue())
    assert datasets.load(mine.key).train_x.equal(mine.train_x)
    with pytest.raises(FileNotFoundError, match="not in the cache"):
        datasets.load("images:" + 16 * "0")


def test_every_file_of_the_cache_is_of_a_kind(server, tree):
    server.use("good")
    mine, _ = datasets.images(tree), datasets.load("cifar10")
    assert {path.name.removesuffix(".lock") for path in caches.files("downloads")} == {"cifar-10-python.tar.gz"}
    names = {re.sub("seen-[0-9a-f]{16}", "seen", path.name.removesuffix(".lock")) for path in caches.files("images")}
    assert names == {"cifar10.npz", f"images-{mine.digest}.npz", "seen.txt"}


def test_what_is_expected_is_what_is_loaded(server, tree):
    server.use("good")
    mine = datasets.images(tree)
    assert datasets.expected(mine.key) == (mine.name, mine.digest)
    assert datasets.expected("cifar10") == ("CIFAR-10", None) and server.asked == []
    assert datasets.load("cifar10").name == "CIFAR-10"
    with pytest.raises(ValueError, match="data='cifar': must be"):
        datasets.expected("cifar")


def test_a_key_is_not_guessed_from_a_name():
    x, y = torch.zeros(1, 32, 32, 3), torch.zeros(1)
    assert datasets.Images(x, y, x, y, ("a",), "CIFAR-10 of my own", "0" * 16).key == "images:" + "0" * 16


def test_what_stands_in_does_so_inside_alone(tree, monkeypatch):
    other = pets.folder(tree.parent / "other")
    picture(99).save(other / "train/cat/9.png")
    monkeypatch.setenv(datasets.VARIABLE, str(tree))
    outside = datasets.expected("cifar10")
    with datasets.standing_in(other):
        inside = datasets.expected("cifar10")
        with datasets.standing_in(None):
            assert datasets.expected("cifar10") == inside
        with datasets.standing_in(tree.parent / "missing"):
            assert not datasets.available("cifar10")
            with pytest.raises(FileNotFoundError, match="missing: no such file or folder"):
                datasets.load("cifar10")
    assert outside != inside and datasets.expected("cifar10") == outside
    assert inside.digest == datasets.images(other).digest


def test_an_archive_stands_in_for_cifar10(tree, monkeypatch):
    path = pack(tree, "xztar")
    monkeypatch.setenv(datasets.VARIABLE, str(path))
    images = datasets.load("cifar10")
    assert (images.name, images.key) == (f"stand-in {images.digest}", "cifar10")
    assert images.digest == datasets.images(tree).digest
    monkeypatch.setattr(datasets, "KNOWN", {images.digest: "the one of the book"})
    assert datasets.load("cifar10").name == datasets.expected("cifar10").name == "the one of the book"


def test_a_stand_in_that_is_missing_is_named_with_the_variable(monkeypatch):
    missing = os.devnull + "/nowhere"
    monkeypatch.setenv(datasets.VARIABLE, missing)
    for ask in (datasets.load, datasets.expected):
        with pytest.raises(FileNotFoundError, match=f"^{datasets.VARIABLE}={missing}: no such file or folder$"):
            ask("cifar10")
    assert not datasets.available("cifar10")


def test_what_is_wrong_with_a_stand_in_is_named_with_the_variable(tree, monkeypatch):
    shutil.rmtree(tree / "test")
    monkeypatch.setenv(datasets.VARIABLE, str(tree))
    for ask in (datasets.load, datasets.expected):
        with pytest.raises(ValueError, match=f"^{datasets.VARIABLE}={tree}: holds no test/<class>"):
            ask("cifar10")


def test_what_is_available_needs_no_download(server, cache, tree, monkeypatch):
    assert datasets.available("synthetic") and not datasets.available("cifar10") and not cache.exists()
    server.use("good")
    datasets.load("cifar10")
    assert datasets.available("cifar10") and server.asked == ["good"]
    (cache / "cifar10.npz").unlink()
    assert datasets.available("cifar10")  # from the archive
    with tarfile.open(file := cache / "cifar-10-python.tar.gz") as archive:
        archive.extractall(cache, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # not in 3.11.3
    file.write_bytes(file.read_bytes()[:-1])
    assert datasets.available("cifar10")  # from what is unpacked
    (cache / "cifar-10-batches-py/test_batch").unlink()
    assert not datasets.available("cifar10")
    for path in (tree, pack(tree), pack(tree, "tar"), pack(tree, "xztar")):
        monkeypatch.setenv(datasets.VARIABLE, str(path))
        assert datasets.available("cifar10")
    for path in (Path(__file__), tree.parent / "nowhere"):
        monkeypatch.setenv(datasets.VARIABLE, str(path))
        assert not datasets.available("cifar10")
    with pytest.raises(ValueError, match="data='images:0': must be 'cifar10' or 'synthetic' here"):
        datasets.available("images:0")
