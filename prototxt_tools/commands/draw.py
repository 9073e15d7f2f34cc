"""``prototxt-tools draw``: a picture of a net."""

import argparse
import os
import shutil
import subprocess

from prototxt_tools.commands import stdout
from prototxt_tools.commands.files import read
from prototxt_tools.errors import InputError
from prototxt_tools.files import write_bytes

_EXAMPLES = """\
examples:
  prototxt-tools draw deploy.prototxt -o net.svg
      needs Graphviz; score blobs stand out in red, the target blob of the first one in green
  prototxt-tools draw deploy.prototxt > net.mmd
      Mermaid, which GitHub and many editors draw, and which needs nothing
"""
_FORMATS = {
    ".svg": "svg", ".png": "png", ".dot": "dot", ".gv": "dot", ".mmd": "mermaid", ".md": "mermaid",
}  # fmt: skip
_SECONDS = 300


def add(commands):
    """Add the command to the parser of ``prototxt-tools``."""
    draw = commands.add_parser(
        "draw",
        help="a picture of a net: SVG or PNG with Graphviz, Mermaid without",
        description="Draw a net: layers with those that change their blob in place, blobs with "
        "their shapes, streams and modules (what layers have in their names before a /) boxed.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    draw.add_argument("input", metavar="IN", help="a prototxt file, or - for standard input")
    draw.add_argument(
        "-o", metavar="OUT", dest="output", help="file to write (default, and -: standard output)"
    )
    draw.add_argument(
        "--format",
        choices=["svg", "png", "dot", "mermaid"],
        help="default: by the ending of OUT, else mermaid",
    )
    draw.add_argument("--phase", choices=["TEST", "TRAIN"], default="TEST")
    draw.set_defaults(run=_draw)


def _draw(options):
    # Imported here so that --help needs no protobuf.
    from prototxt_tools.reports.drawing import to_dot, to_mermaid

    kind = options.format or _FORMATS.get(os.path.splitext(options.output or "")[1], "mermaid")
    drawing = _drawing(options)
    if kind in ("svg", "png"):
        data = _rendered(to_dot(drawing), kind)
    else:
        data = (to_dot if kind == "dot" else to_mermaid)(drawing).encode("utf-8", "replace")
    if options.output in (None, "-"):
        stdout.write(data)
    else:
        write_bytes(options.output, data)


def _drawing(options):
    from prototxt_tools import shapes
    from prototxt_tools.net.graph import Graph
    from prototxt_tools.net.net import Net
    from prototxt_tools.reports import drawing

    net = Net.parse(read(options.input)).at(options.phase)
    graph = Graph(net)
    sizes = shapes.infer(net, problems=[])
    scores = [score.blob for score in graph.scores()]
    targets = [target.blob for blob in scores[:1] for target in graph.targets(blob, sizes)]
    return drawing.draw(graph, sizes, scores, targets)


def _rendered(dot, kind):
    program = shutil.which("dot")
    if program is None:
        raise InputError(
            f"{kind.upper()} needs Graphviz, and there is no program dot; install graphviz, or write Mermaid "
            "with --format mermaid"
        )
    try:
        result = subprocess.run(
            [program, "-T" + kind],
            input=dot.encode("utf-8", "replace"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"dot did not draw the net in {_SECONDS} s") from None
    if result.returncode:
        said = result.stderr.decode("utf-8", "replace").strip().splitlines()
        raise InputError("dot failed: " + (said[0] if said else "it did not say why"))
    return result.stdout
