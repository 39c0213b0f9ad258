"""The one idea of the book: ``target ← tau·online + (1 − tau)·target``, from iterate averages to target networks."""

from companion.averaging.advice import Advice, advise
from companion.averaging.bank import Bank
from companion.averaging.clock import Clock
from companion.averaging.conventions import (
    Convention,
    convert,
    effective_window,
    ema_decay_to_tau,
    equivalent_period,
    half_life,
    mean_lag,
    tau_to_ema_decay,
    variance_ratio,
)
from companion.averaging.iterates import ExponentialAverage, PolyakAverage, TailAverage
from companion.averaging.normalization import reestimate_batch_norm
from companion.averaging.posthoc import (
    posthoc_weights,
    power_gamma,
    power_sigma,
    profile_weights,
    snapshot_weights,
)
from companion.averaging.schedules import constant, cosine, debiased, power, swa, warmup
from companion.averaging.signals import ema, ema_demo, ema_weights, soft_update_numpy
from companion.averaging.target import TargetNetwork
from companion.averaging.updates import hard_update, soft_update

__all__ = [
    "Advice",
    "Bank",
    "Clock",
    "Convention",
    "ExponentialAverage",
    "PolyakAverage",
    "TailAverage",
    "TargetNetwork",
    "advise",
    "constant",
    "convert",
    "cosine",
    "debiased",
    "effective_window",
    "ema",
    "ema_decay_to_tau",
    "ema_demo",
    "ema_weights",
    "equivalent_period",
    "half_life",
    "hard_update",
    "mean_lag",
    "posthoc_weights",
    "power",
    "power_gamma",
    "power_sigma",
    "profile_weights",
    "reestimate_batch_norm",
    "snapshot_weights",
    "soft_update",
    "soft_update_numpy",
    "swa",
    "tau_to_ema_decay",
    "variance_ratio",
    "warmup",
]
