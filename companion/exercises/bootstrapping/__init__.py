"""Chasing your own target."""
