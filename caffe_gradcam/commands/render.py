"""caffe-gradcam render: figures of what batch has explained, without the net."""

import argparse
import sys
from typing import Any

from caffe_gradcam.commands import batch, recipes
from caffe_gradcam.commands import options as shared

DESCRIPTION = """\
Draw figures of the rows in OUT, the output of a batch, from its maps and the images.
"""

EXAMPLES = """\
examples:
  caffe-gradcam render out --where "status == 'ok' and true_label != class" --limit 100
  caffe-gradcam render out --where "item == 12 or path in ['a.jpg', 'b.jpg']" -o figures
  caffe-gradcam render out --where "class == 281 and probability < 0.5" --figure overlay

columns: item id path sha256 status true_label predicted question class class_name score probability
method layer input positive_mass negative_mass cam_scale

exit codes: 0: done; 1: some images are missing or have changed; 2: the input is unusable
"""


def add(commands: Any) -> None:
    """Add the subcommand's parser."""
    parser = shared.add_command(
        commands, "render", "draw figures of what batch has explained", description=DESCRIPTION,
        epilog=EXAMPLES, usage="caffe-gradcam render OUT [option ...]")
    parser.add_argument("output", metavar="OUT", help="the folder or URL that batch wrote")
    parser.add_argument("-o", dest="folder", metavar="DIR",
                        help="for the figures (default: OUT/rendered)")
    parser.add_argument("--where", metavar="CONDITION",
                        help="draw only the rows for which this is true")
    parser.add_argument("--limit", metavar="N", type=shared.positive,
                        help="draw at most N images")
    parser.add_argument("--decoders", metavar="N", type=shared.positive,
                        help="processes that read and draw (default: the cores)")
    batch.add_look(parser)
    shared.add_plugin(parser)
    shared.add_verbosity(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the subcommand; the result is the exit code."""
    from caffe_gradcam.batch import Drawing
    from caffe_gradcam.batch.output.plan import Plan
    from caffe_gradcam.batch.output.where import Where
    from caffe_gradcam.batch.redraw import redraw
    from caffe_gradcam.batch.storage import open_folder

    recipes.import_named_plugins(options)
    drawing = Drawing(figures=recipes.figure_options(options))
    where = Where(options.where) if options.where else None
    output = open_folder(options.output)
    folder = open_folder(options.folder or output.locate("rendered"))
    drawn, problems = redraw(
        Plan.open(output), where, folder, drawing, options.limit, options.decoders)
    for problem in problems:
        print(f"caffe-gradcam: {problem}", file=sys.stderr)
    if not options.quiet:
        print(f"{drawn} images drawn in {folder.path}", file=sys.stderr)
    return 1 if problems else 0
