# SPDX-License-Identifier: Apache-2.0
"""ROS 2 nodes around `xover_core`: convert messages, call the core, publish what comes back."""
