"""Chasing your own target."""

PREFIX = ""
"""Of the names of its exercises, which are short enough by themselves."""
