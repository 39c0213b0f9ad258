"""SAC and entropy.

The exercises of the chapter that grows soft actor-critic in the open. Batches lead with a member axis, as everywhere
in the book: ``(member, batch)`` for what is one number a transition, ``(member, critic, batch)`` for what two critics
say, ``(member, batch, action)`` for actions. Entropies are in nats.
"""
