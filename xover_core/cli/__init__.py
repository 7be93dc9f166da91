# SPDX-License-Identifier: Apache-2.0
"""`xover <verb>`: arguments, late imports, one call, print."""
