"""Normalised networks in plain float64 NumPy, with the gradients worked out by hand; they are lists of their layers."""

import numpy as np


def through(unit: np.ndarray, sd: np.ndarray, slope: np.ndarray, axis: int) -> np.ndarray:
    """The slope before a normalisation: without what would move its mean, and what would move its variance."""
    along = (slope * unit).mean(axis, keepdims=True)
    return (slope - slope.mean(axis, keepdims=True) - unit * along) / sd


class LayerNormed(list):
    """Linear, normalised over its units (Ba et al. 2016), rectified: (weight, bias, scale, shift); and a last one.

    Scale and shift are learned, or are none: (weight, bias).
    """

    def forward(self, x, beside=None):
        kept = []
        for weight, bias, *learned in self[:-1]:
            scale, shift = learned or (1.0, 0.0)
            before = x @ weight + bias
            sd = np.sqrt(before.var(1, keepdims=True) + 1e-5)
            unit = (before - before.mean(1, keepdims=True)) / sd
            after = np.maximum(scale * unit + shift, 0)
            kept.append((x, unit, sd, after > 0))
            x = after
        weight, bias = self[-1]
        return x @ weight + bias, [*kept, x]

    def backward(self, kept, slope):
        weight, _ = self[-1]
        gradient, slope = [kept[-1].T @ slope, slope.sum(0)], slope @ weight.T
        for (weight, _, *learned), (x, unit, sd, on) in zip(self[-2::-1], kept[-2::-1], strict=True):
            slope = slope * on
            own = [(slope * unit).sum(0), slope.sum(0)] if learned else []
            slope = through(unit, sd, slope * (learned[0] if learned else 1.0), 1)
            gradient[:0] = [x.T @ slope, slope.sum(0), *own]
            slope = slope @ weight.T
        return gradient, slope


class BatchNormed(list):
    """The input normalised over the batch, (scale, shift); linear, rectified, normalised; a last linear one.

    Bhatt et al. (2024), figure 1 and their code: (weight, bias, scale, shift), epsilon 0.001, momentum 0.99.
    """

    def __init__(self, layers, means, variances):
        super().__init__(layers)
        self.averages = [means, variances]

    def normalise(self, number, x, scale, shift, *, joint):
        means, variances = self.averages
        mean, variance = (x.mean(0), x.var(0)) if joint else (means[number], variances[number])
        if joint:
            means[number] = 0.99 * means[number] + 0.01 * mean
            variances[number] = 0.99 * variances[number] + 0.01 * variance
        sd = np.sqrt(variance + 1e-3)
        unit = (x - mean) / sd
        return scale * unit + shift, (unit, sd)

    def forward(self, x, beside=None):
        joint, rows = beside is not None, len(x)
        x, seen = self.normalise(0, x if beside is None else np.concatenate([x, beside]), *self[0], joint=joint)
        kept = [(joint, rows), seen]
        for number, (weight, bias, scale, shift) in enumerate(self[1:-1], 1):
            after = np.maximum(x @ weight + bias, 0)
            normal, seen = self.normalise(number, after, scale, shift, joint=joint)
            kept.append((x, after > 0, *seen))
            x = normal
        weight, bias = self[-1]
        return (x @ weight + bias)[:rows], [*kept, x]

    def backward(self, kept, slope):
        (joint, rows), (unit, sd), *hidden, x = kept
        slope = np.concatenate([slope, np.zeros((len(x) - rows, slope.shape[1]))])

        def before(slope, unit, sd, scale):
            return through(unit, sd, slope * scale, 0) if joint else slope * scale / sd

        weight, _ = self[-1]
        gradient, slope = [x.T @ slope, slope.sum(0)], slope @ weight.T
        for (weight, _, scale, _), (x, on, *normal) in zip(self[-2:0:-1], hidden[::-1], strict=True):
            own = [(slope * normal[0]).sum(0), slope.sum(0)]
            slope = before(slope, *normal, scale) * on
            gradient[:0] = [x.T @ slope, slope.sum(0), *own]
            slope = slope @ weight.T
        scale, _ = self[0]
        gradient[:0] = [(slope * unit).sum(0), slope.sum(0)]
        return gradient, before(slope, unit, sd, scale)[:rows]
