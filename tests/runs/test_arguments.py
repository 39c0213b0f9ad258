"""What readers give by mistake is refused by name, with its remedy, before anything is trained.

The tests' own type checker would come first, so the calls are made in a process without it.
"""

import functools
import inspect
import subprocess
import sys

import pytest

from companion import rl, supervised, vision
from companion.rl.algorithms import ALGORITHMS
from companion.runs.settings import check
from companion.runs.words import THEIRS, ours_for
from companion.vision import byol, moco
from tests.helpers import child_environment

RL = "rl.train('dqn', 'CartPole-v1', {})"
SUPERVISED = "supervised.train('digits', {})"
VISION = "vision.train('byol', {})"
TRAINING = (RL, SUPERVISED, VISION)

WRONG: list[tuple[str, str, str]] = []  # call, kind of error, words
for call in TRAINING:
    for arguments, error, words in (
        ("seeds=3.0", "TypeError", "seeds=3.0; give a count, or a list of non-negative integers"),
        ("seeds=None", "TypeError", "seeds=None; give a count, or a list of non-negative integers"),
        ("seeds=np.array(2)", "TypeError", "seeds=array(2); give a count, or a list"),
        ("seeds=True", "TypeError", "seeds=True; give a count, or a list"),
        ("seeds=[True, False]", "TypeError", "seeds=[True, False]; give a count, or a list"),
        ("seeds=np.array([True, False])", "TypeError", "seeds=array([ True, False]); give a count, or a list"),
        ("seeds=[0, 1.0]", "TypeError", "seeds=[0, 1.0]; give a count, or a list"),
        ("seeds=[[0, 1], [2]]", "TypeError", "seeds=[[0, 1], [2]]; give a count, or a list"),
        ("seeds='3'", "TypeError", "seeds='3'; give a count, or a list"),
        ("seeds=b'3'", "TypeError", "seeds=b'3'; give a count, or a list"),
        ("seeds=torch.arange(2)", "TypeError", "seeds=tensor([0, 1]); give a count, or a list"),
        ("seeds=[]", "ValueError", "seeds=[]; give at least one seed"),
        (
            "seeds=[2**63]",
            "ValueError",
            "seeds=[9223372036854775808]; give at least one seed, each from 0 to",
        ),
        ("minutes='9'", "TypeError", "minutes='9' must be a number of minutes"),
        ("minutes=True", "TypeError", "minutes=True must be a number of minutes"),
        ("minutes=float('nan')", "ValueError", "minutes=nan must be at least 0, in minutes"),
        ("minutes=-1", "ValueError", "minutes=-1 must be at least 0, in minutes"),
        ("checkpoint_every=None", "TypeError", "checkpoint_every=None must be a number of seconds"),
        ("checkpoint_every='60'", "TypeError", "checkpoint_every='60' must be a number of seconds"),
        ("checkpoint_every=float('nan')", "ValueError", "checkpoint_every=nan must be at least 0, in seconds"),
        ("checkpoint=3", "TypeError", "checkpoint=3 must be the path of a file, or None"),
        ("checkpoint=True", "TypeError", "checkpoint=True must be the path of a file, or None"),
        ("progress='yes'", "TypeError", "progress='yes' must be True or False"),
        ("evaluate_every=2.5", "TypeError", "evaluate_every=2.5 must be an integer"),
        ("evaluate_every=True", "TypeError", "evaluate_every=True must be an integer"),
        ("device=3", "TypeError", "device=3 must be a name, such as 'cpu' or 'cuda', a torch.device, or None"),
        ("device='gpu'", "ValueError", "device='gpu' is no device that torch knows; give 'cpu' or 'cuda'"),
        ("device='cuda'", "ValueError", "device='cuda' is not here: torch finds 0 GPUs"),
    ):
        WRONG.append((call.format(arguments), error, words))
WRONG += [
    (RL.format("film='yes'"), "TypeError", "film='yes' must be True or False"),
    (RL.format("film=1"), "TypeError", "film=1 must be True or False"),
    (RL.format("steps=60.0"), "TypeError", "steps=60.0 must be an integer"),
    (RL.format("steps=None"), "TypeError", "steps=None must be an integer"),
    (RL.format("horizon='9'"), "TypeError", "horizon='9' must be an integer"),
    (RL.format("evaluation_episodes=None"), "TypeError", "evaluation_episodes=None must be an integer"),
    ("rl.train(['dqn', 'td3'], 'CartPole-v1')", "TypeError", "algorithm=['dqn', 'td3'] must be a name"),
    ("rl.train('dqn', ['CartPole-v1'])", "TypeError", "environment=['CartPole-v1'] must be a name"),
    ("rl.train('dqn', None)", "TypeError", "environment=None must be a name, such as 'CartPole-v1'"),
    ("supervised.train(['digits'])", "TypeError", "dataset=['digits'] must be a name, such as 'digits'"),
    (SUPERVISED.format("steps='9'"), "TypeError", "steps='9' must be an integer"),
    (
        "supervised.trajectories(supervised.Pictures.digits(), {'EMA': 0.1}, keep_networks='no')",
        "TypeError",
        "keep_networks='no' must be True or False",
    ),
    (VISION.format("epochs=None"), "TypeError", "epochs=None must be an integer"),
    (
        VISION.format("augmentation='strong'"),
        "TypeError",
        "augmentation='strong' must be a vision.Augmentation",
    ),
    (VISION.format("augmentation=False"), "TypeError", "augmentation=False must be a vision.Augmentation, or None"),
    (VISION.format("keep_features='yes'"), "TypeError", "keep_features='yes' must be True or False"),
    (VISION.format("data_parallel=2"), "TypeError", "data_parallel=2 must be True or False"),
    ("vision.train(None)", "TypeError", "algorithm=None must be a name, such as 'byol'"),
    ("vision.make_learner('byol', seed=1.7)", "TypeError", "seeds=[1.7]; give a count, or a list"),
    ("vision.make_learner('byol', updates=0)", "ValueError", "updates=0 must be at least 1"),
    (
        "rl.make_agents('dqn', observation_size=4.0, action_size=2)",
        "TypeError",
        "observation_size=4.0 must be an integer",
    ),
    ("rl.make_agents('dqn', observation_size=4, action_size=0)", "ValueError", "action_size=0 must be at least 1"),
]

_SCRIPT = """
import sys
import numpy as np, torch
from companion import rl, supervised, vision
from companion.runs.run import Run
from companion.rl.loop import Loop
def trained(*words): raise SystemExit("it trains")
Run.groups = trained
for call in sys.argv[1:]:
    try:
        eval(call)
    except Exception as error:
        print(type(error).__name__, str(error).replace("\\n", " "))
    else:
        print("nothing")
"""


@functools.cache
def said() -> dict[str, str]:
    """What became of every call."""
    calls = [call for call, _, _ in WRONG]
    words = [sys.executable, "-c", _SCRIPT, *calls]
    ended = subprocess.run(words, env=child_environment(), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return dict(zip(calls, ended.stdout.splitlines(), strict=True))


@pytest.mark.parametrize(("call", "error", "words"), WRONG, ids=[call for call, _, _ in WRONG])
def test_a_wrong_argument_is_refused_by_name(call, error, words):
    assert said()[call].startswith(f"{error} {words}")


@pytest.mark.parametrize(
    ("call", "theirs", "ours"),
    [
        (partial_call, theirs, ours)
        for partial_call, words in (
            (
                functools.partial(rl.train, "dqn", "CartPole-v1"),
                {
                    "lr": "'learning_rate'",
                    "discount": "'gamma'",
                    "polyak": "'tau = 1 - polyak'",
                    "ema_decay": "'tau = 1 - ema_decay'",
                    "momentum": "'tau = 1 - momentum'",
                    "target_update_interval": "'period'",
                    "target_network_frequency": "'period'",
                    "n_envs": "'seeds'",
                    "seed": "'seeds'",
                    "total_timesteps": "'steps'",
                    "buffer": "'buffer_size'",
                    "batch": "'batch_size'",
                    "net_arch": "'hidden'",
                    "eval_freq": "'evaluate_every'",
                    "exploration_final_eps": "'epsilon_end'",
                    "verbose": "'progress'",
                    "save_freq": "'checkpoint_every'",
                },
            ),
            (
                functools.partial(rl.train, "td3", "Pendulum-v1"),
                {
                    "lr": "'actor_learning_rate' or 'critic_learning_rate'",
                    "learning_rate": "'actor_learning_rate' or 'critic_learning_rate'",
                    "policy_freq": "'policy_delay'",
                    "noise_clip": "'target_noise_clip'",
                },
            ),
            (
                functools.partial(rl.train, "sac", "Pendulum-v1"),
                {
                    "ent_coef": "'initial_temperature'",
                    "autotune": "'learn_temperature'",
                },
            ),
            (
                functools.partial(supervised.train, "digits"),
                {
                    "lr": "'learning_rate'",
                    "decay": "'tau = 1 - decay'",
                    "test_size": "'held_out'",
                },
            ),
            (
                functools.partial(vision.train, "moco"),
                {
                    "m": "'tau = 1 - m'",
                    "K": "'queue_size'",
                    "T": "'temperature'",
                    "wd": "'weight_decay'",
                    "n_epochs": "'epochs'",
                    "arch": "'encoder'",
                    "transform": "'augmentation'",
                },
            ),
        )
        for theirs, ours in words.items()
    ],
)
def test_what_others_call_a_thing_is_answered_with_what_it_is_called_here(call, theirs, ours):
    with pytest.raises(ValueError, match=f"unknown setting '{theirs}' of .*: it is {ours} here"):
        call(**{theirs: 1})


def test_a_misspelt_argument_of_the_call_is_known_too():
    with pytest.raises(ValueError, match="unknown setting 'stepz' of DQN: did you mean 'steps'"):
        rl.train("dqn", "CartPole-v1", stepz=3)


def test_the_table_knows_only_names_that_there_are():
    kinds = [settings for settings, _ in ALGORITHMS.values()] + [
        byol.BYOLSettings,
        moco.MoCoSettings,
        supervised.SupervisedSettings,
    ]
    known = {name for settings in kinds for name in check(settings, {})}
    for train in (rl.train, supervised.train, vision.train):
        known |= set(inspect.signature(train).parameters)
    assert {ours.partition(" ")[0] for ours in THEIRS} <= known
    assert ours_for("lr", []) == []
