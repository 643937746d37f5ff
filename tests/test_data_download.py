"""Downloads from mirrors that do everything wrong, on this machine: the whole file, or none."""

import errno
import hashlib
import importlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from autobp.data import DataError, mnist
from autobp.data.download import download
from tests.test_data_files import a_set, idx, made, module, same, zipped

downloads = importlib.import_module("autobp.data.download")

FILE = np.random.default_rng(0).bytes(300_000)
HASH = hashlib.sha256(FILE).hexdigest()
HALF = len(FILE) // 2


class Mirror(BaseHTTPRequestHandler):
    """The first part of the address says how to behave."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        manner = self.path.split("/")[1]
        asked = self.headers.get("Range")
        self.server.asked.append((manner, asked))
        content = self.server.files.get(self.path.rsplit("/", 1)[1], FILE)
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked else 0
        self.close_connection = True
        getattr(self, manner)(content, start)

    def log_message(self, *args):
        pass

    def send(self, body, length=None, status=200, **headers):
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def good(self, content, start):  # knows no ranges
        self.send(content, len(content))

    def ranges(self, content, start):
        if not start:
            return self.good(content, start)
        total = len(content)
        span = f"bytes {start}-{total - 1}/{total}"
        return self.send(content[start:], total - start, 206, Content_Range=span)

    def nolength(self, content, start):
        self.send(content)

    def truncating(self, content, start):  # by what it promised
        self.send(content[: len(content) // 2], len(content))

    def short(self, content, start):  # without having promised anything
        self.send(content[: len(content) // 2])

    def poisoned(self, content, start):
        self.send(bytes(len(content) // 2))

    def wrong(self, content, start):
        self.send(content[:-1] + bytes([content[-1] ^ 1]), len(content))

    def other(self, content, start):
        self.send(b"<html>sign in first</html>", 26)

    def long(self, content, start):
        self.send(content + bytes(100))

    def liar(self, content, start):
        if not start:
            return self.truncating(content, start)
        return self.send(
            content[: len(content) - start], len(content) - start, 206, Content_Range="bytes 0-9/10"
        )

    def missing(self, content, start):
        self.send(b"gone", 4, 404)

    def refusing(self, content, start):
        self.send(b"not for you", 11, 403)

    def astray(self, content, start):
        self.send(b"", 0, 302, Location="file:///etc/hostname")

    def moved(self, content, start):
        self.send(b"", 0, 302, Location=self.path.replace("moved", "ranges"))

    def silent(self, content, start):
        self.server.over.wait()

    def trickling(self, content, start):  # for ever, and never silent for long
        self.trickle(b"", content, start)

    def tricklinghead(self, content, start):  # already with what comes before the content
        self.trickle(b"HTTP/1.1 200 OK\r\n", b"X-Filler: 1\r\n" * 1000, 0)

    def trickle(self, head, content, start):
        if head:
            self.wfile.write(head)
        else:
            self.send(b"", len(content))
        try:
            for i in range(200):
                self.wfile.write(content[i : i + 1])
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            pass  # the other side has had enough

    def slow(self, content, start):  # stops in the middle, without hanging up
        self.send(content[: len(content) // 2], len(content))
        self.wfile.flush()
        self.server.over.wait()

    def hangup(self, content, start):
        pass

    def garbage(self, content, start):
        self.wfile.write(b"no protocol at all\n\n")


@pytest.fixture(scope="module")
def running():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.handle_error = lambda *args: None
    server.asked, server.files, server.over = [], {}, threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def server(running, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running.asked.clear()
    running.files.clear()
    return running


def at(server, *manners):
    return [f"http://127.0.0.1:{server.server_address[1]}/{manner}/file" for manner in manners]


def get(server, target, *manners):
    download(target, at(server, *manners), len(FILE), HASH)


@pytest.fixture
def impatient(monkeypatch):
    """Downloads wait for a second where nothing more is to come, and elsewhere as long as ever."""
    real = downloads.urlopen

    def urlopen(request, timeout):
        stops = re.search("/(silent|slow)/", request.full_url)
        return real(request, timeout=1.0 if stops else timeout)

    monkeypatch.setattr(downloads, "urlopen", urlopen)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


BAD = {
    "truncating": "it stopped after 150,000 of 300,000 bytes",
    "short": "it stopped after 150,000 of 300,000 bytes",
    "poisoned": "it stopped after 150,000 of 300,000 bytes",
    "wrong": "its file has another hash",
    "other": "its file has another length (26)",
    "long": "its file is longer than 300,000 bytes",
    "missing": "HTTP 404",
    "refusing": "HTTP 403",
    "astray": "HTTP 302",
    "silent": "no answer in time",
    "slow": "no answer in time",
    "hangup": "Remote end closed connection without response",
    "garbage": "no protocol at all",
}
LEFT = {"truncating", "short", "poisoned", "slow"}  # something to go on from


@pytest.mark.parametrize("manner", ["good", "ranges", "nolength", "moved"])
def test_good_mirrors(server, tmp_path, manner, capsys):
    target = tmp_path / "deep" / "er" / "file"
    get(server, target, manner)
    assert target.read_bytes() == FILE
    assert names(target.parent) == ["file"]
    assert capsys.readouterr().err.startswith("downloading file (300,000 bytes) from 127.0.0.1")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("manner", BAD)
def test_the_next_mirror_is_asked_when_one_fails(server, tmp_path, manner):
    get(server, tmp_path / "file", manner, "ranges")
    assert (tmp_path / "file").read_bytes() == FILE
    assert names(tmp_path) == ["file"]
    asked = [manner for manner, _ in server.asked]
    assert asked[0] == manner
    assert set(asked[1:]) == {"ranges"}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("manner", BAD)
def test_a_failing_mirror_is_described_and_leaves_no_file(server, tmp_path, manner):
    with pytest.raises(ConnectionError) as caught:
        get(server, tmp_path / "file", manner)
    assert str(caught.value) == f"127.0.0.1:{server.server_address[1]}: {BAD[manner]}"
    assert names(tmp_path) == (["file.part"] if manner in LEFT else [])


@pytest.mark.usefixtures("impatient")
def test_all_failing_mirrors_are_described(server, tmp_path):
    with pytest.raises(ConnectionError) as caught:
        get(server, tmp_path / "file", *BAD)
    assert str(caught.value).count("; ") == len(BAD) - 1
    assert "\n" not in str(caught.value)
    assert "file" not in names(tmp_path)


def test_an_older_good_file_stays_until_the_new_one_is_whole(server, tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(ConnectionError):
        get(server, tmp_path / "file", "wrong", "truncating")
    assert (tmp_path / "file").read_bytes() == b"old"
    get(server, tmp_path / "file", "good")
    assert (tmp_path / "file").read_bytes() == FILE


# ── going on from what there is ───────────────────────────────────────────────────────────────────


def test_the_next_mirror_goes_on_where_one_stopped(server, tmp_path):
    get(server, tmp_path / "file", "truncating", "ranges")
    assert server.asked == [("truncating", None), ("ranges", f"bytes={HALF}-")]
    assert (tmp_path / "file").read_bytes() == FILE


def test_the_next_attempt_goes_on_where_one_stopped(server, tmp_path):
    with pytest.raises(ConnectionError):
        get(server, tmp_path / "file", "truncating")
    get(server, tmp_path / "file", "ranges")
    assert server.asked[-1] == ("ranges", f"bytes={HALF}-")
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == FILE


def test_a_server_without_ranges_starts_again(server, tmp_path):
    get(server, tmp_path / "file", "truncating", "good")
    assert (tmp_path / "file").read_bytes() == FILE


def test_a_wrong_beginning_is_not_the_next_mirrors_fault(server, tmp_path):
    get(server, tmp_path / "file", "poisoned", "ranges")
    asked = [("poisoned", None), ("ranges", f"bytes={HALF}-"), ("ranges", None)]
    assert server.asked == asked
    assert (tmp_path / "file").read_bytes() == FILE


def test_another_range_than_asked_for_is_refused(server, tmp_path):
    (tmp_path / "file.part").write_bytes(FILE[:1000])
    with pytest.raises(ConnectionError, match="it sends another range than requested"):
        get(server, tmp_path / "file", "liar")
    assert (tmp_path / "file.part").read_bytes() == FILE[:1000]


@pytest.mark.parametrize("left", [FILE, FILE + b"more", FILE[:-1] + b"?", b"", b"x" * 10])
def test_whatever_was_left_the_file_is_right(server, tmp_path, left):
    (tmp_path / "file.part").write_bytes(left)
    get(server, tmp_path / "file", "ranges")
    assert (tmp_path / "file").read_bytes() == FILE
    assert names(tmp_path) == ["file"]
    assert bool(server.asked) == (left != FILE)  # what is whole already is not asked for


def test_only_an_abandoned_part_of_another_process_is_taken_over(server, tmp_path):
    alive, dead = tmp_path / "file.0a.part", tmp_path / "file.0b.part"
    alive.write_bytes(FILE[:100])
    dead.write_bytes(FILE[:200])
    long_ago = time.time() - 2 * downloads._ABANDONED
    os.utime(dead, (long_ago, long_ago))
    get(server, tmp_path / "file", "ranges")
    assert server.asked == [("ranges", "bytes=200-")]
    assert names(tmp_path) == ["file", "file.0a.part"]
    assert alive.read_bytes() == FILE[:100]


def test_many_at_once(server, tmp_path):
    with ThreadPoolExecutor(8) as pool:
        jobs = [
            pool.submit(get, server, tmp_path / "file", "truncating", "ranges") for _ in range(8)
        ]
        for job in jobs:
            job.result()
    assert (tmp_path / "file").read_bytes() == FILE
    assert names(tmp_path) == ["file"]


# ── stopped in the middle ─────────────────────────────────────────────────────────────────────────


def test_an_interrupt_leaves_a_part_to_go_on_from(server, tmp_path, monkeypatch):
    real = downloads.urlopen

    def interrupted(*args, **kwargs):
        reply = real(*args, **kwargs)
        read, count = reply.read1, iter(range(3))

        def read1(n):
            if next(count, None) is None:
                raise KeyboardInterrupt
            return read(n)

        reply.read1 = read1
        return reply

    with monkeypatch.context() as patch:
        patch.setattr(downloads, "urlopen", interrupted)
        with pytest.raises(KeyboardInterrupt):
            get(server, tmp_path / "file", "good")
    assert names(tmp_path) == ["file.part"]
    have = (tmp_path / "file.part").stat().st_size
    assert 0 < have < len(FILE)
    get(server, tmp_path / "file", "ranges")
    assert server.asked[-1] == ("ranges", f"bytes={have}-")
    assert (tmp_path / "file").read_bytes() == FILE


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_a_kill_leaves_no_half_file(server, tmp_path):
    code = f"""
from pathlib import Path
from autobp.data.download import download
download(Path({str(tmp_path / "file")!r}), {at(server, "slow")!r}, {len(FILE)}, {HASH!r})
"""
    child = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    while not any(p.stat().st_size for p in tmp_path.iterdir()):
        assert child.poll() is None
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    (left,) = names(tmp_path)
    assert re.fullmatch(r"file\.\w+\.part", left)
    get(server, tmp_path / "file", "good")
    assert (tmp_path / "file").read_bytes() == FILE


class Full(io.FileIO):
    """A disk with room for 100,000 bytes."""

    def write(self, data):
        if self.tell() + len(data) > 100_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


def test_a_full_disk_is_not_the_mirrors_fault(server, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(downloads, "open", lambda path, mode: Full(path, "a+"), raising=False)
        with pytest.raises(DataError, match="file cannot be written: No space left on device"):
            get(server, tmp_path / "file", "good", "ranges")
    assert [manner for manner, _ in server.asked] == ["good"]
    assert "file" not in names(tmp_path)
    get(server, tmp_path / "file", "ranges")
    assert (tmp_path / "file").read_bytes() == FILE


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failing_disk_leaves_no_file(server, tmp_path, monkeypatch, call):
    def failing(*args):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        with pytest.raises(DataError, match="file cannot be written: Input/output error"):
            get(server, tmp_path / "file", "good")
    assert "file" not in names(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="inside cannot be written: Not a directory|File exists"):
        get(server, tmp_path / "file" / "inside", "good")


# ── progress ──────────────────────────────────────────────────────────────────────────────────────


def test_a_bar_on_a_terminal(server, tmp_path, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    get(server, tmp_path / "file", "truncating", "ranges")
    assert "file:" in terminal.getvalue()
    assert "100%" in terminal.getvalue()
    assert "300k/300k" in terminal.getvalue()


def test_no_stderr_at_all(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    get(server, tmp_path / "file", "good")
    assert capsys.readouterr().out == ""


# ── a whole set ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def small(server, tmp_path, monkeypatch):
    """A small MNIST, published by the server; returns a function that says at which mirrors."""
    arrays = made(4)
    monkeypatch.delenv("AUTOBP_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def publish(*manners):
        mirrors = tuple(url.removesuffix("file") for url in at(server, *manners))
        small = a_set(arrays, module._MNIST, mirrors)
        monkeypatch.setattr(module, "_MNIST", small)
        return arrays

    server.files.update((n, zipped(idx(a))) for n, a in zip(module._NAMES, arrays))
    return publish


def test_a_set_is_downloaded_once(server, small, tmp_path):
    arrays = small("missing", "truncating", "ranges")
    assert same(mnist(), arrays)
    assert len(server.asked) == 12
    assert names(tmp_path / "autobp" / "mnist") == sorted(module._NAMES)
    assert same(mnist(), arrays)
    assert len(server.asked) == 12


def test_a_damaged_file_in_the_cache_is_replaced(server, small, tmp_path):
    arrays = small("good")
    mnist()
    path = tmp_path / "autobp" / "mnist" / module._NAMES[2]
    content = bytearray(path.read_bytes())
    for damaged in (b"", content[:-5], content[:500] + b"?" + content[501:]):
        path.write_bytes(damaged)
        assert same(mnist(), arrays)
    assert len(server.asked) == 4 + 3


def test_a_host_that_is_not_there(small, server, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
        small("good")
        module._MNIST = module._MNIST._replace(mirrors=(f"http://{host}/", "http://none.invalid/"))
        with pytest.raises(DataError) as caught:
            mnist()
    said = str(caught.value)
    assert f"cannot be downloaded ({host}: Connection refused; none.invalid: " in said
    assert "AUTOBP_DATA" in said
    assert "\n" not in said


@pytest.mark.parametrize("manner", ["trickling", "tricklinghead"])
def test_a_server_that_trickles_meets_the_deadline(server, tmp_path, manner):
    target = tmp_path / "file"
    with pytest.raises(ConnectionError, match=r"too slow: it did not finish in 0.5 seconds"):
        download(target, at(server, manner), len(FILE), HASH, deadline=0.5)
    download(target, at(server, manner, "ranges"), len(FILE), HASH, deadline=2.0)
    assert target.read_bytes() == FILE
