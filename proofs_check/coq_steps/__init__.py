"""The steps of the theorems, checked a second time by Coq.

``python -m proofs_check.coq_steps`` writes every step of every theorem as a theorem of Coq about real numbers, has
``coqc`` prove it and says how many of each theorem's steps it accepted. docs/proofs.md says how to read a file and what
has to be trusted.
"""
