"""Certificates: what a sceptic can check without running a solver of this package (``proofs_check.checker``)."""

from ufm._extras import optional

with optional("certify"):
    from ufm.certificates._certificate import Certificate, CertificationError
    from ufm.certificates._collapse import certify_phase, certify_threshold
    from ufm.certificates._counterexamples import certify_code, certify_counterexample, certify_square_code
    from ufm.certificates._etf_region import EtfOptimality, bound_balanced_risk, certify_etf_optimal
    from ufm.certificates._geometry import GeometryEnclosure, certify_geometry, enclose_geometry
    from ufm.certificates._gram import certify_contrastive
    from ufm.certificates._group_collapse import certify_collapse
    from ufm.certificates._local_minimum import certify_local_minimum
    from ufm.certificates._points import certify_all, certify_point
    from ufm.certificates._residual import certify_residual_code, certify_residual_etf
    from ufm.certificates._uncollapsed import certify_uncollapsed
    from ufm.certificates._values import certify

__all__ = [
    "Certificate",
    "CertificationError",
    "EtfOptimality",
    "GeometryEnclosure",
    "bound_balanced_risk",
    "certify",
    "certify_all",
    "certify_code",
    "certify_collapse",
    "certify_contrastive",
    "certify_counterexample",
    "certify_etf_optimal",
    "certify_geometry",
    "certify_local_minimum",
    "certify_phase",
    "certify_point",
    "certify_residual_code",
    "certify_residual_etf",
    "certify_square_code",
    "certify_threshold",
    "certify_uncollapsed",
    "enclose_geometry",
]
