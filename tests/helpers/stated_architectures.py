"""Architectures of one's own, as several tests state them."""

from __future__ import annotations

import numpy as np

import ufm


class Entrywise(ufm.Architecture):
    """``sum_ij |Y_ij|``, without a bound; the atoms are the signed unit matrices."""

    def gauge(self, y):
        return float(np.abs(y).sum())

    def polar(self, gradient):
        return float(np.abs(gradient).max())

    def atom(self, gradient):
        out = np.zeros_like(gradient)
        at = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        out[at] = np.sign(gradient[at])
        return out
