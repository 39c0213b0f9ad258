"""The command line."""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from companion.names import nearest
from companion.record.recorder import Recorder
from companion.record.recording import Recording
from companion.record.registry import RECORDINGS
from companion.study import store

UNFINISHED = 75
"""Exit status when the time was up before all was made: run the same command again (sysexits' EX_TEMPFAIL)."""


def main(words: Sequence[str] | None = None, recordings: Mapping[str, Recording] = RECORDINGS) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m companion.record", description="Make the book's recordings.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="make these, also where they are kept already")
    parser.add_argument(
        "--missing",
        action="store_true",
        help="make those that are not whole, whose arguments changed, or that a GPU can now replace a CPU's",
    )
    parser.add_argument("--list", action="store_true", help="show every recording and how it stands")
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="M",
        help=f"stop cleanly when they are over; exit status {UNFINISHED} says to run again",
    )
    parser.add_argument("--into", type=Path, default=store.FOLDER, metavar="DIR", help="where to write (%(default)s)")
    parser.add_argument("--commit", metavar="HASH", help="the state of the code, where it is not in a git checkout")
    chosen = parser.parse_args(words)
    if sum([bool(chosen.names), chosen.missing, chosen.list]) != 1:
        parser.error("give names, or --missing, or --list")
    for name in chosen.names:
        if name not in recordings:
            near = nearest(name, recordings)
            parser.error(f"no recording is called {name!r}; the nearest is {near!r} (--list shows all)")
    recorder = Recorder(chosen.into, chosen.minutes, chosen.commit)
    if chosen.list:
        print(table(recorder, recordings.values()))
        return 0
    names = chosen.names or [name for name, recording in recordings.items() if recorder.wanted(recording)]
    if not names:
        print("nothing is missing")
    try:
        return 0 if all(recorder.make(recordings[name]) for name in names) else UNFINISHED
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; run again to go on", file=sys.stderr)
        return 130


def table(recorder: Recorder, recordings: Iterable[Recording]) -> str:
    """Every recording in a row: name, how it stands, device, date, what it is."""
    rows = [("name", "status", "device", "date", "what")]
    for recording in recordings:
        status, run = recorder.status(recording)
        facts = run.attrs if run is not None else {}
        rows.append((recording.name, status, facts.get("device", ""), facts.get("date", "")[:10], recording.what))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
