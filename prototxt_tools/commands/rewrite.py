"""``prototxt-tools rewrite``: smaller changes, several at once."""

import argparse
from typing import TYPE_CHECKING, Callable, List

from prototxt_tools.commands import Commands, add_command, trees
from prototxt_tools.commands.files import add_output, change
from prototxt_tools.errors import QuestionError, WeightsError
from prototxt_tools.text.document import Document

if TYPE_CHECKING:
    from prototxt_tools.rewrite import Rewrite

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
    add_output(command, trees=True)
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
    command.add_argument(
        "--weights",
        metavar="FILE",
        help="with --stock: the net's .caffemodel or .caffemodel.h5, whose blobs go to the layers "
        "of stock Caffe that replace those of a fork",
    )
    command.add_argument("--weights-out", metavar="OUTW",
                         help="with --weights: the .caffemodel to write")
    command.set_defaults(run=_rewrite)


def _rewrite(options: argparse.Namespace) -> int:
    # Imported here so that --help needs no protobuf.
    from prototxt_tools import rewrite

    steps: List[Callable[[Document], rewrite.Rewrite]] = []
    if bool(options.weights) != bool(options.weights_out) or (
            options.weights and not options.stock):
        raise QuestionError("--weights needs --stock and --weights-out, the file to write")
    if options.weights and trees.is_tree(options):
        raise QuestionError("--weights needs a file, not a folder")
    if options.stock:
        steps.append(lambda document: _stock(document, options))
    if options.batch_size is not None:
        steps.append(lambda document: rewrite.batch_size(document, options.batch_size))
    if options.un_in_place:
        steps.append(rewrite.un_in_place)
    if not steps:
        raise QuestionError("nothing to do: give --stock, --batch-size or --un-in-place")
    return change(options, *steps)


def _stock(document: Document, options: argparse.Namespace) -> "Rewrite":
    """Replace what a fork writes, in the weights as well where they are given."""
    from prototxt_tools import rewrite, weights

    if not options.weights:
        return rewrite.stock(document)
    try:
        changed = rewrite.stock(document, weights.load(options.weights))
    except WeightsError as error:
        message = str(error)
        raise WeightsError(message if options.weights in message
                           else f"{options.weights}: {message}",
                           subject=options.weights) from None
    weights.save(options.weights_out, changed.weights)
    return changed
