"""DDPG and the soft update.

The exercises of the chapter that grows DDPG in the open. Batches lead with a member axis, as everywhere in the book:
``(member, batch)`` for what is one number a transition, ``(member, batch, action)`` for actions.
"""
