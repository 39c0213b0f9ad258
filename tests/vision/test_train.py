"""`vision.train`: what comes back, what is refused, what survives, and that every network is its own."""

import copy
import re
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import xarray as xr

from companion import vision
from companion.runs import checkpoints
from companion.runs.described import fingerprint
from companion.vision import byol, loop, probes, training
from companion.vision.evaluation import calibrated, evaluate
from companion.vision.loop import Training
from tests.helpers import (
    assert_can_be_kept,
    assert_same_numbers,
    assert_same_run,
    child_environment,
    fail,
    in_call,
    killed_and_resumed,
    press_ctrl_c,
    torchrun,
)
from tests.vision.helpers import assert_same_states, states

SMALL = {"batch_size": 32, "hidden": 16, "embedding": 8, "warmup": 2, "epochs": 2, "seeds": 1, "progress": False}
PICTURES = vision.shapes(train=128, test=64)  # 4 steps in an epoch
MEASURED = {"loss", "knn", "spread", "effective_rank", "alignment", "uniformity", "linear"}


def train(algorithm="byol", dataset=PICTURES, **settings) -> xr.Dataset:
    if algorithm == "moco":
        settings = {"queue_size": 96, **settings}
    return vision.train(algorithm, dataset, **{**SMALL, **settings})


@pytest.fixture
def at(monkeypatch):
    """``at(n, do)``: do something within the n-th step of all from now on."""
    return partial(in_call, monkeypatch, Training, "step")


def test_the_result_is_labelled():
    run = train("moco", tau=[1.0, 0.1], temperature=[0.1], seeds=[5, 2], epochs=3, evaluate_every=2)
    assert run["knn"].dims == ("tau", "temperature", "seed", "epoch")
    assert run["epoch"].values.tolist() == [0, 2, 3]
    assert run["seed"].values.tolist() == [5, 2]
    assert set(run.data_vars) == {*MEASURED, "drift"}
    assert run["linear"].dims == ("tau", "temperature", "seed")
    assert run["drift"].dims == ("tau", "temperature", "seed", "age", "epoch")
    assert run["age"].values.tolist() == [1, 2, 3]
    assert run["loss"].isnull().values[..., 0].all(), "before training there is none"
    assert run["drift"].isnull().values[..., 0].all()
    for name in run.data_vars:
        later = run[name].isel(epoch=slice(1, None)) if "epoch" in run[name].dims else run[name]
        assert later.notnull().all(), name
    for name in ("knn", "linear"):
        assert ((run[name] >= 0) & (run[name] <= 1)).all()


def test_settings_that_are_not_given_have_their_defaults_and_every_argument_is_told(tmp_path):
    run = train(tau=[1.0, 0.1])
    assert run.attrs["algorithm"] == "byol"
    assert run.attrs["dataset"] == "shapes"
    assert run.attrs["tau"] == [1.0, 0.1]
    assert run.attrs["predictor_rate"] == vision.byol.BYOLSettings().predictor_rate
    for name in vars(vision.byol.BYOLSettings()):
        assert name in run.attrs
    for name in ("seeds", "epochs", "evaluate_every", "augmentation", "device", "threads", "versions", "wall_seconds"):
        assert name in run.attrs
    assert_can_be_kept(run, tmp_path)


def test_a_data_set_is_known_by_its_name(monkeypatch):
    monkeypatch.setitem(training.DATASETS, "shapes", lambda: PICTURES)
    assert_same_run(train(), train(dataset="shapes"))


@pytest.mark.parametrize("algorithm", ["byol", "moco"])
def test_a_network_is_the_same_whichever_others_train_beside_it(algorithm):
    crowd = train(algorithm, tau=[1.0, 0.1], seeds=2)
    assert_same_numbers(crowd.sel(tau=0.1, seed=1), train(algorithm, tau=0.1, seeds=[1]).sel(seed=1))
    assert not np.array_equal(crowd["spread"].sel(seed=0), crowd["spread"].sel(seed=1))


@pytest.mark.parametrize("algorithm", ["byol", "moco"])
def test_networks_that_start_alike_share_their_views_and_their_first_measurement(algorithm, monkeypatch):
    drawn, judged = [], []
    monkeypatch.setattr(loop.Views, "draw", noting(loop.Views.draw, drawn))
    monkeypatch.setattr(loop, "calibrated", noting(loop.calibrated, judged))
    sweep = {"tau": [0.5, 0.1], "hidden": [16, 24], "seeds": 2}
    shared = train(algorithm, **sweep)
    assert len(judged) == 4, "two widths, two seeds"
    assert len(drawn) == 2 * 8, "two seeds, eight steps"
    monkeypatch.setattr(training, "KEPT", 0)
    assert_same_numbers(shared, train(algorithm, **sweep))
    assert len(drawn) > 9 * 8


def noting(function, calls):
    """The function, which notes each of its calls."""

    def noted(*given):
        calls.append(given)
        return function(*given)

    return noted


@pytest.mark.parametrize("algorithm", ["byol", "moco"])
def test_training_leaves_the_callers_generator_alone(algorithm):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    train(algorithm, epochs=1, keep_features=True)
    assert torch.equal(torch.get_rng_state(), before)


def test_names_and_switches_are_swept_too():
    run = train(optimizer=["adam", "sgd"], predictor=[True, False], epochs=1)
    assert run["knn"].dims == ("optimizer", "predictor", "seed", "epoch")
    assert run["optimizer"].values.tolist() == ["adam", "sgd"]
    last = run["spread"].isel(epoch=-1, seed=0)
    assert len(set(last.values.ravel().tolist())) == 4
    assert_same_numbers(run.sel(optimizer="sgd", predictor=False), train(optimizer="sgd", predictor=False, epochs=1))


def test_the_loss_is_the_mean_since_the_measurement_before(monkeypatch):
    """Beside the sum of every step, read after epochs 2 and 3."""
    losses, forward = [], vision.byol.Learner.forward
    monkeypatch.setattr(
        vision.byol.Learner, "forward", lambda *given: losses.append(forward(*given)) or losses[-1], raising=True
    )
    run = train(epochs=3, evaluate_every=2)
    given = [loss.item() for loss in losses]
    assert len(given) == 12
    np.testing.assert_allclose(run["loss"][0, 1:], [np.mean(given[:8]), np.mean(given[8:])], rtol=1e-5)


@pytest.mark.parametrize("algorithm", ["byol", "moco"])
@pytest.mark.parametrize("calibrate", [True, False])
def test_measuring_leaves_the_learner_as_it_was(algorithm, calibrate):
    learner = vision.make_learner(algorithm, hidden=16, embedding=8)
    learner(vision.Views(PICTURES.train.images, PICTURES.augmentation, batch_size=32, seed=0)(1))
    before, modes = states(learner), [module.training for module in learner.modules()]
    network = calibrated(learner.online, PICTURES) if calibrate else learner.online
    one = evaluate(network, PICTURES, PICTURES.augmentation, 0, final=True)
    assert_same_states(before, states(learner))
    assert modes == [module.training for module in learner.modules()]
    assert all(parameter.grad is None for parameter in learner.parameters())
    other = evaluate(network, PICTURES, PICTURES.augmentation, 0, final=True)
    assert set(one) == MEASURED - {"loss"} | {"features"}
    assert_same_states(one, other)


def test_measuring_does_not_change_what_comes_after():
    often, seldom = train("moco", epochs=3, evaluate_every=1), train("moco", epochs=3, evaluate_every=3)
    for name in ("knn", "spread", "drift", "linear"):
        last = [run[name].isel(epoch=-1) if "epoch" in run[name].dims else run[name] for run in (often, seldom)]
        np.testing.assert_array_equal(*last)


def test_features_are_kept_of_encoders_of_any_width(monkeypatch):
    few = vision.shapes(train=32, test=32)
    kept = []
    features = probes.features
    monkeypatch.setattr(probes, "features", lambda *given, **more: kept.append(features(*given, **more)) or kept[-1])
    run = train("moco", few, encoder=["small", "resnet18"], keep_features=True, epochs=1)
    assert run["features"].dims == ("encoder", "seed", "picture", "feature")
    assert run["features"].shape == (2, 1, 32, 512)
    np.testing.assert_array_equal(run["features"][1, 0], kept[-3].numpy())  # behind it two views' embeddings
    small = run["features"].sel(encoder="small")
    assert small[..., :128].notnull().all()
    assert small[..., 128:].isnull().all()
    assert "diverged" not in run.attrs
    assert "features" not in train(dataset=few, epochs=1)


def test_queues_of_several_lengths_have_drifts_of_several_ages():
    run = train("moco", queue_size=[96, 32, 20], parts=[1, 4], epochs=1)
    assert run["drift"].notnull().sum("age").isel(epoch=-1, seed=0).values.tolist() == [[3, 3], [1, 1], [0, 0]]


@pytest.mark.parametrize("algorithm", ["byol", "moco"])
def test_what_diverges_is_named_leaves_a_gap_and_touches_no_other(algorithm):
    run = train(algorithm, learning_rate=[1e-3, 1e30])
    assert run.attrs["diverged"] == "learning_rate=1e+30, seed=0 at step 4"
    gone = run.sel(learning_rate=1e30)
    assert gone["knn"].notnull().values.tolist() == [[True, False, False]]
    assert gone["linear"].isnull().all()
    assert_same_numbers(run.sel(learning_rate=1e-3), train(algorithm, learning_rate=1e-3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"algorithm": "byoll"}, "unknown algorithm 'byoll': did you mean 'byol'"),
        ({"dataset": "cifar"}, "unknown dataset 'cifar': did you mean 'cifar10'"),
        ({"tua": 0.1}, "unknown setting 'tua' of BYOL: did you mean 'tau'"),
        ({"queue_size": 8}, "unknown setting 'queue_size' of BYOL"),
        ({"tau": 1.5}, "tau=1.5 is out of range; it must be between 0 and 1"),
        ({"tau": [0.1, float("nan")]}, "tau=nan is out of range"),
        ({"tau": []}, "tau is an empty list"),
        ({"learning_rate": float("inf")}, "learning_rate=inf is out of range"),
        ({"batch_size": 1}, "batch_size=1 is out of range; it must be at least 2"),
        ({"batch_size": 129}, "batch_size=129 is more than the 128 pictures there are; lower it"),
        ({"batch_size": [16, 32]}, "batch_size=[16, 32] cannot be swept"),
        ({"algorithm": "moco", "parts": 5}, "parts=5 must divide batch_size=32"),
        ({"algorithm": "moco", "parts": [1, 32]}, "parts=32 must divide batch_size=32 into 2 pictures or more each"),
        ({"encoder": "resnet"}, "encoder='resnet' is unknown; it must be 'small' or 'resnet18'"),
        ({"optimizer": ["sgd", "lars"]}, "optimizer='lars' is unknown; it must be 'adam' or 'sgd'"),
        ({"epochs": 0}, "epochs=0 must be at least 1"),
        ({"evaluate_every": 0}, "evaluate_every=0 must be at least 1"),
        ({"seeds": 0}, "seeds=0"),
        ({"checkpoint": "nowhere/run.pt"}, "there is no folder"),
        ({"checkpoint_every": -1}, "checkpoint_every=-1 must be at least 0"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_its_remedy_before_training(arguments, message, at):
    at(1, fail)
    with pytest.raises(ValueError, match=re.escape(message)):
        train(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"tau": "0.1"},
        {"tau": True},
        {"warmup": 2.5},
        {"predictor": 1},
        {"encoder": 18},
        {"optimizer": None},
        {"dataset": None},
        {"dataset": PICTURES.train},
        {"epochs": [1, 2]},
        {"evaluate_every": 0.5},
        {"batch_size": 32.0},
    ],
)
def test_values_of_the_wrong_type_are_refused(arguments, at):
    at(1, fail)
    with pytest.raises(TypeError):
        train(**arguments)


def test_a_learner_by_itself_has_one_value_of_each_setting():
    with pytest.raises(ValueError, match="tau, hidden is a list: one learner has one value of it"):
        vision.make_learner("byol", tau=[0.1], hidden=[8, 16])
    one, same, other = (vision.make_learner("byol", seed=seed, hidden=16) for seed in (1, np.int64(1), 2))
    assert_same_states(states(one), states(same))
    assert not torch.equal(next(one.parameters()), next(other.parameters()))


def test_killed_at_random_moments_a_run_ends_with_the_same_bits(tmp_path):
    call = (
        "companion.vision:train('moco', part.shapes(train=128, test=64), tau=[1.0, 0.1], queue_size=50, parts=2, "
        "seeds=1, batch_size=32, hidden=16, embedding=8, warmup=2, epochs=2, evaluate_every=2, progress=False)"
    )
    step = "companion.vision.loop:Training.step"
    results = killed_and_resumed(tmp_path / "run.pt", step, call, kills=4, latest=4, pause=0.02)
    assert set(results) == {*MEASURED, "drift"}
    assert np.isfinite(results["loss"][..., -1]).all()


def test_a_run_stops_when_its_minutes_are_over_and_goes_on_when_called_again(tmp_path):
    settings = {"optimizer": "sgd", "epochs": 1, "seeds": 2, "keep_features": True}
    whole = train(**settings)
    run = train(**settings, checkpoint=tmp_path / "run.pt", minutes=0)
    assert run.attrs["interrupted"] == "between steps 0 and 1 of 4"
    for _ in range(7 + 2):  # each call takes a step at least, or makes up for one of two evaluations
        assert "interrupted" in run.attrs
        run = train(**settings, checkpoint=tmp_path / "run.pt", minutes=0)
    assert "interrupted" not in run.attrs
    assert_same_run(whole, run)


def test_a_run_that_has_ended_is_returned_without_training(tmp_path, at):
    run = train("moco", checkpoint=tmp_path / "run.pt")
    at(1, fail)
    xr.testing.assert_identical(run, train("moco", checkpoint=str(tmp_path / "run.pt")))


def test_ctrl_c_returns_what_was_measured_so_far(at):
    before = signal.getsignal(signal.SIGINT)
    whole = train(seeds=2)
    at(8 + 5, press_ctrl_c)
    run = train(seeds=2)
    assert run.attrs["interrupted"] == "between steps 5 and 8 of 8"
    assert run.attrs["trained"] == pytest.approx(13 / 16)
    assert_same_numbers(run.sel(seed=0), whole.sel(seed=0))
    half = run.sel(seed=1)
    np.testing.assert_array_equal(half["knn"][:2], whole["knn"].sel(seed=1)[:2])
    assert half["knn"][2:].isnull().all()
    assert half["linear"].isnull()
    assert signal.getsignal(signal.SIGINT) is before


def other(pictures: int = 128) -> vision.Dataset:
    """Of the same name, and of the same number of pictures unless another is asked for."""
    return vision.shapes(train=pictures, test=64, seed=1)


@pytest.mark.parametrize("value", [np.float32(0.2), torch.tensor(0.2), torch.tensor(0.20001)])
def test_an_augmentations_values_are_recorded_to_the_last_digit(value, monkeypatch):
    """Of other types than the one that is asked for, too, which print fewer digits."""
    how = vision.Augmentation()
    vars(how)["grayscale"] = value
    monkeypatch.setattr(
        training, "experiment", lambda *words, arguments, **more: pytest.fail(arguments["augmentation"])
    )
    with pytest.raises(pytest.fail.Exception, match=re.escape(f"grayscale={float(value)!r},")):
        train(augmentation=how)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dataset": other()}, "pictures was"),
        ({"dataset": replace(PICTURES, classes=(*PICTURES.classes, "another"))}, "classes was 10 and is 11"),
        ({"augmentation": vision.Augmentation(flip=0.9)}, "augmentation was"),
        ({"tau": 0.3}, "tau was 0.2 and is 0.3"),
        ({"epochs": 3}, "epochs was 2 and is 3"),
        ({"seeds": [4]}, "seeds was [0] and is [4]"),
        ({"algorithm": "moco"}, "algorithm was 'byol' and is 'moco'"),
        ({"keep_features": True}, "keep_features was False and is True"),
    ],
)
def test_a_checkpoint_of_other_arguments_is_refused_before_training(changed, message, tmp_path, at):
    path = tmp_path / "run.pt"
    learner = vision.make_learner("byol")  # of an interrupted run only what it was called with matters here
    arguments = {
        "algorithm": "byol",
        "dataset": "shapes",
        "pictures": fingerprint(
            *(tensor for part in (PICTURES.train, PICTURES.test) for tensor in (part.images, part.labels))
        ),
        "classes": len(PICTURES.classes),
        **vars(learner.settings),
        **{name: SMALL[name] for name in ("batch_size", "hidden", "embedding", "warmup")},
        "augmentation": repr(PICTURES.augmentation),
        "seeds": [0],
        "epochs": 2,
        "evaluate_every": 1,
        "keep_features": False,
        "device": "cpu",
    }
    checkpoints.save(path, arguments, {"numbers": torch.zeros(3)})
    before = path.read_bytes()
    at(1, fail)
    with pytest.raises(ValueError, match=re.escape(message)) as refusal:
        train(**changed, checkpoint=path)
    if "algorithm" not in changed:
        assert str(refusal.value).count(" was ") == 1, "nothing else is another"
    assert path.read_bytes() == before


@pytest.fixture
def one_thread():
    """As the processes that ``torchrun`` starts have: more of them add up in another order, and so round otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_two_processes_give_the_result_of_one(tmp_path):
    """Three networks: two in the first process, one in the second; stopped, and gone on with."""
    script = tmp_path / "trains.py"
    script.write_text(f"""
import sys
from companion import vision
from companion.runs.processes import launched
rank = launched().rank
pictures = vision.shapes(train=128, test=64)
settings = {SMALL!r} | dict(queue_size=96, tau=[1.0, 0.1, 0.01], keep_features=True, checkpoint=sys.argv[1])
stopped = vision.train("moco", pictures, **settings, minutes=0)
sys.stdout.write(stopped.attrs["interrupted"] + "\\n")
run = vision.train("moco", pictures, **settings)
run.to_netcdf(f"{{sys.argv[1]}}.{{rank}}.nc", engine="scipy")
""")
    ended = torchrun(script, str(tmp_path / "run.pt"))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["between steps 0 and 1 of 8"] * 2
    assert {file.name for file in tmp_path.glob("*.pt")} == {"run.rank-0-of-2.pt", "run.rank-1-of-2.pt"}
    one = train("moco", tau=[1.0, 0.1, 0.01], keep_features=True)
    for rank in range(2):
        with xr.open_dataset(tmp_path / f"run.pt.{rank}.nc", engine="scipy") as both:
            xr.testing.assert_equal(one, both.load())


def test_pictures_may_lie_in_memory_as_they_like():
    def turned(part: vision.Pictures) -> vision.Pictures:
        last = part.images.permute(0, 2, 3, 1).contiguous()
        return vision.Pictures(last.permute(0, 3, 1, 2), part.labels)

    one = vision.Dataset(
        "shapes", turned(PICTURES.train), turned(PICTURES.test), PICTURES.classes, PICTURES.augmentation
    )
    assert not one.train.images.is_contiguous()
    assert_same_run(train(dataset=one), train())


def test_what_are_no_pictures_and_no_data_set_is_refused():
    """In a process of its own: here the checks of shapes at run time would come first."""
    script = """
import numpy as np, torch
from companion import vision
right, labels = torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.tensor([0, 1])
two, none = vision.Pictures(right, labels), vision.Pictures(right[:0], labels[:0])
one, how, names = vision.Pictures(right[:1], labels[:1]), vision.Augmentation(), ("cat", "dog")

def refused(make, *given):
    try:
        make(*given)
        print("taken")
    except (TypeError, ValueError) as error:
        print(type(error).__name__, error)

for given in (
    (right / 255, labels), (right.permute(0, 2, 3, 1), labels), (right, labels[:1]), (right, labels / 1),
    (right.numpy(), labels), (right, [0, 1]), (right[..., :1], labels),
):
    refused(vision.Pictures, *given)
for given in (
    ("mine", two, vision.Pictures(right, labels + 1), names, how), ("mine", two, two, names[:1], how),
    ("mine", vision.Pictures(right, labels - 1), two, names, how), ("mine", two, one, names, how),
    ("mine", two, none, names, how), ("mine", none, two, names, how), ("mine", (right, labels), two, names, how),
    ("mine", two, two, 2, how), ("mine", two, two, names, "strong"), ("mine", two, two, names, how),
):
    refused(vision.Dataset, *given)
print(vision.Dataset("mine", two, two, names, how).to("meta").train.images.device)
"""
    done = subprocess.run([sys.executable, "-c", script], env=child_environment(), capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "ValueError images is torch.float32 of shape (2, 3, 8, 8); give bytes, 0 to 255, of shape "
        "(picture, 3, height, width)",
        "ValueError images is torch.uint8 of shape (2, 8, 8, 3); give bytes, 0 to 255, of shape "
        "(picture, 3, height, width)",
        "ValueError labels is torch.int64 of shape (1,); give int64 of shape (2,)",
        "ValueError labels is torch.float32 of shape (2,); give int64 of shape (2,)",
        "TypeError images is of the type ndarray; give torch.as_tensor(images)",
        "TypeError labels is of the type list; give torch.as_tensor(labels)",
        "ValueError images is of shape (2, 3, 8, 1); a picture's sides are 2 pixels at least",
        "ValueError labels[1] of test is 2, and there are 2 classes: number them from 0, and name all in classes",
        "ValueError labels[1] of train is 1, and there are 1 classes: number them from 0, and name all in classes",
        "ValueError labels[0] of train is -1, and there are 2 classes: number them from 0, and name all in classes",
        "ValueError test has 1 pictures; give 2 or more, whose features can be compared",
        "ValueError test has 0 pictures; give 2 or more, whose features can be compared",
        "ValueError train has 0 pictures; give 2 or more, whose features can be compared",
        "TypeError train of a Dataset is of the type tuple; give Pictures",
        "TypeError classes of a Dataset is of the type int; give tuple",
        "TypeError augmentation of a Dataset is of the type str; give Augmentation",
        "taken",
        "meta",
    ], done.stderr


def test_the_smallest_data_set_that_can_be_made_can_be_trained_on():
    few = vision.shapes(train=2, test=2)
    tiny = [vision.Pictures(part.images[..., :2, :2], part.labels) for part in (few.train, few.test)]
    run = train("byol", vision.Dataset("tiny", *tiny, few.classes, few.augmentation), epochs=1, batch_size=2)
    assert "diverged" not in run.attrs
    last = run.isel(epoch=-1)
    assert all(last[name].notnull().all() for name in MEASURED)


def test_the_data_set_is_left_as_it_was():
    before = copy.deepcopy(PICTURES)
    train(epochs=1)
    assert torch.equal(before.train.images, PICTURES.train.images)
    assert before.augmentation == PICTURES.augmentation


@pytest.mark.parametrize("pressed", [1, 2, 3, 4])
@pytest.mark.parametrize("mark", [1, 2])
def test_an_evaluation_is_broken_off_and_made_up_for(mark, pressed, tmp_path, at, monkeypatch):
    """Ctrl-C in the n-th part of it, of which there are four; and by the clock, before the first."""
    whole = train("moco", evaluate_every=1, keep_features=True)
    arguments = {"evaluate_every": 1, "keep_features": True, "checkpoint": tmp_path / "run.pt"}
    evaluated = [0]

    def pressing(*words, look=lambda: None, **more):
        evaluated[0] += 1
        looks = [0]

        def looked():
            looks[0] += 1
            if evaluated[0] == 1 + mark and looks[0] == pressed:  # the first comes before training
                press_ctrl_c()
            look()

        return evaluate(*words, look=looked, **more)

    monkeypatch.setattr(loop, "evaluate", pressing)
    run = train("moco", **arguments)
    assert run.attrs["interrupted"] == f"at step {4 * mark - 1} of 8"
    assert run["knn"].sel(epoch=mark).isnull().all()
    monkeypatch.undo()
    at(8 - 4 * mark + 1, fail)  # the step itself is not taken again
    again = train("moco", **arguments, minutes=0)
    assert again.attrs.get("interrupted") == ("at step 4 of 8" if mark == 1 else None)
    assert_same_run(whole, train("moco", **arguments))


class Readers(byol.Learner):
    """A reader's learner, whose loss depends on a state of its own."""

    def __init__(self, settings, updates: int) -> None:
        super().__init__(settings, updates)
        self.own_state()

    def own_state(self) -> None:
        self.register_buffer("own", torch.ones(()))

    def forward(self, views):
        self.change()
        return super().forward(views) * self.own

    def change(self) -> None:
        self.own += 0.1


class KeepsATensor(Readers):
    def own_state(self):
        self.own = torch.ones(())


class KeepsANumber(Readers):
    def own_state(self):
        self.own = 1.0


class KeepsAGenerator(Readers):
    own = 1.0

    def own_state(self):
        self.numbers = np.random.default_rng(0)

    def change(self):
        pass


class DropsOut(KeepsAGenerator):
    def own_state(self):
        self.drop = torch.nn.Dropout()

    def forward(self, views):
        return super().forward(views) * self.drop(torch.ones(8)).mean()


@pytest.fixture
def entered(monkeypatch):
    """``entered(learner_type)``: the name of an algorithm with a reader's learner."""

    def enter(learner_type: type) -> str:
        monkeypatch.setitem(training.ALGORITHMS, "mine", (byol.BYOLSettings, learner_type))
        return "mine"

    return enter


def test_a_readers_learner_goes_on_from_its_checkpoint_with_the_same_bits(entered, tmp_path):
    name = entered(Readers)
    whole = train(name, epochs=1)
    run = train(name, epochs=1, checkpoint=tmp_path / "run.pt", minutes=0)
    while "interrupted" in run.attrs:
        run = train(name, epochs=1, checkpoint=tmp_path / "run.pt", minutes=0)
    assert_same_run(whole, run)


@pytest.mark.parametrize(
    ("learner", "error", "message"),
    [
        (KeepsATensor, ValueError, "learner.own is a tensor that its state_dict does not hold"),
        (KeepsANumber, ValueError, "learner.own was 1.0 and is 1.1, which a checkpoint does not hold"),
        (KeepsAGenerator, TypeError, "learner.numbers is a numpy.random._generator.Generator, whose state"),
        (DropsOut, ValueError, "random numbers of torch's global generator were used"),
    ],
)
def test_a_learner_with_more_than_its_state_dict_is_refused_by_name(learner, error, message, entered, tmp_path):
    name = entered(learner)
    with pytest.raises(error, match=re.escape(message)):
        train(name, epochs=1, checkpoint=tmp_path / "run.pt", minutes=0)
    assert not list(tmp_path.iterdir())
    assert "interrupted" not in train(name, epochs=1).attrs
