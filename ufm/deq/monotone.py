"""Monotone operator equilibrium layer: ``z = sigma(A z + U x + b)`` with ``I - A`` strongly monotone.

sigma is the proximal operator of a convex f, so with ``p = U x + b`` the equilibrium is the zero of the strongly
monotone ``z -> (I - A) z - p + df(z)``: it exists, is unique, and is ``1/m``-Lipschitz in p, however large A is.
Operator splitting turns it into the fixed point of a contraction, which any of :mod:`ufm.deq.solvers` then finds:

- forward-backward, ``z <- prox_alpha(z - alpha ((I - A) z - p))``, for ``alpha < 2m/L^2``, ``L = |I - A|_2``;
- Peaceman-Rachford, ``z = prox_alpha(u)``, ``y = (I + alpha (I - A))^{-1} (2z - u + alpha p)``, ``u <- u + 2 (y - z)``,
  for every alpha > 0. With ``alpha = 1/L`` its rate is at most ``sqrt(1 - m/L)``: the reflected resolvent of a map that
  is strongly monotone with constant m and L-Lipschitz contracts by ``sqrt(1 - 4 alpha m / (1 + alpha L)^2)``.

Backward: the adjoint equation ``y = A^T D y + g``, D = sigma' at the equilibrium, is of the same kind. With ``v = D y``
it reads ``v = D (A^T v + g)``, where D, with entries in [0, 1], is the proximal operator of a quadratic.

Source: Winston and Kolter 2020, Monotone operator equilibrium networks, Theorems 1 and 2 and section 3.2; Ryu and Boyd
2016, A primer on monotone operator methods; Pabbaraju, Winston, Kolter 2021 (Lipschitz constant). Rates derived here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ufm._extras import optional
from ufm._validation import integer, one_of
from ufm.deq.iteration import describe, norms
from ufm.deq.layer import DEQ, Info, finite_records, implicit_gradient, run_solver, unit_scale
from ufm.deq.wellposed import Monotone, spectral_norm

with optional("deq"):
    import torch
    from torch import Tensor, nn

__all__ = ["ACTIVATIONS", "SPLITTINGS", "MonotoneDEQ"]

#: Rounding of the argument of a prox, over the eps of its dtype and its norm.
ROUNDING = 4.0
#: ``prox(x, alpha) = argmin_z |z - x|^2 / 2 + alpha f(z)``; at alpha = 1 it is the activation.
Prox = Callable[[Tensor, float], Tensor]


def _prox_identity(x: Tensor, alpha: float) -> Tensor:
    """f = 0."""
    return x


def _prox_relu(x: Tensor, alpha: float) -> Tensor:
    """f = 0 on z >= 0, infinite elsewhere."""
    return torch.relu(x)


def _prox_tanh(x: Tensor, alpha: float) -> Tensor:
    """``f'(z) = artanh(z) - z``: tanh(q) with ``alpha q + (1 - alpha) tanh(q) = x``.

    The left side is odd and increasing, and on q >= 0 concave where alpha <= 1, convex elsewhere; in both cases
    Newton's method from q = x is monotone.
    """
    if alpha == 1:
        return torch.tanh(x)
    q, z = x, torch.tanh(x)
    for _ in range(50):
        change = (alpha * q + (1 - alpha) * z - x) / (alpha + (1 - alpha) * (1 - z * z))
        q = q - change
        z = torch.tanh(q)
        # Quadratic: the next change is about the square of this one.
        if not bool((change.abs() > 1e-8 * (1 + q.abs())).any()):
            break
    return z


_PROXES: dict[str, Prox] = {"identity": _prox_identity, "relu": _prox_relu, "tanh": _prox_tanh}

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "relu": torch.relu,
    "tanh": torch.tanh,
}

#: sigma' as a function of ``z = sigma(x)``.
_SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": torch.ones_like,
    "relu": lambda z: (z > 0).to(z.dtype),
    "tanh": lambda z: 1 - z * z,
}

#: Names of the activations whose proximal operators are known.
ACTIVATIONS = tuple(_PROXES)


class _Splitting:
    """A contraction that solves ``z = prox_1(A z + p)``; each call leaves the candidate ``z`` and ``A z + p``."""

    def __init__(self, matrix: Tensor, shift: Tensor, prox: Prox, alpha: float) -> None:
        self.matrix, self.shift, self.prox, self.alpha = matrix, shift, prox, alpha
        self.z = self.inner = shift

    def relative(self, state: Tensor, image: Tensor) -> Tensor:
        """Relative residual ``|prox_1(A z + p) - z| / |prox_1(A z + p)|`` of the candidate.

        Where the prox is 0 throughout, as of a dead relu, relative to its argument, whose rounding z has; and none
        where it is within that rounding: a relu that is all but dead leaves of its argument a small part.
        """
        value = self.prox(self.inner, 1.0)
        norm, size, argument = norms(value - self.z), norms(value), norms(self.inner)
        size = torch.where(size == 0, argument, size)
        return torch.where(norm <= ROUNDING * torch.finfo(value.dtype).eps * argument, 0.0, norm / size)


class _ForwardBackward(_Splitting):
    def __init__(self, matrix: Tensor, shift: Tensor, prox: Prox, m: float, lipschitz: float, _: Any) -> None:
        super().__init__(matrix, shift, prox, m / lipschitz**2)

    def __call__(self, z: Tensor) -> Tensor:
        self.z, self.inner = z, torch.addmm(self.shift, z, self.matrix.T)
        return self.prox(torch.lerp(z, self.inner, self.alpha), self.alpha)


class _PeacemanRachford(_Splitting):
    def __init__(
        self, matrix: Tensor, shift: Tensor, prox: Prox, m: float, lipschitz: float, resolvent: Tensor
    ) -> None:
        super().__init__(matrix, shift, prox, 1 / lipschitz)
        self.resolvent, self.shifted = resolvent, self.alpha * shift

    def __call__(self, u: Tensor) -> Tensor:
        z = self.prox(u, self.alpha)
        reflected = 2 * z - u
        y = (reflected + self.shifted) @ self.resolvent.T
        # By its definition y + alpha ((I - A) y - p) is the reflected point: A y + p without another product.
        self.z, self.inner = y, y + (y - reflected) / self.alpha
        return u + 2 * (y - z)


_SPLITTINGS: dict[str, type[_ForwardBackward] | type[_PeacemanRachford]] = {
    "forward_backward": _ForwardBackward,
    "peaceman_rachford": _PeacemanRachford,
}

#: Names of the splittings.
SPLITTINGS = tuple(_SPLITTINGS)


class MonotoneDEQ(nn.Module):
    """The equilibrium ``z = sigma(A z + U x + b)`` with A from :class:`ufm.deq.Monotone`: ``z, info = layer(x)``.

    ``|z(x) - z(x')| <= |U|_2 |x - x'| / m``. Solved outside autocast, in the dtype of the parameters.

    Args:
        num_inputs: p >= 1, size of x.
        dim: d >= 1, size of z.
        m: strong monotonicity of ``I - A``, > 0.
        activation: ``"identity"``, ``"relu"`` or ``"tanh"``.
        splitting: ``"peaceman_rachford"`` (a d x d inverse each call, few steps) or ``"forward_backward"``.
        deq: solver, tolerances and what to do on failure; default ``DEQ(max_steps=500)``. The tolerances are relative
            residuals of ``z = sigma(A z + U x + b)`` and of ``v = D (A^T v + g)``, whatever the splitting.
        seed: of the random start: U, b, B, C uniform as in ``torch.nn.Linear``.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    Examples:
        >>> import torch
        >>> layer = MonotoneDEQ(2, 3)
        >>> x = torch.ones(4, 2, dtype=torch.float64)
        >>> z, info = layer(x)
        >>> tuple(z.shape), info.all_converged
        ((4, 3), True)
        >>> torch.allclose(z, torch.relu(z @ layer.monotone().T + layer.injection(x)), atol=1e-4)
        True

    Source: Winston and Kolter 2020, equation (4) and Algorithms 1 and 2.
    """

    def __init__(
        self,
        num_inputs: Any,
        dim: Any,
        *,
        m: Any = 1.0,
        activation: str = "relu",
        splitting: str = "peaceman_rachford",
        deq: DEQ | None = None,
        seed: Any = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        p = integer("num_inputs", num_inputs, minimum=1)
        self.monotone = Monotone(dim, m, seed=seed, dtype=dtype)
        self.activation = one_of("activation", activation, ACTIVATIONS)
        self.splitting = one_of("splitting", splitting, SPLITTINGS)
        if deq is not None and not isinstance(deq, DEQ):
            raise TypeError(f"deq must be a ufm.deq.DEQ or None, got {deq!r}")
        self.deq = DEQ(max_steps=500) if deq is None else deq
        if self.deq.gradient != "implicit":
            raise ValueError(
                f"deq must have gradient='implicit', got {self.deq.gradient!r}: unrolled steps of a map that expands "
                "approximate no gradient"
            )
        for name, allowed in (("stop_mode", "rel"), ("samples", "separate"), ("indexing", None), ("n_states", None)):
            if getattr(self.deq, name) != allowed:
                raise ValueError(
                    f"deq must have {name} = {allowed!r}, got {getattr(self.deq, name)!r}: what is solved is a "
                    "splitting, whose states are not those of the layer"
                )
        d = len(self.monotone.symmetric)
        self.injection = nn.Linear(p, d, dtype=dtype)
        generator = torch.Generator().manual_seed(integer("seed", seed, minimum=0) + 1)
        with torch.no_grad():
            for parameter in self.injection.parameters():
                parameter.uniform_(-(p**-0.5), p**-0.5, generator=generator)

    def forward(self, x: Tensor) -> tuple[Tensor, Info]:
        """Solve for inputs (batch, p).

        Returns:
            ``z = sigma(A z' + U x + b)`` at the last iterate z', shape (batch, d), and the :class:`Info` of the solve;
            its residuals are those of z'.

        Raises:
            TypeError, ValueError: ``x`` is not a floating-point tensor of that shape.
            ConvergenceError: some sample did not converge and ``deq.on_failure`` is ``"raise"``.
        """
        width = self.injection.in_features
        if not isinstance(x, Tensor) or not x.is_floating_point():
            raise TypeError(f"x must be a floating-point tensor, got {describe(x)}")
        if x.ndim != 2 or x.shape[1] != width:
            raise ValueError(f"x must have shape (batch, {width}), got {tuple(x.shape)}")
        if torch.compiler.is_compiling():
            return torch.compiler.disable(self._solve)(x)
        return self._solve(x)

    def _solve(self, x: Tensor) -> tuple[Tensor, Info]:
        # Inputs that are not finite must not reach the parameters through a loss that ignores them.
        with torch.autocast(x.device.type, enabled=False), finite_records(not bool(x.isfinite().all())):
            weights = self.monotone()
            # Below float32 there is no inverse, and no singular value.
            dtype = torch.promote_types(weights.dtype, torch.float32)
            matrix, shift = weights.to(dtype), self.injection(x.to(weights.dtype)).to(dtype)
            z, info = self._equilibrium(matrix, shift)
            return z.to(weights.dtype), info

    def _equilibrium(self, matrix: Tensor, shift: Tensor) -> tuple[Tensor, Info]:
        """``z = sigma(A z + p)``, with its gradient."""
        with torch.no_grad():
            identity = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
            lipschitz = float(spectral_norm(identity - matrix))
            resolvent = None
            if self.splitting == "peaceman_rachford":
                resolvent = torch.linalg.inv(identity + (identity - matrix) / lipschitz)

        def split(a: Tensor, p: Tensor, prox: Prox, inverse: Any) -> Any:
            return _SPLITTINGS[self.splitting](a, p, prox, self.monotone.m, lipschitz, inverse)

        deq = self.deq
        tol, steps = deq._tolerance(), deq._steps()
        with torch.no_grad():
            contraction = split(matrix, shift, _PROXES[self.activation], resolvent)
            zeros = torch.zeros_like(shift)
            point = run_solver(deq.solver, contraction, zeros, tol, steps, deq._options(), contraction.relative)
        info = Info._of(point)
        deq._judge("forward", deq.solver, info, tol, steps, shift.dtype, point.done)
        image = _ACTIVATIONS[self.activation](torch.addmm(shift, contraction.z, matrix.T))
        if not image.requires_grad:
            return image, info

        def solve(image: Tensor, _: Tensor, gradient: Tensor) -> Tensor:
            # Where there is no finite z there is no slope either; nothing comes in, or what comes is not finite.
            slope = torch.where(image.isfinite(), _SLOPES[self.activation](image.detach()), 0.0)
            scale = unit_scale(gradient, False)

            def prox(v: Tensor, alpha: float) -> Tensor:
                return v * (slope / (slope + alpha * (1 - slope)))

            tol, steps = deq.backward_tol, deq.backward_max_steps
            with torch.no_grad():
                inverse = None if resolvent is None else resolvent.T
                adjoint = split(matrix.detach().T, gradient / scale, prox, inverse)
                start = gradient / scale
                point = run_solver(deq.backward_solver, adjoint, start, tol, steps, deq._options(), adjoint.relative)
            info.backward = Info._of(point)
            deq._judge("backward", deq.backward_solver, info.backward, tol, steps, shift.dtype, point.done)
            return adjoint.inner * scale

        return implicit_gradient(image, contraction.z, solve), info
