"""Policies on a leash: over-optimisation, and anchors that move."""

from companion.record.recording import Recording

_BETA = [0.0, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 2.0, 4.0, 8.0]
_LONG = {"beta": _BETA, "steps": 8_000, "evaluate_every": 100, "learning_rate": 0.05}

RECORDINGS = [
    Recording(
        "anchors-table",
        "Policies in tables over beta and the anchor's tau: gold, proxy and KL",
        "companion.preference:train",
        settings={**_LONG, "tau": [0.0, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1]},
        seeds=64,
    ),
    Recording(
        "anchors-network",
        "Policies of one network that writes token by token, over beta and the anchor's tau",
        "companion.preference:train",
        settings={
            **_LONG,
            "steps": 2_000,
            "tau": [0.0, 0.001, 0.003, 0.01],
            "policy": "network",
            "prompts": 8,
            "positions": 4,
            "vocabulary": 6,
            "curvature": 0.36,
            "hidden": (16,),
            "answers": 4,
            "labels": 50,
        },
        seeds=32,
    ),
    Recording(
        "anchors-fresh-labels",
        "Policies in tables whose judge is learned anew from fresh labels, over beta and the anchor's tau",
        "companion.preference:train",
        settings={
            **_LONG,
            "tau": [0.0, 0.001, 0.003, 0.01],
            "labels": 100,
            "refresh": 800,
            "evaluate_every": 800,
        },
        seeds=32,
    ),
]
