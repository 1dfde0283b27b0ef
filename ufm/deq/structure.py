"""States of several tensors, or of complex numbers, as the one real tensor that solvers iterate on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from ufm._extras import optional
from ufm.deq.iteration import describe, is_dense

with optional("deq"):
    import torch
    from torch import Tensor

__all__ = ["State", "Structure"]

#: Tensors in tuples, lists and dicts, nested as one likes.
State = Any


class Structure:
    """How a state is laid out: its tensors, flattened and side by side, are the rows of one real tensor.

    A real tensor is its own row. A complex one counts with its real and its imaginary parts, so that norms and
    gradients are what they are for complex numbers.

    Args:
        z0: a tensor, or tuples, lists and dicts of tensors; floating point or complex, all with the same batch size.

    Raises:
        TypeError, ValueError: it is something else; the message names z0.

    Examples:
        >>> import torch
        >>> structure = Structure({"x": torch.zeros(2, 3), "y": torch.zeros(2, dtype=torch.complex64)})
        >>> rows = structure.pack({"x": torch.ones(2, 3), "y": torch.full((2,), 1j)}, "z")
        >>> rows.tolist()
        [[1.0, 1.0, 1.0, 0.0, 1.0], [1.0, 1.0, 1.0, 0.0, 1.0]]
        >>> structure.unpack(rows)["y"].tolist()
        [1j, 1j]
    """

    def __init__(self, z0: State) -> None:
        tensors = [_checked(z0, "z0")] if isinstance(z0, Tensor) else list(_tensors(z0, "z0"))
        if not tensors:
            raise ValueError(f"z0 must hold at least one tensor, got {z0!r}")
        for t in tensors:
            if t.ndim < 1 or t.shape[1:].numel() == 0:
                raise ValueError(
                    f"z0 must have a batch dimension and at least one entry a sample, got shape {tuple(t.shape)}"
                )
            if t.is_meta:
                raise ValueError("z0 must hold values, got a tensor on the meta device")
        if len(tensors) > 1 and len(sizes := {t.shape[0] for t in tensors}) > 1:
            raise ValueError(f"z0 must hold tensors of one batch size, got {sorted(sizes)}")
        self.template = z0
        self.is_plain = isinstance(z0, Tensor) and not z0.is_complex()

    def pack(self, z: State, name: str) -> Tensor:
        """A state as rows (batch, n), or a real tensor as it is.

        Raises:
            TypeError, ValueError: it is laid out in another way; the message calls it ``name``.
        """
        if self.is_plain:
            return z
        parts = []
        ordered = _ordered(z, self.template, name)
        for t, like in zip(_tensors(ordered, name), _tensors(self.template, "z0"), strict=True):
            if t.shape != like.shape:
                raise ValueError(f"{name} must keep the shape of z, {tuple(like.shape)}, but returned {tuple(t.shape)}")
            if t.is_complex() and not like.is_complex():
                raise TypeError(f"{name} must return a floating-point tensor, got {describe(t)}")
            if like.is_complex():
                t = torch.view_as_real(t if t.is_complex() else t.to(like.dtype))
            parts.append(t.reshape(len(t), t.shape[1:].numel()))
        dtype = parts[0].dtype
        for part in parts:
            dtype = torch.promote_types(dtype, part.dtype)
        return torch.cat([part.to(dtype) for part in parts], dim=1)

    def unpack(self, rows: Tensor) -> State:
        """The state of rows (batch, n); its tensors have the dtypes of those of z0."""
        if self.is_plain:
            return rows
        position = 0

        def take(like: Tensor) -> Tensor:
            nonlocal position
            size = like.shape[1:].numel() * (2 if like.is_complex() else 1)
            part = rows[:, position : position + size]
            position += size
            if like.is_complex():
                real = torch.empty(0, dtype=like.dtype).real.dtype
                return torch.view_as_complex(part.to(real).reshape(len(rows), *like.shape[1:], 2).contiguous())
            return part.reshape(len(rows), *like.shape[1:]).to(like.dtype)

        return _map(take, self.template)

    def wrap(self, f: Callable[[State], State]) -> Callable[[Tensor], Tensor]:
        """f as a map of rows."""
        if self.is_plain:
            return f
        return _OfRows(self, f)


class _OfRows:
    """A map of states as one of rows; of some of the rows where the map can be that."""

    def __init__(self, structure: Structure, f: Callable[[State], State]) -> None:
        self.structure, self.f = structure, f
        if hasattr(f, "of_rows"):
            self.of_rows = lambda rows: _OfRows(structure, f.of_rows(rows))

    def __call__(self, rows: Tensor) -> Tensor:
        return self.structure.pack(self.f(self.structure.unpack(rows)), "f")


def _checked(z: Tensor, name: str) -> Tensor:
    """A tensor; TypeError where solvers cannot compute with its numbers."""
    if not (z.is_floating_point() or z.is_complex()):
        raise TypeError(f"{name} must be a floating-point tensor, got {describe(z)}")
    if z.dtype.itemsize < 2:  # there is hardly an operation on these
        raise TypeError(f"{name} must be in 16 bits or more, got {describe(z)}")
    if not is_dense(z):
        raise TypeError(f"{name} must be a dense tensor, got {describe(z)}")
    return z


def _tensors(z: State, name: str) -> Iterator[Tensor]:
    """The tensors of a state in order; TypeError where there is something else."""
    if isinstance(z, Tensor):
        yield _checked(z, name)
    elif isinstance(z, dict):
        for value in z.values():
            yield from _tensors(value, name)
    elif isinstance(z, tuple | list):
        for value in z:
            if not isinstance(value, Tensor | tuple | list | dict):
                raise TypeError(f"{name} must be a floating-point tensor, or tuples, lists, dicts of these, got {z!r}")
            yield from _tensors(value, name)
    else:
        raise TypeError(f"{name} must be a floating-point tensor, or tuples, lists, dicts of these, got {describe(z)}")


def _ordered(z: State, like: State, name: str) -> State:
    """z with its dicts in the order of ``like``'s; TypeError or ValueError where the two are laid out differently."""
    if isinstance(like, Tensor):
        if not isinstance(z, Tensor):
            raise TypeError(f"{name} must return a tensor where z has one, got {describe(z)}")
        return z
    if isinstance(like, dict):
        if not isinstance(z, dict) or z.keys() != like.keys():
            got = sorted(map(str, z)) if isinstance(z, dict) else type(z).__name__
            raise ValueError(f"{name} must return a dict with the keys of z, {sorted(map(str, like))}, got {got}")
        return {key: _ordered(z[key], value, name) for key, value in like.items()}
    if not isinstance(z, tuple | list) or len(z) != len(like):
        got = f"{len(z)} entries" if isinstance(z, tuple | list) else type(z).__name__
        raise ValueError(f"{name} must return as many entries as z has, {len(like)}, got {got}")
    return [_ordered(a, b, name) for a, b in zip(z, like, strict=True)]


def _map(function: Callable[[Tensor], Tensor], z: State) -> State:
    """The state with ``function`` applied to its tensors, in order."""
    if isinstance(z, Tensor):
        return function(z)
    if isinstance(z, dict):
        kind = copy.copy(z)  # of its own class, an OrderedDict for example
        kind.update((key, _map(function, value)) for key, value in z.items())
        return kind
    parts = [_map(function, value) for value in z]
    if isinstance(z, tuple):
        return type(z)(*parts) if hasattr(z, "_fields") else tuple(parts)
    return parts
