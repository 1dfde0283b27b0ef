"""Checks that trust no solver: the certificate checker, its export to Coq, and one file a theorem with SymPy.

:mod:`proofs_check.checker` and :mod:`proofs_check.coq` import nothing from ``ufm``.
"""
