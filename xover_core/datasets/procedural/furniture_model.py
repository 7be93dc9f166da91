# SPDX-License-Identifier: Apache-2.0
"""What a furniture design is before it is placed, and short forms for its parts."""

from __future__ import annotations

from dataclasses import dataclass

from xover_core.datasets.procedural.materials import NamedMaterial
from xover_core.datasets.procedural.scene import Material, ObjectClass, Primitive, Shape, Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """A horizontal rectangle on which small things may stand.

    Attributes:
        z: height above the object's origin.
        x: centre.
        y: centre.
        width: along x.
        depth: along y.
        headroom: free height above it.
    """

    z: float
    width: float
    depth: float
    x: float = 0.0
    y: float = 0.0
    headroom: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FurnitureModel:
    """A design in its own frame: origin on the floor (or lowest point), front towards -y, back at +y.

    Attributes:
        object_class: its class.
        size: (width along x, depth along y, height).
        primitives: its parts.
        color_name: for sentences; may be empty.
        material_name: for sentences; may be empty.
        surfaces: where small things can stand.
    """

    object_class: ObjectClass
    size: Vector
    primitives: tuple[Primitive, ...]
    color_name: str = ""
    material_name: str = ""
    surfaces: tuple[Surface, ...] = ()


def model(
    object_class: ObjectClass,
    size: tuple[float, float, float],
    primitives: list[Primitive],
    named: NamedMaterial | None = None,
    *,
    surfaces: tuple[Surface, ...] = (),
) -> FurnitureModel:
    """A design whose colour and material words come from its main material."""
    return FurnitureModel(
        object_class=object_class,
        size=size,
        primitives=tuple(primitives),
        color_name=named.color_name if named else "",
        material_name=named.material.name if named else "",
        surfaces=surfaces,
    )


def box(at: Vector, size: Vector, material: Material, rpy: Vector = (0.0, 0.0, 0.0)) -> Primitive:
    """A box; `at` is the middle of its bottom, `size` its full extents."""
    return _part(Shape.BOX, at, size, material, rpy)


def cylinder(at: Vector, radius: float, height: float, material: Material) -> Primitive:
    """An upright cylinder; `at` is the middle of its bottom."""
    return _part(Shape.CYLINDER, at, (2 * radius, 2 * radius, height), material, (0.0, 0.0, 0.0))


def rod(center: Vector, radius: float, length: float, material: Material, rpy: Vector) -> Primitive:
    """A cylinder of any direction, given by its middle."""
    return Primitive(
        shape=Shape.CYLINDER, center=center, half_size=(radius, radius, length / 2), material=material, rpy=rpy
    )


def ellipsoid(at: Vector, size: Vector, material: Material, rpy: Vector = (0.0, 0.0, 0.0)) -> Primitive:
    """An ellipsoid; `at` is its lowest point when upright, `size` its full extents."""
    return _part(Shape.ELLIPSOID, at, size, material, rpy)


def legs(width: float, depth: float, height: float, thickness: float, material: Material) -> list[Primitive]:
    """Four legs in the corners of (width, depth)."""
    x, y = (width - thickness) / 2, (depth - thickness) / 2
    return [box((sx * x, sy * y, 0.0), (thickness, thickness, height), material) for sx in (-1, 1) for sy in (-1, 1)]


def _part(shape: Shape, at: Vector, size: Vector, material: Material, rpy: Vector) -> Primitive:
    half = (float(size[0]) / 2, float(size[1]) / 2, float(size[2]) / 2)
    center = (float(at[0]), float(at[1]), float(at[2]) + half[2])
    return Primitive(shape=shape, center=center, half_size=half, material=material, rpy=rpy)
