# SPDX-License-Identifier: Apache-2.0
"""Draw the curves of a training run.

python tools/plot_training.py runs/locus/log.jsonl curves.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from xover_core.training.run_folder import read_log

SMOOTHED, MEASURED = "smooth_", "validation/"


def main() -> None:
    """Smooth AP of the training batches, exact AP of the validation, one colour for each radius."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path, help="log.jsonl of a run folder")
    parser.add_argument("out", type=Path, help="picture to write")
    args = parser.parse_args()
    rows = read_log(args.log)
    names = sorted({key.removeprefix(SMOOTHED) for row in rows for key in row if key.startswith(SMOOTHED)})
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="average precision", ylim=(0, 1))
    for index, name in enumerate(names):
        steps, values = _curve(rows, SMOOTHED + name)
        axes.plot(steps, values, color=f"C{index}", alpha=0.7, label=f"{name.removeprefix('ap_')}, training (smooth)")
        steps, values = _curve(rows, MEASURED + name)
        axes.plot(steps, values, "o--", color=f"C{index}", label=f"{name.removeprefix('ap_')}, validation (exact)")
    axes.grid(alpha=0.3)
    figure.legend(fontsize=8, loc="outside right center")
    figure.savefig(args.out, dpi=130)


def _curve(rows: list[dict[str, float]], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of the rows that have this key."""
    found = np.array([(row["step"], row[key]) for row in rows if key in row]).reshape(-1, 2)
    return found[:, 0], found[:, 1]


if __name__ == "__main__":
    main()
