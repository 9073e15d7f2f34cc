#!/usr/bin/env python3
"""Try prototxt_tools on a folder of prototxt files and print what became of each.

usage: benchmarks/corpus.py DIR

Where pycaffe can be imported, stock Caffe builds each net before and after conversion, in a
child process; where it cannot, what Caffe would say is foretold. The exit code is 1 if a text
does not come back to the byte, or a net that Caffe builds is no longer built after conversion.
"""

import collections
import importlib.util
import os
import pathlib
import sys
from typing import NamedTuple, Optional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import stock_caffe  # noqa: E402

from prototxt_tools import check, rewrite, shapes  # noqa: E402
from prototxt_tools.audit import audit  # noqa: E402
from prototxt_tools.document import Document  # noqa: E402
from prototxt_tools.errors import InputError  # noqa: E402
from prototxt_tools.net import Net  # noqa: E402

_TABLES = (".tsv", ".csv", ".md", ".json")
_CLASSES = (
    ("refused: not a prototxt", "parses"),
    ("refused: not a net", "is_net"),
    ("refused: no parser accepts it", "converts"),
)


class Row(NamedTuple):
    """What became of a file; None where a question did not arise."""

    name: str
    parses: bool = False
    comes_back: Optional[bool] = None
    is_net: Optional[bool] = None
    converts: Optional[bool] = None
    is_stock: Optional[bool] = None
    loads: Optional[bool] = None
    loads_after: Optional[bool] = None
    shapes_agree: Optional[bool] = None
    reason: str = ""


def judge(path, with_caffe):
    """Try everything on a file.

    Parameters
    ----------
    path : pathlib.Path
    with_caffe : bool
        Whether pycaffe is here.

    Returns
    -------
    Row
    """
    row = Row(path.name)
    try:
        document = Document.load(path)
        row = row._replace(parses=True, comes_back=document.encode() == path.read_bytes())
        row = row._replace(is_net=False)
        net = Net.parse(document)
        row = row._replace(is_net=True, converts=False)
        check.strangers(document)
        converted = rewrite.force_backward(rewrite.strip_softmax(document).document).document
        row = row._replace(converts=True)
    except InputError as error:
        return row._replace(reason=_without_path(error, path))
    problems = check.problems(net)
    row = row._replace(is_stock=not problems)
    if problems:
        return row._replace(reason="stock Caffe: " + _without_path(problems[0], path))
    touching = [found.sentence for found in audit(net.at("TEST")) if found.kind in ("code", "file")]
    if touching:
        return row._replace(reason="not tried: " + touching[0])
    if not with_caffe:
        return row._replace(reason="not tried: pycaffe is not here")
    return _in_caffe(row, net, document, converted)


def _in_caffe(row, net, document, converted):
    before = stock_caffe.build(document)
    if before.refusal is not None:
        return row._replace(loads=False, reason="Caffe: " + before.refusal)
    after = stock_caffe.build(converted)
    built = net.at("TEST")
    sizes = shapes.infer(built)
    agree = (sizes, shapes.parameters(built, sizes)) == (before.blobs, before.weights)
    reason = "" if agree else "the shapes differ from Caffe's"
    if after.refusal is not None:
        reason = "Caffe, after conversion: " + after.refusal
    return row._replace(
        loads=True, loads_after=after.refusal is None, shapes_agree=agree, reason=reason
    )


def _without_path(message, path):
    """A sentence without the file's name: the row has it already."""
    place, _, rest = str(message).partition(str(path))
    return (place + rest).lstrip(": ")


def report(rows):
    """The lines of the table and of the list of reasons."""
    for title, asked, yes in (
        ("files", rows, rows),
        ("parse", rows, _those(rows, "parses")),
        ("come back to the byte", _asked(rows, "comes_back"), _those(rows, "comes_back")),
        ("are nets", _asked(rows, "is_net"), _those(rows, "is_net")),
        ("convert", _asked(rows, "converts"), _those(rows, "converts")),
        ("hold only what stock Caffe knows", _asked(rows, "is_stock"), _those(rows, "is_stock")),
        ("load in stock Caffe", _asked(rows, "loads"), _those(rows, "loads")),
        ("load after conversion", _asked(rows, "loads_after"), _those(rows, "loads_after")),
        ("have Caffe's shapes", _asked(rows, "shapes_agree"), _those(rows, "shapes_agree")),
    ):
        yield "{:<34}{:>5} of {:>5}".format(title, len(yes), len(asked))
    kinds = collections.Counter(_kind(row) for row in rows)
    yield ""
    for kind, count in kinds.most_common():
        yield "{:<34}{:>5}".format(kind, count)
    yield ""
    for row in rows:
        if row.reason:
            yield "{}: {}: {}".format(row.name, _kind(row), row.reason)


def _asked(rows, column):
    return [row for row in rows if getattr(row, column) is not None]


def _those(rows, column):
    return [row for row in rows if getattr(row, column)]


def _kind(row):
    for kind, column in _CLASSES:
        if not getattr(row, column):
            return kind
    if not row.is_stock:
        return "converted, stock Caffe refuses"
    if row.loads is None:
        return "converted, not tried"
    if not row.loads:
        return "converted, Caffe refuses"
    return "converted, loads" if row.loads_after and row.shapes_agree else "FAILED"


def files_of(folder):
    """Every file below a folder but tables and notes, sorted."""
    found = []
    for place, folders, names in os.walk(str(folder)):
        folders.sort()
        found += [pathlib.Path(place, name) for name in sorted(names)]
    return [path for path in found if path.suffix.lower() not in _TABLES]


def main(arguments):
    """Print the report of a folder; the result is the exit code."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__.strip())
        return 0 if arguments in (["-h"], ["--help"]) else 2
    with_caffe = importlib.util.find_spec("caffe") is not None
    if with_caffe:
        os.environ.setdefault("GLOG_minloglevel", "2")
        import caffe  # noqa: F401 (so that no child has to)
    rows = [judge(path, with_caffe) for path in files_of(arguments[0])]
    for line in report(rows):
        print(line)
    lost = [row for row in rows if row.comes_back is False or row.loads_after is False]
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
