"""Figures of trainings: s_B against n_B with the theory as curves, metrics over epochs, hysteresis loops."""

from __future__ import annotations

from ufm._extras import optional

with optional("plot"):
    from ufm.trainings.plotting.curves import plot_curves
    from ufm.trainings.plotting.departure import plot_departure
    from ufm.trainings.plotting.loops import plot_hysteresis
    from ufm.trainings.plotting.order_parameter import plot_sweep

__all__ = ["plot_curves", "plot_departure", "plot_hysteresis", "plot_sweep"]
