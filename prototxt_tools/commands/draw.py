"""``prototxt-tools draw``: a picture of a net."""

import argparse
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from prototxt_tools.commands import Commands, add_command, stdout
from prototxt_tools.commands.files import read
from prototxt_tools.errors import InputError
from prototxt_tools.files import write_bytes

if TYPE_CHECKING:
    from prototxt_tools.reports.drawing import Drawing

_EXAMPLES = """\
examples:
  prototxt-tools draw deploy.prototxt -o net.svg
      an SVG drawn by Graphviz, with score blobs in red and the layers to explain in green
  prototxt-tools draw deploy.prototxt > net.mmd
      Mermaid text, which many web pages and editors draw
"""
_FORMATS = {
    ".svg": "svg", ".png": "png", ".dot": "dot", ".gv": "dot", ".mmd": "mermaid", ".md": "mermaid",
}  # fmt: skip
_SECONDS = 300


def add(commands: Commands) -> None:
    """Add the command to the parser of ``prototxt-tools``."""
    draw = add_command(
        commands,
        "draw",
        summary="draw a net: SVG or PNG with Graphviz, Mermaid without",
        description="Draw a net: each layer together with the layers that change its top in "
        "place, blobs with their shapes, and boxes around streams and modules (layers whose names "
        "have the same part before a /).",
        examples=_EXAMPLES,
    )
    draw.add_argument("input", metavar="IN", help="a prototxt file, or - for standard input")
    draw.add_argument(
        "-o", metavar="OUT", dest="output", help="the file to write (default: standard output)"
    )
    draw.add_argument(
        "--format",
        choices=["svg", "png", "dot", "mermaid"],
        help="default: from the extension of OUT, otherwise mermaid",
    )
    draw.add_argument("--phase", choices=["TEST", "TRAIN"], default="TEST")
    draw.set_defaults(run=_draw)


def _draw(options: argparse.Namespace) -> None:
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


def _drawing(options: argparse.Namespace) -> "Drawing":
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


def _rendered(dot: str, kind: str) -> bytes:
    program = shutil.which("dot")
    if program is None:
        raise InputError(
            f"{kind.upper()} needs the program dot of Graphviz; install graphviz, or write Mermaid "
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
        raise InputError(f"dot did not draw the net within {_SECONDS} s") from None
    if result.returncode:
        messages = result.stderr.decode("utf-8", "replace").strip().splitlines()
        raise InputError("dot failed: " + (messages[0] if messages else "it gave no reason"))
    return result.stdout
