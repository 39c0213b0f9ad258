"""The book's exercises: check an answer, see the solution, see how far one has come. One module a topic."""

from companion.exercises.core import Exercise, Hint, Report, check, expect, matches, progress, solution

__all__ = ["Exercise", "Hint", "Report", "check", "expect", "matches", "progress", "solution"]
