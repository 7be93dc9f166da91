# SPDX-License-Identifier: Apache-2.0
"""From a frame and a map to ranked, verified, calibrated pose hypotheses."""
