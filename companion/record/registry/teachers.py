"""Students and their teachers: few labels, or none."""

from companion.record.recording import Recording

RECORDINGS = [
    Recording(
        "teachers-tau",
        "Mean Teacher on 20 labelled digits: errors of student and teacher over tau and the weight (0: labels alone)",
        "companion.teachers:train",
        (),
        {
            "tau": [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0],
            "weight": [0.0, 10.0, 50.0, 200.0],
            "steps": 1_000,
            "evaluate_every": 100,
        },
        seeds=32,
    ),
    Recording(
        "distillation-tau",
        "Self-distillation of digits: entropies and collapse over tau, centring and sharpening",
        "companion.teachers:distil",
        (),
        {
            "tau": [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001],
            "centre_tau": [0.1, 0.0],
            "teacher_temperature": [0.02, 0.1],
            "steps": 2_000,
            "evaluate_every": 100,
        },
        seeds=64,
    ),
]
