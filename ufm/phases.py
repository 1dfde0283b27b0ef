"""The phases of collapse, under one name each wherever they are told, stored or counted."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["PHASES", "Phase"]


class Phase(StrEnum):
    """How far classes have collapsed at an optimum; a member equals its word, ``Phase.PARTIAL == "partial"``.

    * ``"none"``: the features of any two classes differ.
    * ``"partial"``: classes coincide in their features and in their classifiers, and keep a common direction.
    * ``"total"``: moreover their centred logits vanish: their features carry nothing.
    * ``"tail"``: no classes coincide exactly, but rare classes of different counts have lost the directions of their
      own and differ in length alone, by less than a hundredth of the longest column of logits.

    The classes that coincide are those of a group of equal counts (``s_b = 0``), or of several groups that have merged.
    Source: theory section 3; the tail is found here.

    >>> Phase("total") is Phase.TOTAL, Phase.TOTAL.code
    (True, 2)
    """

    NONE = "none"
    PARTIAL = "partial"
    TOTAL = "total"
    TAIL = "tail"

    @property
    def is_exact(self) -> bool:
        """Whether classes coincide exactly: ``"partial"`` or ``"total"``."""
        return self in (Phase.PARTIAL, Phase.TOTAL)

    @property
    def code(self) -> int:
        """0, 1 or 2: the entry in arrays of phases of two-group problems, which have no tail."""
        return PHASES.index(self)


#: The phases of groups of equal counts; the index is the code.
PHASES: tuple[Phase, ...] = (Phase.NONE, Phase.PARTIAL, Phase.TOTAL)
