"""Progress bars go to standard error, leave nothing, and can be silenced."""

import pytest

from companion.study import progress


@pytest.mark.parametrize("silent", [True, False])
def test_it_counts_and_goes_to_standard_error(silent, monkeypatch, capsys):
    monkeypatch.setenv("COMPANION_PROGRESS", "0" if silent else "1")
    assert list(progress(range(3), label="runs")) == [0, 1, 2]
    with progress(total=2, label="steps") as bar:
        bar.update(2)
    seen = capsys.readouterr()
    assert seen.out == ""
    assert ("runs" in seen.err and "steps" in seen.err) is not silent
    last = seen.err.replace("\r", "\n").rstrip("\n").splitlines()[-1:]
    assert not "".join(last).strip(), "what is left on the line is blank"
