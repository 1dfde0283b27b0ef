"""What another kernel reads: the steps and their facts, the ranges of symbols, normal forms as hints. No theorem."""

from proofs_check.theorems._exact.language import Language, Refused
from proofs_check.theorems._exact.polynomials import factors
from proofs_check.theorems._exact.ranges import Range
from proofs_check.theorems._kernel import Fact, Proof, Step

__all__ = ["Fact", "Language", "Proof", "Range", "Refused", "Step", "factors"]
