"""How near is near: certified ranges of the geometry of everything whose objective is close to the optimum."""

from ufm.bounds.front import GeometryBounds, Range, functional_bounds, geometry_bounds

__all__ = ["GeometryBounds", "Range", "functional_bounds", "geometry_bounds"]
