"""The files of a command that changes a prototxt: one is read, one is written."""

import argparse
import difflib
import os
import re
import sys
from typing import TYPE_CHECKING, Callable, List

from prototxt_tools.commands import stdout, trees
from prototxt_tools.errors import InputError
from prototxt_tools.files import write_bytes
from prototxt_tools.text.document import Document

if TYPE_CHECKING:
    from prototxt_tools.rewrite import Rewrite


def add_output(command: argparse.ArgumentParser, trees: bool = False) -> None:
    """Add the argument IN and the options for the output to a command.

    With ``trees``, IN may be a folder, and OUT is one then.
    """
    command.add_argument("input", metavar="IN",
                         help="a prototxt file, or - for standard input"
                         + ("; or a folder, whose files are all read" if trees else ""))
    output = command.add_mutually_exclusive_group()
    output.add_argument(
        "-o", metavar="OUT", dest="output", help="the file to write (default: standard output)"
        + ("; for a folder another folder, in which nothing is overwritten" if trees else ""))
    if trees:
        command.add_argument("--json", action="store_true",
                             help="for a folder: JSON instead of a table of the files")
    output.add_argument("--in-place", action="store_true",
                        help="change the file itself and keep the old one as .bak")
    command.add_argument("--diff", action="store_true",
                         help="show the changes as a unified diff; write no file without -o or "
                         "--in-place")


def read(path: str) -> Document:
    """The document of a file, or of standard input if the path is ``-``."""
    if path == "-":
        return Document.parse(sys.stdin.buffer.read(), "<stdin>")
    return Document.load(path)


def read_to_change(path: str) -> Document:
    """The document of a file that is to be rewritten; warns about what stock Caffe does not know.

    Raises
    ------
    PrototxtError
        If the file does not define a net, or no parser accepts it.
    """
    # Imported here so that --help needs no protobuf.
    from prototxt_tools.net.net import Net
    from prototxt_tools.reports import check

    document = read(path)
    Net.parse(document)
    for stranger in check.strangers(document):
        print(stranger, file=sys.stderr)
    return document


def change(options: argparse.Namespace, *steps: "Callable[[Document], Rewrite]") -> int:
    """Read the input, apply rewrites one after the other and write the result.

    Where the command takes folders and the input is one, this is done for every file in it. Gives
    the exit code.
    """
    from prototxt_tools.rewrite import Rewrite

    def apply(document: Document) -> Rewrite:
        changed = Rewrite(document)
        for step in steps:
            changed = changed.then(step)
        return changed

    if hasattr(options, "json") and trees.is_tree(options):
        return trees.change_tree(options, apply)
    document = read_to_change(options.input)
    emit(document, apply(document), options)
    return 0


def emit(before: Document, changed: "Rewrite", options: argparse.Namespace) -> None:
    """Print the notes of a rewrite and write its document where ``add_output``'s options say.

    Raises
    ------
    InputError
        If a file cannot be written, or standard input is to be changed in place.
    """
    if options.in_place and options.input == "-":
        raise InputError("--in-place needs a file, not standard input")
    for note in changed.notes:
        print(note, file=sys.stderr)
    after = changed.document
    if options.diff:
        stdout.write(_diff(before, after).encode("utf-8"))
    if options.in_place:
        if after.encode() != before.encode():
            write_bytes(_backup_name(options.input), before.encode())
            write_bytes(options.input, after.encode())
    elif options.output not in (None, "-"):
        write_bytes(options.output, after.encode())
    elif not options.diff:
        stdout.write(after.encode())


def _backup_name(path: str) -> str:
    """A name beside the file that is still free, so that no older backup is lost."""
    name, count = path + ".bak", 1
    while os.path.exists(name):
        count += 1
        name = f"{path}.bak{count}"
    return name


def _diff(before: Document, after: Document) -> str:
    pieces = []
    for line in difflib.unified_diff(_lines(before), _lines(after), fromfile=str(before.path),
                                     tofile="converted"):
        pieces.append(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n")
    return "".join(pieces)


def _lines(document: Document) -> List[str]:
    return re.findall("[^\n]*\n|[^\n]+", document.encode().decode("utf-8", "replace"))
