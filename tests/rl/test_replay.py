"""Replay: what is sampled was stored, by this member, and not too long ago."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from companion.rl.replay import Replay


def fill(replay: Replay, first: int, last: int, members: int) -> None:
    """Store transitions whose every number says when and by whom: 1000·member + time."""
    for time in range(first, last):
        stamp = (1000.0 * torch.arange(members) + time)[:, None]
        replay.store(stamp.expand(-1, 3), stamp, stamp[:, 0], stamp.expand(-1, 3) + 0.5, stamp[:, 0] % 2)


@given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4), stored=st.integers(1, 40), data=st.data())
def test_a_sample_is_among_a_members_latest_transitions(sizes, stored, data):
    replay = Replay(torch.tensor(sizes), max(sizes), observation_size=3)
    fill(replay, 0, stored, len(sizes))
    draws = st.lists(st.floats(0, 1, exclude_max=True, width=32), min_size=5, max_size=5)
    noise = torch.tensor([data.draw(draws) for _ in sizes])
    batch = replay.sample(noise)
    assert batch.observation.shape == batch.next_observation.shape == (len(sizes), 5, 3)
    assert batch.action.shape == (len(sizes), 5, 1)
    for member, size in enumerate(sizes):
        times = batch.reward[member] - 1000 * member
        assert times.min() >= max(0, stored - size)
        assert times.max() < stored
        assert torch.equal(batch.observation[member], batch.reward[member, :, None].expand(-1, 3))
        assert torch.equal(batch.next_observation[member], batch.observation[member] + 0.5)
        assert torch.equal(batch.terminated[member], times % 2)


@pytest.mark.parametrize("stored", [3, 10, 17, 40])
def test_every_stored_transition_can_be_drawn_and_equally_often(stored):
    replay = Replay(torch.tensor([10]), 10, observation_size=3)
    fill(replay, 0, stored, 1)
    kept = min(stored, 10)
    noise = (torch.arange(1000 * kept) / (1000 * kept))[None]
    times, counts = replay.sample(noise).reward.unique(return_counts=True)
    assert times.tolist() == list(range(stored - kept, stored))
    assert (counts - 1000).abs().max() <= 1


def test_a_size_of_one_is_the_latest_transition():
    replay = Replay(torch.tensor([1, 8]), 8, observation_size=3)
    for time in range(20):
        fill(replay, time, time + 1, 2)
        assert (replay.sample(torch.rand(2, 6)).reward[0] == time).all()


def test_a_size_beyond_the_capacity_is_never_reached():
    replay = Replay(torch.tensor([10_000, 5]), 7, observation_size=3)
    fill(replay, 0, 7, 2)
    assert replay.sample(torch.linspace(0, 0.999, 50).expand(2, -1)).reward[0].unique().tolist() == list(range(7))
