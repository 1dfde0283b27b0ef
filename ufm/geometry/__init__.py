"""Geometry: frames, distances to them, and the geometry of a solution."""

from ufm.geometry._solution_geometry import ZERO_LOGITS, Geometry, coinciding, collapse, group_scales
from ufm.geometry.codes import name_structure
from ufm.geometry.distances import (
    centred,
    cosine_matrix,
    etf_error,
    gof_error,
    gram_distance,
    mean_pairwise_cosine,
    procrustes_distance,
    self_duality_error,
)
from ufm.geometry.frames import (
    SELI,
    general_orthogonal_frame,
    orthogonal_frame,
    random_isometry,
    seli,
    simplex_etf,
    simplex_etf_gram,
)
from ufm.phases import PHASES

__all__ = [
    "PHASES",
    "SELI",
    "ZERO_LOGITS",
    "Geometry",
    "centred",
    "coinciding",
    "collapse",
    "cosine_matrix",
    "etf_error",
    "general_orthogonal_frame",
    "gof_error",
    "gram_distance",
    "group_scales",
    "mean_pairwise_cosine",
    "name_structure",
    "orthogonal_frame",
    "procrustes_distance",
    "random_isometry",
    "self_duality_error",
    "seli",
    "simplex_etf",
    "simplex_etf_gram",
]
