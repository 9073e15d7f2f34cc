#!/usr/bin/env python3
"""Try prototxt_tools on a folder of prototxt files and print what became of each.

usage: benchmarks/corpus.py DIR

Where pycaffe can be imported, stock Caffe builds each net before and after conversion, in a
child process; where it cannot, what Caffe would say is foretold. The exit code is 1 if a text
does not come back to the byte, a net that Caffe builds is no longer built after conversion or has
other shapes than foretold, or a file crashes this program: an exception, a wait without end, over
6 GB of memory.
"""

import collections
import importlib.util
import os
import pathlib
import resource
import stat
import sys
from typing import NamedTuple, Optional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import stock_caffe  # noqa: E402

from prototxt_tools import rewrite, shapes  # noqa: E402
from prototxt_tools.errors import InputError  # noqa: E402
from prototxt_tools.net.net import Net  # noqa: E402
from prototxt_tools.reports import check  # noqa: E402
from prototxt_tools.reports.audit import audit  # noqa: E402
from prototxt_tools.text.document import Document  # noqa: E402

_TABLES = (".tsv", ".csv", ".md", ".json")
_SECONDS, _BYTES = 60, 6 << 30
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
    crashed: bool = False


def judge(path, with_caffe, name=None):
    """Try everything on a file, in a child process: a file that kills it kills no other's row.

    Parameters
    ----------
    path : pathlib.Path
    with_caffe : bool
        Whether pycaffe is here.
    name : str, optional
        What the row calls it, if not as the path does.

    Returns
    -------
    Row
    """
    answer, last_words = stock_caffe.in_child(
        os.getcwd(), lambda: _limited(path, with_caffe), _SECONDS + 2 * stock_caffe.SECONDS
    )
    name = name or path.name
    if answer is None:
        return Row(name, crashed=True, reason=last_words)
    return Row(*answer)._replace(name=name)


def _limited(path, with_caffe):
    os.setpgid(0, 0)  # what it starts dies with it
    resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
    return try_all(path, with_caffe)


def try_all(path, with_caffe):
    """Try everything on a file, in this process; see ``judge``."""
    row = Row(path.name)
    try:
        document = Document.load(path)
        row = row._replace(parses=True, comes_back=document.encode() == path.read_bytes())
        row = row._replace(is_net=False)
        net = Net.parse(document)
        row = row._replace(is_net=True, converts=False)
        check.strangers(document)
        converted = rewrite.strip_softmax(document).then(rewrite.force_backward).document
        row = row._replace(converts=True)
    except InputError as error:
        return row._replace(reason=_without_path(error, path))
    problems = check.problems(net)
    row = row._replace(is_stock=not problems)
    if problems:
        return row._replace(reason="stock Caffe: " + _without_path(problems[0], path))
    touching = [finding.sentence for finding in audit(net.at("TEST"))
                if finding.kind in ("code", "file")]
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
    unsaid = [entry.blob for entry in built.inputs if entry.shape is None]
    if unsaid:
        agree, reason = None, "shapes not compared: the file gives none for " + ", ".join(unsaid)
    if after.refusal is not None:
        reason = "Caffe, after conversion: " + after.refusal
    return row._replace(
        loads=True, loads_after=after.refusal is None, shapes_agree=agree, reason=reason
    )


def _without_path(message, path):
    """A sentence without the file's name: the row has it already."""
    before, _, after = str(message).partition(str(path))
    return (before + after).lstrip(": ")


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
        yield f"{title:<34}{len(yes):>5} of {len(asked):>5}"
    kinds = collections.Counter(_kind(row) for row in rows)
    yield ""
    for kind, count in kinds.most_common():
        yield f"{kind:<34}{count:>5}"
    yield ""
    for row in rows:
        if row.reason:
            yield f"{row.name}: {_kind(row)}: {row.reason}"


def _asked(rows, column):
    return [row for row in rows if getattr(row, column) is not None]


def _those(rows, column):
    return [row for row in rows if getattr(row, column)]


def _kind(row):
    if row.crashed:
        return "crashed"
    for kind, column in _CLASSES:
        if not getattr(row, column):
            return kind
    if not row.is_stock:
        return "converted, stock Caffe refuses"
    if row.loads is None:
        return "converted, not tried"
    if not row.loads:
        return "converted, Caffe refuses"
    return "FAILED" if False in (row.loads_after, row.shapes_agree) else "converted, loads"


def files_of(folder):
    """Every file below a folder but tables and notes, sorted."""
    paths = []
    for parent, folders, names in os.walk(str(folder)):
        folders.sort()
        paths += [pathlib.Path(parent, name) for name in sorted(names)]
    return [path for path in paths if path.suffix.lower() not in _TABLES and _is_file(path)]


def _is_file(path):
    """Whether it is a file or a link to nothing, which gets a row as well; a pipe would wait."""
    try:
        return stat.S_ISREG(os.stat(str(path)).st_mode)
    except OSError:
        return True


def _printable(text):
    """A text for any terminal, on one line: names need not be UTF-8."""
    shown = "".join(x if x.isprintable() else x.encode("unicode_escape").decode() for x in text)
    encoding = sys.stdout.encoding or "ascii"
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def main(arguments):
    """Print the report of a folder; the result is the exit code."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__.strip())
        return 0 if arguments in (["-h"], ["--help"]) else 2
    folder = pathlib.Path(arguments[0])
    if not folder.is_dir():
        print(_printable(f"{folder} is no folder"), file=sys.stderr)
        return 2
    with_caffe = importlib.util.find_spec("caffe") is not None
    if with_caffe:
        os.environ.setdefault("GLOG_minloglevel", "2")
        import caffe  # noqa: F401 (so that no child has to)
    rows = [judge(path, with_caffe, str(path.relative_to(folder))) for path in files_of(folder)]
    for line in report(rows):
        print(_printable(line))
    failed = [x for x in rows if x.comes_back is False or _kind(x) in ("crashed", "FAILED")]
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)
