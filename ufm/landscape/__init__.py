"""The landscape in the factors: critical points, trapped minima, and where the balanced ETF stops being optimal."""

from ufm.landscape.certification import certify_trapped
from ufm.landscape.critical_points import CriticalPoint, classify
from ufm.landscape.trapped_minima import TrappedMinimum, find_trapped

__all__ = ["CriticalPoint", "TrappedMinimum", "certify_trapped", "classify", "find_trapped"]
