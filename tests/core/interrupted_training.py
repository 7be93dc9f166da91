# SPDX-License-Identifier: Apache-2.0
"""`xover` with a tiny network that sends Ctrl-C in its second batch; a program of its own, as Ctrl-C meets programs."""

from __future__ import annotations

import os
import signal
import sys

import torch
from locus_cases import TinyNetwork, save_tiny

from xover_core.cli.main import main
from xover_core.training import locus_networks
from xover_core.training.locus_networks import NetworkKind


class InterruptedNetwork(TinyNetwork):
    """Sends Ctrl-C in the second batch."""

    num_calls = 0

    def forward(self, images, depth, intrinsics):
        self.num_calls += 1
        if self.num_calls == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return super().forward(images, depth, intrinsics)


if __name__ == "__main__":
    torch.set_num_threads(1)
    locus_networks.NETWORK_KINDS["compact"] = NetworkKind(
        make=lambda settings, scenes: InterruptedNetwork(settings.radii), save=save_tiny
    )
    sys.exit(main(sys.argv[1:]))
