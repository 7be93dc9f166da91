# SPDX-License-Identifier: Apache-2.0
"""Replay of recordings through the localizer, metrics, and reports."""
