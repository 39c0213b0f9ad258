"""Guess."""

from companion.exercises import Exercise, expect


def nine():
    return 9


def below_ten(answer):
    """the guess is below ten"""
    expect(answer < 10, "It is smaller.")


EXERCISE = Exercise(1, "Guess", "hard", 1, "a number", nine, "It is.", [below_ten], value=True)
