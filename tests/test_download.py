"""A file from several hosts on 127.0.0.1: nothing that has come is lost, and nothing wrong is taken for the file."""

import hashlib
import http.server
import random
import re
import threading
from dataclasses import dataclass

import pytest

from resnet_dynamics import cache, download

FILE, OTHER = (b"\x1f\x8b" + random.Random(seed).randbytes(100_000) for seed in (0, 1))
SIZE, MD5 = len(FILE), hashlib.md5(FILE).hexdigest()
INSTEAD = 'data="synthetic" needs no download'


@dataclass
class Host:
    """What a host has, and how it sends it."""

    content: bytes = FILE
    ranges: bool = True
    header: str = "ETag"
    version: str | None = None  # that header of its file
    most: int | None = None  # bytes that it sends before the connection is closed
    length: bool = True  # whether it says how many bytes come
    seconds: float = 0.0  # on the clock, for each chunk that is read
    said: str | None = None  # Content-Range, if it is another than it should be


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name, given = self.path[1:], self.headers.get("Range")
        self.server.asked.append((name, given))
        if (host := self.server.hosts.get(name)) is None:
            return self.send_error(404)
        at, size = 0, len(host.content)
        if given and host.ranges:
            at = int(re.fullmatch(r"bytes=(\d+)-", given)[1])
            if at >= size:
                return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Range", host.said or f"bytes {at}-{size - 1}/{size}")
        else:
            self.send_response(200)
        if host.version is not None:
            self.send_header(host.header, host.version)
        if host.length:
            self.send_header("Content-Length", str(size - at))
        self.end_headers()
        self.wfile.write(host.content[at:][: host.most])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    """`server.hosts[name]` is what `server.url(name)` gives; `server.asked` are names and ranges, in their order."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.hosts, server.asked, server.time = {}, [], 0.0
        server.url = lambda name: f"http://127.0.0.1:{server.server_port}/{name}"

        def clock():
            server.time += server.hosts[server.asked[-1][0]].seconds
            return server.time

        monkeypatch.setattr(download, "clock", clock)
        monkeypatch.setattr(download, "CHUNK", 4096)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.part"


@pytest.fixture
def fetch(server, path):
    """Fetch the file from hosts of these names, which are given or are there already."""

    def fetch(*names, **hosts):
        server.asked.clear()
        server.hosts.update(hosts)
        return download.fetch(tuple(map(server.url, names or hosts)), SIZE, MD5, path, INSTEAD)

    return fetch


def test_the_next_host_goes_on_where_one_has_broken_off(server, path, fetch):
    assert fetch(a=Host(most=40_000), b=Host()) == FILE
    assert server.asked == [("a", None), ("b", "bytes=40000-")]
    assert path.read_bytes() == FILE
    download.forget(path)
    assert not list(path.parent.iterdir())


def test_a_process_that_was_killed_at_any_moment_has_left_what_the_next_one_needs(server, path, fetch, monkeypatch):
    """What a call leaves behind when it is killed is what is on the disk at that moment."""
    moments, put = [], download._Part.put

    def watched(part, at, chunk):
        put(part, at, chunk)
        moments.append({file: file.read_bytes() for file in path.parent.iterdir()})

    with monkeypatch.context() as patch:
        patch.setattr(download._Part, "put", watched)
        fetch(a=Host(version='"1"'))
    assert len(moments) >= SIZE / 4096
    for left in moments[:-1:8]:
        for file, content in left.items():
            file.write_bytes(content)
        assert FILE.startswith(left[path]) and fetch("a") == FILE
        assert server.asked == [("a", f"bytes={len(left[path])}-")]


def test_who_has_all_asks_nobody(server, path, fetch):
    path.write_bytes(FILE)
    assert fetch(a=Host()) == FILE and server.asked == []


def test_a_host_that_knows_no_ranges_sends_all_and_costs_nothing_that_was_there(server, path, fetch):
    path.write_bytes(FILE[:40_000])
    assert fetch(a=Host(ranges=False, most=10_000), b=Host(ranges=False, most=60_000), c=Host()) == FILE
    assert server.asked == [("a", "bytes=40000-"), ("b", "bytes=40000-"), ("c", "bytes=60000-")]


@pytest.mark.parametrize("header", ["ETag", "Last-Modified"])
def test_a_host_whose_file_has_changed_is_asked_for_all_of_it(server, path, fetch, header):
    with pytest.raises(ConnectionError, match="ended after 40,000 of 100,002"):
        fetch(a=Host(OTHER, header=header, version="Monday", most=40_000))
    assert path.read_bytes() == OTHER[:40_000]
    assert fetch(a=Host(header=header, version="Tuesday")) == FILE == path.read_bytes()
    assert server.asked == [("a", "bytes=40000-"), ("a", None)]


def test_another_md5_at_the_end_starts_anew(server, path, fetch):
    path.write_bytes(OTHER[:40_000])
    assert fetch(a=Host()) == FILE == path.read_bytes()
    assert server.asked == [("a", "bytes=40000-"), ("a", None)]


def test_a_host_with_another_file_is_named_and_leaves_nothing(server, path, fetch):
    with pytest.raises(ConnectionError, match=rf"/a: {SIZE:,} bytes came, with another MD5$"):
        fetch(a=Host(OTHER))
    assert not list(path.parent.iterdir())
    assert fetch("a", "b", b=Host()) == FILE
    assert server.asked == [("a", None), ("b", None)]


REFUSED = {
    "a page": (Host(b"<html>Welcome", ranges=False), "13 bytes are there, must be 100,002"),
    "a page of no length": (Host(b"<html>Welcome", ranges=False, length=False), "something else than a gzip file"),
    "a longer file": (Host(FILE + OTHER), "200,004 bytes are there"),
    "a longer file of no length": (Host(FILE + OTHER, ranges=False, length=False), "more than 100,002 bytes came"),
    "a shorter file": (Host(FILE[:30_000]), "HTTP Error 416"),
    "another range": (Host(said="bytes 50000-100001/100002"), "another range .*: bytes 50000-100001/100002"),
    "no range that can be read": (Host(said="some of it"), "another range .*: some of it"),
    "a part": (Host(ranges=False, length=False, most=50_000), "ended after 50,000 of 100,002 bytes"),
    "nothing": (None, "HTTP Error 404"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_is_named_and_costs_nothing_that_was_there(server, path, fetch, what):
    host, reason = REFUSED[what]
    path.write_bytes(FILE[:40_000])
    with pytest.raises(ConnectionError, match=rf"^  {server.url('a')}: .*{reason}.*\n0\.\d of 0\.1 MB are kept, and "):
        fetch(a=host)
    assert path.read_bytes()[:40_000] == FILE[:40_000]
    assert fetch("a", "b", b=Host()) == FILE


def test_a_slow_host_is_left_and_what_it_gave_taken_along(server, fetch, capsys):
    assert fetch(a=Host(seconds=5), b=Host()) == FILE
    (_, first), (name, second) = server.asked
    assert first is None and name == "b" and 4096 <= int(second[6:-1]) <= 10 * 4096
    assert re.search(r"^127\.0\.0\.1 gives \d kB/s: with 0\.0 of 0\.1 MB, another host", capsys.readouterr().out, re.M)


def test_if_all_are_slow_the_fastest_is_kept(server, fetch, capsys):
    assert fetch(a=Host(seconds=20), b=Host(seconds=4), c=Host(seconds=10)) == FILE
    assert [name for name, _ in server.asked] == ["a", "b", "c", "b"]
    taken = [int(given[6:-1]) for _, given in server.asked[1:]]
    assert 0 < taken[0] < taken[1] < taken[2]
    assert f"127.0.0.1 is kept, no other is faster; {INSTEAD}\n" in capsys.readouterr().out


def test_the_last_host_is_not_left_for_slower_ones(server, path, fetch):
    assert fetch(a=Host(seconds=20), b=Host(seconds=4)) == FILE
    assert [name for name, _ in server.asked] == ["a", "b"]
    download.forget(path)
    assert fetch(a=Host(seconds=20)) == FILE


def test_if_all_fail_each_has_a_line_with_its_reason(server, path):
    urls = (server.url("a"), "http://127.0.0.1:9/b", server.url("c"))
    with pytest.raises(ConnectionError) as error:
        download.fetch(urls, SIZE, MD5, path, INSTEAD)
    lines = str(error.value).splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"  {url}" for url in urls]
    assert lines[0].endswith(": HTTP Error 404: Not Found") and "refused" in lines[1]
    assert not list(path.parent.iterdir())


def test_a_slow_host_that_dies_is_followed_by_the_next_fastest(server, fetch):
    server.hosts.update(a=Host(seconds=10), b=Host(seconds=4), c=Host(seconds=20))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download, "say", lambda text: server.hosts.update(b=Host(most=0)) if "kept" in text else None)
        assert fetch("a", "b", "c") == FILE
    assert [name for name, _ in server.asked] == ["a", "b", "c", "b", "a"]


def test_an_interrupted_download_says_what_is_kept_and_goes_on_from_there(server, path, fetch, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        update = download.Bar.update

        def interrupted(bar, n=1, says=None):
            update(bar, n, says)
            if bar.n >= 50_000:
                raise KeyboardInterrupt

        patch.setattr(download.Bar, "update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch(a=Host())
    assert "stopped: 0.1 of 0.1 MB are kept, and the next download goes on from there\n" in capsys.readouterr().out
    taken = len(path.read_bytes())
    assert 50_000 <= taken < 60_000 and fetch("a") == FILE and server.asked == [("a", f"bytes={taken}-")]


def test_the_bar_names_the_host_and_the_way_without_it(fetch, capsys):
    fetch(a=Host())
    said = capsys.readouterr().err
    assert "127.0.0.1: " in said and INSTEAD in said


def test_a_full_disk_ends_nothing(server, path, fetch, monkeypatch):
    write = download._write

    def full(file, at, chunk, cut):
        if not hasattr(file, "getvalue") and at > 30_000:
            file.write(chunk[:100])
            raise OSError(28, "No space left on device")
        write(file, at, chunk, cut)

    with monkeypatch.context() as patch:
        patch.setattr(download, "_write", full)
        assert fetch(a=Host()) == FILE
    taken = len(path.read_bytes())
    assert 30_000 < taken < 40_000 and fetch("a") == FILE and server.asked == [("a", f"bytes={taken}-")]


def test_where_nothing_may_be_written_a_part_is_read_and_left_as_it_is(server, path, fetch):
    path.write_bytes(FILE[:40_000])
    with cache.call(write=False):
        assert fetch(a=Host(version='"1"')) == FILE
        download.forget(path)
    assert server.asked == [("a", "bytes=40000-")]
    assert list(path.parent.iterdir()) == [path] and path.read_bytes() == FILE[:40_000]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"[1]", b"5", b"\xff", b'{"a": 1}'])
def test_without_the_versions_the_md5_decides(server, path, fetch, content):
    path.write_bytes(OTHER[:40_000])
    path.with_name("file.part.json").write_bytes(content)
    assert fetch(a=Host(version='"1"')) == FILE


@pytest.mark.parametrize("what", ["a folder", "longer"])
def test_what_is_in_the_place_of_a_part_is_not_in_the_way(path, fetch, what):
    path.mkdir() if what == "a folder" else path.write_bytes(OTHER * 2)
    assert fetch(a=Host()) == FILE


def test_whatever_hosts_do_the_file_comes_from_the_one_that_is_right(server, path, fetch):
    draw = random.Random(0)
    for _ in range(40):
        bad = {
            str(i): Host(
                draw.choice([FILE, FILE, OTHER, FILE[:50_000] + OTHER[50_000:]]),
                ranges=draw.random() < 0.7,
                version=draw.choice([None, '"1"', '"2"']),
                most=draw.choice([None, 0, 20_000, 70_000]),
                length=draw.random() < 0.7,
                seconds=draw.choice([0, 5]),
            )
            for i in range(draw.randrange(5))
        }
        try:
            got = fetch(**bad)
        except ConnectionError:
            got = fetch(*bad, "good", good=Host(ranges=draw.random() < 0.5))
        assert got == FILE
        if draw.random() < 0.7:
            download.forget(path)
        elif draw.random() < 0.7:
            path.write_bytes(path.read_bytes()[: draw.randrange(SIZE)])
