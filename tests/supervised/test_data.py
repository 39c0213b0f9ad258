"""The digits, split and relabelled for every member; and data that are none, which are refused."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from companion.supervised import split
from tests.helpers import child_environment

SAMPLES = 1797


def test_every_sample_is_on_one_side_of_the_split() -> None:
    data = split("digits", [0, 1, 2], held_out=0.25)
    pictures, labels = load_digits(return_X_y=True)
    for member in range(3):
        seen = np.concatenate([data.inputs[member], data.held_out_inputs[member]]) * 16
        truth = np.concatenate([data.labels[member], data.held_out_labels[member]])
        rows = np.lexsort(np.column_stack([seen, truth]).T)
        wanted = np.lexsort(np.column_stack([pictures, labels]).T)
        np.testing.assert_array_equal(seen[rows], pictures[wanted])
        np.testing.assert_array_equal(truth[rows], labels[wanted])
    assert data.held_out_labels.shape == (3, round(0.25 * SAMPLES))
    assert data.classes == 10
    assert not np.array_equal(data.inputs[0], data.inputs[1])


def test_a_members_data_depend_on_its_seed_alone() -> None:
    alone = split("digits", [5], label_noise=np.float32([0.3]))
    among = split("digits", [9, 5, 0], label_noise=np.float32([0.0, 0.3, 1.0]))
    np.testing.assert_array_equal(alone.inputs[0], among.inputs[1])
    np.testing.assert_array_equal(alone.labels[0], among.labels[1])
    np.testing.assert_array_equal(alone.held_out_labels[0], among.held_out_labels[1])


def test_noise_redraws_the_share_of_training_labels_it_says() -> None:
    seeds = list(range(20))
    truth = split("digits", seeds)
    noisy = split("digits", seeds, label_noise=0.3)
    changed = (noisy.labels != truth.labels).mean()
    assert changed == pytest.approx(0.3 * 0.9, abs=0.02)  # one in ten is redrawn as what it was
    np.testing.assert_array_equal(noisy.held_out_labels, truth.held_out_labels)


def test_more_noise_keeps_what_less_noise_redrew() -> None:
    truth, less, more = (split("digits", [3], label_noise=share).labels for share in (0.0, 0.2, 0.6))
    redrawn = less != truth
    np.testing.assert_array_equal(more[redrawn], less[redrawn])
    assert (more != truth).sum() > redrawn.sum()


REFUSED = """
import numpy as np
from companion import supervised
from companion.supervised import DATASETS, Split, split

def refused(call, *given, **more):
    try:
        call(*given, **more)
        print("taken")
    except (TypeError, ValueError) as error:
        print(type(error).__name__, error)

x, y = np.zeros((2, 3, 4), np.float32), np.array([[0, 1, 2], [2, 1, 0]])
broken = x.copy()
broken[1, 2, 3] = np.nan
for given in (
    (x, y, x, y, 3), (x / 1.0, y, x, y, 3), (x.astype(float), y, x, y, 3), (x, y.astype(np.int32), x, y, 3),
    (x, y, x, y[:, :2], 3), (x, y, x[:, :0], y[:, :0], 3), (x[0], y[0], x, y, 3), (x, y, x[:1], y[:1], 3),
    (x, y, broken, y, 3), (x, y - 1, x, y, 3), (x, y, x, y, 2), (x, y, x, y, 3.0), (x, y, x, y, 0),
):
    refused(Split, *given)

points, names = np.zeros((20, 4), np.float32), np.arange(20) % 2
for loaded in (
    (points, names), (points[:, None], names), (points, names / 1), (points[:19], names), (points, names - 1),
    (points[:0], names[:0]), (points.astype(float), names), (points + np.inf, names),
):
    DATASETS["mine"] = lambda: loaded
    refused(supervised.train, "mine", held_out=[0.5, 0.3], steps=1, seeds=1, progress=False, checkpoint="kept.pt")
DATASETS["mine"] = lambda: (points, names)
refused(supervised.train, "mine", held_out=[0.5, 0.01], steps=1, seeds=1, progress=False)
refused(split, "digit", [0])
"""


def test_what_are_no_data_is_refused_when_it_is_made_and_before_any_training(tmp_path) -> None:
    """In a process of its own: here the checks of shapes at run time would come first."""
    command = [sys.executable, "-c", REFUSED]
    done = subprocess.run(command, env=child_environment(), capture_output=True, text=True, cwd=tmp_path, check=False)
    shape = "give float32 of shape (member, sample, feature) with one or more of each, and in both halves as many"
    labels = "its loader must return an integer from 0 on for each"
    expected = [
        "taken",
        "taken",
        f"ValueError inputs is float64 of shape (2, 3, 4); {shape}",
        "ValueError labels is int32 of shape (2, 3); give int64 of shape (2, 3)",
        "ValueError held_out_labels is int64 of shape (2, 2); give int64 of shape (2, 3)",
        f"ValueError held_out_inputs is float32 of shape (2, 0, 4); {shape}",
        f"ValueError inputs is float32 of shape (3, 4); {shape}",
        f"ValueError held_out_inputs is float32 of shape (1, 3, 4); {shape}",
        "ValueError held_out_inputs[1, 2, 3] is nan; leave such samples out, or fill them in",
        "ValueError labels[0, 0] is -1; with classes=3 labels are 0 to 2",
        "ValueError labels[0, 2] is 2; with classes=2 labels are 0 to 1",
        "TypeError classes=3.0 must be an integer",
        "ValueError classes=0 must be at least 1",
        "taken",
        f"ValueError inputs is float32 of shape (1, 10, 1, 4); {shape}",
        f"ValueError dataset='mine' has labels of float64 and shape (20,) for 20 inputs; {labels}",
        f"ValueError dataset='mine' has labels of int64 and shape (20,) for 19 inputs; {labels}",
        "ValueError labels[0, ",
        "ValueError held_out=0.5 of the 0 samples of 'mine' are 0, and a half has none; change it",
        f"ValueError inputs is float64 of shape (1, 10, 4); {shape}",
        "ValueError inputs[0, 0, 0] is inf; leave such samples out, or fill them in",
        "ValueError held_out=0.01 of the 20 samples of 'mine' are 0, and a half has none; change it",
        "ValueError unknown dataset 'digit': did you mean 'digits'?",
    ]
    said = done.stdout.splitlines()
    assert len(said) == len(expected), done.stderr
    for got, want in zip(said, expected, strict=True):
        assert got.startswith(want)
