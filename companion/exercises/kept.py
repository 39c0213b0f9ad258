"""Which exercises were passed: kept in the user's data folder."""

import json
import os
from datetime import date
from pathlib import Path

from companion.exercises.registry import topics
from companion.files import locked, replacing
from companion.folders import user_folder
from companion.study.pages import say


def progress() -> None:
    """Show every exercise by topic, with a ✓ and the day for those that passed, and where that is kept.

    (The progress bar of a loop is ``study.progress``.)
    """
    days, note = passed()
    if days:
        note = note or f"Kept in `{_file()}`."
    lines = []
    for topic, exercises in topics().items():
        done = sum(exercise.name in days for exercise in exercises)
        lines += [
            f"**{topic}**: {done} of {len(exercises)}",
            "",
            "| passed | exercise | title | difficulty | minutes |",
            "|-|-|-|-|-|",
        ]
        for exercise in exercises:
            mark = f"✓ {days[exercise.name]}" if exercise.name in days else ""
            lines.append(
                f"| {mark} | `{exercise.name}` | {exercise.title} | {exercise.difficulty} | {exercise.minutes} |"
            )
        lines.append("")
    say("\n".join([*lines, note]).strip())


def passed() -> tuple[dict[str, str], str]:
    """The day each exercise was passed, and what to tell the reader if the file could not be read."""
    try:
        path = _file()
        days = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(days, dict) or not all(isinstance(day, str) for day in days.values()):
            raise ValueError("not a table of names and days")
    except FileNotFoundError:
        return {}, ""
    except OSError as error:
        return {}, f"Your progress could not be read: {error}."
    except ValueError:
        aside = next(p for i in range(1, 10_000) if not (p := path.with_name(f"progress.damaged-{i}.json")).exists())
        try:
            os.replace(path, aside)
        except OSError as error:
            return {}, f"Your progress file {path} is damaged and could not be set aside: {error}."
        return {}, f"Your progress file was damaged; it was set aside as {aside}, and a new one begins."
    return days, ""


def keep(name: str) -> str:
    """Note that an exercise was passed; what to tell the reader if that failed."""
    days, note = passed()
    if name in days:
        return note
    try:
        path = _file()
        with locked(path, seconds=5), replacing(path) as partial:
            days, _ = passed()  # again: another notebook may have kept one meanwhile
            partial.write_text(json.dumps({**days, name: date.today().isoformat()}, indent=1), encoding="utf-8")
    except (OSError, ValueError) as error:
        return note or f"Your progress could not be kept: {error}."
    return note


def _file() -> Path:
    return user_folder("data") / "progress.json"
