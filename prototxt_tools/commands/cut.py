"""``prototxt-tools cut``: only what some blobs need."""

import argparse
import sys
from typing import List

from prototxt_tools.commands import Commands, add_command
from prototxt_tools.commands.files import add_output, change
from prototxt_tools.errors import ModelError
from prototxt_tools.text.document import Document

_EXAMPLES = """\
examples:
  prototxt-tools cut train_val.prototxt --blob fc8 -o trunk.prototxt
      what fc8 needs: no loss, no accuracy, no other head
  prototxt-tools cut ssd_deploy.prototxt --blob conv4_3 --blob fc7 --diff
      show what would be removed if only two blobs are needed
"""


def add(commands: Commands) -> None:
    """Add the command to the parser of ``prototxt-tools``."""
    cut = add_command(
        commands,
        "cut",
        summary="remove every layer and input that the given blobs do not need",
        description="Remove every layer and input that the given blobs do not need in phase TEST: "
        "losses, other heads, post-processing.",
        examples=_EXAMPLES,
    )
    add_output(cut)
    cut.add_argument(
        "--blob",
        metavar="BLOB",
        action="append",
        help="a blob to keep; repeatable (default: the net's score blobs)",
    )
    cut.set_defaults(run=_cut)


def _cut(options: argparse.Namespace) -> None:
    # Imported here so that --help needs no protobuf.
    from prototxt_tools import rewrite

    change(options, lambda document: rewrite.cut(document, options.blob or _scores(document)))


def _scores(document: Document) -> List[str]:
    from prototxt_tools.net.graph import Graph
    from prototxt_tools.net.net import Net

    scores = Graph(Net.parse(document).at("TEST")).scores()
    if not scores:
        raise ModelError(f"{document.path}: the net has no score blob; name a blob with --blob",
                         subject=document.path)
    for score in scores:
        print(f"score blob {score.blob} ({score.reason})", file=sys.stderr)
    return [score.blob for score in scores]
