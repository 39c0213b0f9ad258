"""The program of a training run: what it measures, and what it goes on from."""

import copy

import numpy as np
import pytest
import torch

from tests.rl.populations import CONTINUOUS, drive

SMALL = {"seeds": 2, "learning_starts": 10, "hidden": (16,), "batch_size": 8, "tau": 0.1}


@pytest.fixture
def loop(make_loop):
    return make_loop(**SMALL)


def test_what_has_no_value_yet_is_left_out(loop):
    drive(loop, 0, 10)
    assert set(loop.measure(10)) == {"return", "discounted_return", "predicted"}
    drive(loop, 10, 20)
    measured = loop.measure(20)
    assert set(measured) == {"return", "discounted_return", "predicted", "loss", "q_mean", "q_max"}
    assert {values.shape for values in measured.values()} == {(2,)}


def test_a_mean_is_that_of_the_updates_since_the_last_measurement(make_loop):
    """Over one update after another, and over ten at once."""
    each, all_ = make_loop(**SMALL), make_loop(**SMALL)
    drive(each, 0, 10)
    single = [(each.step(step), each.measure(step))[1] for step in range(11, 21)]
    drive(all_, 0, 20)
    measured = all_.measure(20)
    np.testing.assert_allclose(measured["loss"], np.mean([one["loss"] for one in single], 0), rtol=1e-5)
    np.testing.assert_array_equal(measured["q_max"], np.max([one["q_max"] for one in single], 0))


def test_a_measurement_that_is_broken_off_leaves_no_trace(loop):
    drive(loop, 0, 20)
    state = copy.deepcopy(loop.state_dict())

    def broken_off():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.measure(20, broken_off)
    again = loop.measure(20)
    assert np.isfinite(again["loss"]).all()
    loop.load_state_dict(state)
    for name, values in loop.measure(20).items():
        np.testing.assert_array_equal(values, again[name])


@pytest.mark.parametrize("steps", [0, 7, 256, 300])
@pytest.mark.parametrize("algorithm", ["dqn", *CONTINUOUS])
def test_it_goes_on_from_its_state_with_the_same_bits_in_place(algorithm, steps, make_loop):
    """Also at the end of a block of noise, which is 256 steps."""
    world = "Pendulum-v1" if algorithm in CONTINUOUS else "CartPole-v1"
    loop, other = (make_loop(world, algorithm=algorithm, steps=400, **SMALL) for _ in range(2))
    drive(loop, 0, steps)
    state = copy.deepcopy(loop.state_dict())
    drive(loop, steps, steps + 20)
    drive(other, 0, 3)
    places = [p.data_ptr() for p in (*other.agents.parameters(), *other.agents.buffers())]
    other.load_state_dict(state)
    assert places == [p.data_ptr() for p in (*other.agents.parameters(), *other.agents.buffers())]
    drive(other, steps, steps + 20)
    _assert_equal(loop.state_dict(), other.state_dict())


@pytest.mark.parametrize("algorithm", ["dqn", *CONTINUOUS])
def test_a_state_is_of_what_learns_and_leaves_settings_alone(algorithm, make_loop):
    rate = "learning_rate" if algorithm == "dqn" else "critic_learning_rate"
    world = "Pendulum-v1" if algorithm in CONTINUOUS else "CartPole-v1"
    one, other = (make_loop(world, algorithm=algorithm, **{**SMALL, rate: r}) for r in (0.125, 0.25))
    one.agents.load_state_dict(other.agents.state_dict())
    optimizer = one.agents.optimizer if algorithm == "dqn" else one.agents.critic_optimizer
    assert getattr(one.agents.settings, rate).tolist() == [0.125] * 2
    assert optimizer.learning_rate.tolist() == [[0.125]] * 2
    assert not [name for name in one.agents.state_dict() if "learning_rate" in name]


@pytest.mark.parametrize("algorithm", ["dqn", *CONTINUOUS])
def test_agents_refuse_to_be_copied_or_moved_before_anything_has_changed(algorithm, make_loop):
    """A copy's optimizer would hold weights that are not its network's, and it would learn nothing."""
    world = "Pendulum-v1" if algorithm in CONTINUOUS else "CartPole-v1"
    loop, other = (make_loop(world, algorithm=algorithm, steps=400, **SMALL) for _ in range(2))
    drive(loop, 0, 15)
    for change in (copy.deepcopy, lambda agents: agents.double(), lambda agents: agents.to("meta")):
        with pytest.raises(TypeError, match=r"anew, where they are to live, and load_state_dict"):
            change(loop.agents)
    assert loop.agents.to("cpu") is loop.agents
    drive(loop, 15, 20)
    drive(other, 0, 20)
    _assert_equal(loop.state_dict(), other.state_dict())


def _assert_equal(one, other) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            _assert_equal(one[name], other[name])
    else:
        assert torch.equal(torch.as_tensor(one), torch.as_tensor(other))
