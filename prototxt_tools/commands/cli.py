"""The command ``prototxt-tools``."""

import os
import sys
from typing import Optional, Sequence

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
    terminal,
    upgrade,
    weights,
)
from prototxt_tools.commands.parsing import Parser, add_completion
from prototxt_tools.errors import InputError

_COMMANDS = (
    convert, inspect, draw, audit, deploy, upgrade, cut, fold, rewrite, diff, weights
)  # fmt: skip


_EXIT_CODES = """\
exit codes:
  0: done
  1: there is something to look at: nets differ, weights do not fit, the audit has findings, or
     files of a folder were refused
  2: the input is unusable
"""


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the command line; gives the exit code, see ``--help``."""
    with terminal.safe_streams():
        return _run(sys.argv[1:] if arguments is None else arguments)


def _run(arguments: Sequence[str]) -> int:
    try:
        options = stdout.parsed(_parser(), arguments)
        if options.plugin:
            # Imported here so that --help stays quick.
            from prototxt_tools.layers.plugins import import_plugins

            import_plugins(options.plugin, os.getcwd())
        code: int = options.run(options) or 0
        sys.stdout.flush()
        return code
    except InputError as error:
        print(f"prototxt-tools: {terminal.one_line(error)}", file=sys.stderr)
        return 2
    except MemoryError:
        return stdout.report_no_memory("prototxt-tools", "smaller files")
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        return stdout.report_failure("prototxt-tools", error)


def _parser() -> Parser:
    parser = Parser(
        prog="prototxt-tools",
        description="Read, understand and change Caffe net definitions.",
        epilog=_EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--plugin", metavar="MODULE", action="append", default=[],
                        help="import a Python module that registers layer types; repeatable")
    add_completion(parser)
    commands = parser.add_subparsers(metavar="COMMAND", dest="command")
    commands.required = True
    for command in _COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
