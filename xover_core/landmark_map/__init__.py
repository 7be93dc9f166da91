# SPDX-License-Identifier: Apache-2.0
"""The map: scenes, keyframes, landmarks; how it is built, stored and searched."""
