"""The exponential moving average."""

PREFIX = ""
"""Of the names of its exercises, which are short enough by themselves."""
