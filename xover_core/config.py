# SPDX-License-Identifier: Apache-2.0
"""All settings as one tree of frozen dataclasses.

Each field carries its text, unit and limits, from which come YAML presets, command-line help and ROS parameters.
Order of precedence: default < preset < user file < explicit flag, launch argument or ROS parameter.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Any

from xover_core.errors import ConfigError

_MIN_SCORE_TEMPERATURE = 1e-4
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
_ENGINE_AXES = re.compile(r"(\w+=\d+:\d+:\d+(, *(?=\w)|$))*")


def setting(
    default: Any,
    text: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Declare a settings field with its help text (unit included) and limits."""
    metadata = {"text": text, "minimum": minimum, "maximum": maximum, "choices": choices}
    return field(default=default, metadata=metadata)


class Settings:
    """Base of every settings group: checks all fields against their declaration when made."""

    def __post_init__(self) -> None:
        """Raise ConfigError for the first field that breaks its declaration."""
        for spec in dataclasses.fields(self):  # type: ignore[arg-type]
            if spec.metadata:
                _check_value(type(self).__name__, spec, getattr(self, spec.name))


def _check_value(group: str, spec: dataclasses.Field[Any], value: Any) -> None:
    """Raise ConfigError unless `value` has the type of the field's default and lies within its limits."""
    expected = type(spec.default)
    where = f"setting {group}.{spec.name}"
    is_number = expected is float and isinstance(value, int) and not isinstance(value, bool)
    if type(value) is not expected and not is_number:
        raise ConfigError(f"{where}: expected {expected.__name__}, got {type(value).__name__} ({value!r}).")
    low, high, choices = (spec.metadata[k] for k in ("minimum", "maximum", "choices"))
    if choices and value not in choices:
        raise ConfigError(f"{where}: expected one of {', '.join(choices)}, got {value!r}.")
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        limits = f"at least {low}" if high is None else f"at most {high}" if low is None else f"{low} to {high}"
        raise ConfigError(f"{where}: expected {limits}, got {value!r}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceSettings(Settings):
    """What runs the networks."""

    backend: str = setting(
        "auto",
        "library that runs the networks; auto takes the fastest that is there, and says which",
        choices=("auto", "torch", "torch-compiled", "torch-cuda-graphs", "onnxruntime", "openvino", "tensorrt"),
    )
    device: str = setting("auto", "where networks run: auto = a GPU where there is one, cpu, or cuda:0 and so on")
    precision: str = setting(
        "auto",
        "numbers that networks compute in; auto = fp16 on a GPU where a network is made for it, else fp32",
        choices=("auto", "fp32", "fp16", "int8"),
    )
    num_threads: int = setting(
        0, "threads of one network on the CPU; 0 = $OMP_NUM_THREADS, else one for each core", minimum=0, maximum=1024
    )
    use_tensorrt_provider: bool = setting(
        False, "ONNX Runtime on a GPU hands to TensorRT what it can, which takes minutes at the first start"
    )
    cache_folder: str = setting(
        "", "engines and other files that are made on this machine are kept here; empty = $XDG_CACHE_HOME/xover"
    )
    engine_axes: str = setting(
        "",
        "lengths that a TensorRT engine is built for, as rows=30:30:60, cols=40:40:80 (least:usual:most); of axes that"
        " are not named, those of the inputs that come",
    )

    def __post_init__(self) -> None:
        """Check the fields.

        Raises:
            ConfigError: a value out of range, or a text that cannot be read.
        """
        Settings.__post_init__(self)
        if not _DEVICE.fullmatch(self.device):
            raise ConfigError(
                f"setting InferenceSettings.device: expected auto, cpu or cuda:0 and so on, got {self.device!r}."
            )
        if not _ENGINE_AXES.fullmatch(self.engine_axes):
            raise ConfigError(
                "setting InferenceSettings.engine_axes: expected axes as rows=30:30:60, cols=40:40:80, got"
                f" {self.engine_axes!r}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSettings(Settings):
    """Image -> patch descriptors."""

    model: str = setting("locus-compact", "patch encoder, by its name in models/manifest.yaml")
    image_height: int = setting(
        240, "height in px to which images are resized before encoding", minimum=64, maximum=2048
    )
    radius: float = setting(
        0.0,
        "of a model's features for several radii, those for the nearest one are used, m; 0 = the finest",
        minimum=0.0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneEncoderSettings(Settings):
    """Scene in any modality -> embedding."""

    model: str = setting("crossover-light", "scene encoder, by its name in models/manifest.yaml; empty = none")


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingSettings(Settings):
    """Posed frames -> map file."""

    min_translation: float = setting(0.25, "new keyframe after moving this far, m", minimum=0.0)
    min_rotation_deg: float = setting(15.0, "new keyframe after turning this far, deg", minimum=0.0, maximum=180.0)
    max_overlap: float = setting(
        0.9, "no new keyframe while an existing one sees this share of the view", minimum=0.0, maximum=1.0
    )
    max_depth: float = setting(8.0, "depth readings beyond this are not mapped, m", minimum=0.5)
    min_valid_depth: float = setting(
        0.1, "a frame with a smaller share of depth readings is not mapped", minimum=0.0, maximum=1.0
    )
    scene_radius: float = setting(4.0, "a new scene starts this far from the centres of all others, m", minimum=0.5)
    landmark_radius: float = setting(0.2, "patches within this distance are one landmark, m", minimum=0.01)
    max_landmarks_per_scene: int = setting(2000, "landmarks kept for each scene, best score first", minimum=0)
    landmark_spacing: float = setting(0.1, "minimum distance of selected landmarks, m", minimum=0.0)
    landmark_score_temperature: float = setting(
        0.01,
        "of the smooth average precision that a landmark is chosen by, in units of similarity; 0 = exact",
        minimum=0.0,
        maximum=1.0,
    )
    scene_views: int = setting(
        10, "keyframes that a scene's image embedding is made of, far from each other", minimum=1, maximum=1000
    )
    scene_growth: float = setting(
        1.5, "a scene is embedded anew when its keyframes have grown by this factor", minimum=1.0, maximum=1000.0
    )
    thumbnail_quality: int = setting(80, "JPEG quality of keyframe images", minimum=10, maximum=100)
    map_budget_mb: float = setting(
        0.0, "largest map file, MB; the least useful landmarks and keyframes go first; 0 = no limit", minimum=0.0
    )
    refit_whitening: bool = setting(True, "fit the whitening of descriptors to the map's own keyframes when finishing")

    def __post_init__(self) -> None:
        """Check the fields.

        Raises:
            ConfigError: a value out of range.
        """
        Settings.__post_init__(self)
        # the smaller, the finer the grid that scores are summed on; below this the result is the exact one anyway
        if 0 < self.landmark_score_temperature < _MIN_SCORE_TEMPERATURE:
            raise ConfigError(
                f"setting MappingSettings.landmark_score_temperature: expected 0 or at least"
                f" {_MIN_SCORE_TEMPERATURE:g}, got {self.landmark_score_temperature!r}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalSettings(Settings):
    """Which scenes and keyframes are looked at."""

    num_keyframes: int = setting(10, "keyframes that are matched for each query", minimum=1, maximum=1000)
    vocabulary_size: int = setting(64, "words of the VLAD vocabulary", minimum=4, maximum=4096)
    unknown_similarity: float = setting(
        0.3, "a scene this similar is as probable as none of the map's", minimum=-1.0, maximum=1.0
    )
    temperature: float = setting(0.05, "similarity difference that changes odds by a factor e", minimum=0.001)
    max_landmarks: int = setting(
        4000, "a map with more landmarks is matched with so many of the most alike scenes", minimum=100
    )
    cache_mb: float = setting(
        512.0,
        "memory for keyframes made ready, MB; of a map that does not fit, those used last are kept",
        minimum=16.0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneBeliefSettings(Settings):
    """Which scene it is, over time; in effect where the map has embeddings of its scenes."""

    min_translation: float = setting(0.3, "a view counts for itself after moving this far, m", minimum=0.0)
    min_rotation_deg: float = setting(15.0, "... or turning this far, deg", minimum=0.0, maximum=180.0)
    use_every_frame_until_localized: bool = setting(
        True, "until LOCALIZED, look at frames in between too; each takes the place of the one before"
    )
    leak: float = setting(
        0.05, "share of the belief that each counted view spreads over all scenes", minimum=0.0, maximum=1.0
    )
    unknown_prior: float = setting(
        0.2, "probability of being in none of the map's scenes, before looking", minimum=0.001, maximum=0.999
    )
    likeness_weight: float = setting(
        0.5, "what the likeness of keyframes counts beside embeddings; 0 = nothing", minimum=0.0, maximum=10.0
    )
    retrieval_weight: float = setting(
        0.02,
        "similarity that a keyframe gains when its scene is more probable by a factor e; 0 = nothing",
        minimum=0.0,
        maximum=1.0,
    )
    temperature: float = setting(
        0.1, "similarity of embeddings that changes odds by a factor e, of models without a calibration", minimum=0.001
    )
    unknown_similarity: float = setting(
        0.3,
        "an embedding this similar speaks neither for nor against its scene, of models without a calibration",
        minimum=-1.0,
        maximum=1.0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchingSettings(Settings):
    """Query patches <-> keyframe patches."""

    min_similarity: float = setting(0.2, "smallest cosine similarity of a match", minimum=-1.0, maximum=1.0)
    max_cycle_distance: float = setting(
        0.0, "continuity 1: largest grid distance between a patch and its match's best match, patches", minimum=0.0
    )
    max_neighbor_distance: float = setting(
        12.0,
        "continuity 2: largest mean grid distance between where a patch and its neighbours map, patches",
        minimum=0.0,
    )
    max_matches: int = setting(400, "matches kept per keyframe, most similar first", minimum=5)
    use_whole_numbers: bool = setting(
        True, "on the CPU patches are compared in 8 bits where ONNX Runtime is installed: the same answers, much faster"
    )
    device_cache_mb: float = setting(
        256.0,
        "where a GPU matches: its memory for keyframes, and as much for landmarks, MB; last used stay",
        minimum=0.0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SolverSettings(Settings):
    """Matches -> pose."""

    method: str = setting(
        "rigid",
        "rigid: 3D-3D where the query has depth, else PnP; absolute: PnP; relative: 5-point with scale from depth",
        choices=("rigid", "absolute", "relative"),
    )
    max_point_error: float = setting(0.06, "3D-3D: largest error of an inlier, m", minimum=0.001)
    max_point_error_relative: float = setting(0.03, "... or this share of its depth", minimum=0.0, maximum=0.5)
    max_epipolar_error_px: float = setting(4.0, "5-point LO-RANSAC: inlier threshold at height 240, px", minimum=0.1)
    max_reprojection_error_px: float = setting(8.0, "PnP LO-RANSAC: inlier threshold at height 240, px", minimum=0.1)
    max_iterations: int = setting(500, "LO-RANSAC iterations at most", minimum=10)
    min_inliers: int = setting(12, "a pose with fewer inliers is no hypothesis", minimum=4)
    max_hypotheses: int = setting(4, "distinct poses that are refined and verified", minimum=1, maximum=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationSettings(Settings):
    """Hypothesis -> agreement with the map's depth."""

    depth_tolerance: float = setting(0.1, "depth readings within this distance agree, m", minimum=0.001)
    depth_tolerance_relative: float = setting(0.05, "... or within this share of the depth", minimum=0.0, maximum=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionSettings(Settings):
    """Evidence -> state."""

    min_probability: float = setting(
        0.5,
        "a single frame is LOCALIZED from this probability of being within 1 m and 30 deg",
        minimum=0.0,
        maximum=1.0,
    )
    min_agreed_probability: float = setting(
        0.9, "a moving robot is LOCALIZED from this probability over several frames", minimum=0.0, maximum=1.0
    )
    min_hypothesis_probability: float = setting(0.2, "hypotheses below this are not reported", minimum=0.0, maximum=1.0)
    min_scene_probability: float = setting(
        0.7, "SCENE_ONLY needs this probability of a scene", minimum=0.0, maximum=1.0
    )
    agreement_m: float = setting(0.75, "hypotheses of different frames agree within this distance, m", minimum=0.01)
    agreement_deg: float = setting(20.0, "... and this angle, deg", minimum=0.1, maximum=180.0)
    min_agreeing_frames: int = setting(
        2, "frames from different places that must agree before a moving robot is LOCALIZED", minimum=1, maximum=100
    )
    window: int = setting(10, "frames over which hypotheses are compared through odometry", minimum=1, maximum=1000)
    lost_after_s: float = setting(10.0, "LOCALIZED becomes LOST after this long without support, s", minimum=0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class XoverSettings(Settings):
    """The root of the settings tree."""

    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    scene_encoder: SceneEncoderSettings = field(default_factory=SceneEncoderSettings)
    mapping: MappingSettings = field(default_factory=MappingSettings)
    retrieval: RetrievalSettings = field(default_factory=RetrievalSettings)
    scene_belief: SceneBeliefSettings = field(default_factory=SceneBeliefSettings)
    matching: MatchingSettings = field(default_factory=MatchingSettings)
    solver: SolverSettings = field(default_factory=SolverSettings)
    verification: VerificationSettings = field(default_factory=VerificationSettings)
    decision: DecisionSettings = field(default_factory=DecisionSettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)
    random_seed: int = setting(0, "seed of every random draw", minimum=0)
