r"""Majority and minority classes: the problem in scalars and arrays, thresholds, diagrams, transitions.

The derivation that all of them use stands here; comments in the code point to its numbers.

**(1) Four numbers.** Group A has K_A classes of probability pi_A and gauge weight omega_A (1 for budgets, sqrt(n_A) for
weight decay), group B likewise; K = K_A + K_B, R = n_A/n_B. In the symmetry reduction (theory section 3) four numbers
remain, s_A, s_B (how far a class stands out of its own group) and d_A, d_B (how far its group stands out of the other):

    gauge = omega_A (K_A-1) s_A + omega_B (K_B-1) s_B + T,   T = sqrt([K_B (omega_A u)^2 + K_A (omega_B v)^2] / K),
    u = s_A + K_A d_A,   v = s_B + K_B d_B.

A group of one class has no s: all of u, or v, is its d.

**(2) Probabilities.** Write beta_a = mu omega_a / pi_a for the multiplier mu, a = sqrt(K_B/K), b = sqrt(K_A/K), and let
(c, s) = (cos, sin) of the angle theta with a omega_A u = T c, b omega_B v = T s. Stationarity fixes every softmax
probability: in a column of group A, with p the correct class, q each other class of the group and r each class of the
other group,

    r_A = beta_A c / sqrt(K K_B),   q_A = beta_A (1 - a c) / K_A,   p_A = q_A + 1 - beta_A,

and likewise for B with s and b; so s_A = log(p_A/q_A) and d_A = log(q_A/r_A). B is collapsed (s_B = 0) iff
beta_B >= 1; then q_B = (1 - K_A r_B)/K_B.

**(3) Weight decay.** mu is given, and what is left is *one* equation for theta, whose left side increases with theta:

    log(omega_A sqrt(K_B) u) - log(omega_B sqrt(K_A) v) + log tan(theta) = 0.

**(4) The frame of x.** Let ``E = e^x = omega_B v / (omega_A u)``, which is sqrt(K_B/K_A) tan(theta), and
``y = sqrt(K (K_B + K_A E^2))``. In a column of A a wrong class of its own group and one of the other group have
probabilities in the ratio ``A = (K_B + K E^2)/(y + K_B)``, in a column of B in the ratio B/E:

    d_A = log A,      beta_A = 1/(1 + (A/y)(e^{s_A} - 1)),
    d_B = log B - x,  beta_B = 1/(1 + (B/y)(e^{s_B} - 1)),   B = (K + K_A E^2)/(y + K_A E).

Near x = 0 both logarithms are small; with ``w = E^2 - 1`` and ``y = K sqrt(1 + (K_A/K) w)`` the differences A - 1 and
B/E - 1 are sums of parts of one sign.

**(5) Budgets** (omega = 1). mu is unknown, and x determines everything else: the gauge is affine in u, and
``gauge = (K_A-1)(u - K_A d_A) + (K_B-1)(E u - K_B d_B) + u y/K = radius`` gives u, then s_A, s_B, beta_A, beta_B and
the ratio R = beta_B/beta_A these logits are optimal for. Where this makes s_B < 0 the minority is collapsed: the term
with s_B drops out of the gauge, v = K_B d_B and ``beta_B = (y/E)/(K_A + K_B e^{d_B})``. What is left is
``log R(x) = log R``: R falls from infinity (or from the ratio of total collapse) to 1 at x = 0, almost linearly on
either side of its kink at the threshold. Every x gives logits on the sphere of the gauge, so an error in x enters the
value squared.

**(6) Total collapse** (T = 0). Then ``d_A = -s_A/K_A``, ``beta_A = K_A q + K_B r``, with budgets s_A = radius/(K_A-1),
and the trivial block of the gradient has dual norm at most mu iff ``K K_B (r/beta_A)^2 + (K_A/K)/beta_B^2 <= 1``. With
``h = (K_A/K)(1 - e^{-s_A/K_A})`` that is ``(K_B/K)/(1-h)^2 + (K_A/K)/beta_B^2 <= 1``, in parts that do not cancel

    1 - beta_B^{-2} >= c,   c = (K_B/K) (1 - e^{-s_A/K_A}) (2 - h)/(1 - h)^2.

**(7) The threshold curve.** At the threshold mu = pi_B, and R drops out of everything but one equation. For
0 < tan(theta) < sqrt(K_A/K_B) the pair (tau, R*) runs along

    r = s / sqrt(K K_A),              v = K_B log((1 - K_A r) / (K_B r)),
    q = (1 - a c) / K_A,              d = log(q sqrt(K K_B) / c),
    s_A = sqrt(K_A/K_B) v cot(theta) - K_A d,
    R* = 1 + q (e^{s_A} - 1),         tau = (K_A - 1) s_A + b v / s.

**(8) Mean squared error.** The optimum is diagonal, ``z_k = max(0, 1 - mu omega_k/pi_k)``, and collapse is total.

**(9) Bounds.** Budgets: ``f(Z) - <G, Z> - radius |G|``. Weight decay: the entropy of the probabilities, which is the
dual value at ``G = grad f(Z)``, times ``min(1, strength/|G|)``: by concavity a bound of the value at the shrunken G.

Source: theory section 3; derived here.
"""
