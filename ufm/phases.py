"""The phases of collapse, under one name each wherever they are told, stored or counted."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["PHASES", "Phase"]


class Phase(StrEnum):
    """How far classes have collapsed at an optimum; a member equals its word, ``Phase.PARTIAL == "partial"``.

    * ``"none"``: the features of any two classes differ.
    * ``"partial"``: classes coincide in their features and in their classifiers, and keep a common direction.
    * ``"total"``: moreover their centred logits vanish: their features carry nothing.

    The classes that coincide are those of a group of equal counts (``s_b = 0``), or of several groups that have merged,
    as the rare classes of a long tail do. Source: theory section 3.

    >>> Phase("total") is Phase.TOTAL, Phase.TOTAL.code
    (True, 2)
    """

    NONE = "none"
    PARTIAL = "partial"
    TOTAL = "total"

    @property
    def code(self) -> int:
        """0, 1 or 2: the entry in arrays of phases."""
        return PHASES.index(self)


#: All phases; the index is the code.
PHASES: tuple[Phase, ...] = tuple(Phase)
