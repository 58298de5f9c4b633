"""IDX files: read whole or refused, fetched from the next mirror when one fails."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import struct
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from sfumato.errors import MissingExtra, TaskError
from sfumato.tasks import _idx

COUNTS = (30, 12)


def images(count: int, rows: int = 5, columns: int = 4, magic: int = 2051) -> bytes:
    values = np.random.default_rng(count).integers(256, size=count * rows * columns, dtype=np.uint8)
    return struct.pack(">IIII", magic, count, rows, columns) + values.tobytes()


def labels(count: int, magic: int = 2049) -> bytes:
    return struct.pack(">II", magic, count) + (np.arange(count) % 10).astype(np.uint8).tobytes()


def four() -> dict[str, bytes]:
    """The unpacked bytes of a tiny set."""
    parts = (images(COUNTS[0]), labels(COUNTS[0]), images(COUNTS[1]), labels(COUNTS[1]))
    return dict(zip(_idx.FILES.values(), parts, strict=True))


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A tiny set called mnist in SFUMATO_DATA, with its own hashes; returns the folder of its files."""
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for file, body in four().items():
        (folder / f"{file}.gz").write_bytes(gzip.compress(body))
    hashes = {file: hashlib.sha256(body).hexdigest() for file, body in four().items()}
    source = replace(_idx.SETS["mnist"], sha256=hashes, counts=COUNTS)
    monkeypatch.setitem(_idx.SETS, "mnist", source)
    monkeypatch.setenv("SFUMATO_DATA", str(tmp_path / "data"))
    return folder


def test_a_set_is_read_from_the_named_folder(tiny):
    pictures, notes = _idx.read("mnist")
    assert pictures.train_images.shape == (30, 5, 4) and pictures.test_labels.shape == (12,)
    assert pictures.train_images.tobytes() == images(30)[16:]
    assert (pictures.train_labels == np.arange(30) % 10).all()
    assert notes == ()


def test_unpacked_files_are_read_as_well(tiny):
    for path in list(tiny.iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert _idx.read("mnist")[0].test_images.tobytes() == images(12)[16:]


def test_a_missing_file_is_named_and_nothing_is_fetched(tiny, monkeypatch):
    monkeypatch.setattr(_idx, "fetch", lambda *_: pytest.fail("fetched"))
    path = tiny / "t10k-labels-idx1-ubyte.gz"
    path.unlink()
    with pytest.raises(_idx.Absent) as caught:
        _idx.read("mnist")
    assert str(path) in str(caught.value).split("\n")[0]


def test_a_tampered_file_is_refused(tiny):
    path = tiny / "train-labels-idx1-ubyte.gz"
    body = bytearray(gzip.decompress(path.read_bytes()))
    body[-1] ^= 1
    path.write_bytes(gzip.compress(bytes(body)))
    with pytest.raises(TaskError, match="SHA-256 differs"):
        _idx.read("mnist")


def test_files_packed_anew_are_accepted_and_said_where_only_the_gz_hash_is_known(tiny, monkeypatch):
    published = dict.fromkeys(_idx.FILES.values(), "0" * 64)
    monkeypatch.setitem(_idx.SETS, "mnist", replace(_idx.SETS["mnist"], sha256=published, unpacked=False))
    assert "only their structure was checked" in _idx.read("mnist")[1][0]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (images(3)[:-1], "cut short"),
        (images(3)[:10], "cut short"),
        (images(3) + b"\0", "goes on after its end"),
        (images(3, magic=2049), "magic number is 2049"),
        (images(0), "claims 0 pictures"),
        (struct.pack(">IIII", 2051, 3, 1 << 31, 1), "claims 3 pictures"),
        (gzip.compress(images(300))[:-40], "damaged or cut short"),
        (gzip.compress(images(300))[:60] + b"garbage" * 20, "damaged"),
        (b"", "cut short"),
    ],
)
def test_wrong_pictures_are_refused(tmp_path, body, words):
    path = tmp_path / "images"
    path.write_bytes(body)
    with pytest.raises(TaskError, match=words) as caught:
        _idx.read_images(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (labels(3)[:-1], "cut short"),
        (labels(3)[:5], "cut short"),
        (labels(0), "no label"),
        (images(3), "magic number is 2051"),
    ],
)
def test_wrong_labels_are_refused(tmp_path, body, words):
    path = tmp_path / "labels"
    path.write_bytes(body)
    with pytest.raises(TaskError, match=words):
        _idx.read_labels(path)


def test_wrong_counts_and_labels_are_refused(tiny, monkeypatch):
    monkeypatch.setitem(_idx.SETS, "mnist", replace(_idx.SETS["mnist"], counts=(60_000, 12)))
    with pytest.raises(TaskError, match="expected 60,000"):
        _idx.read("mnist")
    monkeypatch.setitem(_idx.SETS, "mnist", replace(_idx.SETS["mnist"], counts=COUNTS, classes=("a", "b")))
    with pytest.raises(TaskError, match="a label is 9"):
        _idx.read("mnist")


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_idx, "LARGEST", 100)
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(101)))
    with pytest.raises(TaskError, match="more than 100 bytes"):
        _idx.read_images(path)


# Fetching, from a server on this machine ----------------------------------------------------------------------


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server with one folder a mirror, and an empty cache; returns (folder, address)."""
    root = tmp_path / "web"
    root.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=root))
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    monkeypatch.delenv("SFUMATO_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield root, f"http://127.0.0.1:{served.server_port}/"
    served.shutdown()
    served.server_close()
    thread.join()


def test_a_wrong_or_absent_mirror_leads_to_the_next(tiny, server, monkeypatch, tmp_path):
    root, address = server
    monkeypatch.delenv("SFUMATO_DATA", raising=False)
    for mirror in ("empty", "wrong", "cut", "right"):
        (root / mirror).mkdir()
    for path in tiny.iterdir():
        (root / "wrong" / path.name).write_bytes(gzip.compress(b"an error page"))
        (root / "cut" / path.name).write_bytes(path.read_bytes()[:-9])
        (root / "right" / path.name).write_bytes(path.read_bytes())
    mirrors = tuple(f"{address}{mirror}/" for mirror in ("empty", "wrong", "cut", "right"))
    monkeypatch.setitem(_idx.SETS, "mnist", replace(_idx.SETS["mnist"], mirrors=mirrors))
    assert _idx.read("mnist")[0].train_images.tobytes() == images(30)[16:]
    for path in (root / "right").iterdir():
        path.unlink()
    assert len(_idx.read("mnist")[0].test_labels) == 12  # from the cache


def test_a_failed_download_leaves_nothing_behind(tiny, server, monkeypatch, tmp_path):
    root, address = server
    monkeypatch.delenv("SFUMATO_DATA", raising=False)
    (root / "wrong").mkdir()
    (root / "wrong" / "train-images-idx3-ubyte.gz").write_bytes(b"half of a fil")
    monkeypatch.setitem(
        _idx.SETS, "mnist", replace(_idx.SETS["mnist"], mirrors=(f"{address}wrong/", f"{address}none/"))
    )
    with pytest.raises(_idx.Absent) as caught:
        _idx.read("mnist")
    assert "SFUMATO_DATA" in str(caught.value) and "another file" in str(caught.value)
    assert [p for p in (tmp_path / "cache").rglob("*") if p.is_file()] == []


def test_without_pooch_the_install_line_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtra, match=r"pip install 'sfumato\[data\]'"):
        _idx.fetch("mnist", _idx.FILES["train_images"])
