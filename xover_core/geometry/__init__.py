# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms, cameras, depth, alignment, and pose from correspondences."""
