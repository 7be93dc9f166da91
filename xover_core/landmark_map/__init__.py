# SPDX-License-Identifier: Apache-2.0
"""The map: scenes, keyframes and landmarks; how it is built, selected, kept within a budget, stored and searched."""
