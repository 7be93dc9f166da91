# SPDX-License-Identifier: Apache-2.0
"""Settings of the training engine, the same for every task."""

from __future__ import annotations

from dataclasses import dataclass

from xover_core.config import Settings, setting

# A resumed run may change these: none of them moves a weight, but for where a run ends.
FREE_TO_CHANGE = frozenset(
    {
        "device",
        "loader_threads",
        "log_every",
        "max_minutes",
        "patience",
        "report_seconds",
        "save_every",
        "validate_every",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerSettings(Settings):
    """How a network is trained, whatever it learns."""

    seed: int = setting(0, "seed of every random draw", minimum=0)
    device: str = setting("auto", "auto: the GPU where there is one", choices=("auto", "cpu", "cuda"))
    num_epochs: int = setting(20, "epochs; counts when max_steps is 0", minimum=1)
    max_steps: int = setting(0, "optimizer steps; 0 = as many as the epochs have", minimum=0)
    max_minutes: float = setting(0.0, "a run stops cleanly after this long, to be resumed; 0 = no limit", minimum=0.0)
    accumulation: int = setting(1, "batches of each process whose gradients make one step", minimum=1)

    optimizer: str = setting(
        "adamw", "with decoupled (adamw) or coupled (adam) weight decay", choices=("adam", "adamw")
    )
    learning_rate: float = setting(1e-3, "its largest value", minimum=0.0)
    weight_decay: float = setting(0.0, "of matrices and kernels, not of biases and norms", minimum=0.0)
    max_gradient_norm: float = setting(1.0, "longer gradients are shortened to this; 0 = never", minimum=0.0)
    schedule: str = setting("cosine", "learning rate after the warm-up", choices=("cosine", "constant"))
    warmup_steps: int = setting(0, "steps of linear rise to the learning rate", minimum=0)
    final_share: float = setting(0.01, "cosine: share of the rate that is left at the end", minimum=0.0, maximum=1.0)
    precision: str = setting("off", "mixed precision; fp16 needs a GPU", choices=("off", "bf16", "fp16"))
    average_decay: float = setting(
        0.0,
        "of the moving average of weights, which is validated and saved; 0 = no average",
        minimum=0.0,
        maximum=0.99999,
    )

    validate_every: int = setting(500, "steps between validations; 0 = at the end only", minimum=0)
    save_every: int = setting(0, "steps between checkpoints; 0 = with every validation", minimum=0)
    patience: int = setting(0, "validations without a better score after which to stop; 0 = never", minimum=0)
    log_every: int = setting(20, "steps that one line of log.jsonl is the mean of", minimum=1)
    report_seconds: float = setting(30.0, "seconds between log messages where no progress bar is shown", minimum=0.0)
    loader_threads: int = setting(2, "threads that load batches ahead; 0 = none", minimum=0)
    overfit: bool = setting(False, "train on the first batch only: its loss must vanish, or something is broken")
