"""``prototxt-tools diff``: how two nets differ."""

import argparse

from prototxt_tools.commands import Commands, add_command
from prototxt_tools.commands.files import read

_EXAMPLES = """\
examples:
  prototxt-tools diff deploy.prototxt deploy_v2.prototxt
      layers added (+), removed (-) and changed (~), whatever the spacing, order and form
  prototxt-tools upgrade old.prototxt | prototxt-tools diff old.prototxt - && echo the same net
      the exit code is 0 for equal nets, 1 for different ones
"""


def add(commands: Commands) -> None:
    """Add the command to the parser of ``prototxt-tools``."""
    diff = add_command(
        commands,
        "diff",
        summary="the layers and fields in which two nets differ",
        description="List the layers and inputs that were added, removed and changed, and the "
        "fields that changed. Spacing, comments, the order of fields, the form (V0, V1, V2), the "
        "style of the inputs and explicit default values make no difference.",
        examples=_EXAMPLES,
    )
    diff.add_argument("before", metavar="A", help="a prototxt file, or - for standard input")
    diff.add_argument("after", metavar="B", help="a prototxt file, or - for standard input")
    diff.set_defaults(run=_diff)


def _diff(options: argparse.Namespace) -> int:
    # Imported here so that --help needs no protobuf.
    from prototxt_tools.net.net import Net
    from prototxt_tools.reports.diff import differences

    changes = differences(Net.parse(read(options.before)), Net.parse(read(options.after)))
    for change in changes:
        print(change)
    return 1 if changes else 0
