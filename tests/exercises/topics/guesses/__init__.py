"""Guesses.

More words.
"""
