"""Averages that generalise."""
