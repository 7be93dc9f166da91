# SPDX-License-Identifier: Apache-2.0
"""Protocols by name: how patch features are compared in the literature, each as one call that fills a table."""
