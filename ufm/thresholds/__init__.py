"""Collapse thresholds for any convex loss, bias and number of groups: the universal criterion of theory section 7.

Two groups under plain cross-entropy or mean squared error have closed forms, in :mod:`ufm.two_groups.thresholds`.
"""

from ufm.thresholds.arrays import ThresholdArray, threshold_array
from ufm.thresholds.criterion import GroupMargin, collapsed_logits, group_margin, kappa
from ufm.thresholds.front import collapse_threshold
from ufm.thresholds.groups import CollapseThresholds, GroupThreshold, collapse_thresholds
from ufm.two_groups.thresholds import Threshold, threshold_curve, total_collapse_threshold

__all__ = [
    "CollapseThresholds",
    "GroupMargin",
    "GroupThreshold",
    "Threshold",
    "ThresholdArray",
    "collapse_threshold",
    "collapse_thresholds",
    "collapsed_logits",
    "group_margin",
    "kappa",
    "threshold_array",
    "threshold_curve",
    "total_collapse_threshold",
]
