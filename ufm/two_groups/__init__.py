"""Majority and minority classes: the problem in scalars and arrays, thresholds, diagrams, transitions."""
