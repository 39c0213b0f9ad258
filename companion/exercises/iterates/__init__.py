"""Averaging the iterates."""
