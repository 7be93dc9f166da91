# SPDX-License-Identifier: Apache-2.0
"""Where models come from and what runs them."""
