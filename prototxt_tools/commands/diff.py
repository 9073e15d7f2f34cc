"""``prototxt-tools diff``: what two nets say differently."""

import argparse

from prototxt_tools.commands.files import read

_EXAMPLES = """\
examples:
  prototxt-tools diff deploy.prototxt deploy_v2.prototxt
      layers added (+), removed (-) and changed (~), whatever the spacing, order and form
  prototxt-tools upgrade old.prototxt | prototxt-tools diff old.prototxt - && echo the same net
      the exit code is 0 for equal nets, 1 for different ones
"""


def add(commands):
    """Add the command to the parser of ``prototxt-tools``."""
    diff = commands.add_parser(
        "diff",
        help="which layers two nets do not share, and in which fields",
        description="Say which layers and inputs were added, removed and changed, and in which "
        "field. Spacing, comments, the order of fields, the form (V0, V1, V2), the style of the "
        "inputs and values that are the default do not count.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    diff.add_argument("before", metavar="A", help="a prototxt file, or - for standard input")
    diff.add_argument("after", metavar="B", help="a prototxt file, or - for standard input")
    diff.set_defaults(run=_diff)


def _diff(options):
    # Imported here so that --help needs no protobuf.
    from prototxt_tools.net.net import Net
    from prototxt_tools.reports.diff import differences

    found = differences(Net.parse(read(options.before)), Net.parse(read(options.after)))
    for difference in found:
        print(difference)
    return 1 if found else 0
