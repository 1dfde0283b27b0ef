"""Kinds of certificate, a file each, and what all of them are read with.

Their entry is :mod:`proofs_check.checker`; they import nothing from ``ufm``.
"""
