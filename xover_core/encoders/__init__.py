# SPDX-License-Identifier: Apache-2.0
"""Images to patch descriptors. The only place for image preprocessing."""
