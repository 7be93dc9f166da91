# SPDX-License-Identifier: Apache-2.0
"""The compact encoder on one frame, by whatever runs it: arrays in, features of all patches out."""

from __future__ import annotations

from collections.abc import Sequence

from xover_core.config import InferenceSettings
from xover_core.errors import ModelError
from xover_core.inference.compact_graph import INPUT_NAMES, OUTPUT_PREFIX, OUTPUT_SUFFIX, compact_graph_of
from xover_core.inference.device_frames import DeviceFrames
from xover_core.inference.graph_outputs import select_outputs
from xover_core.inference.model_store import model_entry
from xover_core.inference.session import Session, SessionInfo
from xover_core.inference.session_factory import make_session
from xover_core.types import Float32Array


class CompactSession:
    """One frame -> features of all patches, for each radius."""

    def __init__(self, session: Session) -> None:
        """Use what runs the network, or a part of it with some of its outputs."""
        self._session = session
        self._on_device = DeviceFrames(session)
        self._radii = tuple(_radius_of(spec.name) for spec in session.outputs)

    @property
    def info(self) -> SessionInfo:
        """What runs it."""
        return self._session.info

    @property
    def radii(self) -> tuple[float, ...]:
        """Metres, one for each set of features."""
        return self._radii

    @property
    def descriptor_dim(self) -> int:
        """D."""
        return int(self._session.outputs[0].shape[-1])

    @property
    def on_device(self) -> DeviceFrames:
        """The way for frames that are not prepared, where what runs the network keeps tensors on its device."""
        return self._on_device

    def run(self, image: Float32Array, depth: Float32Array, intrinsics: Float32Array) -> tuple[Float32Array, ...]:
        """Describe all patches of a frame.

        Args:
            image: (1, 3, H, W) RGB in [0, 1], sides multiples of 8.
            depth: (1, H, W) metres, 0 without reading.
            intrinsics: (1, 4) fx, fy, cx, cy, px.

        Returns:
            For each radius (N, D) float32 of L2 norm at most 1, patches row by row.
        """
        inputs = dict(zip(INPUT_NAMES, (image, depth, intrinsics), strict=True))
        outputs = self._session.run(inputs)
        return tuple(outputs[spec.name][0] for spec in self._session.outputs)


def make_compact_session(
    name: str, settings: InferenceSettings | None = None, radii: Sequence[float] = ()
) -> CompactSession:
    """What runs a model here.

    Args:
        name: of the model.
        settings: by what and where it is run.
        radii: metres, that features are wanted for; of each the nearest that the model has. All when empty.

    Raises:
        ModelError: unknown model, missing or damaged weights, or weights for other radii than the manifest says.
        BackendUnavailableError: nothing here can run it, or not what the settings name.
    """
    graph = compact_graph_of(name)
    known = [spec.name for spec in graph.outputs]
    found, promised = tuple(map(_radius_of, known)), model_entry(name).radii
    if found != promised:
        raise ModelError(f"model {name!r}: its weights are for the radii {found}, the manifest says {promised}.")
    if radii:
        nearest = {min(known, key=lambda one: abs(_radius_of(one) - radius)) for radius in radii}
        graph = select_outputs(graph, [one for one in known if one in nearest])
    return CompactSession(make_session(graph, settings))


def _radius_of(output: str) -> float:
    return float(output.removeprefix(OUTPUT_PREFIX).removesuffix(OUTPUT_SUFFIX))
