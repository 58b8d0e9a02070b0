"""Which files of a folder or archive are read, how, and what is said of the others."""

import contextlib
import io
import lzma
import os
import re
import shutil
import stat
import struct
import tarfile
import threading
import time
import unicodedata
import warnings
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pets
import pytest
from pets import pack, picture, saved
from PIL import Image, ImageFile

from resnet_dynamics import archives, folders
from resnet_dynamics.decode import decoded

GOOD = saved(picture(9))


@pytest.fixture
def tree(tmp_path):
    return pets.folder(tmp_path)


def read(path):
    """train_x, train_y, test_x, test_y and the classes."""
    return folders.Origin(path).decode()


def put(name: str, content: bytes = GOOD):
    """Ways to change a folder: one file more, ..."""

    def change(tree):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content)

    return change


def link(name: str, to: str):
    return lambda tree: os.symlink(to, tree / name)


def fifo(name: str):
    return lambda tree: os.mkfifo(tree / name)


def renamed(old: str, new):
    return lambda tree: os.rename(os.fsencode(tree / old), os.path.join(os.fsencode(tree), os.fsencode(new)))


def both(*changes):
    return lambda tree: [change(tree) for change in changes]


# ------------------------------------------------------------------------------------ what is read


@pytest.mark.parametrize("name, kind", [
    ("PNG", "png"), ("bmp", "bmp"), ("dib", "dib"), ("ppm", "ppm"), ("pnm", "ppm"), ("tif", "tiff"), ("TIFF", "tiff"),
    ("png", "bmp"),  # what counts is what is in it
])  # fmt: skip
def test_formats_that_keep_every_bit(tree, name, kind):
    put(f"train/cat/9.{name}", saved(picture(5), kind))(tree)
    assert (read(tree)[0][3] == np.asarray(picture(5))).all()


@pytest.mark.parametrize("name, kind", [
    ("jfif", "jpeg"), ("jpe", "jpeg"), ("JPG", "jpeg"), ("jpeg", "mpo"), ("gif", "gif"), ("webp", "webp"),
    ("pgm", "ppm"), ("pbm", "ppm"),
])  # fmt: skip
def test_other_formats_are_what_pillow_makes_of_them(tree, name, kind):
    image = picture(5).convert({"pgm": "L", "pbm": "1", "gif": "P"}.get(name, "RGB"))
    put(f"train/cat/9.{name}", content := saved(image, kind))(tree)
    assert (read(tree)[0][3] == np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))).all()


def test_the_first_frame_counts(tree):
    frames = [Image.new("RGB", (32, 32), color) for color in ("red", "blue")]
    put("train/cat/9.gif", saved(frames[0], "gif", save_all=True, append_images=frames[1:]))(tree)
    put("train/dog/9.tif", saved(frames[0], "tiff", save_all=True, append_images=frames[1:]))(tree)
    x = read(tree)[0]
    assert (x[3] == (255, 0, 0)).all() and (x[7] == (255, 0, 0)).all()


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_upright_as_a_viewer_shows_them(kind, orientation):
    shown = np.zeros((32, 32, 3), np.uint8)
    shown[:16, :16], shown[:16, 16:] = 255, (255, 0, 0)
    turned = {1: shown, 2: shown[:, ::-1], 3: shown[::-1, ::-1], 4: shown[::-1], 5: shown.swapaxes(0, 1),
              6: np.rot90(shown), 7: shown[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(shown, -1)}[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"jpeg": {"quality": 95, "subsampling": 0}, "webp": {"lossless": True}}.get(kind, {})
    image = Image.fromarray(np.ascontiguousarray(turned))
    assert np.abs(decoded(saved(image, kind, exif=exif, **options)) - shown.astype(int)).max() < 8


PASSED = [
    "train/cat/@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg", "train/@eaDir/cat@SynoResource", "test/#recycle/0",
    "test/lost+found/a", "train/cat/#snapshot/0.png", "train/cat/__MACOSX/0.png", "train/System Volume Information/a",
    "test/$RECYCLE.BIN/0", "train/cat/THUMBS.DB", "train/dog/Desktop.ini", "train/cat/Icon\r", "train/cat/._0.png",
    "train/.hidden/._0.png", "train/cat/README", "train/cat/licence", "train/cat/notes.TXT", "train/labels.csv",
    "test/cat/0.json", "validation/cat/0.png", "LICENSE.pdf", "train/cat/0.png:Zone.Identifier",
    "test/cat/Thumbs.db:encryptable", "test/dog/ehthumbs_vista.db", "test/ZbThumbnail.info",
    "train/cat/1.png@SynoEAStream", "train/sync.ffs_db", "train/cat/0.AAE", "test/dog/found.000/0.png",
    "test/.Trash-1000/info/0", "$RECYCLE.BIN/S-1-5/0.png",
]  # fmt: skip


def test_what_is_passed_over(tree):
    clean = read(tree)
    both(*map(put, PASSED), link("train/cat/.#note", "user@host.1:2"), fifo("test/.pipe"))(tree)
    for path in (tree, pack(tree), pack(tree, "tar")):
        assert all(map(np.array_equal, read(path), clean))


@pytest.mark.parametrize("name", [".net", "recycler", "__pycache__", ".store/more", "found.001"])
def test_a_folder_in_the_place_of_a_class_never_vanishes_with_its_images(tree, name):
    both(put(f"train/{name}/a/0.PNG"), put(f"test/{name}/0.png"))(tree)
    top = name.split("/")[0]
    for path in (tree, pack(tree), pack(tree, "tar")):
        with pytest.raises(ValueError, match=f"train/{top}, test/{top}: holds images, and its name is hidden"):
            read(path)


def test_what_links_lead_to_may_be_hidden(tree):
    clean = read(tree)
    (tree / "train/.store").mkdir()
    both(renamed("train/cat", tree / "train/.store/cat"), link("train/cat", ".store/cat"))(tree)
    assert all(map(np.array_equal, read(tree), clean))


def test_a_hidden_folder_that_may_not_be_looked_at_is_passed_over(tree, monkeypatch):
    clean, scandir = read(tree), os.scandir
    put("train/.Trashes/0.png")(tree)

    def refuse(path):
        if Path(path).name == ".Trashes":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert all(map(np.array_equal, read(tree), clean))


def test_images_may_be_in_folders_of_their_class(tree):
    both(put("train/cat/more/0.png"), put("train/cat/more/deep/1.png"), put("train/cat/more-2/2.png"))(tree)
    assert read(tree)[1].tolist() == [0] * 6 + [1] * 3


# ----------------------------------------------------------------------------------- what is wrong

TREE = {  # in a folder, and in a tar of it
    "other formats": (both(*(put(f"train/cat/{i}", b"x") for i in ("1.gif.bak", "2.heic", "3.avif", "4.svg"))),
                      r"train/cat/1.gif.bak, train/cat/2.heic, train/cat/3.avif and 1 more: no image of a kind"),
    "no ending": (put("test/dog/image"), "test/dog/image: no image of a kind that is read"),
    "in no class": (put("train/9.png"), "train/9.png: in no class folder"),
    "FIFO": (fifo("train/cat/pipe.png"), "train/cat/pipe.png: neither a file nor a folder"),
    "FIFO as a class": (fifo("train/pipe"), "train/pipe: neither a file nor a folder"),
    "PostScript": (put("train/cat/9.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\n"),
                   "train/cat/9.png: cannot be read as an image .it is none of PNG"),
    "large": (lambda tree: os.truncate(tree / "train/cat/0.png", archives.LARGEST + 1),
              "train/cat/0.png: larger than 10,000,000 bytes"),
    "in iCloud": (put("train/cat/.3.png.icloud"), "train/cat/.3.png.icloud: not on this machine, iCloud keeps it"),
    "a class in iCloud": (put("test/.cow.icloud"), "test/.cow.icloud: not on this machine, iCloud keeps it"),
    "a blank": (renamed("test/cat", "test/cat "), "only one of train and test has the class 'cat', 'cat '"),
    "case of a class": (renamed("test/cat", "test/Cat"), "only one of train and test has the class 'Cat', 'cat'"),
    "case of a part": (renamed("test", "Test"), "holds no test/<class>.*it holds 'Test', 'train'"),
    "two folders on top": (renamed("train", "more"), "holds no train/<class>.*it holds 'more', 'test'"),
    "Latin 1": (both(renamed("test/cat", b"test/caf\xe9"), renamed("train/cat", b"train/caf\xe9")),
                r"the class 'caf\\udce9': must be named in UTF-8"),
    "a class with an escape": (put("train/\x1b[31m/0.png"), r"the class '\\x1b\[31m': must be named in UTF-8"),
    "an image with an escape": (put("train/cat/\x1b[31m.png", b""), r"train/cat/\\x1b\[31m.png: cannot be read"),
    "composed and not": (put(f"train/{unicodedata.normalize('NFC', 'é')}/0.png"), "train and test has the class 'é'"),
    "both at once": (both(*(put(f"train/{unicodedata.normalize(form, 'é')}/0.png") for form in ("NFC", "NFD"))),
                     "train/.*: the name of another class, whose letters are composed in another way"),
}  # fmt: skip
LINKS = {  # in a folder
    "upward": (link("train/cat/up", "../.."), "train/cat/up: a link to a folder above it"),
    "to the root": (link("train/cat/up", "/"), "train/cat/up: a link to a folder above it"),
    "to itself": (link("train/cat/up", "."), "train/cat/up: a link to train/cat, which can be read only once"),
    "in a circle": (link("train/cat/9.png", "9.png"), "train/cat/9.png: a link that leads in a circle"),
    "nowhere": (link("train/cat/9.png", "no.png"), "train/cat/9.png: a link that leads nowhere"),
    "to another class": (link("train/two", "cat"), "train/two: a link to train/cat, which can be read only once"),
    "test is train": (both(lambda tree: shutil.rmtree(tree / "test"), link("test", "train")), "test: a link to train"),
}
SPOILED = {**TREE, **{f"a link {name}": case for name, case in LINKS.items()}}


@pytest.mark.parametrize("what", SPOILED)
def test_what_is_wrong_with_names_is_said_before_anything_is_decoded(tree, what, monkeypatch):
    spoil, words = SPOILED[what]
    spoil(tree)
    if "cannot be read" not in words:
        monkeypatch.setattr(folders, "decoded", lambda content: pytest.fail("decoded"))
    for path in (tree, pack(tree, "gztar")) if what in TREE else (tree,):
        with pytest.raises(ValueError, match=f"^{path}: .*{words}") as error:
            read(path)
        assert str(error.value).isprintable() and len(str(error.value)) < 400


@pytest.mark.parametrize("change", [
    link("train/cat/up", "../.."), link("train/cat/9.png", "../dog/0.png"),
    lambda tree: os.link(tree / "train/cat/0.png", tree / "train/cat/9.png"),
])  # fmt: skip
def test_links_in_archives_are_refused(tree, change):
    change(tree)
    with pytest.raises(ValueError, match="train/cat/(up|9.png): a link, which is not followed in an archive"):
        read(pack(tree, "tar"))


def test_links_in_folders_are_followed(tree):
    clean = read(tree)
    elsewhere = tree.parent / "elsewhere"
    both(renamed("train/cat", elsewhere), link("train/cat", "../../elsewhere"))(tree)
    both(renamed("test/dog/0.png", tree.parent / "0.png"), link("test/dog/0.png", "../../../0.png"))(tree)
    assert all(map(np.array_equal, read(tree), clean))


def test_a_folder_that_may_not_be_read_is_named(tree, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "cat":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match=f"^{tree}: train/cat: cannot be read .Permission denied.$"):
        read(tree)


def png16() -> bytes:
    """32 × 32 RGB of 16 bits a channel."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\x12\xf0" * 96) * 32
    head = struct.pack(">IIBBBBB", 32, 32, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def huge(width: int, height: int) -> bytes:
    """An image that says so, and holds no pixels."""
    head = b"IHDR" + struct.pack(">II", width, height) + GOOD[24:29]
    return GOOD[:12] + head + struct.pack(">I", zlib.crc32(head)) + GOOD[33:]


def planes(bits: int, sign: int = 1, gray: bool = False) -> bytes:
    """A TIFF of 32 × 32 pixels that is not compressed: gray, or RGB in three planes."""
    n = 1 if gray else 3
    size, entries, after = 32 * 32 * bits // 8, 11, 8 + 2 + 11 * 12 + 4
    many = [struct.pack(f"<{n}H", *[value] * n) for value in (bits, sign)]
    where = [struct.pack(f"<{n}I", *(after + 6 * 2 + 12 * 2 + i * size for i in range(n))),
             struct.pack(f"<{n}I", *[size] * n)]  # fmt: skip
    places, rest = [], b""
    for values in (*many, *where):
        places.append(struct.pack("<I", after + len(rest)) if len(values) > 4 else values.ljust(4, b"\0"))
        rest += values
    tags = [(256, 4, 1, 32), (257, 4, 1, 32), (258, 3, n, places[0]), (259, 3, 1, 1), (262, 3, 1, 1 if gray else 2),
            (273, 4, n, places[2]), (277, 3, 1, n), (278, 4, 1, 32), (279, 4, n, places[3]),
            (284, 3, 1, 1 if gray else 2), (339, 3, n, places[1])]  # fmt: skip
    directory = b"".join(struct.pack("<HHI", tag, kind, count) + (value if isinstance(value, bytes) else
                         struct.pack("<I", value)) for tag, kind, count, value in tags)  # fmt: skip
    head = b"II*\0" + struct.pack("<IH", 8, entries) + directory + bytes(4)
    return (head + rest).ljust(after + 36, b"\0") + b"".join(bytes([i + 1]) * size for i in range(n))


def test_what_pillow_warns_of_is_seen():
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "a description", 1
    with pytest.warns(UserWarning, match="Truncated File Read"):
        decoded(saved(picture(9), exif=exif.tobytes()[:-2]))


def test_planes_of_8_bits_are_read():
    assert (decoded(planes(8)) == (1, 2, 3)).all()
    assert (decoded(planes(8, gray=True)) == 1).all()


@pytest.mark.filterwarnings("ignore:Image size")
@pytest.mark.parametrize("content, words", [
    (planes(16), "more than 8 bits a channel .BitsPerSample 16., must be 8"),
    (planes(8, sign=2, gray=True), "signed values .SampleFormat 2., must be unsigned"),
    (png16(), "more than 8 bits a channel .mode RGB;16B., must be 8"),
    (b"P6 32 32 65535\n" + bytes(6144), "more than 8 bits a channel .values up to 65535., must be 8"),
    (b"P6 32 32 1023\n" + bytes(6144), "more than 8 bits a channel .values up to 1023., must be 8"),
    (saved(Image.fromarray(np.zeros((32, 32), np.uint16))), "more than 8 bits a channel .mode I;16"),
    (saved(Image.new("F", (32, 32)), "tiff"), "more than 8 bits a channel .mode F"),
    (huge(10_000, 9_500), "10000 × 9500 pixels, must be 32 × 32"),
    (huge(60_000, 60_000), "cannot be read as an image .Image size"),
    (GOOD[:-200], "cannot be read as an image"),
])  # fmt: skip
def test_an_image_that_cannot_be_used_says_why(content, words):
    with pytest.raises(ValueError, match=words):
        decoded(content)


def test_half_an_image_is_refused_and_pillow_is_never_told_to_take_it(tree, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for content in (GOOD[:-200], GOOD):  # nobody could tell them apart
        put("train/cat/0.png", content)(tree)
        with pytest.raises(ValueError, match="train/cat/0.png: cannot .* while .*LOAD_TRUNCATED_IMAGES=True"):
            read(tree)
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_threads_that_decode_leave_warnings_as_they_are():
    """What a thread changes for the whole process, and puts back later than others do theirs, would stay for good."""
    before, done = list(warnings.filters), threading.Event()

    def reads():
        while not done.is_set():
            decoded(GOOD)

    with ThreadPoolExecutor(2) as pool, contextlib.ExitStack() as stack:
        stack.callback(done.set)
        threads = [pool.submit(reads) for _ in range(2)]
        for i in range(300):
            with warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter("always")
                time.sleep(1e-4)  # the others go on meanwhile
                warnings.warn(f"number {i}", stacklevel=1)
            assert [str(one.message) for one in seen] == [f"number {i}"]
    assert not any(thread.result() for thread in threads) and warnings.filters == before


PATHS = {
    "": "path='': must be the path of a folder, zip or tar",
    None: "path=None: must be the path of a folder, zip or tar",
    b"/usr": "path=b'/usr': must be the path of a folder, zip or tar",
    "a\0b": r"path='a\\x00b': must be the path",
    "~nosuchuser/x": "path='~nosuchuser/x': nobody has that home",
    "https://example.com/a.zip": "path='https://example.com/a.zip': is an address; download it, and give the file",
    os.devnull: f"{os.devnull}: must be a folder, or a zip, .*; it is a device, FIFO or socket",
    "/usr": "/usr: holds no train/<class>/.* .train and test are needed; it holds 'bin', .* more.$",
    os.devnull + "/x": f"{os.devnull}/x: no such file or folder",
    "x" * 5_000: r"cannot be opened \(File name too long\)",
}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path)[:20])
def test_what_is_no_path_of_images_is_named(path):
    with pytest.raises((TypeError, ValueError, OSError), match=PATHS[path]):
        read(path)


# ----------------------------------------------------------------------------------- names, order


@pytest.mark.parametrize("kind", [None, "zip", "tar"])
def test_names_are_compared_and_sorted_as_unicode_composes_them(tree, kind):
    for part, form in (("train", "NFC"), ("test", "NFD")):
        (tree / part / "cat").rename(tree / part / unicodedata.normalize(form, "éa"))
    names = [unicodedata.normalize(form, name) for form, name in (("NFD", "é"), ("NFC", "z"), ("NFC", "ē"))]
    for i, name in enumerate(names):
        put(f"train/dog/{name}.png", saved(Image.new("L", (32, 32), i)))(tree)
    x, y, *_, classes = read(pack(tree, kind) if kind else tree)
    assert classes == ["dog", "éa"] and unicodedata.is_normalized("NFC", classes[1])
    assert x[3:6, 0, 0, 0].tolist() == [1, 0, 2]  # z, é, ē


def test_the_fingerprint_is_that_of_the_files_that_are_read(tree):
    def fingerprint():
        return folders.Origin(tree).fingerprint

    before = fingerprint()
    both(put("train/cat/notes.txt"), put("train/.hidden"), put("more"))(tree)
    assert fingerprint() == before
    os.utime(tree / "train/cat/0.png", ns=(0, 0))
    changed = fingerprint()
    put("test/cat/9.png")(tree)
    assert len({before, changed, fingerprint()}) == 3


# --------------------------------------------------------------------------------------- archives


def zipped(tree, name=lambda path: path.as_posix(), **attributes) -> Path:
    """A zip with other names, or other attributes, than Python would give."""
    with zipfile.ZipFile(tree.parent / "pets.zip", "w") as archive:
        for file in sorted(tree.rglob("*.png")):
            info = zipfile.ZipInfo("x")
            info.filename = name(file.relative_to(tree))
            for attribute, value in attributes.items():
                setattr(info, attribute, value)
            archive.writestr(info, file.read_bytes())
    return tree.parent / "pets.zip"


def test_backslashes_separate_where_no_slash_does(tree):
    assert all(map(np.array_equal, read(zipped(tree, lambda path: "\\".join(path.parts))), read(tree)))


@pytest.mark.parametrize("name, attributes", [
    (lambda path: path.as_posix() if path.parts[1] == "cat" else "\\".join(path.parts), {}),
    (lambda path: f"pets/{path.parts[0]}\\{path.parts[1]}/{path.name}", {}),
    (lambda path: f"{path.parent.as_posix()}\\{path.name}", {"create_system": 0}),  # no Windows has such names
])  # fmt: skip
def test_a_zip_may_mix_both_separators(tree, name, attributes):
    assert all(map(np.array_equal, read(zipped(tree, name, **attributes)), read(tree)))


def test_elsewhere_a_backslash_is_a_letter(tree):
    clean = read(tree)
    path = zipped(tree, lambda path: f"{path.parent.as_posix()}/a\\{path.name}", create_system=3)
    assert all(map(np.array_equal, read(path), clean))


@pytest.mark.parametrize("method, called", [(9, "deflate64"), (98, "ppmd"), (77, "method 77")])
def test_a_method_of_compression_that_python_lacks_is_named(tree, method, called):
    path = pack(tree)
    with zipfile.ZipFile(path) as archive:
        assert {info.compress_type for info in archive.infolist()} <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
    content = bytearray(path.read_bytes())
    for at in (found.start() for found in re.finditer(b"PK\x01\x02", content)):
        content[at + 10 : at + 12] = struct.pack("<H", method)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"train/cat/0.png, .*: compressed by {called}, which Python does not read"):
        read(path)


def test_an_archive_in_an_archive_is_not_taken_for_it(tree):
    clean, inner = read(tree), tree.parent / "inner"
    shutil.copytree(tree, inner)
    put("train/cat/9.png")(inner)
    shutil.move(pack(inner), tree / "z.zip")
    for kind in ("tar", "gztar", "zip"):
        assert all(map(np.array_equal, read(pack(tree, kind)), clean))


@pytest.mark.parametrize("kind, words", [
    ("tar", "goes on after the end of the tar"), ("gztar", "goes on after the end of the tar"),
    ("zip", "begins with what is not in its list of files"),
])  # fmt: skip
def test_two_archives_in_one_are_named(tree, kind, words):
    path = pack(tree, kind)
    path.write_bytes(2 * path.read_bytes())
    with pytest.raises(ValueError, match=f"^{path}: {words}"):
        read(path)


@pytest.mark.parametrize("encoding, name", [("utf-8", "é"), ("cp437", "éé")])
def test_names_of_a_zip_without_a_flag_are_utf8_or_those_of_dos(tree, encoding, name):
    path = zipped(tree, lambda path: path.as_posix().replace("cat", "XX"))
    path.write_bytes(path.read_bytes().replace(b"XX", name.encode(encoding)))
    assert read(path)[4] == ["dog", name]


def test_a_link_in_a_zip_is_refused(tree):
    path = zipped(tree, external_attr=(stat.S_IFLNK | 0o777) << 16, create_system=3)
    with pytest.raises(ValueError, match="train/cat/0.png, .* and 7 more: a link, which is not followed in an archive"):
        read(path)


def again(tree, kind) -> Path:
    """An archive in which an image is twice."""
    path = pack(tree, kind)
    if kind == "zip":
        with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings(action="ignore"):
            archive.writestr("train/cat/0.png", GOOD)
    else:
        with tarfile.open(path, "a") as archive:
            archive.add(tree / "train/cat/1.png", "./train/cat/0.png")
    return path


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_file_that_is_twice_in_an_archive_is_named(tree, kind):
    with pytest.raises(ValueError, match="train/cat/0.png: more than once in the archive"):
        read(again(tree, kind))


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar", "bztar", "xztar"])
def test_an_archive_that_is_cut_anywhere_is_never_a_smaller_set(tree, kind):
    whole = pack(tree, kind).read_bytes()
    clean, path = read(tree), tree.parent / "cut"
    for length in range(0, len(whole), len(whole) // 40):
        path.write_bytes(whole[:length])
        try:
            found = read(path)
        except ValueError as error:
            assert str(error).startswith(f"{path}: ")
        else:
            assert kind == "tar" and all(map(np.array_equal, found, clean))  # the zeros at its end may be missing


def test_an_archive_in_the_way_of_a_compressor_is_named(tree):
    path = pack(tree, "gztar")
    path.write_bytes(lzma.compress(b"Hello, I am a dog"))
    with pytest.raises(ValueError, match="must be a folder, .*; what is compressed in it is no tar, or damaged"):
        read(path)


@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_what_an_archive_unpacks_to_has_a_limit(tree, kind, monkeypatch):
    path = pack(tree, kind)
    monkeypatch.setattr(archives, "ALL", 20_000)
    with pytest.raises(ValueError, match="more than 20,000 bytes, which is the limit"):
        read(path)


@pytest.mark.parametrize("kind", ["zip", "tar", "xztar"])
def test_only_images_are_read(tree, kind, monkeypatch):
    clean = read(tree)
    monkeypatch.setattr(archives, "LARGEST", 300_000)
    both(put("film.mp4", bytes(1_000_000)), put("train/cat/readme.txt", bytes(1_000_000)))(tree)
    assert all(map(np.array_equal, read(pack(tree, kind)), clean))


def test_a_compressed_tar_is_unpacked_twice_and_never_backwards(tree, monkeypatch):
    for file in tree.rglob("*.png"):
        file.write_bytes(file.read_bytes().ljust(16_384, b"\0"))  # full blocks: tarfile would look back before the next
    starts, start = [], lzma.LZMADecompressor
    monkeypatch.setattr(lzma, "LZMADecompressor", lambda *args, **kwargs: starts.append(1) or start(*args, **kwargs))
    assert len(read(pack(tree, "xztar"))[0]) == 6 and len(starts) == 2


def test_folders_of_an_archive_need_no_entries_of_their_own(tree):
    path = tree.parent / "bare.tar"
    with tarfile.open(path, "w") as archive:
        for file in sorted(tree.rglob("*.png"), reverse=True):
            archive.add(file, f"./pets//{file.relative_to(tree).as_posix()}")
    assert all(map(np.array_equal, read(path), read(tree)))
