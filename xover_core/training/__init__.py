# SPDX-License-Identifier: Apache-2.0
"""Losses, samplers and trainers. Importing its modules loads torch."""
