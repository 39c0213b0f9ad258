"""CIFAR-10: 60,000 photographs of 32×32 pixels in ten classes, read from the official binary files.

Source: A. Krizhevsky, *Learning Multiple Layers of Features from Tiny Images* (2009). A file holds 10,000 records of
3,073 bytes: the label, then the red, the green and the blue plane, each row by row. Nothing is unpickled.
"""

import os
import tarfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from companion.bars import progress_bar
from companion.folders import user_folder
from companion.vision.augmentation import Augmentation
from companion.vision.datasets import Dataset, Pictures

__all__ = ["cifar10"]

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
RECORDS = 10_000
"""Records in each file."""

_FOLDER = "cifar-10-batches-bin"
_META = "batches.meta.txt"
_TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_TEST = ("test_batch.bin",)
_RECORD = 1 + 3 * 32 * 32  # bytes


def cifar10() -> Dataset:
    """CIFAR-10 on the CPU: 50,000 pictures to train on, in the order of the files, and 10,000 to be judged on.

    Where the environment variable ``COMPANION_DATA`` is set, it names the folder that holds ``cifar-10-batches-bin``,
    and nothing is downloaded. Otherwise the official archive (170 MB) is downloaded once into the user's cache folder;
    it takes its place there only when it is whole and its checksum is right. ``COMPANION_PROGRESS=0`` hides the bar.

    A folder's pictures may have been through JPEG, which shows in the pixels. The name then says so:
    ``"CIFAR-10 (JPEG q75)"``, or ``"CIFAR-10 (JPEG)"`` at another quality.

    Raises:
        FileNotFoundError: ``COMPANION_DATA`` is set, and a file is missing there.
        ValueError: a file is not of its official size, or holds a label above 9 or other than ten class names.
        OSError: the archive cannot be downloaded or kept, or its checksum is wrong; says what to do.
    """
    if data := os.environ.get("COMPANION_DATA"):
        folder = Path(os.path.expanduser(data))  # which leaves ~ as it is where there is no home
        if folder.name != _FOLDER:
            folder /= _FOLDER
        dataset = _dataset(folder, lambda name: _content(folder / name))
        return replace(dataset, name=dataset.name + _encoding(dataset.train.images[:1000]))
    archive = _archive()
    with tarfile.open(archive) as tar:  # in the order of the archive, so that it is unpacked once
        files = {Path(member.name).name: file.read() for member in tar if (file := tar.extractfile(member))}
    return _dataset(archive, files.pop)


def _dataset(place: Path, content: Callable[[str], bytes]) -> Dataset:
    """The pictures, given what holds the files (for errors) and the content of each, by name."""
    classes = tuple(content(_META).decode(errors="replace").split())
    if len(classes) != 10:
        raise ValueError(f"{place / _META} has {len(classes)} names of classes and not 10; {_remedy()}")

    def pictures(names: tuple[str, ...]) -> Pictures:
        images = np.empty((len(names), RECORDS, 3, 32, 32), np.uint8)
        labels = np.empty((len(names), RECORDS), np.int64)
        for file, name in enumerate(names):
            found = content(name)
            if len(found) != RECORDS * _RECORD:
                raise ValueError(
                    f"{place / name} has {len(found):,} bytes and not {RECORDS * _RECORD:,} "
                    f"({RECORDS:,} records of {_RECORD:,}): it was cut short, or is another file; {_remedy()}"
                )
            records = np.frombuffer(found, np.uint8).reshape(RECORDS, _RECORD)
            labels[file] = records[:, 0]
            images[file] = records[:, 1:].reshape(RECORDS, 3, 32, 32)
            if (wrong := np.flatnonzero(labels[file] > 9)).size:
                raise ValueError(
                    f"{place / name} is damaged: its record {wrong[0]:,} has the label {labels[file, wrong[0]]}, and "
                    f"labels are 0 to 9; {_remedy()}"
                )
        return Pictures(torch.from_numpy(images).flatten(0, 1), torch.from_numpy(labels).flatten())

    return Dataset("CIFAR-10", pictures(_TRAIN), pictures(_TEST), classes, Augmentation())


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(f"there is no {path}; {_remedy()}") from error


def _remedy() -> str:
    return (
        f"COMPANION_DATA is {os.environ.get('COMPANION_DATA')!r}: set it to a folder that holds {_FOLDER}, unpacked "
        f"from {URL}, or unset it and the archive is downloaded"
    )


def _encoding(images: UInt8[Tensor, "picture 3 32 32"]) -> str:
    """What the name says of JPEG: nothing if the pictures were not through it.

    JPEG rounds a block's mean luma to whole eighths of its quality's step, and step 8 is quality 75's (74 and 76 share
    it). So at the right step the means are in phase: the length of their mean phasor is 0.8 on 1,000 photographs at
    quality 75, at least 0.33 at qualities 25 to 95, and at most 0.03 on pictures that have no such grid. Every divisor
    of the step is in phase too, therefore the largest counts. Above quality 95 the pixels tell nothing.
    """
    luma = np.einsum("c,nchw->nhw", [0.299, 0.587, 0.114], images.numpy(), dtype=np.float64)  # as JPEG defines it
    eighths = 8 * (luma.reshape(-1, 4, 8, 4, 8).mean((2, 4)) - 128)
    steps = [step for step in range(2, 33) if abs(np.exp(2j * np.pi * eighths / step).mean()) > 0.2]
    return {0: "", 8: " (JPEG q75)"}.get(max(steps, default=0), " (JPEG)")


def cache_folder() -> Path:
    return user_folder("cache")


def _archive() -> Path:
    """The official archive, downloaded if it is not there; pooch moves it there once its checksum is right."""
    with warnings.catch_warnings():  # of tqdm, about a package for notebooks that the bar does not need
        warnings.simplefilter("ignore")
        import pooch

    def download(url: str, file: str, caller: Any) -> None:
        with progress_bar("CIFAR-10", 1, unit="B") as bar:  # whose total pooch knows better, and sets
            pooch.HTTPDownloader(progressbar=bar, chunk_size=2**16)(url, file, caller)

    files = f"set COMPANION_DATA to a folder that holds {_FOLDER}, unpacked from"
    try:
        path = cache_folder() / "cifar-10-binary.tar.gz"
    except OSError as error:
        raise OSError(f"CIFAR-10 could not be kept: {error}; or {files} {URL} (md5 {MD5})") from error
    try:
        pooch.retrieve(URL, known_hash=f"md5:{MD5}", fname=path.name, path=path.parent, downloader=download)
    except (OSError, ValueError) as error:
        raise OSError(
            f"CIFAR-10 could not be downloaded: {error}. Connect to the network and call again; or put {URL} "
            f"(md5 {MD5}) at {path} yourself; or {files} it"
        ) from error
    return path
