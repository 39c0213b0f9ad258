"""An anchor that moves.

The exercises of the chapter on policies that learn from a proxy, on a leash.
"""
