"""The book's exercises: check an answer, see the solution, see how far one has come.

A folder is a topic, and a file in it an exercise, with its solution, checks, hints and card together. Both are found
where they lie: nothing lists them.
"""

from companion.exercises.checking import Report, check, solution
from companion.exercises.exercise import Answer, Exercise
from companion.exercises.hints import Hint, agrees, differs, expect, matches, matches_each, number, returned, several
from companion.exercises.kept import progress
from companion.exercises.lines import checks_of_a_line
from companion.exercises.materials import measured_lag, normal, transitions
from companion.exercises.registry import find, topics

__all__ = [
    "Answer",
    "Exercise",
    "Hint",
    "Report",
    "agrees",
    "check",
    "checks_of_a_line",
    "differs",
    "expect",
    "find",
    "matches",
    "matches_each",
    "measured_lag",
    "normal",
    "number",
    "progress",
    "returned",
    "several",
    "solution",
    "topics",
    "transitions",
]
