# SPDX-License-Identifier: Apache-2.0
"""Ground truth besides images: floor plans, meshes, relations and sentences."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import procedural_scene as ps
import pytest

from xover_core.datasets.procedural import (
    Apartment,
    ObjectClass,
    Renderer,
    TriangleMesh,
    describe_room,
    draw_floorplan,
    join_meshes,
    make_apartment,
    object_boxes,
    object_mesh,
)
from xover_core.datasets.procedural.scene import Shape
from xover_core.datasets.procedural.spatial_relations import Relation, find_relations
from xover_core.errors import DatasetError
from xover_core.geometry.camera import back_project
from xover_core.geometry.transforms import transform_points

VOLUME_TOLERANCE = 0.03  # relative; a prism of 48 sides against its cylinder
SURFACE_TOLERANCE = 0.03  # m; spacing of the sampled points
LEFT, RIGHT = (-1.0, 1.0)


@pytest.fixture(scope="module")
def apartment() -> Apartment:
    return make_apartment(6)


def volume(mesh: TriangleMesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def test_the_floorplan_shows_rooms_walls_doors_and_windows(apartment: Apartment) -> None:
    plan = draw_floorplan(apartment, with_furniture=False)

    def color(x: float, y: float) -> tuple[int, ...]:
        u, v = np.rint(plan.pixels_of(np.array([[x, y]]))[0]).astype(int)
        return tuple(plan.image[v, u].tolist())

    for room in apartment.rooms:
        assert color(*room.center) == (255, 255, 255)
        inside = plan.pixels_of(room.polygon)
        assert inside[2, 1] < inside[0, 1]
    for opening in apartment.openings:
        middle = (opening.start + opening.end) / 2
        beside = opening.start - 0.12
        at = [(p, opening.offset) if opening.axis == 0 else (opening.offset, p) for p in (middle, beside)]
        assert (color(*at[0])[2] > 150) == opening.is_window or not opening.is_window
        assert min(color(*at[0])) > 80
        assert max(color(*at[1])) < 80


def test_one_room_can_be_drawn_with_its_furniture(apartment: Apartment) -> None:
    room = apartment.rooms[0]
    plan = draw_floorplan(apartment, room_id=1, pixels_per_m=20.0, margin=0.0, with_names=True)
    bare = draw_floorplan(apartment, room_id=1, pixels_per_m=20.0, margin=0.0, with_furniture=False)
    expected = np.ceil((np.subtract(room.upper, room.lower) + 0.14) * 20)[::-1]
    np.testing.assert_allclose(plan.image.shape[:2], expected, atol=1)
    assert (plan.image != bare.image).any(axis=2).mean() > 0.05
    with pytest.raises(DatasetError, match="pixels_per_m > 0"):
        draw_floorplan(apartment, pixels_per_m=0.0)
    with pytest.raises(DatasetError, match="room id"):
        draw_floorplan(apartment, room_id=99)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [(Shape.BOX, 8 * 0.024), (Shape.CYLINDER, 2 * math.pi * 0.024), (Shape.ELLIPSOID, 4 / 3 * math.pi * 0.024)],
)
def test_meshes_are_closed_and_have_the_right_volume(shape: Shape, expected: float) -> None:
    part = ps.primitive(shape, (0.1, 0.0, 0.5), (0.2, 0.3, 0.4), (0.3, -0.2, 0.9))
    mesh = object_mesh(ps.scene_object(1, ObjectClass.BOX, (2.0, 1.0, 0.0), part, yaw=0.7), segments=48)
    assert volume(mesh) == pytest.approx(expected, rel=VOLUME_TOLERANCE)
    edges = Counter((int(f[i]), int(f[(i + 1) % 3])) for f in mesh.faces for i in range(3))
    assert all(edges[(b, a)] == n for (a, b), n in edges.items())
    boxes = object_boxes(ps.scene_object(1, ObjectClass.BOX, (2.0, 1.0, 0.0), part, yaw=0.7))
    if shape is Shape.BOX:
        np.testing.assert_allclose(mesh.vertices.max(axis=0), boxes.upper_map, atol=1e-9)
    assert (mesh.vertices <= boxes.upper_map + 1e-9).all()
    assert (mesh.vertices >= boxes.lower_map - 1e-9).all()


def test_meshes_lie_where_the_renderer_sees_objects(apartment: Apartment) -> None:
    room = apartment.rooms[0]
    x, y = room.upper[0] - 0.3, room.upper[1] - 0.3
    pose = ps.look_along((x, y, 2.2), math.atan2(room.center[1] - y, room.center[0] - x), -0.45)
    view = Renderer(apartment).render(pose, ps.SMALL_CAMERA)
    v, u = np.nonzero(view.depth > 0)
    pixels = np.stack([u, v], axis=1).astype(np.float64)
    points = transform_points(pose, back_project(pixels, view.depth[v, u], ps.SMALL_CAMERA))
    rng = np.random.default_rng(0)
    counts = Counter(view.instance[v, u].tolist())
    seen = [i for i, n in counts.most_common() if n > 20 and not apartment.objects[i - 1].is_structure][:4]
    assert len(seen) >= 2
    for object_id in seen:
        samples, colors = object_mesh(apartment.objects[object_id - 1]).sample(12000, rng)
        assert colors.shape == samples.shape
        mine = points[view.instance[v, u] == object_id][:40]
        distance = np.linalg.norm(mine[:, None] - samples[None], axis=2).min(axis=1)
        assert np.median(distance) < SURFACE_TOLERANCE
        assert distance.max() < 4 * SURFACE_TOLERANCE


def test_joining_meshes_keeps_all_triangles(apartment: Apartment) -> None:
    meshes = [object_mesh(o) for o in apartment.furniture[:5]]
    joined = join_meshes(meshes)
    assert len(joined.faces) == sum(len(m.faces) for m in meshes)
    assert volume(joined) == pytest.approx(sum(volume(m) for m in meshes))
    assert len(join_meshes([]).faces) == 0
    with pytest.raises(DatasetError, match="3 segments"):
        object_mesh(apartment.objects[0], segments=2)


def known_room() -> Apartment:
    """A sofa at the wall y = 4 that looks to -y; a lamp to its right, a table before it, a cup on that, and so on."""

    def cube(size: float, height: float) -> ps.Primitive:
        return ps.primitive(Shape.BOX, (0, 0, height / 2), (size / 2, size / 2, height / 2))

    picture = ps.primitive(Shape.BOX, (0, 0, 0.2), (0.3, 0.015, 0.2))
    return ps.hand_built(
        ps.scene_object(1, ObjectClass.SOFA, (3.0, 3.5, 0.0), ps.primitive(Shape.BOX, (0, 0, 0.4), (0.9, 0.45, 0.4))),
        ps.scene_object(2, ObjectClass.FLOOR_LAMP, (4.3, 3.6, 0.0), cube(0.3, 1.6)),
        ps.scene_object(3, ObjectClass.COFFEE_TABLE, (3.0, 2.5, 0.0), cube(0.6, 0.4)),
        ps.scene_object(4, ObjectClass.CUP, (3.0, 2.5, 0.4), cube(0.1, 0.1), support_id=3),
        ps.scene_object(5, ObjectClass.PICTURE, (3.1, 3.98, 1.3), picture),
        ps.scene_object(6, ObjectClass.PLANT, (0.2, 0.2, 0.0), cube(0.3, 0.8)),
    )


def test_known_relations_are_found() -> None:
    apartment = known_room()
    found = {(f.subject_id, f.relation, f.object_id) for f in find_relations(apartment, apartment.rooms[0])}
    assert (2, Relation.RIGHT_OF, 1) in found
    assert (3, Relation.IN_FRONT_OF, 1) in found
    assert (4, Relation.ON, 3) in found
    assert (5, Relation.ABOVE, 1) in found
    assert (5, Relation.ON_WALL, 0) in found
    assert (6, Relation.IN_CORNER, 0) in found
    assert not any(f[0] == 6 and f[2] for f in found)
    assert not any(f[1] is Relation.LEFT_OF for f in found)


def test_sentences_name_what_is_there(apartment: Apartment) -> None:
    for room in apartment.rooms:
        sentences = describe_room(apartment, room.room_id, 0)
        assert sentences == describe_room(apartment, room.room_id, 0)
        ids = {o.object_id for o in apartment.furniture if o.room_id == room.room_id}
        assert ids <= {i for s in sentences for i in s.object_ids}
        for sentence in sentences:
            assert set(sentence.object_ids) <= ids
            assert sentence.text[0].isupper()
            assert sentence.text.endswith(".")
            assert not any(bad in sentence.text for bad in (" a a", "  ", "{", " a o", " a i", "A o"))
    assert describe_room(apartment, 1, 0) != describe_room(apartment, 1, 1)
    texts = " ".join(s.text for s in describe_room(known_room(), 1, 3))
    assert "cup" in texts or "mug" in texts
