"""Bad input: each is refused with an error that names the argument, the value and the remedy, and nothing is written.

The calls run in a Python of their own, in which no type checker speaks first.
"""

import pytest

SETUP = """
import copy, math
import numpy as np, torch
from torch import nn
from companion import *

def net(*sizes, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(*(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:])))

def tied(tie):
    module = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
    if tie:
        module["b"].weight = module["a"].weight
    return module

class Uncopiable(nn.Linear):
    def __deepcopy__(self, memo):
        raise RuntimeError("no")

online, target = net(3, 4, 2), net(3, 4, 2, seed=1)
half = net(3, 4, 2, seed=1).bfloat16()
members = [torch.ones(3, 4)], [torch.zeros(3, 4)]
base = torch.zeros(20)
params = {"w": np.ones(3), "b": np.ones(2)}
frozen = np.zeros(3); frozen.flags.writeable = False
slow = TargetNetwork(online)
saved = slow.state_dict()
average = PolyakAverage(); average.update(np.zeros(3))
"""

SOFT = "soft_update(online, target, {})"

CASES = {
    # tau
    "tau below 0": (SOFT.format("-0.1"), "ValueError", "tau -0.1 [0, 1]"),
    "tau above 1": (SOFT.format("1.5"), "ValueError", "tau 1.5 [0, 1]"),
    "tau NaN": (SOFT.format("math.nan"), "ValueError", "tau nan"),
    "tau infinite": (SOFT.format("math.inf"), "ValueError", "tau inf"),
    "tau a string": (SOFT.format("'slow'"), "TypeError", "tau 'slow' str number"),
    "tau a bool": (SOFT.format("True"), "TypeError", "tau True bool"),
    "tau None": (SOFT.format("None"), "TypeError", "tau None"),
    "tau a list": (SOFT.format("[0.1]"), "TypeError", "tau [0.1] list"),
    "tau a tensor above 1": (SOFT.format("torch.tensor(2.0)"), "ValueError", "tau 2.0"),
    "tau a tensor with NaN": (SOFT.format("torch.tensor(math.nan)"), "ValueError", "tau nan"),
    "tau an integer tensor": (SOFT.format("torch.tensor(1)"), "TypeError", "tau int64 .float()"),
    "tau a matrix": ("soft_update(*members, torch.rand(3, 1))", "ValueError", "tau (3, 1) (member,)"),
    "a member's tau above 1": ("soft_update(*members, torch.tensor([0.1, 1.1, 0.2]))", "ValueError", "tau 1.1"),
    "too many members": ("soft_update(*members, torch.rand(2))", "ValueError", "tau 2 members (3, 4)"),
    "no member axis": (
        "soft_update([torch.ones(())], [torch.zeros(())], torch.rand(2))",
        "ValueError",
        "tau member axis",
    ),
    "tau elsewhere": ("soft_update(*members, torch.rand(3, device='meta'))", "ValueError", "tau meta .to(device)"),
    # the networks
    "a module and a list": (
        "soft_update(online, list(target.parameters()))",
        "TypeError",
        "Sequential list two modules",
    ),
    "online a tensor": (
        "soft_update(torch.ones(3), target=[torch.ones(3)])",
        "TypeError",
        "online single tensor [online]",
    ),
    "target a state dict": ("soft_update([torch.ones(3)], target.state_dict())", "TypeError", "target OrderedDict"),
    "online a number": ("soft_update(3, [torch.ones(3)])", "TypeError", "online int"),
    "an array among tensors": ("soft_update([torch.ones(3)], [np.ones(3)])", "TypeError", "target[0] ndarray"),
    "unequal lengths": ("soft_update([torch.ones(3)] * 2, [torch.zeros(3)])", "ValueError", "2 1 same order"),
    "a used generator": ("soft_update(iter([]), iter([]))", "ValueError", "no tensors generator"),
    "unequal names": ("soft_update(online, net(3, 4, 2, 2))", "ValueError", "online 2.bias, 2.weight same class"),
    "unequal shapes": ("soft_update(online, net(3, 5, 2))", "ValueError", "'0.weight' (4, 3) (5, 3) same sizes"),
    "unequal devices": ("soft_update(online, net(3, 4, 2).to('meta'))", "ValueError", "cpu meta .to(device)"),
    "a narrower target": ("soft_update(online.double(), target, 0.5)", "ValueError", "float32 float64 tau=1"),
    "an integer target": (
        "soft_update([torch.ones(3)], [torch.zeros(3, dtype=torch.long)])",
        "ValueError",
        "[0] float32 int64 one dtype",
    ),
    "online itself": ("soft_update(online, online)", "ValueError", "shares storage copy.deepcopy(online)"),
    "a shared part": (
        "target[1].weight = online[1].weight; soft_update(online, target)",
        "ValueError",
        "'1.weight' shares storage copy.deepcopy(online)",
    ),
    "a shared buffer": (
        "a, b = nn.BatchNorm1d(2), nn.BatchNorm1d(2); b.running_mean = a.running_mean; soft_update(a, b)",
        "ValueError",
        "'running_mean' shares storage",
    ),
    "an overlap in part": ("soft_update([base[5:15]], [base[:10]])", "ValueError", "shares storage"),
    "an overlap with another tensor": (
        "soft_update([base[:5], torch.ones(5)], [torch.ones(5), base[4:9]])",
        "ValueError",
        "target '[1]' online '[0]'",
    ),
    "the same memory from NumPy": (
        "a = np.zeros(5); soft_update([torch.from_numpy(a)], [torch.from_numpy(a)])",
        "ValueError",
        "shares storage",
    ),
    "targets that overlap": (
        "soft_update([torch.ones(5), torch.ones(5)], [base[:5], base[4:9]])",
        "ValueError",
        "'[0]' '[1]' overlap .clone()",
    ),
    "tied in the target only": ("soft_update(tied(False), tied(True))", "ValueError", "'a.weight' 'b.weight' tie"),
    "an expanded target": ("soft_update([torch.ones(5)], [torch.ones(1).expand(5)])", "ValueError", "expanded"),
    "a sparse target": ("soft_update([torch.eye(2)], [torch.eye(2).to_sparse()])", "TypeError", "target '[0]' sparse"),
    "a lazy module": ("soft_update(nn.LazyLinear(2), nn.LazyLinear(2))", "ValueError", "online 'weight' batch lazy"),
    "a TargetNetwork": ("soft_update(online, slow)", "TypeError", "target.update(online)"),
    "bf16": ("soft_update(online.bfloat16(), half, 0.005)", "ValueError", "bfloat16 0.005 TargetNetwork"),
    "bf16 under fp32": ("soft_update(online, half, 0.1)", "ValueError", "bfloat16 0.1 TargetNetwork"),
    "fp16": ("soft_update(online.half(), half.half(), 0.49)", "ValueError", "float16 0.49 TargetNetwork"),
    "bf16 for one member": (
        "soft_update([torch.ones(2).bfloat16()], [torch.zeros(2).bfloat16()], torch.tensor([0.5, 0.1]))",
        "ValueError",
        "bfloat16 tensor TargetNetwork",
    ),
    "an unknown rule": ("soft_update(online, target, buffers='avg')", "ValueError", "buffers 'avg' \"average\""),
    "an unknown rule for lists": ("soft_update(*members, buffers=None)", "ValueError", 'buffers None "average"'),
    "hard update of two shapes": ("hard_update(online, net(3, 5, 2))", "ValueError", "(4, 3) (5, 3)"),
    # the target network
    "every 0": ("TargetNetwork(online, every=0)", "ValueError", "every 0"),
    "every a fraction": ("TargetNetwork(online, every=2.5)", "TypeError", "every 2.5 whole number"),
    "every a tensor": ("TargetNetwork(online, every=torch.tensor([1, 2]))", "TypeError", "every tensor Clock"),
    "every a bool": ("TargetNetwork(online, every=True)", "TypeError", "every True"),
    "its tau": ("TargetNetwork(online, tau=2)", "ValueError", "tau 2.0"),
    "its tau a word": ("TargetNetwork(online, tau='cosine')", "TypeError", "tau 'cosine'"),
    "its buffers": ("TargetNetwork(online, buffers='freeze')", "ValueError", "buffers 'freeze'"),
    "its mode": ("TargetNetwork(online, mode='training')", "ValueError", 'mode \'training\' "eval" "train"'),
    "a list as online": ("TargetNetwork([torch.ones(3)])", "TypeError", "online list nn.Module"),
    "no deepcopy": ("TargetNetwork(Uncopiable(2, 2))", "TypeError", "online Uncopiable factory="),
    "a factory that is a module": ("TargetNetwork(online, factory=3)", "TypeError", "factory int function"),
    "a factory of something else": ("TargetNetwork(online, factory=lambda: 3)", "TypeError", "factory int nn.Module"),
    "a factory of another network": ("TargetNetwork(online, factory=lambda: net(3, 2))", "ValueError", "differ"),
    "a factory of the same network": ("TargetNetwork(online, factory=lambda: online)", "ValueError", "shares storage"),
    "a schedule out of range": ("TargetNetwork(online, tau=lambda k: 1 + k).update(online)", "ValueError", "tau 2"),
    "update with another network": ("slow.update(net(3, 3))", "ValueError", "online has no 1.bias same class"),
    "update with a list": ("slow.update(list(online.parameters()))", "TypeError", "online list nn.Module"),
    "reset with another network": ("slow.reset(net(3, 3))", "ValueError", "online has no 1.bias"),
    "loading without the clock": (
        "saved.pop('_extra_state'); slow.load_state_dict(saved)",
        "ValueError",
        "state_dict lacks '_extra_state'",
    ),
    "loading a plain network": (
        "slow.load_state_dict(online.state_dict())",
        "ValueError",
        "state_dict lacks TargetNetwork",
    ),
    "loading another shape": (
        "saved['module.0.weight'] = torch.ones(2, 2); slow.load_state_dict(saved)",
        "ValueError",
        "module.0.weight (2, 2) (4, 3)",
    ),
    "loading a negative count": (
        "saved['_extra_state'] = {'count': -1}; slow.load_state_dict(saved)",
        "ValueError",
        "_extra_state -1",
    ),
    "loading a negative tensor": (
        "saved['_extra_state'] = torch.tensor(-1); slow.load_state_dict(saved)",
        "ValueError",
        "_extra_state -1 number of updates",
    ),
    "loading half an update": (
        "saved['_extra_state'] = torch.tensor(0.5); slow.load_state_dict(saved)",
        "ValueError",
        "_extra_state 0.5 number of updates",
    ),
    "unequal buffers": (
        "soft_update(nn.BatchNorm1d(2), nn.BatchNorm1d(2, track_running_stats=False))",
        "ValueError",
        'buffers target has no running_mean forward "keep"',
    ),
    "buffers of unequal shapes": (
        "a, b = nn.Identity(), nn.Identity(); a.register_buffer('c', base[:2]); b.register_buffer('c', base[5:8]); "
        "soft_update(a, b)",
        "ValueError",
        "'c' (2,) (3,) forward \"keep\"",
    ),
    "loading no count": ("saved['_extra_state'] = 3; slow.load_state_dict(saved)", "ValueError", "_extra_state 3"),
    # NumPy
    "arrays: names": ("soft_update_numpy(params, {'w': np.zeros(3)})", "ValueError", "lacks ['b'] same names"),
    "arrays: shapes": (
        "soft_update_numpy(params, {'w': np.zeros(3), 'b': np.zeros(3)})",
        "ValueError",
        "'b' (2,) (3,)",
    ),
    "arrays: a list": ("soft_update_numpy({'w': [1.0]}, {'w': [0.0]})", "TypeError", "online_params['w'] list"),
    "arrays: objects": ("soft_update_numpy({'w': np.array([None])}, {'w': np.zeros(1)})", "TypeError", "object"),
    "arrays: not dicts": ("soft_update_numpy([np.ones(3)], [np.zeros(3)])", "TypeError", "online_params list dict"),
    "arrays: tau": ("soft_update_numpy(params, {'w': np.zeros(3), 'b': np.zeros(2)}, 7)", "ValueError", "tau 7.0"),
    "arrays: itself": ("soft_update_numpy(params, params)", "ValueError", "shares memory copy"),
    "arrays: a view": (
        "soft_update_numpy(params, {k: v[:] for k, v in params.items()})",
        "ValueError",
        "shares memory",
    ),
    "arrays: read-only": ("soft_update_numpy({'w': np.ones(3)}, {'w': frozen})", "ValueError", "'w' read-only .copy()"),
    "arrays: float into integer": (
        "soft_update_numpy({'w': np.ones(3)}, {'w': np.zeros(3, int)})",
        "ValueError",
        "'w' float64 int64",
    ),
    "arrays: float16": (
        "soft_update_numpy({'w': np.ones(3)}, {'w': np.zeros(3, np.float16)})",
        "ValueError",
        "float16 0.005 float32",
    ),
    "arrays: tied in the target only": (
        "a = np.zeros(3); soft_update_numpy({'w': np.ones(3), 'v': np.ones(3)}, {'w': a, 'v': a})",
        "ValueError",
        "ties 'w' 'v'",
    ),
    "arrays: targets that overlap": (
        "a = np.zeros(4); soft_update_numpy({'w': np.ones(3), 'v': np.ones(3)}, {'w': a[:3], 'v': a[1:]})",
        "ValueError",
        "'v' overlaps 'w'",
    ),
    "a signal of words": ("ema(['a', 'b'], 0.1)", "TypeError", "signal real numbers"),
    "an empty signal": ("ema([], 0.1)", "ValueError", "signal (0,)"),
    "a signal that is one number": ("ema(3.0, 0.1)", "ValueError", "signal ()"),
    "a signal without that axis": ("ema(np.ones(3), 0.1, axis=1)", "AxisError", "axis 1"),
    "a signal's tau": ("ema(np.ones(3), 1.1)", "ValueError", "tau 1.1"),
    "a start that is no word": ("ema(np.ones(3), 0.1, start='last')", "ValueError", "start 'last' \"zero\""),
    "a start that does not fit": ("ema(np.ones((2, 3)), 0.1, start=np.ones(3))", "ValueError", "start (3,) (2,)"),
    "no bias to correct": ("ema(np.ones(3), 0.1, bias_correction=True)", "ValueError", 'bias_correction start="zero"'),
    "no weight to correct by": (
        "ema(np.ones(3), 0.0, start='zero', bias_correction=True)",
        "ValueError",
        "bias_correction tau",
    ),
    "the demo on a matrix": ("ema_demo(np.ones((2, 3)))", "ValueError", "signal (2, 3)"),
    "weights of nothing": ("ema_weights(0.1, 0)", "ValueError", "n 0"),
    "weights of half a value": ("ema_weights(0.1, 2.5)", "TypeError", "n 2.5 whole number"),
    "weights with another start": ("ema_weights(0.1, 3, start=0.5)", "ValueError", "start 0.5"),
    # conventions
    "a decay above 1": ("ema_decay_to_tau(1.01)", "ValueError", "decay 1.01"),
    "a window's tau": ("effective_window(-1)", "ValueError", "tau -1.0"),
    "a NaN in an array": ("half_life(np.array([0.1, np.nan]))", "ValueError", "tau nan"),
    "a list of taus": ("mean_lag([0.1])", "TypeError", "tau list"),
    "nothing to convert": ("convert()", "TypeError", "nothing one of tau, decay, half_life and period"),
    "too much to convert": ("convert(tau=0.1, decay=0.9)", "TypeError", "tau, decay one of"),
    "a negative half-life": ("convert(half_life=-1)", "ValueError", "half_life -1"),
    "a NaN half-life": ("convert(half_life=math.nan)", "ValueError", "half_life nan"),
    "a period below 1": ("convert(period=0.5)", "ValueError", "period 0.5"),
    "a period in words": ("convert(period='long')", "TypeError", "period 'long' number of updates"),
    # schedules and iterates
    "a cosine of no length": ("cosine(0.1, 0)", "ValueError", "total 0"),
    "a cosine of half an update": ("cosine(0.1, 0.5)", "TypeError", "total 0.5"),
    "a constant above 1": ("constant(2)", "ValueError", "tau 2.0"),
    "a warm-up without gamma": ("warmup(0.1, gamma=0)", "ValueError", "gamma 0"),
    "a warm-up with a word": ("warmup(0.1, power='fast')", "TypeError", "power 'fast'"),
    "no iterate yet": ("PolyakAverage().value", "ValueError", "update(x)"),
    "an iterate of another shape": ("average.update(np.zeros(4))", "ValueError", "x (4,) (3,)"),
    "an iterate of another kind": ("average.update(torch.zeros(3))", "TypeError", "x Tensor ndarray"),
    "an iterate of words": ("average.update(['a'])", "TypeError", "x real numbers"),
    "a complex iterate": ("average.update(torch.zeros(3) * 1j)", "TypeError", "x complex"),
    "a tail of nothing": ("TailAverage()", "TypeError", "start fraction one of them"),
    "a tail of both": ("TailAverage(3, fraction=0.5)", "TypeError", "start=3 fraction=0.5"),
    "a tail from before the start": ("TailAverage(-1)", "ValueError", "start -1"),
    "a tail from half an iterate": ("TailAverage(0.5)", "TypeError", "start 0.5"),
    "a tail of everything": ("TailAverage(fraction=1)", "ValueError", "fraction 1 PolyakAverage"),
    "an average's tau": ("ExponentialAverage(1.5)", "ValueError", "tau 1.5"),
    "an average's start": ("ExponentialAverage(0.5, start='last')", "ValueError", "start 'last'"),
    "an average without bias": ("ExponentialAverage(0.5, bias_correction=True)", "ValueError", 'start="zero"'),
    "an average of weight 0": (
        "a = ExponentialAverage(0, start='zero', bias_correction=True); a.update(np.ones(1)); a.value",
        "ValueError",
        "weight 0",
    ),
    # advise
    "a role misspelt": ("advise('critics', 10)", "ValueError", "role 'critics' did you mean 'critic'"),
    "a role that is no name": ("advise(3, 10)", "ValueError", "role 3 Known"),
    "advice for half a step": ("advise('critic', 10.5)", "TypeError", "steps 10.5 float whole number"),
    "advice for a bool of steps": ("advise('critic', True)", "TypeError", "steps True bool"),
    "advice for no step": ("advise('critic', 0)", "ValueError", "steps 0 pass 1"),
    "a queue of a critic": ("advise('critic', 10, queue=8)", "ValueError", "queue 8 'critic' leave it out"),
    "a horizon of a teacher": ("advise('teacher', 10, horizon=9)", "ValueError", "horizon 9 'teacher' leave it out"),
    "an anchor's rate": ("advise('anchor', 10, falling_rate=False)", "ValueError", "falling_rate 'anchor' leave"),
    "another normalisation": (
        "advise('critic', 9, normalization='joint')",
        "ValueError",
        "normalization 'joint' pass one of none, layer, batch",
    ),
    "a horizon of 0": ("advise('critic', 10, horizon=0)", "ValueError", "horizon 0 pass 1 or more"),
    "a queue of NaN": ("advise('encoder', 10, queue=math.nan)", "ValueError", "queue nan pass 1 or more"),
    "a horizon in words": ("advise('critic', 10, horizon='far')", "TypeError", "horizon 'far' str"),
    "a rate that falls by 1": (
        "advise('observer', 10, falling_rate=1)",
        "TypeError",
        "falling_rate 1 int True or False",
    ),
}

RUN = """
answers = {}
for name, code in given["cases"].items():
    scope = {}
    exec(given["setup"], scope)
    watched = [scope["target"], scope["half"], scope["slow"]]
    before = [{k: v for k, v in m.state_dict().items()} for m in copy.deepcopy(watched)]
    try:
        exec(code, scope)
        answers[name] = ["nothing", "", False]
    except Exception as error:
        after = [m.state_dict() for m in watched]
        written = any(
            not (torch.equal(b[k], a[k]) if isinstance(b[k], torch.Tensor) else b[k] == a[k])
            for b, a in zip(before, after) for k in b
            if k in a and not (isinstance(a[k], torch.Tensor) and a[k].shape != b[k].shape)
        )
        answers[name] = [type(error).__name__, str(error), written or bool(scope["base"].any())]
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers(in_plain_python) -> dict[str, tuple[str, str, bool]]:
    codes = {name: code for name, (code, _, _) in CASES.items()}
    return in_plain_python(f"import copy, torch\n{RUN}", {"setup": SETUP, "cases": codes})


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_in_words_and_before_anything_is_written(name: str, answers) -> None:
    _, error, words = CASES[name]
    kind, message, written = answers[name]
    assert kind == error, message
    for word in words.split():
        assert word in message, f"{word!r} is not in {message!r}"
    if not CASES[name][0].startswith("target["):  # the one case that changes the target itself, to share a weight
        assert not written
