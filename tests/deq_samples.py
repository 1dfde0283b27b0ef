"""A training small enough for tests."""

from __future__ import annotations

import math

from ufm.deq import TrainingConfig

LAMBDA = math.sqrt(8) / 114
#: K = 6, n_A = 30: thresholds at n_B = 8 (explicit) and 1.38 (DEQ).
SMALL = TrainingConfig(
    majority_count=30,
    num_majority=3,
    num_minority=3,
    minority_count=1,
    lambda_W=LAMBDA,
    lambda_H=LAMBDA,
    dim=8,
    width=128,
    device="cpu",
)
