"""Errors that say why a training has no result."""

from __future__ import annotations

__all__ = ["DivergedError", "TrainingError"]


class TrainingError(RuntimeError):
    """A training ended without a result, for a reason that the message gives with what to change."""


class DivergedError(TrainingError):
    """The loss of a training is no longer finite."""
