"""Members over processes: shares that make up the whole, and results that every process gets."""

import numpy as np
import pytest
import torch

from companion.runs.options import choose_device
from companion.runs.processes import ALONE, Processes, launched, local_device
from tests.helpers import torchrun


def test_one_process_agrees_with_itself_and_has_everything():
    assert launched() == ALONE
    assert ALONE.any(True)
    assert not ALONE.any(False)
    assert ALONE.broadcast(told := {"a": 1}) is told
    assert ALONE.share(np.arange(5)).tolist() == [0, 1, 2, 3, 4]
    values = np.arange(10.0).reshape(5, 2)
    whole = ALONE.gather_members({"a": values[::-1]}, np.arange(5)[::-1], 5)
    assert np.array_equal(whole["a"], values)


@pytest.mark.parametrize("indices", [[0, 1], [0, 1, 1], [0, 1, 3]])
def test_a_whole_that_is_not_whole_is_refused(indices):
    with pytest.raises(ValueError, match="each of 3 members must be in one process's share; they hold"):
        ALONE.gather_members({"a": np.zeros((len(indices), 2))}, np.array(indices), 3)


@pytest.mark.parametrize("members", [0, 1, 5, 8])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_shares_are_neighbours_and_make_up_the_whole(members, world):
    indices = np.arange(10, 10 + members)
    own = [Processes(rank, world).share(indices) for rank in range(world)]
    assert np.concatenate(own).tolist() == indices.tolist()
    assert max(map(len, own)) - min(map(len, own)) <= 1


def test_every_process_gets_the_whole_and_the_same_answers_and_a_failure_ends_them_all(tmp_path):
    script = tmp_path / "gathers.py"
    script.write_text("""
import sys
import numpy as np
import torch
from companion.runs.processes import launched
processes = launched()
rank, world = processes.rank, processes.world
for members in (5, 1):
    own = processes.share(np.arange(members))
    local = {"a": np.outer(own, np.ones(3)).astype("f4"), "b": own} if len(own) else {}
    whole = processes.gather_members(local, own, members)
    assert whole["a"].dtype == "f4" and whole["b"].dtype == own.dtype
    sys.stdout.write(f"{rank} of {world} {own.tolist()} {whole['a'].sum(1).tolist()} {whole['b'].tolist()}\\n")
wishes = [processes.any(wish) for wish in (False, rank == 1, rank == 0, True)]
told = processes.broadcast({"step": 7, "numbers": torch.arange(3.0)} if rank == 0 else None)
sys.stdout.write(f"{rank} {wishes} {told['step']} {told['numbers'].tolist()} {processes.broadcast(None)}\\n")
if rank == 1:
    raise RuntimeError("out of luck")
processes.gather_members({}, np.arange(0), 0)
sys.stdout.write("went on without the other\\n")
""")
    ended = torchrun(script)
    assert sorted(ended.stdout.splitlines()) == [
        "0 [False, True, True, True] 7 [0.0, 1.0, 2.0] None",
        "0 of 2 [0, 1, 2] [0.0, 3.0, 6.0, 9.0, 12.0] [0, 1, 2, 3, 4]",
        "0 of 2 [0] [0.0] [0]",
        "1 [False, True, True, True] 7 [0.0, 1.0, 2.0] None",
        "1 of 2 [3, 4] [0.0, 3.0, 6.0, 9.0, 12.0] [0, 1, 2, 3, 4]",
        "1 of 2 [] [0.0] [0]",
    ], ended.stderr
    assert ended.returncode != 0
    assert "out of luck" in ended.stderr


def test_each_process_has_its_own_gpu(monkeypatch):
    assert local_device("cuda") == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    current: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    for rank, gpu in {"0": 0, "1": 1, "2": 0}.items():
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert local_device("cuda") == torch.device("cuda", gpu)
        assert local_device("cpu") == torch.device("cpu")
        assert current == [torch.device("cuda", gpu)]
        assert choose_device() == choose_device("cuda") == torch.device("cuda", gpu)
        assert choose_device("cuda:1") == torch.device("cuda", 1)
        assert choose_device("cpu") == torch.device("cpu")
        current.clear()
