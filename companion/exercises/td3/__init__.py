"""TD3 and overestimation.

The exercises of the chapter that takes TD3 apart. Tensors lead with a member axis, as everywhere in the book:
``(member, batch)`` for what is one number a transition, ``(member, copies, batch)`` for the values of twin critics.
"""
