"""The command ``prototxt-tools``."""

import argparse
import sys

from prototxt_tools import __version__
from prototxt_tools.commands import (
    audit,
    convert,
    cut,
    deploy,
    diff,
    draw,
    fold,
    inspect,
    rewrite,
    stdout,
    upgrade,
    weights,
)
from prototxt_tools.errors import InputError

_COMMANDS = (
    convert, inspect, draw, audit, deploy, upgrade, cut, fold, rewrite, diff, weights
)  # fmt: skip


def main(arguments=None):
    """Run the command line; the result is the exit code: 0 done, 2 unusable input.

    A command may have a code of its own, such as 1 for nets that differ.
    """
    options = _parser().parse_args(arguments)
    try:
        code = options.run(options) or 0
        sys.stdout.flush()
        return code
    except InputError as error:
        print(f"prototxt-tools: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        return stdout.lost("prototxt-tools", error)


def _parser():
    parser = argparse.ArgumentParser(
        prog="prototxt-tools", description="Read, understand and change Caffe net definitions."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", dest="command")
    commands.required = True
    for command in _COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
