# SPDX-License-Identifier: Apache-2.0
"""xover: online coarse relocalization of RGB-D robots. This package knows no ROS."""

import logging

__version__ = "0.1.0"

logging.getLogger(__name__).addHandler(logging.NullHandler())
