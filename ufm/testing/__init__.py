"""Property-based testing: hypothesis strategies for the objects of this field, and assertions that say what is wrong.

For tests of this package and of code built on it; it needs the package ``hypothesis`` and is not imported by
``import ufm``. A test reads like the statement it checks::

    from hypothesis import given
    from ufm.testing import assert_optimal, problems

    @given(problems(max_classes=4))
    def test_my_solver(problem):
        assert_optimal(my_solver(problem))

Strategies shrink towards small and plain: few classes, balanced priors, explicit networks, unrotated frames, no noise.
They are built by construction, every draw independent of those before it, so that few steps of the shrinker are lost.
Importing this module imports and calls once what solving needs: no example breaks hypothesis' deadline by being first.
"""

from ufm._extras import optional

with optional("testing"):
    import hypothesis  # noqa: F401

from ufm.testing._first_use import warm
from ufm.testing.assert_geometry import assert_collapsed, assert_etf, assert_self_dual
from ufm.testing.assert_losses import assert_convex, assert_gradients, assert_loss
from ufm.testing.assert_maps import assert_fixed_point, assert_well_posed
from ufm.testing.assert_solutions import assert_feasible, assert_optimal, assert_same_optimum
from ufm.testing.features import LabelledFeatures, far_from_collapse, near_collapse
from ufm.testing.maps import ACTIVATIONS, EquilibriumMap, equilibrium_maps
from ufm.testing.open_strategies import biases, labels, losses, open_problems
from ufm.testing.strategies import ARCHITECTURES, architectures, etfs, log_uniform, priors, problems, step_priors

__all__ = [
    "ACTIVATIONS",
    "ARCHITECTURES",
    "EquilibriumMap",
    "LabelledFeatures",
    "architectures",
    "assert_collapsed",
    "assert_convex",
    "assert_etf",
    "assert_feasible",
    "assert_fixed_point",
    "assert_gradients",
    "assert_loss",
    "assert_optimal",
    "assert_same_optimum",
    "assert_self_dual",
    "assert_well_posed",
    "biases",
    "equilibrium_maps",
    "etfs",
    "far_from_collapse",
    "labels",
    "log_uniform",
    "losses",
    "near_collapse",
    "open_problems",
    "priors",
    "problems",
    "step_priors",
]

warm()
