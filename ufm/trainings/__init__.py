"""Trainings held against the theory's prediction: single ones, sweeps, hysteresis loops, the paper's grid."""
