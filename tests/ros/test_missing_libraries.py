# SPDX-License-Identifier: Apache-2.0
"""Nodes start without libraries that only networks need; what they say then, tests/integration says."""

from __future__ import annotations

import subprocess
import sys

import pytest

MISSING = ("onnxruntime", "torch", "faiss", "openvino", "transformers")


@pytest.mark.parametrize("module", ["localizer_node", "mapper_node"])
def test_nodes_load_without_any_of_them(module: str) -> None:
    code = f"import sys; sys.modules.update(dict.fromkeys({MISSING!r})); import xover_ros.{module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
