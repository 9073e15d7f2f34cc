"""``prototxt-tools rewrite``: smaller changes, several at once."""

import argparse
from typing import Callable, List

from prototxt_tools.commands import Commands, add_command
from prototxt_tools.commands.files import add_output, change
from prototxt_tools.errors import QuestionError
from prototxt_tools.text.document import Document

_EXAMPLES = """\
examples:
  prototxt-tools rewrite densenet121.prototxt --stock -o densenet121_stock.prototxt
      ceil_mode: false becomes round_mode: FLOOR and so on; the notes list what is left
  prototxt-tools rewrite deploy.prototxt --batch-size 1 --un-in-place -o explain.prototxt
      one image at a time, and a blob relu5 beside conv5
"""


def add(commands: Commands) -> None:
    """Add the command to the parser of ``prototxt-tools``."""
    command = add_command(
        commands,
        "rewrite",
        summary="set the batch size, replace a fork's fields, give in-place layers their own tops",
        description="Make one or more smaller changes, in the order in which the options are "
        "listed here.",
        examples=_EXAMPLES,
    )
    add_output(command)
    command.add_argument(
        "--stock",
        action="store_true",
        help="replace the fields of forks by those of stock Caffe that mean exactly the same",
    )
    command.add_argument("--batch-size", metavar="N", type=int,
                         help="the number of images at a time")
    command.add_argument(
        "--un-in-place",
        action="store_true",
        help="give every in-place layer a top of its own, named after the layer",
    )
    command.set_defaults(run=_rewrite)


def _rewrite(options: argparse.Namespace) -> None:
    # Imported here so that --help needs no protobuf.
    from prototxt_tools import rewrite

    steps: List[Callable[[Document], rewrite.Rewrite]] = []
    if options.stock:
        steps.append(rewrite.stock)
    if options.batch_size is not None:
        steps.append(lambda document: rewrite.batch_size(document, options.batch_size))
    if options.un_in_place:
        steps.append(rewrite.un_in_place)
    if not steps:
        raise QuestionError("nothing to do: give --stock, --batch-size or --un-in-place")
    change(options, *steps)
