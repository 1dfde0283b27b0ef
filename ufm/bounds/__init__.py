"""How near is near: ranges, by duality in floating point, of the geometry of what is close to the optimum."""

from ufm.bounds.front import GeometryBounds, Range, functional_bounds, geometry_bounds

__all__ = ["GeometryBounds", "Range", "functional_bounds", "geometry_bounds"]
