"""Deep equilibrium layer: ``z* = f(z*)`` for any torch ``f``, with an implicit or a phantom gradient.

Forward: a solver iterates without recording anything until every sample meets the stated relative residual.
Backward, implicit: with ``J = df/dz`` at ``z*`` and the incoming gradient g, ``y = J^T y + g`` is itself a fixed-point
problem; its solution gives ``dL/dtheta = (df/dtheta)^T y``. One evaluation of ``f`` is kept for it, however many steps
it took.
Backward, phantom: k damped steps ``z <- (1 - lambda) z + lambda f(z)`` from ``z*`` are recorded and differentiated. At
``z*`` this replaces ``(I - J)^{-1}`` by ``(I - J)^{-1} (I - M^k)`` with ``M = lambda J + (1 - lambda) I``: the relative
error is at most ``(1 - lambda (1 - rho))^k`` where ``|J|_2 <= rho < 1``.

Source: Bai, Kolter, Koltun 2019, Deep Equilibrium Models, Theorem 1; Geng, Zhang, Bai, Wang, Lin 2021, On Training
Implicit Models, section 3 (unrolling-based phantom gradient; the error bound is derived here).
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ufm._extras import optional
from ufm._validation import integer, one_of, positive
from ufm.deq.compiled import can_compile
from ufm.deq.iteration import (
    PROBE,
    SAMPLES,
    STOP_MODES,
    FixedPoint,
    Iteration,
    Map,
    Options,
    Relative,
    check_map,
    norms,
    power_of_two,
)
from ufm.deq.scope import solve_scope
from ufm.deq.solvers import SOLVERS, get_solver, minimal_tolerance
from ufm.deq.structure import State, Structure

with optional("deq"):
    import torch
    from torch import Tensor, nn

__all__ = ["DEQ", "ConvergenceError", "ConvergenceWarning", "Info", "PrecisionWarning"]

ON_FAILURE = ("warn", "raise")
GRADIENTS = ("implicit", "phantom")

#: A solver of one's own: ``(f, z0, tol, max_steps) -> z``, rows (batch, ...) to the same shape.
OwnSolver = Callable[[Callable[[Tensor], Tensor], Tensor, float, int], Any]


class ConvergenceWarning(RuntimeWarning):
    """A fixed-point solver stopped before some sample met its tolerance."""


class PrecisionWarning(ConvergenceWarning):
    """The tolerance is below what the floating-point type of ``f`` resolves, so meeting it shows less than it says."""


class ConvergenceError(RuntimeError):
    """A fixed-point solver stopped before some sample met its tolerance, and the caller asked for an error."""


@dataclass
class Info:
    """What the solvers did, sample by sample.

    Attributes:
        residuals: relative residual ``|f(z) - z| / |f(z)|`` of every sample at the returned z, shape (batch,); absolute
            where ``stop_mode="abs"``; of the whole state where ``samples="joint"``.
        steps: evaluations of ``f`` until the sample was held, shape (batch,).
        converged: whether the sample met the tolerance, shape (batch,).
        backward: the same for the adjoint equation; None until ``backward`` has run, and with a phantom gradient.
        trace: residuals at every evaluation, shape (evaluations, batch); None unless asked for.
        states: states on the way that were asked for (``indexing``, ``n_states``), and z as the last; else empty.
        coupled: whether the samples were taken as one, asked for or because they were found to depend on each other.
    """

    residuals: Tensor
    steps: Tensor
    converged: Tensor
    backward: Info | None = None
    trace: Tensor | None = None
    states: tuple[State, ...] = ()
    coupled: bool = False

    @property
    def all_converged(self) -> bool:
        """Whether every sample met the tolerance."""
        return bool(self.converged.all())

    @classmethod
    def _of(cls, point: FixedPoint) -> Info:
        return cls(point.residuals, point.steps, point.converged, None, point.trace, (), point.joint)


class DEQ(nn.Module):
    """Fixed point of a map: ``z, info = deq(f, z0)``.

    Args:
        solver: ``"anderson"``, ``"broyden"`` or ``"fixed_point"``, or a solver of one's own,
            ``(f, z0, tol, max_steps) -> z``: what it returns is judged by one more evaluation of ``f``.
        tol: relative residual ``|f(z) - z| / |f(z)|`` at which a sample stops, > 0. Where f contracts with rho the
            error of z is up to ``1/(1 - rho)`` times as large, that of the gradient too: for gradients to 1e-6 at
            rho = 0.9 ask for 1e-7. Iterates that run away do not pass for a fixed point by growing.
        max_steps: largest number of evaluations of ``f`` in the forward solve, >= 1. Beside these it is
            evaluated once where an acceleration gives way, to see whether samples depend on each other, and once or
            twice where a solve fails, at the best iterates, which it returns.
        backward_solver, backward_tol, backward_max_steps: the same for the adjoint equation; default: as forward.
        on_failure: what to do when a sample does not converge: ``"warn"`` (:class:`ConvergenceWarning`) or
            ``"raise"`` (:class:`ConvergenceError`). A value that is not finite counts as not converged.
        gradient: ``"implicit"`` (memory constant in the number of steps) or ``"phantom"`` (memory grows with
            ``phantom_steps``, not with the steps of the solver).
        phantom_steps: k from 1 to 10,000, recorded steps.
        phantom_damping: lambda in (0, 1]. The error ``(1 - lambda (1 - rho))^k`` of a contraction is least at 1; below
            1 the steps also contract where J has eigenvalues to the left of -1.
        stop_mode: ``"rel"`` or ``"abs"``: whether ``tol`` bounds ``|f(z) - z| / |f(z)|`` or ``|f(z) - z|``.
        samples: ``"separate"``: each sample stops by itself, and if a later evaluation shows that it depends on
            others, all go on together. ``"coupled"``: together from the start, until each has met the tolerance.
            ``"joint"``: the whole state is one sample, as of a graph whose nodes are the rows.
        memory: past differences of Anderson mixing (default 8; compiled, of samples of 96 numbers and more, 3 while
            residuals fall to half at every step; of samples of 64 numbers at most all from step 16 on), rank-one terms
            of Broyden's method (default 64; of samples of 33 to 256 numbers twice as many as these).
        patience: steps without a new least residual after which an acceleration gives way to plain steps; default:
            twice the memory, at most 16, of Broyden's method 32.
        growth: times the least residual at which it does; default 10, of Broyden's method 100.
        compact: whether ``f`` is evaluated only at samples that have not converged: checked once to be the same map.
            Default: where ``f`` is a :class:`ufm.deq.Batchwise`, the maps of :mod:`ufm.deq.cells` among them; there
            the adjoint equation of few remaining samples is solved for these alone, too.
        trace: whether ``info.trace`` keeps the residuals of all evaluations.
        indexing: evaluations, increasing, after which ``info.states`` keeps the state.
        n_states: states that ``info.states`` keeps, at equal distances up to ``max_steps``; instead of ``indexing``.
        eval_tol, eval_max_steps: tolerance and steps after ``eval()``; default: as in training.
        compiled: whether what a step does beside ``f`` is done on a CPU by loops compiled with Numba, to rounding the
            same as the tensor operations. Default: where Numba is installed (``pip install 'ufm[fast]'``). From 2^14
            entries on a loop has the threads that torch has, of the GNU OpenMP that torch brings on Linux; elsewhere
            two at most, and states of more than 2^18 entries are left to tensor operations where torch has more.
            Numba takes half a second to import, and once in an installation some seconds to compile.

    Each of these may be given for one call alone: ``deq(f, z0, tol=1e-3)``.

    The state and the residuals are float32 at least, whatever the dtype of ``z0``, and every ``f(z)`` is taken in the
    dtype of ``z0``. A relative residual below :func:`ufm.deq.solvers.minimal_tolerance` of the dtype that ``f``
    computes in, under ``torch.autocast`` that of the autocast, is rounding: a tolerance below it gives a
    :class:`PrecisionWarning` naming the least one. Under ``torch.compile`` the layer runs as it is, between two
    compiled graphs; ``f`` itself may be compiled.

    Examples:
        >>> import torch
        >>> z, info = DEQ()(lambda z: 0.5 * z + 1, torch.zeros(3, 2))
        >>> z[0].tolist(), info.all_converged
        ([2.0, 2.0], True)
        >>> zeros = {"x": torch.zeros(3, 2), "y": torch.zeros(3, 2)}
        >>> state, _ = DEQ()(lambda s: {"x": 0.5 * s["y"] + 1, "y": s["x"]}, zeros)
        >>> state["y"][0].tolist()
        [2.0, 2.0]

    Source: Bai, Kolter, Koltun 2019, Theorem 1 (implicit); Geng et al. 2021, section 3 (phantom); Bai, Geng, Savani,
    Kolter 2022, Deep Equilibrium Optical Flow Estimation, section 3.4, for losses on states on the way.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.
    """

    def __init__(
        self,
        solver: str | OwnSolver = "anderson",
        *,
        tol: float = 1e-6,
        max_steps: int = 100,
        backward_solver: str | OwnSolver | None = None,
        backward_tol: float | None = None,
        backward_max_steps: int | None = None,
        on_failure: str = "warn",
        gradient: str = "implicit",
        phantom_steps: int = 5,
        phantom_damping: float = 0.5,
        stop_mode: str = "rel",
        samples: str = "separate",
        memory: int | None = None,
        patience: int | None = None,
        growth: float | None = None,
        compact: bool | None = None,
        trace: bool = False,
        indexing: Sequence[int] | None = None,
        n_states: int | None = None,
        eval_tol: float | None = None,
        eval_max_steps: int | None = None,
        compiled: bool | None = None,
    ) -> None:
        super().__init__()
        self.solver = _solver("solver", solver)
        self.tol = positive("tol", tol)
        self.max_steps = integer("max_steps", max_steps, minimum=1)
        self.backward_solver = self.solver if backward_solver is None else _solver("backward_solver", backward_solver)
        self.backward_tol = self.tol if backward_tol is None else positive("backward_tol", backward_tol)
        self.backward_max_steps = (
            self.max_steps
            if backward_max_steps is None
            else integer("backward_max_steps", backward_max_steps, minimum=1)
        )
        self.on_failure = one_of("on_failure", on_failure, ON_FAILURE)
        self.gradient = one_of("gradient", gradient, GRADIENTS)
        self.phantom_steps = integer(
            "phantom_steps", phantom_steps, minimum=1, maximum=10_000, reason="each is taken and recorded"
        )
        self.phantom_damping = positive("phantom_damping", phantom_damping)
        if self.phantom_damping > 1:
            raise ValueError(f"phantom_damping must lie in (0, 1], got {phantom_damping!r}")
        self.stop_mode = one_of("stop_mode", stop_mode, STOP_MODES)
        self.samples = one_of("samples", samples, SAMPLES)
        self.memory = None if memory is None else integer("memory", memory, minimum=1)
        self.patience = None if patience is None else integer("patience", patience, minimum=1)
        self.growth = None if growth is None else _above_one("growth", growth)
        self.compact = None if compact is None else _boolean("compact", compact)
        self.trace = _boolean("trace", trace)
        self.indexing = None if indexing is None else _increasing("indexing", indexing)
        self.n_states = None if n_states is None else integer("n_states", n_states, minimum=1)
        if self.indexing is not None and self.n_states is not None:
            raise ValueError(f"n_states must not be given with indexing = {self.indexing}, got {n_states!r}")
        self.eval_tol = None if eval_tol is None else positive("eval_tol", eval_tol)
        self.eval_max_steps = None if eval_max_steps is None else integer("eval_max_steps", eval_max_steps, minimum=1)
        self.compiled = None if compiled is None else _boolean("compiled", compiled)
        can_compile(self.compiled)

    def forward(self, f: Callable[[State], State], z0: State, **settings: Any) -> tuple[State, Info]:
        """Solve ``z = f(z)`` from ``z0``.

        Args:
            f: map from (batch, ...) to the same shape, acting on the samples separately, or with ``samples``
                ``"coupled"`` or ``"joint"`` on all. Parameters and inputs that it closes over receive their implicit
                gradients. It may write into its argument and return the same tensor every time.
            z0: start, shape (batch, ...), floating point or complex; or tuples, lists and dicts of such tensors, which
                ``f`` then takes and returns. The equilibrium does not depend on it: no gradient.
            settings: arguments of :class:`DEQ` for this call.

        Returns:
            ``z`` laid out as ``z0``, at which ``info.residuals`` were taken, and the :class:`Info` of the solve. An
            empty batch gives an empty ``z``.

        Raises:
            TypeError, ValueError: ``z0`` holds something else than floating-point tensors with a batch dimension, ``f``
                is no map or returns something else than what is laid out as ``z0``, a setting is not what it should be.
            ConvergenceError: some sample did not converge and ``on_failure`` is ``"raise"``.
            RuntimeError: under ``torch.export``, ``vmap``, or with an implicit gradient under another transform of
                ``torch.func``; in ``backward`` with ``create_graph=True`` or batched gradients: the implicit gradient
                has no second derivative.
        """
        if torch.compiler.is_compiling():
            if _is_exporting():
                raise RuntimeError(_EXPORT)
            # Loops that stop on data are no graph: they run as they are, with f as it comes.
            return torch.compiler.disable(self._forward)(f, z0, settings)
        return self._forward(f, z0, settings)

    def _forward(self, f: Callable[[State], State], z0: State, settings: dict[str, Any]) -> tuple[State, Info]:
        """:meth:`forward`, out of sight of the compiler."""
        check_map(f)
        structure = Structure(z0)
        layer = self._with(settings) if settings else self
        _refuse_transforms(layer.gradient)
        with solve_scope():
            z, info = layer._solve(structure.wrap(f), structure.pack(z0, "z0"))
        if info.states:
            info.states = tuple(structure.unpack(state) for state in info.states)
        return structure.unpack(z), info

    def _with(self, settings: dict[str, Any]) -> DEQ:
        """This layer with other settings; what the adjoint equation has from the forward solve follows."""
        current = {name: getattr(self, name) for name in _SETTINGS}
        for name in settings:
            if name not in current:
                raise TypeError(f"{name} must not be given: the settings of a call are {', '.join(_SETTINGS)}")
        for name in ("solver", "tol", "max_steps"):
            if current[f"backward_{name}"] == current[name]:
                current[f"backward_{name}"] = None
        for name, other in (("indexing", "n_states"), ("n_states", "indexing")):
            if settings.get(name) is not None:
                current[other] = None
        for name in ("tol", "max_steps"):
            if name in settings:  # this call's, after eval() too
                current[f"eval_{name}"] = None
        return DEQ(**{**current, **settings}).train(self.training)

    def _options(self) -> Options:
        """What the solvers are told beside tolerance and steps."""
        steps = self._steps()
        states = self.indexing or ()
        if self.n_states is not None:
            states = tuple(max(1, steps * i // self.n_states) for i in range(1, self.n_states))
        return _told(
            self.memory,
            self.patience,
            self.growth,
            self.stop_mode,
            self.samples,
            self.compact,
            self.trace,
            tuple(states),
            self.compiled,
        )

    def _tolerance(self) -> float:
        return self.tol if self.training or self.eval_tol is None else self.eval_tol

    def _steps(self) -> int:
        return self.max_steps if self.training or self.eval_max_steps is None else self.eval_max_steps

    def _solve(self, f: Callable[[Tensor], Tensor], z0: Tensor) -> tuple[Tensor, Info]:
        """Both passes of :meth:`forward`, once its arguments are checked."""
        tol, steps, options = self._tolerance(), self._steps(), self._options()
        with _unrecorded():
            point = run_solver(self.solver, f, z0.detach(), tol, steps, options)
        info = Info._of(point)
        # The name of a device takes microseconds.
        dtype = _resolution(point.dtype, "cpu" if z0.is_cpu else z0.device.type)
        self._judge("forward", self.solver, info, tol, steps, dtype, point.done)
        wanted = self.indexing is not None or self.n_states is not None
        if not torch.is_grad_enabled():
            info.states = (*point.states, point.z) if wanted else ()
            return point.z, info
        lost = not (point.done or info.all_converged) and not bool(info.residuals.isfinite().all())
        with finite_records(lost):
            states = tuple(self._phantom(f, state) for state in point.states)
            z = self._phantom(f, point.z) if self.gradient == "phantom" else self._implicit(f, point.z, info, dtype)
        info.states = (*states, z) if wanted else ()
        return z, info

    def _phantom(self, f: Callable[[Tensor], Tensor], root: Tensor) -> Tensor:
        """``root`` with the gradient of damped steps from it."""
        z = self._damped_steps(f, root)
        if not bool(z.isfinite().all()):
            # Some sample has run away: again, so that the others' parameters see nothing of it.
            with finite_records(True):
                z = self._damped_steps(f, root)
        # Its value is that whose residual is known, where the steps run away too.
        return torch.where(z.isfinite(), root + (z - z.detach()), root)

    def _damped_steps(self, f: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
        """``phantom_steps`` of ``z <- (1 - lambda) z + lambda f(z)``, recorded."""
        for _ in range(self.phantom_steps):
            z = torch.lerp(z, f(z.clone()).to(z.dtype), self.phantom_damping)
        return z

    def _implicit(self, f: Callable[[Tensor], Tensor], root: Tensor, info: Info, dtype: torch.dtype) -> Tensor:
        """``root`` with the implicit gradient."""
        root = root.detach().requires_grad_()
        # A clone, for f may write into its argument.
        image = f(root.clone()).to(root.dtype)
        self._check_again(image, root, info, dtype)
        if not image.requires_grad:
            return root.detach()

        def solve(image: Tensor, root: Tensor, gradient: Tensor) -> Tensor:
            return self._solve_adjoint(f, image, root, gradient, info, dtype)

        return implicit_gradient(image, root, solve, root)

    def _check_again(self, image: Tensor, root: Tensor, info: Info, dtype: torch.dtype) -> None:
        """See whether f is at root what it was: where the recorded image is none of a fixed point, nothing converged.

        So is found an f that changes from call to call, whose derivative would be that of another map.
        """
        if not root.numel():
            return
        tol, units, relative = (
            self._tolerance(),
            1 if self.samples == "joint" else root.shape[0],
            self.stop_mode == "rel",
        )
        with torch.no_grad():
            wide = torch.promote_types(root.dtype, torch.float32)
            rows, point = (t.reshape(units, -1).to(wide) for t in (image, root))
            for careful in (False, True):  # few operations where they are enough
                norm, size = norms(rows - point, careful), norms(rows, careful)
                fine = norm <= (tol * size if relative else tol) + PROBE * torch.finfo(dtype).eps * size
                if bool(fine.all()):
                    return
            changed = info.converged & ~fine
            if not bool(changed.any()):
                return
            info.residuals = torch.where(changed, norm / size if relative else norm, info.residuals)
            info.converged = info.converged & fine
        message = (
            f"forward solve met the tolerance, but f was another map when it was recorded: {int(changed.sum())} of "
            f"{len(changed)} samples have residuals above tol = {tol:g} at the same z (worst "
            f"{float(info.residuals[changed].max()):.3g}); f must be the same at every call of a solve, its random "
            "numbers too (ufm.deq.VariationalDropout)"
        )
        if self.on_failure == "raise":
            raise ConvergenceError(message)
        warnings.warn(message, ConvergenceWarning, stacklevel=_users_level())

    def _solve_adjoint(
        self, f: Map, image: Tensor, root: Tensor, gradient: Tensor, info: Info, dtype: torch.dtype
    ) -> Tensor:
        """Solve ``y = J^T y + gradient``, J that of ``f`` at root, where its value is image."""
        wide = gradient.to(torch.promote_types(gradient.dtype, torch.float32))
        scale = unit_scale(wide, torch.finfo(dtype).bits < 32 and not info.coupled)
        wide = wide / scale
        parts = hasattr(f, "of_rows") and self.compact is not False
        adjoint = (_AdjointOfRows if parts else _Adjoint)(f, image, root, wide)
        samples = "coupled" if info.coupled and self.samples == "separate" else self.samples
        options = replace(self._options(), samples=samples, compact=None, states=(), stop_mode="rel")
        with _unrecorded():
            point = run_solver(self.backward_solver, adjoint, wide, self.backward_tol, self.backward_max_steps, options)
        info.backward = Info._of(point)
        tol, steps = self.backward_tol, self.backward_max_steps
        self._judge("backward", self.backward_solver, info.backward, tol, steps, dtype, point.done)
        return (point.z * scale).to(gradient.dtype)

    def _judge(
        self,
        direction: str,
        solver: str | OwnSolver,
        info: Info,
        tol: float,
        max_steps: int,
        dtype: torch.dtype,
        done: bool,
    ) -> None:
        """Say aloud what did not converge, and what converged further than ``dtype`` can tell.

        What is known to be ``done`` is not read from the device again.
        """
        floor = minimal_tolerance(dtype)
        relative = self.stop_mode == "rel" or direction == "backward"
        below, fine = tol < floor and relative, done or info.all_converged
        if fine and not below:
            return
        name = str(dtype).removeprefix("torch.")
        if fine:
            warnings.warn(
                f"{direction} solve: tol = {tol:g} is below {floor:.2g}, the least relative residual that {name} "
                "resolves; residuals under it are rounding and do not bound the error",
                PrecisionWarning,
                stacklevel=_users_level(),
            )
            return
        failed = int((~info.converged).sum())
        worst = float(info.residuals[~info.converged].max())
        kind = "relative" if relative else "absolute"
        called = repr(solver) if isinstance(solver, str) else getattr(solver, "__name__", repr(solver))
        message = (
            f"{direction} solve with {called} did not converge: {failed} of {len(info.converged)} samples have "
            f"{kind} residuals above tol = {tol:g} after at most {max_steps} steps (worst {worst:.3g})"
        )
        if below:
            message += f"; {name} resolves no less than {floor:.2g}"
        elif tol < TF32 and relative and _uses_tf32(dtype, info.residuals.device):
            message += (
                f"; TF32, which torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32 permits, "
                f"resolves no less than {TF32:.2g}"
            )
        if self.on_failure == "raise":
            raise ConvergenceError(message)
        warnings.warn(message, ConvergenceWarning, stacklevel=_users_level())

    def extra_repr(self) -> str:
        """Solver settings, for ``print``: the usual ones, and what differs from the default."""
        text = (
            f"solver={self.solver!r}, tol={self.tol:g}, max_steps={self.max_steps}, "
            f"backward_solver={self.backward_solver!r}, backward_tol={self.backward_tol:g}, "
            f"backward_max_steps={self.backward_max_steps}, on_failure={self.on_failure!r}, gradient={self.gradient!r}"
        )
        if self.gradient == "phantom":
            text += f", phantom_steps={self.phantom_steps}, phantom_damping={self.phantom_damping:g}"
        for name in _SETTINGS[_SETTINGS.index("stop_mode") :]:
            default, value = _DEFAULTS[name], getattr(self, name)
            text += "" if value == default else f", {name}={value!r}"
        return text


def jacobian_product(image: Tensor, root: Tensor, y: Tensor) -> Tensor | None:
    """``J^T y``, J the derivative of image by root, whose record is kept; None where image does not depend on it.

    Without the checks of ``torch.autograd.grad``, which take as long as the product of a small map.
    """
    run = getattr(getattr(torch.autograd.Variable, "_execution_engine", None), "run_backward", None)
    if run is None or type(y) is not Tensor or type(image) is not Tensor:
        return torch.autograd.grad(image, root, y, retain_graph=True, allow_unused=True)[0]
    # The graph is kept, no graph of the gradient made, what is not reached is None, nothing is accumulated.
    return run((image,), (y,), True, False, (root,), True, False)[0]  # type: ignore[no-any-return]


class _Adjoint:
    """The map ``y -> J^T y + gradient``."""

    #: Sums are new tensors, and where there is no product the gradient stays what it is: no one writes to it.
    fresh = True

    def __init__(self, f: Map, image: Tensor, root: Tensor, gradient: Tensor) -> None:
        self.f, self.image, self.root, self.gradient = f, image, root, gradient

    def __call__(self, y: Tensor) -> Tensor:
        product = jacobian_product(self.image, self.root, y if y.dtype == self.image.dtype else y.to(self.image.dtype))
        return self.gradient if product is None else product + self.gradient


class _AdjointOfRows(_Adjoint):
    """The same where f is a map of any of the samples: their products alone, at an evaluation of f at these."""

    #: Part of the samples at which that is worth the evaluation.
    worthwhile = 0.5

    def of_rows(self, rows: Tensor) -> _Adjoint:
        root = self.root.detach()[rows].requires_grad_()
        with torch.enable_grad():
            image = self.f.of_rows(rows)(root.clone()).to(root.dtype)  # type: ignore[attr-defined]
        return _Adjoint(self.f, image, root, self.gradient[rows])


#: Options are made once for all solves with the same ones.
_told = functools.lru_cache(64, typed=True)(Options)

_DEFAULTS: dict[str, Any] = dict(DEQ.__init__.__kwdefaults__ or {})

#: Names of the settings of a layer, and of a call.
_SETTINGS = ("solver", *_DEFAULTS)

#: Exponent of the least power of two that float32 has without loss.
LEAST_EXPONENT = -126

#: Least relative residual that products in TF32 resolve, of 10 explicit bits: four times their epsilon.
TF32 = 4 * 2.0**-10


def run_solver(
    solver: str | OwnSolver,
    f: Callable[[Tensor], Tensor],
    z0: Tensor,
    tol: float,
    max_steps: int,
    options: Options,
    relative: Relative | None = None,
) -> FixedPoint:
    """Solve with a solver of ours, or with one's own: then one more evaluation judges what it returns.

    Raises:
        TypeError, ValueError: one's own returned something else than a floating-point tensor of the shape of ``z0``.
    """
    if isinstance(solver, str):
        return get_solver(solver)(f, z0, tol, max_steps, relative, options)
    count = 0

    def counted(z: Tensor) -> Tensor:
        nonlocal count
        count += 1
        return f(z)

    found = solver(counted, z0.clone(), tol, max_steps)
    z = found.z if isinstance(found, FixedPoint) else found
    if not isinstance(z, Tensor) or not z.is_floating_point() or z.shape != z0.shape:
        raise TypeError(f"solver must return a floating-point tensor of shape {tuple(z0.shape)}, got {found!r}")
    state = Iteration(f, z.to(z0.dtype), tol, 1, relative, replace(options, compact=False, states=()))
    state.evaluate()
    point = state.result()
    return replace(point, steps=torch.full_like(point.steps, count), states=(point.z,) * len(options.states))


def _solver(name: str, value: Any) -> str | OwnSolver:
    """The name of one of our solvers, or a callable."""
    if callable(value) and not isinstance(value, str | type):
        _takes(name, value, "f", "z0", "tol", "max_steps")
        return value  # type: ignore[no-any-return]
    return one_of(name, value, SOLVERS)


def _takes(name: str, function: Any, *parameters: str) -> None:
    """Raise unless a function of one's own can be called with that many arguments, by position."""
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):  # some built-in functions have none
        return
    try:
        signature.bind(*parameters)
    except TypeError:
        raise TypeError(f"{name} must be a function of ({', '.join(parameters)}), got {function!r}") from None


def _boolean(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return value


def _above_one(name: str, value: Any) -> float:
    if not positive(name, value) > 1:
        raise ValueError(f"{name} must be > 1, got {value!r}")
    return float(value)


def _increasing(name: str, values: Any) -> tuple[int, ...]:
    if isinstance(values, str | bytes) or not isinstance(values, Sequence):
        raise TypeError(f"{name} must be a sequence of integers >= 1, got {values!r}")
    steps = tuple(integer(f"{name}[{i}]", value, minimum=1) for i, value in enumerate(values))
    if any(b <= a for a, b in itertools.pairwise(steps)):
        raise ValueError(f"{name} must increase, got {values!r}")
    return steps


def unit_scale(gradient: Tensor, by_sample: bool) -> Tensor:
    """A power of two by which the gradient is of order 1: the adjoint equation is linear.

    At unit scale products in half precision neither overflow nor vanish, nor do squares of what is very small or large.
    One number for all, for samples may depend on each other; in half precision one each.
    """
    if not gradient.numel():
        return gradient.new_ones(())
    if by_sample:
        largest = torch.linalg.vector_norm(gradient.flatten(1), ord=torch.inf, dim=1)
        return power_of_two(largest).view(-1, *(1,) * (gradient.ndim - 1))
    if gradient.is_cpu and math.isfinite(largest := float(torch.linalg.vector_norm(gradient, ord=math.inf))):
        return gradient.new_tensor(2.0 ** (max(math.frexp(largest)[1] - 1, LEAST_EXPONENT)) if largest else 1.0)
    return power_of_two(torch.where(gradient.isfinite(), gradient.abs(), 0.0).amax())


class _unrecorded:
    """``torch.no_grad``, which takes microseconds more."""

    __slots__ = ("before",)

    def __enter__(self) -> None:
        self.before = torch.is_grad_enabled()
        torch._C._set_grad_enabled(False)

    def __exit__(self, *_: object) -> None:
        torch._C._set_grad_enabled(self.before)


@contextlib.contextmanager
def finite_records(needed: bool) -> Iterator[None]:
    """Record values that are not finite as ones, so that zero times their derivative is zero.

    A sample without a finite value has no gradient. If the loss ignores it, nothing of it reaches the parameters that
    it shares with the others; if not, its incoming gradient is not finite, and says so.
    """
    if not needed:
        yield
        return

    def pack(t: Tensor) -> Tensor:
        if not t.is_floating_point() or bool(t.isfinite().all()):
            return t
        return torch.where(t.isfinite(), t, 1.0)

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        yield


_EXPORT = (
    "a DEQ cannot be exported nor traced: when its solver stops depends on the data, with gradient='phantom' too; "
    "export f, and iterate it where it is used"
)


def _is_exporting() -> bool:
    """Whether ``torch.export`` is tracing; before torch 2.7 it cannot be told from the compiler."""
    asked = getattr(torch.compiler, "is_exporting", None)
    return False if asked is None else bool(asked())


#: Finds a mode of dispatch; and the keys of those under which a graph is recorded or tensors have no values.
_find_mode: Any = getattr(torch._C, "_get_dispatch_mode", None)
_modes = getattr(torch._C, "_TorchDispatchModeKey", None)
_RECORDING = () if _find_mode is None or _modes is None else (_modes.PROXY, _modes.FAKE)


def _is_recording() -> bool:
    """Whether operations are recorded as a graph, or done on tensors without values: ``make_fx``, ``linearize``."""
    return any(map(_find_mode, _RECORDING))


def _refuse_transforms(gradient: str) -> None:
    """RuntimeError under transforms that need more of a layer than one evaluation of its gradient."""
    if torch.jit.is_tracing() or _is_recording():
        raise RuntimeError(_EXPORT)
    transform = _transform()
    if transform == "Vmap" or (transform is not None and "Vmap" in _transforms()):
        raise RuntimeError(
            "a DEQ cannot be mapped by torch.func.vmap, nor by what is built on it, with gradient='phantom' neither: "
            "its solver stops on the data; pass the samples as a batch, which it takes one by one anyway"
        )
    if transform is not None and gradient != "phantom":
        raise RuntimeError(
            f"the implicit gradient cannot be transformed by torch.func ({transform.lower()}): use gradient='phantom', "
            "or torch.autograd.grad"
        )


def _is_batched(gradient: Tensor) -> bool:
    """Whether a gradient stands for several, as of ``is_grads_batched``, old or new."""
    functorch = getattr(torch._C, "_functorch", None)
    tests = (getattr(functorch, name, None) for name in ("is_batchedtensor", "is_legacy_batchedtensor"))
    return _transform() is not None or any(test is not None and test(gradient) for test in tests)


def _transforms() -> set[str]:
    """Names of the transforms of ``torch.func`` that are running: vmap may be around another, as in ``jacfwd``."""
    stack = getattr(getattr(torch._C, "_functorch", None), "get_interpreter_stack", None)
    return {str(interpreter.key()).rpartition(".")[2] for interpreter in (stack and stack()) or ()}


_peek: Any = getattr(getattr(torch._C, "_functorch", None), "peek_interpreter_stack", None)


def _transform() -> str | None:
    """Name of the innermost transform of ``torch.func`` that is running, None where there is none."""
    interpreter = None if _peek is None else _peek()
    return None if interpreter is None else str(interpreter.key()).rpartition(".")[2]


def implicit_gradient(
    image: Tensor, root: Tensor, solve: Callable[[Tensor, Tensor, Tensor], Tensor], value: Tensor | None = None
) -> Tensor:
    """``value``, or ``image = f(root)``, with the gradient ``solve(image, root, g)`` to image in place of g.

    Called in ``backward`` with gradients enabled. Source: Bai, Kolter, Koltun 2019, Theorem 1.
    """
    result: Tensor = _ImplicitGradient.apply(image, root, solve, image if value is None else value)
    return result


class _ImplicitGradient(torch.autograd.Function):
    """What :func:`implicit_gradient` applies."""

    @staticmethod
    def forward(
        ctx: Any, image: Tensor, root: Tensor, solve: Callable[[Tensor, Tensor, Tensor], Tensor], value: Tensor
    ) -> Tensor:
        ctx.save_for_backward(image, root)
        ctx.solve = solve
        # A copy, for f may return the same buffer again.
        return value.clone()

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise RuntimeError("the implicit gradient has no forward mode: use gradient='phantom'")

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        # Not once_differentiable: it says nothing where the incoming gradient is a constant, and the solution y, which
        # depends on all that f does, would pass for one too.
        if torch.is_grad_enabled():
            raise RuntimeError(
                "the implicit gradient cannot be differentiated again (create_graph=True): use gradient='phantom' or "
                "record the iterations"
            )
        if _is_batched(gradient):
            raise RuntimeError(
                "the implicit gradient cannot be batched (is_grads_batched=True, vectorize=True): its solver stops on "
                "the data; use gradient='phantom', or one backward after the other"
            )
        image, root = ctx.saved_tensors
        with torch.enable_grad():
            y = ctx.solve(image, root, gradient)
        return y, None, None, None


def _resolution(dtype: torch.dtype, device: str) -> torch.dtype:
    """The coarser of ``dtype`` and what autocast computes in; autocast leaves float64 alone."""
    cast = None if dtype == torch.float64 else _autocast(device)
    return dtype if cast is None else max(dtype, cast, key=lambda kind: torch.finfo(kind).eps)


def _autocast(device: str) -> torch.dtype | None:
    """What autocast computes in on a device, None where it is off; torch 2.2 and 2.3 have a function a device."""
    try:
        return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
    except (TypeError, AttributeError):
        if device == "cpu":
            return torch.get_autocast_cpu_dtype() if torch.is_autocast_cpu_enabled() else None
        return torch.get_autocast_gpu_dtype() if device == "cuda" and torch.is_autocast_enabled() else None


def _uses_tf32(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether products of float32 may be rounded to TF32."""
    allowed = torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32
    return dtype == torch.float32 and device.type == "cuda" and bool(allowed)


def _users_level() -> int:
    """``stacklevel`` at which the caller's warning points out of torch and this package, at the user's line."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ("torch", "ufm"):
        level, frame = level + 1, frame.f_back
    return level
