"""``prototxt-tools rewrite``: smaller changes, as many at once as wanted."""

import argparse

from prototxt_tools.commands.files import add_output, change
from prototxt_tools.errors import InputError

_EXAMPLES = """\
examples:
  prototxt-tools rewrite densenet121.prototxt --stock -o densenet121_stock.prototxt
      ceil_mode: false as round_mode: FLOOR and the like; what stays unknown is listed
  prototxt-tools rewrite deploy.prototxt --batch-size 1 --un-in-place -o explain.prototxt
      one image at a time, and conv5 apart from relu5
"""


def add(commands):
    """Add the command to the parser of ``prototxt-tools``."""
    command = commands.add_parser(
        "rewrite",
        help="change the batch size, un-fork, or give in-place layers tops of their own",
        description="Make one or more smaller changes, in the order in which the options stand "
        "here.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_output(command)
    command.add_argument(
        "--stock",
        action="store_true",
        help="say in stock Caffe's fields what forks say in theirs, where that is exactly equal",
    )
    command.add_argument("--batch-size", metavar="N", type=int, help="images at a time")
    command.add_argument(
        "--un-in-place",
        action="store_true",
        help="give every in-place layer a top of its own, named after the layer",
    )
    command.set_defaults(run=_rewrite)


def _rewrite(options):
    # Imported here so that --help needs no protobuf.
    from prototxt_tools import rewrite

    steps = [rewrite.stock] if options.stock else []
    if options.batch_size is not None:
        steps.append(lambda document: rewrite.batch_size(document, options.batch_size))
    if options.un_in_place:
        steps.append(rewrite.un_in_place)
    if not steps:
        raise InputError("nothing to do: give --stock, --batch-size or --un-in-place")
    change(options, *steps)
