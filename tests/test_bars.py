"""Progress bars go to standard error, leave nothing, and can be silenced."""

import pytest

from companion.bars import progress_bar
from companion.study import progress


@pytest.mark.parametrize("variables", [{}, {"COMPANION_PROGRESS": "0"}, {"RANK": "1"}])
def test_a_bar_goes_to_standard_error_and_leaves_nothing_and_can_be_switched_off(variables, monkeypatch, capsys):
    monkeypatch.delenv("COMPANION_PROGRESS", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with progress_bar("dqn", 10, done=4) as bar:
        bar.update(6)
    assert list(progress(range(3), label="runs")) == [0, 1, 2]
    with progress(total=2, label="steps") as bar:
        bar.update(2)
    seen = capsys.readouterr()
    assert seen.out == ""
    assert all(label in seen.err for label in ("dqn", "runs", "steps")) is not bool(variables)
    last = seen.err.replace("\r", "\n").rstrip("\n").splitlines()[-1:]
    assert not "".join(last).strip(), "what is left on the line is blank"


def test_a_bar_that_is_not_to_be_shown_is_not(capsys):
    with progress_bar("dqn", 10, show=False) as bar:
        bar.update(10)
    assert capsys.readouterr().err == ""
