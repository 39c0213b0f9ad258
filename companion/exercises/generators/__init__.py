"""Generators.

The exercises of the chapter on averages that one samples from: how long they remember, and how they are used.
"""
