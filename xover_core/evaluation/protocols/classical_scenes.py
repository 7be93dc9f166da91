# SPDX-License-Identifier: Apache-2.0
"""Scene encoders without learned weights, for comparison: bags of colours, and of RootSIFT on views and on renderings.

They know pictures and point clouds only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.scene_scan import SceneScan
from xover_core.encoders.scene_encoder import ColoredPoints, ObjectInput
from xover_core.errors import SensorDataError
from xover_core.evaluation.protocols.cloud_views import render_cloud
from xover_core.evaluation.protocols.patch_sources import root_sift
from xover_core.evaluation.protocols.scan_inputs import choose_views, cloud_of
from xover_core.landmark_map.vlad import encode_vlad, fit_vocabulary
from xover_core.types import Float32Array, Float64Array, ModelInfo, RgbdFrame, SceneModality

# Cells of L, a and b: lightness is the least stable of them.
_LAB_CELLS = (4, 10, 10)
_LAB_LOW, _LAB_HIGH = np.array([0.0, 88.0, 88.0]), np.array([256.0, 168.0, 168.0])
SIFT_HEIGHT, NUM_WORDS = 240, 32
_SIFT_DIM, _SIFT_POINTS = 128, 300
_FIT_VIEWS = 4
_MAX_FIT_DESCRIPTORS = 20000


class SceneBag(Protocol):
    """Pictures and clouds -> (D,) of norm 1."""

    @property
    def dim(self) -> int:
        """D."""
        ...

    def of_image(self, rgb: NDArray[np.uint8]) -> Float32Array:
        """Describe a picture."""
        ...

    def of_cloud(self, cloud: ColoredPoints) -> Float32Array:
        """Describe a cloud."""
        ...


class ColorBag:
    """Square roots of a histogram of colours in Lab, so that a product is the Hellinger affinity."""

    @property
    def dim(self) -> int:
        """Number of cells."""
        return int(np.prod(_LAB_CELLS))

    def of_image(self, rgb: NDArray[np.uint8]) -> Float32Array:
        """Count pixels."""
        return self._count(rgb.reshape(-1, 1, 3))

    def of_cloud(self, cloud: ColoredPoints) -> Float32Array:
        """Count points."""
        return self._count(cloud.colors[:, None])

    def _count(self, colors: NDArray[np.uint8]) -> Float32Array:
        lab = cv2.cvtColor(np.ascontiguousarray(colors), cv2.COLOR_RGB2LAB)[:, 0].astype(np.float64)
        cells = ((lab - _LAB_LOW) / (_LAB_HIGH - _LAB_LOW) * _LAB_CELLS).astype(np.int64)
        cells = np.clip(cells, 0, np.array(_LAB_CELLS) - 1)
        counts = np.bincount(np.ravel_multi_index(tuple(cells.T), _LAB_CELLS), minlength=self.dim)
        return np.sqrt(counts / len(cells)).astype(np.float32)


class RootSiftBag:
    """VLAD of RootSIFT at SIFT's keypoints; a cloud is rendered from its middle, looking all around."""

    def __init__(self, words: Float32Array) -> None:
        """Use a vocabulary.

        Args:
            words: (W, 128).
        """
        self._words = words

    @property
    def dim(self) -> int:
        """Number of words times 128."""
        return self._words.size

    def of_image(self, rgb: NDArray[np.uint8]) -> Float32Array:
        """Describe a picture; zeros when it has no keypoint."""
        return encode_vlad(keypoint_descriptors(rgb), self._words)

    def of_cloud(self, cloud: ColoredPoints) -> Float32Array:
        """Describe all renderings together."""
        return encode_vlad(
            np.concatenate([keypoint_descriptors(picture) for picture in render_cloud(cloud)]), self._words
        )


class ClassicalSceneEncoder:
    """Implements `SceneEncoder` for pictures and point clouds; its embeddings are as long as its bag."""

    def __init__(self, name: str, bag: SceneBag) -> None:
        """Wrap a bag.

        Args:
            name: in tables.
            bag: what describes.
        """
        self._bag = bag
        self._model = ModelInfo(name=name, checksum="", descriptor_dim=bag.dim, radii=())

    @property
    def model(self) -> ModelInfo:
        """See `SceneEncoder.model`; nothing is learned, so there is no checksum."""
        return self._model

    @property
    def modalities(self) -> frozenset[SceneModality]:
        """Images and point clouds."""
        return frozenset({SceneModality.IMAGE, SceneModality.POINT_CLOUD})

    def describe_view(self, frame: RgbdFrame) -> Float32Array:
        """(D,) of the colour image; depth is not looked at."""
        return self._bag.of_image(frame.rgb)

    def embed_views(
        self,
        views: Float32Array,
        T_scene_camera: Float64Array | None = None,  # noqa: ARG002 - poses say nothing to it
    ) -> Float32Array:
        """(V, D) -> (D,): their mean direction."""
        return _normalised(views.mean(axis=0))

    def embed_point_cloud(self, cloud: ColoredPoints) -> Float32Array:
        """A cloud -> (D,)."""
        return _normalised(self._bag.of_cloud(cloud))

    def embed_floorplan(self, image: NDArray[np.uint8], pixels_per_m: float | None = None) -> Float32Array:
        """Not known.

        Raises:
            SensorDataError: always.
        """
        raise SensorDataError(
            f"{self._model.name}: expected pictures or clouds, got a floorplan {image.shape} of {pixels_per_m} px/m."
        )

    def embed_text(self, text: str) -> Float32Array:
        """Not known.

        Raises:
            SensorDataError: always.
        """
        raise SensorDataError(f"{self._model.name}: expected pictures or clouds, got the text {text!r}.")

    def embed_objects(
        self, objects: Sequence[ObjectInput], modality: SceneModality
    ) -> tuple[Float32Array, Float32Array]:
        """Objects by their crops or clouds; see `SceneEncoder.embed_objects`."""
        rows = np.zeros((len(objects), self._bag.dim), np.float32)
        for row, item in zip(rows, objects, strict=True):
            if modality is SceneModality.IMAGE and item.images:
                row[:] = self.embed_views(np.stack([self._bag.of_image(image) for image in item.images]))
            elif modality is SceneModality.POINT_CLOUD and item.cloud is not None:
                row[:] = self.embed_point_cloud(item.cloud)
        return rows, _normalised(rows.sum(axis=0))


def fit_words(scans: Sequence[SceneScan], seed: int) -> Float32Array:
    """(W, 128) vocabulary of the views and renderings of some scans.

    Raises:
        SensorDataError: not one keypoint in any of them.
    """
    rng = np.random.default_rng(seed)
    parts = [keypoint_descriptors(picture) for scan in scans for picture in _pictures(scan, seed)]
    described = np.concatenate([np.zeros((0, _SIFT_DIM), np.float32), *parts])
    if not len(described):
        raise SensorDataError(f"vocabulary: expected pictures with content, got none in {len(scans)} scans.")
    return fit_vocabulary(rng.permutation(described)[:_MAX_FIT_DESCRIPTORS], NUM_WORDS, rng)


def keypoint_descriptors(rgb: NDArray[np.uint8]) -> Float32Array:
    """(N, 128) RootSIFT at the strongest keypoints of a picture, at height 240."""
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    width = max(1, round(gray.shape[1] * SIFT_HEIGHT / gray.shape[0]))
    gray = cv2.resize(gray, (width, SIFT_HEIGHT), interpolation=cv2.INTER_AREA)
    _, found = cv2.SIFT.create(_SIFT_POINTS).detectAndCompute(gray, None)
    return np.zeros((0, _SIFT_DIM), np.float32) if found is None else root_sift(found)


def _pictures(scan: SceneScan, seed: int) -> Iterator[NDArray[np.uint8]]:
    """A few views and the renderings of a scan."""
    yield from (view.rgb for view in choose_views(scan.views, _FIT_VIEWS, seed))
    cloud = cloud_of(scan)
    if cloud is not None:
        yield from render_cloud(cloud)


def _normalised(vector: NDArray[np.floating]) -> Float32Array:
    """Of norm 1; zeros stay."""
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), np.float32)
