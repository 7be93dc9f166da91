# SPDX-License-Identifier: Apache-2.0
"""Network definitions only: no files, no downloads, no device choice. Importing its modules loads torch."""
