# SPDX-License-Identifier: Apache-2.0
"""From a texture's recipe to its image."""

from __future__ import annotations

import zlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.procedural.scene import Texture
from xover_core.datasets.procedural.texture_patterns import PATTERNS
from xover_core.datasets.procedural.texture_pictures import PICTURES
from xover_core.errors import DatasetError

_RECIPES = {**PATTERNS, **PICTURES}


@lru_cache(maxsize=512)
def synthesize_texture(texture: Texture) -> NDArray[np.uint8]:
    """Make the (S, S, 3) image of a texture; the same recipe always gives the same image.

    Images are read-only and kept for a while: apartments share woods and metals, and their variants nearly all.

    Raises:
        DatasetError: unknown kind of texture.
    """
    recipe = _RECIPES.get(texture.kind)
    if recipe is None:
        raise DatasetError(f"texture: unknown kind {texture.kind!r}; expected one of {', '.join(sorted(_RECIPES))}.")
    rng = np.random.default_rng([texture.seed, zlib.crc32(texture.kind.encode())])
    image = recipe(rng, texture.colors or ((0.7, 0.7, 0.7),))
    texels = np.asarray(np.clip(image, 0, 1) * 255 + 0.5, dtype=np.uint8)
    texels.flags.writeable = False
    return texels
