"""Options of trainings, by the fields of their configurations, which hold the defaults and check the values."""

from __future__ import annotations

from ufm.cli.options import Options
from ufm.data import DATASETS

__all__ = ["EXPERIMENT_OPTIONS", "SHARED_OPTIONS", "SINGLE_OPTIONS", "TRAINING_OPTIONS", "long_flag"]

_FITTED, _OTHERS = (
    ", ".join(name for name, source in DATASETS.items() if (source.fitted_split is None) is other)
    for other in (False, True)
)

#: Options of a training, by field of ``ufm.deq.TrainingConfig``, which holds the defaults and checks the values.
TRAINING_OPTIONS: Options = {
    "dataset": (
        (str,),
        ("--dataset",),
        f"{_FITTED}; with --run also {_OTHERS}. (default digits; fashion-mnist with --run)",
    ),
    "majority_count": (
        (int,),
        ("--majority-count",),
        "Images n_A of a majority class. (default 100; 500 with --run)",
    ),
    "num_majority": ((int,), ("--majority",), "Number K_A of majority classes. (default 5)"),
    "num_minority": ((int,), ("--minority",), "Number K_B of minority classes. (default 5)"),
    "lambda_W": ((float,), ("--lambda-W", "--lambda-w"), "Weight decay of the classifier. (default √20/600)"),
    "lambda_H": ((float,), ("--lambda-H", "--lambda-h"), "Weight decay of the features. (default √20/600)"),
    "rho": ((float,), ("--rho",), "Spectral bound on A, in [0, 1). (default 0.5)"),
    "activation": ((str,), ("--activation",), "Nonlinearity of the fixed point, tanh or relu. (default tanh)"),
    "gamma": ((float,), ("--gamma",), "Its strength in [0, 1]; 0 is the linear DEQ of the theory. (default 0)"),
    "solver": ((str,), ("--solver",), "Fixed-point solver. (default fixed_point)"),
    "max_iterations": ((int,), ("--max-iterations",), "Longest optimisation. (default 1000)"),
    "device": ((str,), ("--device",), "auto, cpu or cuda. (default auto)"),
}

#: Options of a single training, beyond those of all trainings.
SINGLE_OPTIONS: Options = {
    "architecture": ((str,), ("--architecture", "-a"), "deq or explicit. (default deq)"),
    "minority_count": ((int,), ("--minority-count",), "Images n_B of each minority class. (default 10)"),
    "start": ((str,), ("--start",), "Where A starts: identity (A = ρI) or zero. (default identity)"),
    "seed": ((int,), ("--seed",), "Seed of everything random. (default 0)"),
}

#: Options of a run by SGD, by field of ``ufm.deq.ExperimentConfig``, which holds the defaults and checks the values.
EXPERIMENT_OPTIONS: Options = {
    "model": ((str,), ("--model",), "Name of ufm.deq.build_model, such as conv-deq or resnet18. (default conv-deq)"),
    "options": ((str,), ("--model-options",), 'Its options as JSON, such as \'{"cell": "contractive", "rho": 0.9}\'.'),
    "width": ((int,), ("--width",), "Channels or hidden units. (default 16)"),
    "ratio": ((float,), ("--ratio",), "Imbalance R = n_A/n_B. (default 10)"),
    "imbalance": ((str,), ("--imbalance",), "step, or long-tailed: n_k falls from n_A to n_A/R. (default step)"),
    "classes": ((str,), ("--classes",), "Which are the majority: the first, or shuffled by the seed. (default first)"),
    "test_count": ((int,), ("--test-count",), "Test images of each class. (default all)"),
    "pool": ((int,), ("--pool",), "Average images over squares of this many pixels a side. (default 1)"),
    "epochs": ((int,), ("--epochs",), "Passes over the training set. (default 200)"),
    "batch_size": ((int,), ("--batch-size",), "Samples of a step. (default 128)"),
    "learning_rate": ((float,), ("--learning-rate",), "At the start of the cosine schedule. (default 0.05)"),
    "weight_decay": ((float,), ("--weight-decay",), "Of all weights. (default 5e-4)"),
    "jacobian_weight": ((float,), ("--jacobian-weight",), "Of the Jacobian penalty, with a fixed point. (default 0)"),
    "evaluate_every": ((int,), ("--evaluate-every",), "Epochs between evaluations and checkpoints. (default 5)"),
    "patience": ((int,), ("--patience",), "Stop when the terminal phase converged over so many evaluations."),
}
#: Options of a training that a run by SGD takes too.
SHARED_OPTIONS = ("dataset", "majority_count", "num_majority", "num_minority", "device", "seed")


def long_flag(key: str) -> str:
    """The option of a training or a run.

    >>> long_flag("minority_count")
    '--minority-count'
    """
    return (SINGLE_OPTIONS | TRAINING_OPTIONS | EXPERIMENT_OPTIONS)[key][1][0]
