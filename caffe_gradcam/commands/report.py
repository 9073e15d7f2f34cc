"""caffe-gradcam report: a page that shows what a batch came to."""

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from caffe_gradcam.commands import options as shared
from prototxt_tools.errors import QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.report.output import Output

DESCRIPTION = """\
Write a page that shows what is in OUT, the output of a batch: accuracy and confusion, all images
with their maps to filter, sort and enlarge, and how they were made. The page is one file that loads
nothing from anywhere; images beyond --on-page are on further pages in a folder beside it. Other
options write files for other tools.
"""

EXAMPLES = """\
examples:
  caffe-gradcam report out -o report.html
  caffe-gradcam report out -o report.html --boxes boxes.csv
      with the share of the heat outside the boxes of the objects
  caffe-gradcam report out -o report.html --pdf report.pdf
  caffe-gradcam report out --csv scores.csv --coco heat.json

exit codes: 0: done; 2: the input is unusable. What is missing or damaged in OUT, and images that
are gone or have changed, are named in the report
"""


def add(commands: Any) -> None:
    """Add the subcommand's parser."""
    parser = shared.add_command(
        commands, "report", "write a page of what batch has explained", description=DESCRIPTION,
        epilog=EXAMPLES, usage="caffe-gradcam report OUT [-o FILE] [option ...]")
    parser.add_argument("output", metavar="OUT", help="the folder or URL that batch wrote")
    parser.add_argument("-o", dest="file", metavar="FILE",
                        help="the page, an .html file")
    parser.add_argument("--title", metavar="TEXT", help="the title of the page")
    parser.add_argument("--boxes", metavar="FILE",
                        help="boxes of the objects: .csv with path,class,x,y,width,height, or "
                        ".json")
    parser.add_argument("--objects", metavar="FILE",
                        help="masks of the objects: .json, as evaluate --objects reads it")
    parser.add_argument("--on-page", metavar="N", type=shared.positive,
                        help="the number of images on a page (default: 2000)")
    parser.add_argument("--pdf", metavar="FILE",
                        help="also print the page to a file, with Chromium")
    others = parser.add_argument_group("for other tools")
    others.add_argument("--csv", metavar="FILE", help="a row for each map, with scores")
    others.add_argument("--coco", metavar="FILE",
                        help="boxes and outlines of the heat as COCO's JSON")
    others.add_argument("--fiftyone", metavar="DIR",
                        help="a dataset of FiftyOne with heatmaps and boxes of the heat")
    others.add_argument("--segments", metavar="polygons|masks", default="polygons",
                        help="outlines in --coco (default: polygons)")
    others.add_argument("--threshold", metavar="X", type=float, default=0.15,
                        help="the fraction of the highest heat that counts as hot in --coco "
                        "and --fiftyone (default: 0.15)")
    shared.add_verbosity(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the subcommand; the result is the exit code."""
    from caffe_gradcam.report import pdf
    from caffe_gradcam.report.output import Output

    if not (options.file or options.csv or options.coco or options.fiftyone):
        raise QuestionError("there is nothing to write; give -o, --csv, --coco or --fiftyone", "-o")
    if options.file:
        check_name(options.file, "-o")
    if options.pdf and not options.file:
        raise QuestionError("--pdf prints the page; give its name with -o", "--pdf")
    if options.pdf:
        pdf.find_browser()
    output = Output(options.output, options.boxes, options.objects)
    _write_tables(output, options)
    if options.file:
        _write_page(output, options)
    if not options.quiet:
        for problem in output.problems:
            print(f"caffe-gradcam: {problem}", file=sys.stderr)
    return 0


def _write_tables(output: "Output", options: argparse.Namespace) -> None:
    """Write what other tools read."""
    from caffe_gradcam.report import fiftyone, tables
    from prototxt_tools.files import write_bytes

    if options.csv:
        write_bytes(options.csv, tables.to_csv(output))
    if options.coco:
        write_bytes(options.coco, tables.to_coco(output, options.threshold, options.segments))
    if options.fiftyone:
        fiftyone.write(output, options.fiftyone, options.threshold)


def _write_page(output: "Output", options: argparse.Namespace) -> None:
    from caffe_gradcam.report import page, pdf

    on_page = options.on_page or page.MOST_ON_PAGE
    side = page.side_for(min(output.size(), on_page))
    written = page.write(options.file, lambda summary: output.report(summary, options.title),
                         output.entries(side), on_page)
    if options.pdf:
        pdf.write(options.file, options.pdf)
    if not options.quiet:
        more = f" and {len(written) - 1} pages" if len(written) > 1 else ""
        print(f"{options.file}{more}: open it in a browser", file=sys.stderr)


def check_name(path: str, option: str) -> None:
    """Raise a QuestionError for a page that is not to be an HTML file."""
    if os.path.splitext(path)[1].lower() not in (".html", ".htm"):
        raise QuestionError(f"{option} {path}: a report is an .html file", option)
