"""The digits, split and relabelled for every member."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from companion.supervised import split

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
