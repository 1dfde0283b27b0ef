"""Neural-collapse measures of any trained network: its last-layer features, their labels and its linear classifier.

:func:`measure` does it all for arrays, torch tensors or an iterable of batches. Beneath it lie one pure function a
published measure, and :class:`FeatureStatistics`, which gathers in one pass over the batches what those functions need.
The errors of NC2 and NC3 are distances between frames, and stand in :mod:`ufm.geometry` too.

Notation: features h_{k,i} in R^d, i = 1..n_k, of class k = 0..K-1, N = sum_k n_k; class means m_k, and M (d, K) with
columns m_k less their unweighted mean ``(1/K) sum_k m_k``; classifier W (K, d) and bias b (K,);
``S_W = (1/N) sum_k sum_i (h_ki - m_k)(h_ki - m_k)^T`` and ``S_B = (1/K) M M^T``.
"""

from ufm.geometry import etf_error, self_duality_error
from ufm.measures.accumulators import FeatureStatistics
from ufm.measures.between_class import equiangle_cv, equiangle_std, equinorm_cv
from ufm.measures.front import measure
from ufm.measures.nearest_mean import nearest_mean_agreement
from ufm.measures.summary import Measures
from ufm.measures.within_class import cdnv, nc1, trace_quotient

__all__ = [
    "FeatureStatistics",
    "Measures",
    "cdnv",
    "equiangle_cv",
    "equiangle_std",
    "equinorm_cv",
    "etf_error",
    "measure",
    "nc1",
    "nearest_mean_agreement",
    "self_duality_error",
    "trace_quotient",
]
