# SPDX-License-Identifier: Apache-2.0
"""OBJ meshes: faces in all their spellings, and points that spread over the surface."""

from __future__ import annotations

import numpy as np
import pytest
from made_up_rooms import write_cube

from xover_core.datasets.obj_mesh import read_obj_mesh, sample_surface
from xover_core.errors import DatasetError

ON_SURFACE = 1e-9  # m, rounding
SHARE_TOLERANCE = 0.03  # of 6,000 points a sixth falls on each side; five standard deviations of that share


def write(path, text):
    path.write_text(text)
    return path


def test_points_lie_evenly_on_all_sides_of_a_cube(tmp_path):
    write_cube(tmp_path / "cube.obj")
    mesh = read_obj_mesh(tmp_path / "cube.obj")
    assert (mesh.vertices.shape, mesh.faces.shape) == ((8, 3), (12, 3))
    points = sample_surface(mesh, 6000, np.random.default_rng(0))
    np.testing.assert_allclose(np.abs(points).max(axis=1), 0.5, atol=ON_SURFACE)
    for axis in range(3):
        for side in (-0.5, 0.5):
            assert abs(np.mean(np.abs(points[:, axis] - side) < ON_SURFACE) - 1 / 6) < SHARE_TOLERANCE
    np.testing.assert_array_equal(points, sample_surface(mesh, 6000, np.random.default_rng(0)))


def test_area_counts_and_not_the_number_of_faces(tmp_path):
    corners = "v 0 0 0\nv 3 0 0\nv 3 1 0\nv 0 1 0\nv 9 0 0\nv 10 0 0\nv 10 1 0\n"
    mesh = read_obj_mesh(write(tmp_path / "a.obj", corners + "f 1 2 3 4\nf 5 6 7\n"))
    points = sample_surface(mesh, 7000, np.random.default_rng(1))
    assert abs(np.mean(points[:, 0] < 5) - 6 / 7) < SHARE_TOLERANCE


@pytest.mark.parametrize("face", ["1 2 3", "1/1 2/2 3/3", "1//1 2//1 3//1", "1/1/1 2/2/1 3/3/1", "-3/-3 -2/-2 -1/-1"])
def test_spellings_of_a_face(tmp_path, face):
    text = f"v 0 0 0\nv 1 0 0 0.5 0.5 0.5\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nvn 0 0 1\nf {face}\n"
    mesh = read_obj_mesh(write(tmp_path / "a.obj", text))
    np.testing.assert_array_equal(mesh.faces, [[0, 1, 2]])
    expected = [[0, 0], [1, 0], [0, 1]] if "/" in face and "//" not in face else np.full((3, 2), np.nan)
    np.testing.assert_array_equal(mesh.texture_points, expected)


def test_mesh_without_area_gives_its_vertices(tmp_path):
    mesh = read_obj_mesh(write(tmp_path / "a.obj", "v 1 2 3\nv 1 2 3\nv 1 2 3\nf 1 2 3\n"))
    np.testing.assert_array_equal(sample_surface(mesh, 4, np.random.default_rng(0)), np.tile([1, 2, 3], (4, 1)))
    bare = read_obj_mesh(write(tmp_path / "b.obj", "v 1 2 3\n"))
    assert sample_surface(bare, 2, np.random.default_rng(0)).shape == (2, 3)


BROKEN = {
    "empty": ("# nothing\n", "no vertices"),
    "words": ("v 0 0 x\n", "expected a mesh"),
    "short": ("v 0 0\n", "expected a mesh"),
    "no such vertex": ("v 0 0 0\nf 1 2 3\n", "names a vertex"),
    "no such place": ("v 0 0 0\nvt 0 0\nf 1/1 1/2 1/1\n", "names a vertex"),
    "bad face": ("v 0 0 0\nf a b c\n", "expected a mesh"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_one_sentence(tmp_path, case):
    content, text = BROKEN[case]
    with pytest.raises(DatasetError, match=text) as caught:
        read_obj_mesh(write(tmp_path / "a.obj", content))
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(DatasetError, match="cannot be read"):
        read_obj_mesh(tmp_path / "a.obj")
