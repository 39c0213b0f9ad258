"""Sums."""

PREFIX = ""
