# SPDX-License-Identifier: Apache-2.0
"""The command `xover`: finds the verb, runs it, and turns known errors into one line and exit code 2.

Known are `XoverError` and what the system says of a file; whatever else happens keeps its traceback.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

import xover_core
from xover_core.cli import (
    adapt,
    bag,
    config,
    demo,
    evaluate,
    export,
    info,
    install,
    localize,
    map,
    protocol,
    query,
    scene,
    scenes,
    train,
)
from xover_core.cli.verb_parser import VerbParser
from xover_core.errors import XoverError

_LOGGER = logging.getLogger(__name__)

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

_VERBS = (
    demo,
    map,
    localize,
    query,
    scene,
    evaluate,
    info,
    config,
    bag,
    protocol,
    scenes,
    train,
    adapt,
    install,
    export,
)


def make_parser() -> argparse.ArgumentParser:
    """The parser with all verbs; each sets `run` to the function that does the work."""
    parser = argparse.ArgumentParser(
        prog="xover",
        description="Tell a robot where it is, from RGB-D images and a map made earlier.",
        epilog="`xover VERB --help` describes a verb.",
    )
    parser.add_argument("--version", action="version", version=f"xover {xover_core.__version__}")
    parser.add_argument("--verbose", action="store_true", help="log what happens, with timings, to stderr")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=VerbParser)
    for verb in _VERBS:
        verb.add_parser(verbs)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    args = make_parser().parse_args(arguments)
    level = logging.DEBUG if args.verbose else logging.WARNING
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("xover_core").setLevel(level)
    try:
        return int(args.run(args) or 0)
    except XoverError as error:
        print(f"xover: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("xover: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # the reader of our output went away (`xover config | head`); keep the interpreter from flushing into it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except OSError as error:
        if error.filename is None:
            raise
        _LOGGER.debug("where it happened", exc_info=True)
        print(f"xover: {error.filename}: {error.strerror}; check the path and its permissions.", file=sys.stderr)
        return EXIT_ERROR


if __name__ == "__main__":
    sys.exit(main())
