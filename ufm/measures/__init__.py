"""Neural-collapse measures of any trained network: its last-layer features, their labels and its linear classifier.

:func:`measure` does it all for arrays, torch tensors or an iterable of batches. Beneath it lie one pure function a
published measure, and :class:`FeatureStatistics`, which gathers in one pass over the batches what those functions need.
The errors of NC2 and NC3 are distances between frames, and stand in :mod:`ufm.geometry` too.
:func:`measure_model` takes a torch network and its loader, :func:`lightning_callback` does so over the epochs of a
training; :func:`reference_values` gives what theory would have. :func:`measure_regression` and
:func:`measure_multi_label` are for labels that are no classes.

Notation: features h_{k,i} in R^d, i = 1..n_k, of class k = 0..K-1, N = sum_k n_k; class means m_k, and M (d, K) with
columns m_k less their unweighted mean ``(1/K) sum_k m_k``; classifier W (K, d) and bias b (K,);
``S_W = (1/N) sum_k sum_i (h_ki - m_k)(h_ki - m_k)^T`` and ``S_B = (1/K) M M^T``.
"""

from ufm.geometry import etf_error, self_duality_error
from ufm.measures.accumulators import FeatureStatistics
from ufm.measures.between_class import (
    coherence,
    effective_rank,
    equiangle_cv,
    equiangle_std,
    equinorm_cv,
    mean_cosine_gap,
    pair_cosines,
    separation_kernel_cv,
)
from ufm.measures.callback import EpochRecorder, lightning_callback
from ufm.measures.duality import class_margins, duality_cosines, logit_etf_error, uniform_duality_cv
from ufm.measures.front import measure
from ufm.measures.history import History
from ufm.measures.model import measure_model
from ufm.measures.nearest_mean import nearest_mean_agreement
from ufm.measures.reference import etf_error_floor, reference_values
from ufm.measures.scores import neco_scores
from ufm.measures.summary import Measures
from ufm.measures.targets import (
    MultiLabelMeasures,
    RegressionMeasures,
    measure_multi_label,
    measure_regression,
)
from ufm.measures.within_class import cdnv, nc1, trace_quotient

__all__ = [
    "EpochRecorder",
    "FeatureStatistics",
    "History",
    "Measures",
    "MultiLabelMeasures",
    "RegressionMeasures",
    "cdnv",
    "class_margins",
    "coherence",
    "duality_cosines",
    "effective_rank",
    "equiangle_cv",
    "equiangle_std",
    "equinorm_cv",
    "etf_error",
    "etf_error_floor",
    "lightning_callback",
    "logit_etf_error",
    "mean_cosine_gap",
    "measure",
    "measure_model",
    "measure_multi_label",
    "measure_regression",
    "nc1",
    "nearest_mean_agreement",
    "neco_scores",
    "pair_cosines",
    "reference_values",
    "self_duality_error",
    "separation_kernel_cv",
    "trace_quotient",
    "uniform_duality_cv",
]
