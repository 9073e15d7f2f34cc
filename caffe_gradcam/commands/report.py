"""caffe-gradcam report: a page that shows what a batch came to."""

import argparse
import os
import sys
from typing import Any

from caffe_gradcam.commands import options as shared
from prototxt_tools.errors import QuestionError

DESCRIPTION = """\
Write a page that shows what is in OUT, the output of a batch: accuracy and confusion, all images
with their maps to filter, sort and enlarge, and how they were made. The page is one file that loads
nothing from anywhere; images beyond --on-page stand on further pages in a folder beside it.
"""

EXAMPLES = """\
examples:
  caffe-gradcam report out -o report.html
  caffe-gradcam report out -o report.html --boxes boxes.csv
      with the share of the heat outside the boxes of the objects
  caffe-gradcam report out -o report.html --pdf report.pdf

exit codes: 0: done; 2: the input is unusable. What is missing or damaged in OUT, and images that
are gone or have changed, are named in the report
"""


def add(commands: Any) -> None:
    """Add the subcommand's parser."""
    parser = shared.add_command(
        commands, "report", "write a page of what batch has explained", description=DESCRIPTION,
        epilog=EXAMPLES, usage="caffe-gradcam report OUT -o FILE [option ...]")
    parser.add_argument("output", metavar="OUT", help="the folder or URL that batch wrote")
    parser.add_argument("-o", dest="file", metavar="FILE", required=True,
                        help="the page, an .html file")
    parser.add_argument("--title", metavar="TEXT", help="its title")
    parser.add_argument("--boxes", metavar="FILE",
                        help="boxes of the objects: .csv with path,class,x,y,width,height, or "
                        ".json")
    parser.add_argument("--on-page", metavar="N", type=shared.positive,
                        help="images of one page (default: 2000)")
    parser.add_argument("--pdf", metavar="FILE", help="also print the page, by Chromium")
    shared.add_verbosity(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the subcommand; the result is the exit code."""
    from caffe_gradcam.report import page, pdf
    from caffe_gradcam.report.output import Output

    check_name(options.file, "-o")
    if options.pdf:
        pdf.find_browser()
    output = Output(options.output, options.boxes)
    on_page = options.on_page or page.MOST_ON_PAGE
    side = page.side_for(min(output.size(), on_page))
    written = page.write(options.file, lambda summary: output.report(summary, options.title),
                         output.entries(side), on_page)
    if options.pdf:
        pdf.write(options.file, options.pdf)
    if not options.quiet:
        for problem in output.problems:
            print(f"caffe-gradcam: {problem}", file=sys.stderr)
        more = f" and {len(written) - 1} pages" if len(written) > 1 else ""
        print(f"{options.file}{more}: open it in a browser", file=sys.stderr)
    return 0


def check_name(path: str, option: str) -> None:
    """Raise a QuestionError for a page that is not to be an HTML file."""
    if os.path.splitext(path)[1].lower() not in (".html", ".htm"):
        raise QuestionError(f"{option} {path}: a report is an .html file", option)
