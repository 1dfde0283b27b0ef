r"""Collapse threshold with bounded classifiers and features, cross-entropy: two numbers x and y in closed form.

At the merged point ``w_A = a (x u + sqrt(1-x^2) f_i)``, ``h_A = b (y u + sqrt(1-y^2) f_i)``, ``w_B = -a u``,
``h_B = -b u``, with g, e the probabilities of another majority and of a minority class on a majority sample, p that of
a majority class on a minority sample, theorem norm-bounded-groups says

* ``K_B e sqrt((1+x)(1-y^2)) = (K_A g + K_B e) y sqrt(1-x)`` where the point is stationary: y for a given x;
* ``R = p y (1-x) / (e (x - y^2))``;
* the minority is collapsed iff ``K_A^2 p^2 x (1+x) (1-y^2) >= x - y^2``; equality gives x at R*.

Two clusters, ``x = y = 1``, are optimal iff ``2 K_A^2 p (R e + p) >= 1`` and ``2 K_B^2 e (R e + p) >= R``: where the
minority is many classes and a b is small the majority is one as well at R*, which is then ``(1/(2 K_A^2 p) - p)/e``,
``e = q/(K_A + K_B q)``, ``p = q/(K_B + K_A q)``, ``q = exp(-2ab)``; so it is with one majority class.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ufm._validation import integer, positive
from ufm.architectures import NormBounded
from ufm.two_groups.thresholds import Threshold

__all__ = ["BoundedQuestion", "MergedPoint", "merged_point", "norm_bounded_threshold"]

#: Most classes of a group: beyond, their squares leave what probabilities are computed to.
MOST_CLASSES = 10**6
#: Largest logarithm of R* that is returned: exponentials beyond leave float64.
LARGEST = 700.0
#: From the relative error of x, about 1e-15, through the exponentials: R* is known to this times (1 + a b).
SLACK = 1e-12
#: Of a b, the step of the differences that the slope of R* is taken from.
STEP = 1e-5


@dataclass(frozen=True)
class MergedPoint:
    """A stationary point whose minority is one.

    Attributes:
        x: cosine between a majority classifier and the direction that the minority is opposite to.
        y: the same of a majority feature.
        log_wrong: log of p, of a majority class on a minority sample.
        log_minority: log of e, of a minority class on a majority sample.
        gain: ``K_A^2 p^2 x (1+x) (1-y^2)``.
    """

    x: float
    y: float
    log_wrong: float
    log_minority: float
    gain: float

    @property
    def margin(self) -> float:
        """``gain - (x - y^2)``: at least 0 where the minority is collapsed."""
        return self.gain - (self.x - self.y**2)

    @property
    def log_ratio(self) -> float:
        """Log of the R at which it is stationary; inf where none is, for ``x <= y^2``."""
        return self._log_ratio(self.x - self.y**2)

    @property
    def log_threshold(self) -> float:
        """The same at margin 0, ``x - y^2`` taken from the gain, which has no cancellation."""
        return self._log_ratio(self.gain)

    def _log_ratio(self, slack: float) -> float:
        if slack <= 0:
            return math.inf
        return self.log_wrong - self.log_minority + math.log(self.y) + math.log1p(-self.x) - math.log(slack)


def merged_point(size: float, num_majority: int, num_minority: int, x: float) -> MergedPoint:
    """The stationary point of cosine x in (0, 1), ``size = a b``, K_A >= 2.

    >>> point = merged_point(1.0, 2, 2, 0.5)
    >>> round(point.y, 6), round(math.exp(point.log_ratio), 6), point.margin >= 0
    (0.609177, 1.769623, False)
    """
    from scipy.optimize import brentq

    t, k_a, k_b = size, num_majority, num_minority

    def apart(y: float) -> float:
        return math.sqrt((1 - x * x) * (1 - y * y))

    def pull(y: float) -> float:
        # log of K_B sqrt((1+x)(1-y^2))/(y sqrt(1-x)) less that of K_A g/e + K_B: falls with y
        left = math.log(k_b) + (math.log1p(x) - math.log1p(-x) + math.log1p(-y * y)) / 2 - math.log(y)
        return left - _log_sum(math.log(k_a) + t * (y * (1 + x) - apart(y) / (k_a - 1)), math.log(k_b))

    y = float(brentq(pull, 1e-300, 1 - 2.0**-53, xtol=1e-300, rtol=1e-15))
    r = apart(y)
    log_wrong = -_log_sum(math.log(k_b) + t * (1 + x), math.log(k_a))
    # on a majority sample, exponents less that of a minority class
    own, other = t * (y * (1 + x) + r), t * (y * (1 + x) - r / (k_a - 1))
    log_minority = -_log_sum(own, _log_sum(math.log(k_a - 1) + other, math.log(k_b)))
    gain = k_a**2 * math.exp(2 * log_wrong) * x * (1 + x) * (1 - y * y)
    return MergedPoint(x, y, log_wrong, log_minority, gain)


def norm_bounded_threshold(size: float, num_majority: int, num_minority: int) -> float:
    """R* at ``size = a b``, where the minority of K_B >= 2 classes becomes one.

    That it is one at R* is proved; that it stays so for every R beyond was seen on grids, for K_A >= 2.

    Raises:
        ValueError: numbers out of range, or R* beyond float64.

    >>> round(norm_bounded_threshold(1.0, 1, 2), 4), round(norm_bounded_threshold(1.0, 2, 2), 4)
    (73.4757, 22.5449)
    >>> round(norm_bounded_threshold(1.0, 3, 2), 4)
    15.1706
    """
    t = positive("size", size)
    k_a = integer("num_majority", num_majority, minimum=1, maximum=MOST_CLASSES)
    k_b = integer(
        "num_minority", num_minority, minimum=2, maximum=MOST_CLASSES, reason="a single minority class cannot collapse"
    )
    found = _log_threshold(t, k_a, k_b)
    if found > LARGEST:
        raise ValueError(
            f"R* = exp({found:.6g}) is beyond the range of float64: choose bounds w and h of a product below {t!r}"
        )
    return math.exp(found)


def _log_threshold(t: float, k_a: int, k_b: int) -> float:
    """Log of R*: that of two clusters where the majority is one there, else where the margin, positive at 0, is 0."""
    from scipy.optimize import brentq

    clusters = _two_clusters(t, k_a, k_b)
    if clusters is not None:
        return clusters

    def margin(x: float) -> float:
        return merged_point(t, k_a, k_b, x).margin

    def beyond_balance(x: float) -> float:
        # positive where R < 1
        point = merged_point(t, k_a, k_b, x)
        return x - point.y**2 - math.exp(point.log_wrong - point.log_minority) * point.y * (1 - x)

    last = 1 - 2.0**-39
    # balanced classes are apart: the margin is negative at R = 1
    high = brentq(beyond_balance, 1e-15, last, xtol=1e-300, rtol=1e-15) if beyond_balance(last) > 0 else last
    tried = (high, *(i / 64 * high for i in range(63, 0, -1)), *(high * (1 - 2.0**-i) for i in range(7, 30)))
    high = next((x for x in tried if margin(x) < 0), None)
    if high is None:
        raise ValueError(f"R* was not found for size {t!r}, num_majority {k_a} and num_minority {k_b}")
    x = float(brentq(margin, 1e-15, high, xtol=1e-300, rtol=1e-15))
    return merged_point(t, k_a, k_b, x).log_threshold


def _two_clusters(t: float, k_a: int, k_b: int) -> float | None:
    """Log of the R from which on the minority of two clusters is one; None where the majority is not, at that R."""
    q = math.exp(-2 * t)
    slack = (k_b + k_a * q) ** 2 - 2 * (k_a * q) ** 2
    if slack <= 0:
        return None  # the minority of two clusters is one at every R
    # 1/(2 K_A^2 p) - p = ((K_B + K_A q)^2 - 2 K_A^2 q^2)/(2 K_A^2 q (K_B + K_A q)), divided by e = q/(K_A + K_B q)
    log_ratio = math.log(slack) + math.log(k_a + k_b * q) - math.log(2 * k_a**2 * (k_b + k_a * q)) + 4 * t
    # 2 K_B^2 e (R e + p) >= R, where R e + p = 1/(2 K_A^2 p)
    log_pull = 2 * math.log(k_b / k_a) + math.log(k_b + k_a * q) - math.log(k_a + k_b * q)
    return log_ratio if k_a == 1 or 0 < log_ratio <= log_pull else None  # balanced classes are apart


def _log_sum(first: float, second: float) -> float:
    """``log(e^first + e^second)``."""
    return max(first, second) + math.log1p(math.exp(-abs(first - second)))


@dataclass(frozen=True)
class BoundedQuestion:
    """What R* is asked of: bounds of the norms and numbers of classes.

    >>> {name: round(x, 3) for name, x in BoundedQuestion(NormBounded(1.0, 1.0), 2, 2).derivative(22.5449).items()}
    {'w': 48.281, 'h': 48.281}
    """

    architecture: NormBounded
    num_majority: int
    num_minority: int

    @property
    def size(self) -> float:
        """a b."""
        return self.architecture.w * self.architecture.h

    def threshold(self) -> Threshold:
        """R* with its bracket."""
        ratio, slack = norm_bounded_threshold(self.size, self.num_majority, self.num_minority), SLACK * (1 + self.size)
        return Threshold(ratio, max(1.0, ratio * (1 - slack)), ratio * (1 + slack), question=self)

    def derivative(self, ratio: float) -> dict[str, float]:
        """``dR*/dw`` and ``dR*/dh``, by differences of log R*."""
        h = STEP * self.size
        ends = (norm_bounded_threshold(self.size + x, self.num_majority, self.num_minority) for x in (h, -h))
        ahead, behind = map(math.log, ends)
        slope = ratio * (ahead - behind) / (2 * h)
        return {"w": slope * self.architecture.h, "h": slope * self.architecture.w}
