# SPDX-License-Identifier: Apache-2.0
"""The parser of a verb: options may stand anywhere among the positional arguments."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


class VerbParser(argparse.ArgumentParser):
    """Takes `MAP --json TEXT` as well as `MAP TEXT --json`.

    argparse by itself fills all positional arguments that it can when it meets the first one, so an optional one
    behind an option is refused; `parse_known_intermixed_args` reads the options first.
    """

    _reads_options_first = False

    def parse_known_args(  # type: ignore[override]  # argparse's type has an overload for each kind of namespace
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse; returns the values and what is left.

        Verbs with verbs of their own, or with arguments that exclude each other, are left to argparse alone.
        """
        if self._reads_options_first or self._subparsers is not None or self._mutually_exclusive_groups:
            return super().parse_known_args(args, namespace)
        self._reads_options_first = True  # it calls this method for each of its two steps
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._reads_options_first = False
