"""Room for the numbers of a solve, in memory that the system need not hand out page by page.

A page of 4 kB costs some microseconds when it is first written to: on a large state as much as the steps that write.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from ufm._extras import optional

with optional("deq"):
    import torch
    from torch import Tensor

__all__ = ["LINE", "room"]

#: Bytes of a state's memory from which on pages count; from which on NumPy asks for large ones; and from which on glibc
#: gives all that is freed back at once.
LARGE, HUGE, GIVEN_BACK = 2**20, 2**22, 2**25

#: Bytes that a processor moves at once: what begins at a multiple of it is written fastest.
LINE = 64


def room(like: Tensor, *shape: int) -> Tensor:
    """Return an uninitialised tensor of a shape, with the dtype and on the device of ``like``.

    Examples:
        >>> import torch
        >>> tuple(room(torch.zeros(1), 2, 3).shape)
        (2, 3)
    """
    size = math.prod(shape) * like.element_size()
    if size < LARGE or like.device.type != "cpu" or type(like) is not Tensor:
        return like.new_empty(*shape)
    _keep_what_is_freed()
    if size < HUGE:
        return like.new_empty(*shape)
    # NumPy asks the system for pages of 2 MB, torch does not: fewer of them are found in less time, too.
    whole = np.empty(size + LINE, np.uint8)
    begin = -whole.ctypes.data % LINE
    return torch.from_numpy(whole[begin : begin + size]).view(like.dtype).view(shape)


@functools.cache
def _keep_what_is_freed() -> None:
    """Have glibc keep what is freed for the next that asks, as it does from when it has seen something large freed.

    Nothing is written, so no page is taken.
    """
    np.empty(GIVEN_BACK - 2**16, np.uint8)
