"""Soft and hard updates: ``target ← tau·online + (1 − tau)·target``, in place."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.averaging.conventions import Number, unit_interval
from companion.averaging.pairing import PLAIN, Buffers, Group, Network, Pairing, check_rule


def soft_update(
    online: Network,
    target: Network,
    tau: Number | Float[Tensor, ""] | Float[Tensor, " member"] = 0.005,
    *,
    buffers: Buffers = "copy",
) -> None:
    """Move the target a little towards the online network, in place: ``target ← tau·online + (1 − tau)·target``.

    Every tensor of the target keeps its storage, and no gradient is recorded. Floating-point tensors are averaged,
    integer ones copied. Modules are matched by name, seen through ``torch.compile``, ``DataParallel`` and
    ``DistributedDataParallel``; sequences are matched by position. A tensor that stands under several names (a tied
    weight) moves once. Everything is checked before anything is written. There is one fused call for each device and
    dtype, and no value is read back from a device, so the call can be captured in a CUDA graph.

    Args:
        online: The network that learns: a module, or the tensors of one.
        target: The slow copy of it: a module with the same names, or as many tensors, in the same order and shapes.
            It may be of a higher precision than ``online``.
        tau: The weight of the online network, in [0, 1]: a number, a tensor of shape ``()``, or one of shape
            ``(member,)`` for networks whose averaged tensors all lead with a member axis. A number of 1 copies and a
            number of 0 leaves the average untouched, also beside values that are not finite. A tensor that lives on
            another device than the CPU is used unread: that its values lie in [0, 1] is up to the caller.
        buffers: What becomes of a module's running statistics, those of BatchNorm and whatever else is named
            ``running_…``: ``"copy"`` takes the online network's, ``"average"`` treats them like parameters, ``"keep"``
            leaves the target its own. Other buffers (positions, masks, codebooks, the vectors of spectral
            normalisation) go with the weights, and an average of them means nothing: they are copied. With ``"keep"``,
            one that only one of the networks has, or in another shape, is left alone: it is made in ``forward``.

    Raises:
        TypeError: An argument is of the wrong kind, or a network is sharded (FSDP, distributed tensors).
        ValueError: ``tau`` lies outside [0, 1] or is NaN, or has another number of members than the networks;
            ``buffers`` is an unknown word; names, shapes, lengths, devices or dtypes do not match; the target shares
            storage with the online network; or the target is of bf16 or fp16 and ``tau`` lies strictly between 0 and
            1/2, where rounding would stop it short of the online network (`TargetNetwork` averages those in fp32).

    Source: Lillicrap et al., "Continuous control with deep reinforcement learning" (arXiv:1509.02971), Algorithm 1.
    """
    check_rule(buffers)
    weight = checked_tau(tau)
    move(Pairing(online, target, buffers), weight)


def hard_update(online: Network, target: Network) -> None:
    """Copy the online network into the target, in place: ``target ← online``, parameters and all buffers.

    This is `soft_update` with ``tau=1``: the same matching, the same checks. The target may be of another
    floating-point precision, to which values are rounded.

    Args:
        online: The network that learns: a module, or the tensors of one.
        target: The copy: a module with the same names, or as many tensors, in the same order and shapes.

    Raises:
        TypeError: An argument is of the wrong kind, or a network is sharded (FSDP, distributed tensors).
        ValueError: Names, shapes, lengths or devices do not match, an integer tensor faces one of another dtype, or
            the target shares storage with the online network.

    Source: Mnih et al., "Human-level control through deep reinforcement learning", Nature 518 (2015), Algorithm 1.
    """
    move(Pairing(online, target, "copy"), 1.0)


def fit_update(online: nn.Module, target: nn.Module) -> None:
    """`hard_update`, except for buffers that only one of the networks has, or in another shape."""
    move(Pairing(online, target, "fit"), 1.0)


def move(pairing: Pairing, tau: float | Tensor) -> None:
    """The line itself, for tensors that were paired and a weight that was checked."""
    averaged, copied = pairing.averaged, pairing.copied
    if type(tau) is float and tau in (0.0, 1.0):  # without arithmetic, in which 0·∞ would be NaN
        averaged, copied = [], (averaged + copied if tau else copied)
    weights = [_weights(group, tau) for group in averaged]
    with torch.no_grad():
        for group, weight in zip(averaged, weights, strict=True):
            online = group.online
            if not group.one_dtype:
                online = [torch.empty_like(tensor) for tensor in group.target]
                torch._foreach_copy_(online, group.online)
            torch._foreach_lerp_(group.target, online, weight)
        for group in copied:
            torch._foreach_copy_(group.target, group.online)


def checked_tau(tau: object) -> float | Tensor:
    """``tau`` as a number where its value can be had for nothing, else as the tensor it is.

    Raises:
        TypeError: ``tau`` is neither a number nor a floating-point tensor.
        ValueError: ``tau`` lies outside [0, 1], is NaN, or has more than one axis.
    """
    if not isinstance(tau, Tensor):
        return unit_interval(tau)
    if not tau.is_floating_point():
        raise TypeError(f"tau is a tensor of {tau.dtype}; pass floating-point weights, tau.float()")
    if tau.ndim > 1:
        raise ValueError(f"tau has shape {tuple(tau.shape)}; pass a number or a tensor of shape () or (member,)")
    if not readable(tau):
        return tau
    if tau.numel() and not all(0.0 <= bound.item() <= 1.0 for bound in tau.aminmax()):
        wrong = ~((tau >= 0.0) & (tau <= 1.0))
        raise ValueError(f"tau holds {tau[wrong][0].item()!r}, which is not in [0, 1]; pass weights of the new value")
    return tau if tau.ndim else tau.item()


def readable(tau: Tensor) -> bool:
    """Whether looking at the values costs no synchronisation: on the CPU, real, and outside of a compiler's trace."""
    return type(tau) in PLAIN and tau.is_cpu and not torch.compiler.is_compiling()


def _weights(group: Group, tau: float | Tensor) -> float | list[Tensor]:
    """``tau`` as the fused call of a group takes it, or an error if the group cannot be averaged with it."""
    if group.low_precision:
        _refuse_standstill(group, tau)
    if not group.one_dtype and torch.promote_types(group.source, group.dtype) != group.dtype:
        raise ValueError(
            f"target {group.names[0]!r} is {group.dtype}, which cannot hold an average of online's {group.source}; "
            f"keep target in {group.source}, or copy with tau=1"
        )
    if type(tau) is float or not isinstance(tau, Tensor):
        return tau
    if tau.device != group.device:
        raise ValueError(f"tau is on {tau.device} and the networks are on {group.device}; move it, tau.to(device)")
    tau = tau.to(group.dtype)
    if tau.ndim == 0:
        return [tau] * len(group.names)
    shapes = [tensor.shape for tensor in group.target]
    for name, shape in zip(group.names, shapes, strict=True):
        if len(shape) == 0 or shape[0] != tau.shape[0]:
            raise ValueError(
                f"tau has {tau.shape[0]} members, but {name!r}, of shape {tuple(shape)}, does not lead with a member "
                f"axis of that length; pass one number, or networks with a member axis"
            )
    return [tau.view(-1, *[1] * (len(shape) - 1)) for shape in shapes]


def _refuse_standstill(group: Group, tau: float | Tensor) -> None:
    # A step of tau·gap that is below half the spacing of the format rounds to nothing. With tau ≥ 1/2 that leaves a gap
    # of one spacing at most, the format's own resolution; with less, one of up to 1/(2·tau) spacings.
    if not isinstance(tau, Tensor):
        arrives, shown = tau >= 0.5, f"{tau:g}"
    else:
        arrives, shown = readable(tau) and bool(((tau == 0.0) | (tau >= 0.5)).all()), "a tensor"
    if not arrives:
        raise ValueError(
            f"target {group.names[0]!r} is {group.dtype}, in which steps of tau = {shown} round to nothing before it "
            f"reaches online; use TargetNetwork(online, tau=...), which averages in fp32"
        )
