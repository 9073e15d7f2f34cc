"""caffe-gradcam render: figures of what batch has explained, without the net."""

import argparse
import sys

from caffe_gradcam.commands import batch
from caffe_gradcam.commands.options import positive

DESCRIPTION = """\
Draw figures of the rows in OUT, the output of a batch, from its maps and the photographs.
"""

EXAMPLES = """\
examples:
  caffe-gradcam render out --where "status == 'ok' and label != class" --limit 100
  caffe-gradcam render out --where "item == 12 or path in ['a.jpg', 'b.jpg']" -o figures
  caffe-gradcam render out --where "class == 281 and probability < 0.5" --figure overlay

columns: item id path sha256 status label predicted question class name score probability method
target input positive_mass negative_mass cam_scale

exit codes: 0 all drawn, 1 some photographs are gone or have changed, 2 nothing could be done
"""


def add(commands):
    """Add the subcommand's parser."""
    parser = commands.add_parser(
        "render",
        help="draw figures of what batch has explained",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("output", metavar="OUT", help="the folder or URL that batch wrote")
    parser.add_argument("-o", dest="folder", metavar="DIR",
                        help="for the figures (default: OUT/rendered)")
    parser.add_argument("--where", metavar="CONDITION", help="on the rows; all without")
    parser.add_argument("--limit", metavar="N", type=positive, help="draw N images at most")
    parser.add_argument("--workers", metavar="N", type=positive, help="processes (the cores)")
    batch.add_look(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    parser.add_argument("-v", "--verbose", action="store_true", help="let the libraries speak")
    parser.set_defaults(run=run)


def run(options):
    """Run the subcommand; the result is the exit code."""
    from caffe_gradcam.batch.drawing import check
    from caffe_gradcam.batch.plan import Plan
    from caffe_gradcam.batch.redraw import redraw
    from caffe_gradcam.batch.storage import open_folder
    from caffe_gradcam.batch.where import Where

    look = batch.look_of(options)
    check(look)
    where = Where(options.where) if options.where else None
    output = open_folder(options.output)
    folder = open_folder(options.folder or output.place("rendered"))
    drawn, wrong = redraw(
        Plan.open(output), where, folder, look, options.limit, options.workers)
    for sentence in wrong:
        print(f"caffe-gradcam: {sentence}", file=sys.stderr)
    if not options.quiet:
        print(f"{drawn} images drawn in {folder.path}", file=sys.stderr)
    return 1 if wrong else 0
