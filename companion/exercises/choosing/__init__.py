"""Choosing.

The exercises of the chapter that weighs the book's averages against one another and against what replaces them.
"""
