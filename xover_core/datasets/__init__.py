# SPDX-License-Identifier: Apache-2.0
"""Readers for recordings, and the procedural apartments."""
