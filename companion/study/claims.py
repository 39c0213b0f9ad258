"""Claims: statements about what came out of noisy training, each with what was measured, its bound and its rehearsals.

Mathematics is asserted, luck is claimed. An ``assert`` holds on every machine; a claim held in the rehearsals, and on a
reader's machine may fail without stopping anything.
"""

import html
import math
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

from companion.study.pages import say, spelt
from companion.study.rehearsals import Bound, number, rehearsed

__all__ = ["begin", "claim", "data", "made", "recorded", "tally"]

KEY = "companion"
"""Under which an output's metadata hold its claims, for the tools."""
HELD = "{held}"
"""In a claim's words stands for how often it held, such as "21 of 24 rehearsals"."""


@dataclass(frozen=True)
class Claim:
    """A claim and how it came out in this run.

    Attributes:
        words: as they stand in the chapter.
        values: what was measured, in order.
        bound: what they are held against.
        frozen: whether the values are of a recording, which no run changes.
        chapter: the slug of the chapter whose rehearsals are its own; none outside of chapters and on another budget.
    """

    words: str
    values: tuple[float, ...]
    bound: Bound
    frozen: bool = False
    chapter: str | None = None

    @property
    def holds(self) -> bool:
        """Whether all values keep the bound."""
        return self.bound.holds(self.bound.worst(self.values))

    @property
    def said(self) -> str:
        """The words, with how often the claim held where they ask for it."""
        return self.words.replace(HELD, self._often() or "an unknown share of the rehearsals")

    @property
    def facts(self) -> str:
        """What was measured, the bound, and how the rehearsals came out."""
        measured = f"measured {_span(self.values)}, bound: {self.bound}"
        often = self._often()
        if self.frozen or not often:
            return measured
        worst = rehearsed(str(self.chapter))[self.words].worst(self.bound)
        each = "at worst " if np.size(self.values) > 1 else ""  # a rehearsal's number that is nearest to the bound
        return f"{measured}; held in {often}, {each}{_span(worst)}"

    @property
    def status(self) -> str:
        """The first word of its line."""
        if self.frozen:
            return "in the recording" if self.holds else "not in the recording"
        return "holds" if self.holds else "not in this run"

    def _often(self) -> str:
        past = rehearsed(self.chapter).get(self.words) if self.chapter else None
        return f"{past.held(self.bound)} of {len(past.values)} rehearsals" if past else ""


class Held(int):
    """Whether a claim holds, 1 or 0; Jupyter shows nothing of it where a cell ends with it: the claim has its line."""

    def _ipython_display_(self) -> None:
        pass

    def __repr__(self) -> str:
        return repr(bool(self))


@dataclass
class _Session:
    """The claims of the chapter that is being run, by their words, and the list that the running cell shows."""

    chapter: str | None = None
    claims: dict[str, Claim] = field(default_factory=dict)
    cell: Any = None
    shown: list[Claim] = field(default_factory=list)
    handle: Any = None


_session = _Session()


def begin(chapter: str | None) -> None:
    """Start counting anew; :func:`companion.study.budget` does so.

    Args:
        chapter: whose rehearsals to show; None where they would be of other numbers.
    """
    global _session
    _session = _Session(chapter)


def made() -> list[Claim]:
    """The claims of the run so far, checks of recordings among them; one that was made again counts once."""
    return list(_session.claims.values())


def claim(
    words: str,
    value: Any,
    *,
    above: int | float | None = None,
    below: int | float | None = None,
    within: tuple[int | float, int | float] | None = None,
    diverged: str | None = None,
) -> Held:
    """Claim that what was measured keeps a bound, and show whether it does.

        study.claim("clipping lowers the value, on every seed", clip, below=-15)

    Shows one line: whether the claim holds here, the words, what was measured, the bound, and how often it held in the
    chapter's rehearsals. The claims of one cell make one list. A claim that fails stops nothing.

    Args:
        words: what is claimed, in a sentence; no two claims of a chapter have the same. Text between backticks is shown
            as code. ``{held}`` stands for how often it held, and must be there if it did not always hold, or with less
            than three standard deviations between its bound and the rehearsals' mean.
        value: a number, or an array (NumPy, xarray, torch, a list) of which every entry must keep the bound.
        above: every entry is greater.
        below: every entry is less.
        within: every entry lies between the two; a pair. Of the three give one.
        diverged: what NaN counts as, the mark of a member that diverged: ``"low"`` or ``"high"``. Without it NaN is an
            error.

    Returns:
        Whether it holds.

    Raises:
        ValueError: not exactly one bound, a bound that is not finite or the wrong way round, no words, no values, a
            word for ``diverged`` that is none, or NaN where it was not announced.
        TypeError: a value or a bound that is no number.
    """
    return _make(words, value, above, below, within, diverged, frozen=False)


def recorded(
    words: str,
    value: Any,
    *,
    above: int | float | None = None,
    below: int | float | None = None,
    within: tuple[int | float, int | float] | None = None,
    diverged: str | None = None,
) -> Held:
    """Check a recording, as :func:`claim` checks a run, and label it so: nothing a reader does can change it.

    The tests fail where it does not hold: then the recording or the words are wrong. It is not rehearsed.
    """
    return _make(words, value, above, below, within, diverged, frozen=True)


def tally() -> None:
    """Show how this run of the chapter compares as a whole, and which claims did not hold."""
    mine = [c for c in made() if not c.frozen]
    held = [c for c in mine if c.holds]
    text = f"**{len(held)} of {len(mine)} claims hold here.**"
    for c in mine:
        if not c.holds:
            text += f"\n- Not in this run: {c.said} ({c.facts})"
    if len(held) < len(mine):
        text += "\n\nThe numbers in this run are the machine's and the seeds'; the words are of all rehearsals."
    say(text)


def _make(
    words: Any,
    value: Any,
    above: Any,
    below: Any,
    within: Any,
    diverged: str | None,
    *,
    frozen: bool,
) -> Held:
    if not isinstance(words, str) or not words.strip():
        raise ValueError(f"words is {words!r}; say in a sentence what is claimed")
    bound = _bound(above, below, within)
    values = _values(value, diverged)
    new = Claim(words, values, bound, frozen, _session.chapter)
    _session.claims[words] = new
    _show(new)
    return Held(new.holds)


def _bound(above: Any, below: Any, within: Any) -> Bound:
    given = [name for name, end in (("above", above), ("below", below), ("within", within)) if end is not None]
    if len(given) != 1:
        raise ValueError(f"of above, below and within give exactly one; given are {given or 'none'}")
    ends: dict[str, Any]
    if within is not None:
        if not isinstance(within, (tuple, list)) or len(within) != 2:
            raise ValueError(f"within is {within!r}; give a pair, (low, high)")
        ends = {"within[0]": within[0], "within[1]": within[1]}
    else:
        ends = {given[0]: below if above is None else above}
    checked = [_end(name, end) for name, end in ends.items()]
    if within is not None:
        if checked[0] >= checked[1]:
            raise ValueError(f"within is {within!r}; the first must be less than the second")
        return Bound(*checked)
    return Bound(low=checked[0]) if above is not None else Bound(high=checked[0])


def _end(name: str, end: Any) -> float:
    if isinstance(end, (bool, str)) or np.ndim(end) != 0:
        raise TypeError(f"{name} is {end!r}; it must be one number")
    try:
        plain = float(end)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} is {end!r}; it must be one number") from error
    if not math.isfinite(plain):
        raise ValueError(f"{name} is {plain}; a bound must be finite")
    return plain


def _values(value: Any, diverged: str | None) -> tuple[float, ...]:
    if diverged not in (None, "low", "high"):
        raise ValueError(f"diverged is {diverged!r}; choose 'low' or 'high', or leave it out where nothing is NaN")
    if hasattr(value, "detach"):  # a tensor, wherever it is
        value = value.detach().cpu().numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"value is {value!r}; it must be a number or an array of numbers, not {array.dtype}")
    array = array.astype(np.float64).ravel()
    if array.size == 0:
        raise ValueError("value has no entry; there is nothing to claim of it")
    if np.isnan(array).any():
        if diverged is None:
            raise ValueError(
                f"value holds NaN in {int(np.isnan(array).sum())} of {array.size} entries; say what one counts as, "
                "diverged='low' or 'high', or leave it out of the value"
            )
        array = np.where(np.isnan(array), -math.inf if diverged == "low" else math.inf, array)
    return tuple(array.tolist())


def _show(new: Claim) -> None:
    """Add a line to the list of the running cell; in a plain script print it."""
    if not InteractiveShell.initialized():
        print(spelt(_plain(new)))
        return
    shell = InteractiveShell.instance()
    if _session.cell != (shell, shell.execution_count) or _session.handle is None:
        _session.cell, _session.shown, _session.handle = (shell, shell.execution_count), [], None
    _session.shown.append(new)
    bundle = {"text/html": _html(_session.shown), "text/plain": spelt("\n".join(map(_plain, _session.shown)))}
    metadata = {KEY: {"claims": [data(c) for c in _session.shown]}}
    if _session.handle is None:
        _session.handle = display(bundle, metadata=metadata, raw=True, display_id=True)
    else:
        _session.handle.update(bundle, metadata=metadata, raw=True)


def data(c: Claim) -> dict[str, Any]:
    """A claim as JSON, which has no infinity: there it is a text."""
    return {
        "words": c.words,
        "values": [v if math.isfinite(v) else str(v) for v in c.values],
        "low": c.bound.low if math.isfinite(c.bound.low) else None,
        "high": c.bound.high if math.isfinite(c.bound.high) else None,
        "frozen": c.frozen,
        "holds": c.holds,
    }


def _plain(c: Claim) -> str:
    mark = "✓" if c.holds else "○"
    return f"{mark} {c.status}: {c.said} ({c.facts})"


# Styled in place, since JupyterLab, VS Code and Colab know no style sheet of ours; colours are the page's own.
_LIST = (
    '<ul class="claims" style="list-style: none; margin: 0.8em 0; padding: 0.1em 0 0.1em 0.9em; '
    'border-left: 3px solid {edge};">{lines}</ul>'
)
_LINE = (
    '<li style="margin: 0.35em 0;"><span aria-hidden="true">{mark}</span> <em>{status}:</em> {said} '
    '<span style="opacity: 0.75; font-size: 0.88em;">({facts})</span></li>'
)


def _html(claims: list[Claim]) -> str:
    lines = "".join(
        _LINE.format(
            mark="✓" if c.holds else "○",
            status=c.status,
            said=re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(c.said)),
            facts=html.escape(c.facts),
        )
        for c in claims
    )
    return _LIST.format(edge="#2a9d6f" if all(c.holds for c in claims) else "#b8860b", lines=lines)


def _span(values: Any) -> str:
    """One number, or from the least to the largest."""
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low} to {high}"
