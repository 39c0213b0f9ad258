"""CIFAR-10, read from small files of the official layout: from a folder, and downloaded as an archive."""

import hashlib
import http.server
import io
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from companion.vision import cifar
from companion.vision.cifar import cifar10

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FILES = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
RECORDS = 20


def smooth_pictures() -> np.ndarray:
    """Six files of pictures, (file, record, 3, 32, 32): smooth as photographs are, aeroplanes and ships under blue."""
    coarse = torch.rand(6 * RECORDS, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    fine = torch.nn.functional.interpolate(coarse, (32, 32), mode="bicubic").clip(0, 1)
    images = (200 * fine.expand(-1, 3, -1, -1).clone()).round().to(torch.uint8)
    images = images.unflatten(0, (6, RECORDS)).numpy()
    images[:, 0::10, 2] += 50
    images[:, 8::10, 2] += 50
    return images


def write(folder: Path, images: np.ndarray) -> Path:
    """The official layout in ``folder``; record r of each file has the label r modulo 10."""
    folder = folder / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    labels = np.arange(RECORDS, dtype=np.uint8)[:, None] % 10
    for name, pictures in zip(FILES, images, strict=True):
        (folder / name).write_bytes(np.hstack([labels, pictures.reshape(RECORDS, 3072)]).tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(CLASSES) + "\n\n")
    return folder


def through_jpeg(images: np.ndarray, quality: int) -> np.ndarray:
    def encode(picture: np.ndarray) -> np.ndarray:
        file = io.BytesIO()
        Image.fromarray(picture.transpose(1, 2, 0)).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file)).transpose(2, 0, 1)

    return np.stack([encode(picture) for picture in images.reshape(-1, 3, 32, 32)]).reshape(images.shape)


@pytest.fixture
def small(monkeypatch):
    """Files of 20 records, and no COMPANION_DATA from outside."""
    monkeypatch.setattr(cifar, "RECORDS", RECORDS)
    monkeypatch.delenv("COMPANION_DATA", raising=False)


@pytest.fixture
def folder(small, tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path))
    return write(tmp_path, smooth_pictures())


@pytest.fixture
def photographs(request) -> None:
    """The folder that COMPANION_DATA names; a small generated one where it is not set."""
    if not os.environ.get("COMPANION_DATA"):
        request.getfixturevalue("folder")


def test_photographs(photographs):
    data = cifar10()
    assert data.name in ("CIFAR-10", "CIFAR-10 (JPEG q75)")
    assert data.classes == CLASSES
    for pictures, files in ((data.train, 5), (data.test, 1)):
        assert pictures.images.shape == (files * cifar.RECORDS, 3, 32, 32)
        assert pictures.images.dtype == torch.uint8
        assert pictures.images.is_contiguous()
        assert pictures.labels.bincount().tolist() == [files * cifar.RECORDS // 10] * 10
    # Neighbours along rows, along columns and over the colours are alike in photographs, in no other order of bytes.
    images = data.test.images.float()
    for axis in (1, 2, 3):
        length = images.shape[axis] - 1
        pair = torch.stack([images.narrow(axis, 0, length).flatten(), images.narrow(axis, 1, length).flatten()])
        assert torch.corrcoef(pair)[0, 1] > 0.85
    blue = torch.stack(
        [(images[data.test.labels == label].mean((0, 2, 3)) @ torch.tensor([-1.0, 0, 1])) for label in range(10)]
    )
    assert set(blue.topk(2).indices.tolist()) == {CLASSES.index("airplane"), CLASSES.index("ship")}


def test_every_byte_has_its_place(folder):
    images = np.random.default_rng(0).integers(256, size=(6, RECORDS, 3, 32, 32), dtype=np.uint8)
    for name, pictures in zip(FILES, images, strict=True):
        content = bytearray()
        for record in range(RECORDS):
            content.append((3 * record) % 10)
            for channel in range(3):
                for row in range(32):
                    content += bytes(pictures[record, channel, row].tolist())
        (folder / name).write_bytes(content)
    data = cifar10()
    np.testing.assert_array_equal(data.train.images, images[:5].reshape(-1, 3, 32, 32))
    np.testing.assert_array_equal(data.test.images, images[5])
    assert data.train.labels.tolist() == [(3 * record) % 10 for record in range(RECORDS)] * 5
    assert data.test.labels.tolist() == [(3 * record) % 10 for record in range(RECORDS)]
    assert data.name == "CIFAR-10"


def test_the_folder_of_the_files_itself_will_do(folder, monkeypatch):
    monkeypatch.setenv("COMPANION_DATA", str(folder))
    assert len(cifar10().train) == 5 * RECORDS


@pytest.mark.parametrize("name", [*FILES, "batches.meta.txt"])
def test_a_missing_file_is_named_with_the_remedy(name, folder):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"there is no \S*{name}; COMPANION_DATA is '.*unpacked from https"):
        cifar10()


@pytest.mark.parametrize("kind", ["nothing", "a file"])
def test_a_folder_that_is_not_there(kind, small, tmp_path, monkeypatch):
    if kind == "a file":
        (tmp_path / "nowhere").write_text("")
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"nowhere/cifar-10-batches-bin/batches.meta.txt; .* or unset it"):
        cifar10()


@pytest.mark.parametrize("name", [FILES[0], FILES[4], FILES[5]])
@pytest.mark.parametrize("size", [0, 3073, 19 * 3073, 20 * 3073 - 1, 20 * 3073 + 1, 21 * 3073])
def test_a_file_of_another_size_is_refused(size, name, folder):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes((2 * content)[:size])
    with pytest.raises(
        ValueError, match=rf"{name} has {size:,} bytes and not 61,460 \(20 records of 3,073\).*COMPANION"
    ):
        cifar10()


def test_a_file_of_20_records_is_not_the_official_one(folder, monkeypatch):
    monkeypatch.setattr(cifar, "RECORDS", 10_000)
    with pytest.raises(ValueError, match=r"data_batch_1.bin has 61,460 bytes and not 30,730,000"):
        cifar10()


def test_a_label_above_9_is_refused(folder):
    content = bytearray((folder / FILES[3]).read_bytes())
    content[7 * 3073] = 10
    (folder / FILES[3]).write_bytes(content)
    with pytest.raises(
        ValueError, match=r"data_batch_4.bin is damaged: its record 7 has the label 10, and labels are 0"
    ):
        cifar10()


def test_names_of_classes_must_be_ten(folder):
    (folder / "batches.meta.txt").write_bytes(b"\xff\xfe cat\n")
    with pytest.raises(ValueError, match=r"batches.meta.txt has 2 names of classes and not 10; COMPANION_DATA is"):
        cifar10()


@pytest.mark.parametrize(
    ("quality", "name"),
    [
        (75, "CIFAR-10 (JPEG q75)"),
        (None, "CIFAR-10"),
        (50, "CIFAR-10 (JPEG)"),
        (60, "CIFAR-10 (JPEG)"),
        (85, "CIFAR-10 (JPEG)"),
        (90, "CIFAR-10 (JPEG)"),
        (95, "CIFAR-10 (JPEG)"),
    ],
)
def test_jpeg_shows_in_the_name(quality, name, small, tmp_path, monkeypatch):
    images = smooth_pictures()
    write(tmp_path, images if quality is None else through_jpeg(images, quality))
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path))
    assert cifar10().name == name


class Server(http.server.ThreadingHTTPServer):
    """Serves one archive: whole, or cut after ``cut`` bytes once ``gate`` is open."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.cut, self.asked, self.gate = b"", None, 0, threading.Event()
        self.gate.set()
        self.sent = threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content[: self.server.cut])
        self.server.sent.set()
        self.server.gate.wait(60)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(small, tmp_path, monkeypatch) -> Iterator[Server]:
    """Serves a small archive in place of the official one; the cache is the test's own."""
    folder = write(tmp_path / "made", smooth_pictures())
    (folder / "readme.html").write_text("a page")
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        tar.add(folder, "cifar-10-batches-bin", recursive=False)
        for path in sorted(folder.iterdir(), reverse=True):  # another order than that of the pictures
            tar.add(path, f"cifar-10-batches-bin/{path.name}")
    server = Server()
    server.content = file.getvalue()
    monkeypatch.setattr(cifar, "URL", f"http://127.0.0.1:{server.server_port}/cifar-10-binary.tar.gz")
    monkeypatch.setattr(cifar, "MD5", hashlib.md5(server.content).hexdigest())
    monkeypatch.setattr(cifar, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.gate.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def is_whole() -> Callable[[], None]:
    """Asserts that the dataset is what was packed."""

    def check() -> None:
        data = cifar10()
        assert data.name == "CIFAR-10"
        assert data.classes == CLASSES
        images = smooth_pictures()
        np.testing.assert_array_equal(data.train.images, images[:5].reshape(-1, 3, 32, 32))
        np.testing.assert_array_equal(data.test.images, images[5])
        assert data.train.labels.tolist() == list(range(10)) * 10

    return check


def test_the_archive_is_downloaded_once(server, is_whole, tmp_path):
    is_whole()
    is_whole()
    assert server.asked == 1
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["cifar-10-binary.tar.gz"]


@pytest.mark.parametrize("hidden", [True, False])
def test_the_progress_bar(hidden, server, is_whole, monkeypatch, capsys):
    monkeypatch.setenv("COMPANION_PROGRESS", "0" if hidden else "1")
    is_whole()
    assert ("CIFAR-10: " in capsys.readouterr().err) is not hidden


def test_an_archive_put_there_by_hand_is_used(server, is_whole, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "cifar-10-binary.tar.gz").write_bytes(server.content)
    is_whole()
    assert server.asked == 0


def test_half_a_download_is_never_used(server, is_whole, tmp_path):
    server.cut = len(server.content) // 2
    with pytest.raises(OSError, match=r"CIFAR-10 could not be downloaded: .*Connect to the network and call again"):
        cifar10()
    assert list((tmp_path / "cache").iterdir()) == []
    server.cut = None
    is_whole()


def test_half_an_archive_in_its_place_is_replaced(server, is_whole, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "cifar-10-binary.tar.gz").write_bytes(server.content[:1000])
    is_whole()
    assert server.asked == 1


def test_a_download_killed_in_the_middle_is_never_used(server, is_whole, tmp_path):
    server.cut = len(server.content) // 2
    server.gate.clear()
    program = f"""
import pathlib
from companion.vision import cifar
cifar.URL, cifar.MD5, cifar.RECORDS = {cifar.URL!r}, {cifar.MD5!r}, {RECORDS}
cifar.cache_folder = lambda: pathlib.Path({str(tmp_path / "cache")!r})
cifar.cifar10()
"""
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL) as process:
        assert server.sent.wait(60)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "cache" / "cifar-10-binary.tar.gz").exists()
    server.cut = None
    server.gate.set()
    is_whole()
    assert server.asked == 2


def test_a_wrong_checksum_is_refused(server, tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "MD5", "0" * 32)
    with pytest.raises(OSError, match=r"does not match the known hash.*put http\S* \(md5 0{32}\) at"):
        cifar10()
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_a_network_the_error_says_what_to_do(server, tmp_path, monkeypatch):
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # and does not listen
        monkeypatch.setattr(cifar, "URL", f"http://127.0.0.1:{deaf.getsockname()[1]}/cifar-10-binary.tar.gz")
        with pytest.raises(OSError, match="could not be downloaded") as caught:
            cifar10()
    text = str(caught.value)
    assert f"at {tmp_path / 'cache' / 'cifar-10-binary.tar.gz'} yourself" in text
    assert "or set COMPANION_DATA to a folder that holds cifar-10-batches-bin" in text


def test_the_official_archive():
    assert cifar.URL == "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    assert cifar.MD5 == "c32a1d4ab5d03f1284b67883e8d87530"
    assert cifar.RECORDS == 10_000
    assert cifar.cache_folder().name == "slow-copy"
