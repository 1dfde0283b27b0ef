r"""First-order collapse: where a collapsed and an uncollapsed minimum coexist, and the hysteresis this makes in R.

With a penalty on A or a Frobenius budget of A the gauge of a linear DEQ is concave in the singular values: a large one
draws more of A to itself and so gets cheaper. In the two-group symmetric family (``ufm.reduction``) four numbers
remain, written here as ``(s_A, s_B, u, v)`` with ``u = s_A + K_A d_A``, ``v = s_B + K_B d_B``. The singular values of
``Z diag(omega)`` are ``omega_A s_A`` (K_A - 1 times), ``omega_B s_B`` (K_B - 1 times) and

    T = sqrt([K_B (omega_A u)^2 + K_A (omega_B v)^2] / K),

and at fixed v the loss of a minority column is ``CE_B = log(1 + (K_B-1) e^{-s_B} + K_A e^{-s_B (1-1/K_B) - v/K_B})``.

*Landau expansion.* At s_B = 0 its slope in s_B is ``-(K_B-1)/K_B`` whatever v is, so to second order nothing else
moves along (the mixed derivatives vanish), and its curvature is ``q_B (K_B-1)/K_B`` with q_B the probability of one
minority class in a minority column, ``K_B q_B = 1 - K_A r_B``. With weight decay and the price
``g(s) = lam s - lam^2 s^2/(2 lambda_A)`` the objective along the collapsed branch is therefore

    Phi(s_B) = Phi(0) + (K_B-1) sqrt(n_B) (lam - sqrt(n_B)/N) s_B
                      + (K_B-1) n_B (q_B/N - lam^2/lambda_A) s_B^2 / 2 + O(s_B^3).

So the collapsed branch is a local minimum of the family for ``n_B < N^2 lam^2`` and none beyond; where its curvature
is negative there, ``lambda_A q_B < N lam^2``, the transition is of first order: another minimum is already lower. As
``1/K <= q_B <= 1/K_B``, this holds whenever ``lambda_A <= K_B N lam^2``. The converse is false: with a positive
curvature the minimum far from 0 can still take over first. With a budget of A in place of the penalty, mu the
multiplier, nu the water level of ``a_i = min(rho, sigma_i/nu)`` and F(tau) the best risk of collapsed logits, the
curvature is ``(K_B-1) [pi_B q_B - mu/nu] + (K_B-1)^2 F''(tau)``.

*Mixing.* The family is not everything: the collapsed point can also decay by turning a singular vector pair in use,
of value sigma, towards a collapsed pair u', v' of the minority. To second order in the two angles that costs

    (sigma/2) [ (g + sigma c_1) theta^2 - 2 gamma theta phi + (g + sigma c_2) phi^2 ],   gamma = sqrt(n_B)/N,

with g = (1 - a) lam the slope of the price at sigma and c_1, c_2 the risk's curvatures along ``u' v^T`` and ``u v'^T``.
It is a minimum in full only if ``(g + sigma c_1)(g + sigma c_2) > gamma^2``, for the majority's pairs (``c_1 = r_A/N``,
``c_2 = r_B/N``) and for the common pair alike. Where A grows (g < lam) this fails well before ``n_B = N^2 lam^2``: the
symmetry between classes breaks, and low-rank codes take over.

Modules, each using those before it: ``_states`` (what is found), ``_family`` (the symmetric family), ``_descent`` and
``_critical`` (its points), ``_landau`` (the expansion at s_B = 0), ``_penalised`` and ``_budget`` (what A costs),
``_mixing``, ``_branches``, ``_tracer`` (follows the uncollapsed branch), ``_maxwell`` (where branches exchange the
lower value), ``_front`` (what users call).

Source: derived here; Zhang 2010 for the penalty (MCP).
"""

from ufm.two_groups.transitions._front import collapsed_state, hysteresis, mixing_threshold, trapped_threshold
from ufm.two_groups.transitions._states import Branch, BranchError, Hysteresis, State

__all__ = [
    "Branch",
    "BranchError",
    "Hysteresis",
    "State",
    "collapsed_state",
    "hysteresis",
    "mixing_threshold",
    "trapped_threshold",
]
