# SPDX-License-Identifier: Apache-2.0
"""A frozen transformer with LoCUS heads as a patch encoder: what it sees, where its features stay, who uses it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from box_room import look_at, room_frame
from picture_frames import picture_frame
from published_vit import TINY_DINO, TINY_DINOV2

from xover_core.config import EncoderSettings, InferenceSettings, SceneEncoderSettings, XoverSettings
from xover_core.encoders.factory import make_encoder
from xover_core.errors import ModelError
from xover_core.evaluation.protocols.feature_choice import encoder_features
from xover_core.evaluation.protocols.patch_sources import protocol_grid
from xover_core.inference.device_descriptors import DeviceDescriptors
from xover_core.inference.locus_checkpoint import load_locus
from xover_core.inference.locus_graph import locus_graph_of
from xover_core.inference.locus_install import install_locus
from xover_core.inference.model_graphs import graphs_of
from xover_core.inference.model_store import MODELS_DIR_VARIABLE, load_weights, model_entry
from xover_core.inference.picture_session import PictureSession, prepare_picture
from xover_core.inference.session import Session
from xover_core.inference.torch_session import TorchSession
from xover_core.landmark_map.map_builder import open_map_builder
from xover_core.localization.localizer import load_localizer
from xover_core.networks.image_preparation import ImagePreparation, resize_weights
from xover_core.networks.locus_head import LocusHead
from xover_core.networks.multi_radius_encoder import MultiRadiusEncoderNetwork
from xover_core.networks.vit_backbone import VitBackbone
from xover_core.types import CameraIntrinsics, RgbdFrame

pytest.importorskip("transformers")
RADII = (0.2, 0.6)
HEIGHT = 64
CAMERA = CameraIntrinsics(fx=110.0, fy=110.0, cx=71.5, cy=47.5, width=144, height=96)
TORCH = InferenceSettings(backend="torch", device="cpu")
# of components of unit vectors; float32 rounding
TOLERANCE = 1e-5
# OpenCV rounds to bytes, and has weights of 11 bits where it enlarges
MAX_BYTE_ERROR = 0.8
# a byte's rounding of the picture, through the network
MAX_ROUNDED_ERROR = 0.03
CUDA_ONLY = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module", autouse=True)
def _models(tmp_path_factory: pytest.TempPathFactory) -> object:
    """A folder of models with two tiny transformers, `tiny` with patches of 8 px and `tiny14`."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODELS_DIR_VARIABLE, str(folder))
        for name, shape in (("tiny", TINY_DINO), ("tiny14", TINY_DINOV2)):
            heads = [LocusHead(shape.width) for _ in RADII]
            network = MultiRadiusEncoderNetwork(VitBackbone(shape), heads, RADII)
            like = model_entry("locus-compact")
            install_locus(network, name=name, folder=folder, licence="MIT", source="this test", like=like)
        yield


@pytest.fixture(scope="module")
def frame() -> RgbdFrame:
    return room_frame(look_at((0.3, 0.2, 0.0), 25.0), CAMERA)


def settings_of(model: str, radius: float = 0.0, height: int = HEIGHT) -> EncoderSettings:
    return EncoderSettings(model=model, image_height=height, radius=radius)


@pytest.mark.parametrize(("model", "patch"), [("tiny", 8), ("tiny14", 14)])
@pytest.mark.parametrize("radius", RADII)
def test_features_are_those_of_the_network_on_the_resized_picture(
    model: str, patch: int, radius: float, frame: RgbdFrame
) -> None:
    encoder = make_encoder(settings_of(model, radius), inference=TORCH)
    features = encoder.encode(frame)
    # 64 px are 8 rows, whatever the transformer's own patches
    assert features.grid_shape == (8, 12)
    assert features.keypoints_px[0] == pytest.approx((5.5, 5.5))
    images = ImagePreparation((96, 144), (8 * patch, 12 * patch))(torch.from_numpy(frame.rgb.copy())[None])
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    expected = load_locus(load_weights(model))((images - mean) / std)[RADII.index(radius)][0].flatten(0, 1)
    assert len(features.descriptors) == 1
    np.testing.assert_allclose(features.finest, expected.detach().numpy(), atol=TOLERANCE)
    np.testing.assert_allclose(np.linalg.norm(features.finest, axis=1), 1, atol=TOLERANCE)
    assert (encoder.model.radii, encoder.model.descriptor_dim) == ((radius,), 64)
    assert encoder.site_weights == b""


@pytest.mark.parametrize("inference", [TORCH, InferenceSettings(device="cpu")])
def test_a_frame_is_always_described_alike(inference: InferenceSettings, frame: RgbdFrame) -> None:
    encoder = make_encoder(settings_of("tiny"), inference=inference)
    first = encoder.encode(frame).finest.copy()
    for _ in range(2):
        np.testing.assert_array_equal(encoder.encode(frame).finest, first)


def test_what_was_given_before_is_not_written_to(frame: RgbdFrame) -> None:
    encoder = make_encoder(settings_of("tiny"), inference=TORCH)
    before = encoder.encode(frame)
    encoder.encode(dataclasses.replace(frame, rgb=255 - frame.rgb))
    np.testing.assert_array_equal(before.finest, encoder.encode(frame).finest)


@pytest.mark.parametrize(("width", "height"), [(160, 120), (333, 97), (64, 96), (40, 3)])
def test_every_size_of_frame_is_encoded(width: int, height: int, random: np.random.Generator) -> None:
    encoder = make_encoder(settings_of("tiny"), inference=TORCH)
    features = encoder.encode(picture_frame(random.integers(0, 255, (height, width, 3), dtype=np.uint8)))
    rows, cols = features.grid_shape
    assert rows == HEIGHT // 8
    assert features.finest.shape == (rows * cols, 64)


def test_features_stay_where_they_were_computed_until_they_are_asked_for(frame: RgbdFrame) -> None:
    encoder = make_encoder(settings_of("tiny"), inference=TORCH)
    descriptors = encoder.encode(frame).descriptors
    assert isinstance(descriptors, DeviceDescriptors)
    np.testing.assert_array_equal(descriptors[0], descriptors.tensor(0).numpy())


class NumpyOnly:
    """A session that takes and gives arrays alone, as those of other libraries than torch do."""

    def __init__(self, session: Session) -> None:
        self.info, self.inputs, self.outputs, self.run = session.info, session.inputs, session.outputs, session.run


def test_sessions_of_other_libraries_see_the_same_picture(frame: RgbdFrame) -> None:
    session = TorchSession(locus_graph_of("tiny"))
    stays = PictureSession(session, 8).run(frame.rgb, (8, 12))
    arrays = PictureSession(NumpyOnly(session), 8).run(frame.rgb, (8, 12))
    assert len(stays) == len(arrays) == len(RADII)
    assert isinstance(arrays, tuple)
    for a, b in zip(stays, arrays, strict=True):
        np.testing.assert_allclose(a, b, atol=MAX_ROUNDED_ERROR)


@pytest.mark.parametrize("full", [(96, 144), (480, 640), (97, 65), (20, 30), (64, 96)])
@pytest.mark.parametrize("size", [(64, 96), (56, 104)])
def test_pictures_are_resized_as_opencv_does_it(
    full: tuple[int, int], size: tuple[int, int], random: np.random.Generator
) -> None:
    shrinks = [a < b for a, b in zip(size, full, strict=True)]
    if shrinks[0] != shrinks[1]:
        pytest.skip("OpenCV has no area for one side and lines for the other")
    rgb = cv2.GaussianBlur(random.integers(0, 256, (*full, 3), dtype=np.uint8), (3, 3), 0)
    found = ImagePreparation(full, size)(torch.from_numpy(rgb)[None]).numpy()
    expected = prepare_picture(rgb, size)
    assert found.shape == expected.shape == (1, 3, *size)
    assert 255 * np.abs(found - expected).max() < MAX_BYTE_ERROR


@pytest.mark.parametrize(("length", "full"), [(5, 5), (5, 13), (13, 5), (1, 7), (7, 1)])
def test_every_pixel_is_a_mean_of_pixels(length: int, full: int) -> None:
    weights = resize_weights(length, full)
    assert weights.shape == (length, full)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    if length <= full:
        # shrinking loses no pixel
        np.testing.assert_allclose(weights.sum(axis=0), length / full, atol=1e-6)


def test_one_head_is_run_and_exported_alone_or_all() -> None:
    (graph,) = graphs_of("tiny14")
    assert [spec.name for spec in graph.outputs] == ["features_0.2m", "features_0.6m"]
    assert graph.inputs[0].shape == ("batch", 3, "14*rows", "14*cols")
    alone = locus_graph_of("tiny14", radius=0.6)
    assert alone.outputs == graph.outputs[1:]
    modules = dict(graph.module().named_modules())
    assert all(part in modules for part in graph.reducible)
    with torch.no_grad():
        for example in graph.examples():
            image = torch.from_numpy(example["image"])
            both, one = graph.module()(image), alone.module()(image)
            assert len(one) == 1
            assert torch.equal(both[1], one[0])
    with pytest.raises(ModelError, match=r"expected a head for 0\.5 m, there are those for \(0\.2, 0\.6\)"):
        locus_graph_of("tiny14", radius=0.5)


def test_the_weights_of_another_model_are_refused() -> None:
    with pytest.raises(ModelError, match="expected those of LoCUS heads on a transformer, KeyError"):
        locus_graph_of("locus-compact")


def test_site_weights_are_refused() -> None:
    with pytest.raises(ModelError, match="without site weights, got 7 bytes"):
        make_encoder(settings_of("tiny"), b"weights")


def test_checksum_tells_apart_what_changes_the_output() -> None:
    model = make_encoder(settings_of("tiny"), inference=TORCH).model
    assert make_encoder(settings_of("tiny"), inference=TORCH).model == model
    assert make_encoder(settings_of("tiny", height=HEIGHT + 8), inference=TORCH).model.checksum != model.checksum
    assert make_encoder(settings_of("tiny14"), inference=TORCH).model.checksum != model.checksum


@pytest.mark.parametrize("model", ["tiny", "tiny14"])
def test_protocols_take_it_by_name(model: str, frame: RgbdFrame) -> None:
    (feature,) = encoder_features([model], [frame], radius=0.6)
    rows, cols = protocol_grid(frame.rgb).grid_shape
    assert feature.source.describe(frame).shape == (rows * cols, 64)


def test_a_map_is_made_and_localized_in(tmp_path: Path) -> None:
    settings = XoverSettings(
        encoder=settings_of("tiny14", height=96), scene_encoder=SceneEncoderSettings(model=""), inference=TORCH
    )
    builder = open_map_builder(tmp_path / "room.xover", settings)
    poses = [look_at((0.2 * i - 0.5, 0.1 * i, 0.0), 30.0 * i) for i in range(4)]
    with builder.storage:
        kept = [builder.add(room_frame(pose, CAMERA, stamp_ns=i), pose) for i, pose in enumerate(poses)]
        builder.finish()
    assert all(keyframe is not None for keyframe in kept)
    localizer = load_localizer(tmp_path / "room.xover", settings)
    result = localizer.localize_image(room_frame(poses[2], CAMERA, stamp_ns=9))
    assert result.matches is not None
    assert result.matches.keyframe_id == kept[2].keyframe_id
    # a frame and the keyframe that was made of it: each patch finds itself
    np.testing.assert_allclose(result.matches.query_px, result.matches.keyframe_px, atol=1e-3)
    assert len(result.matches.query_px) > 100


@pytest.mark.parametrize("precision", [pytest.param(p, marks=CUDA_ONLY) for p in ("fp32", "fp16")])
@pytest.mark.parametrize("backend", ["torch", "torch-cuda-graphs"])
def test_on_a_gpu_features_are_those_of_the_processor(backend: str, precision: str, frame: RgbdFrame) -> None:
    expected = make_encoder(settings_of("tiny"), inference=TORCH).encode(frame).finest
    on_gpu = InferenceSettings(backend=backend, device="cuda:0", precision=precision)
    encoder = make_encoder(settings_of("tiny"), inference=on_gpu)
    encoder.encode(frame)
    torch.cuda.synchronize()
    # raises where the processor would wait for the GPU
    torch.cuda.set_sync_debug_mode("error")
    try:
        features = encoder.encode(frame)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert isinstance(features.descriptors, DeviceDescriptors)
    assert features.descriptors.tensor(0).is_cuda
    assert ((features.finest * expected).sum(axis=1)).min() > (0.999 if precision == "fp32" else 0.99)
