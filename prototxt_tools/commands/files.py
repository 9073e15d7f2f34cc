"""The files of a command that changes a prototxt: one in, one out."""

import difflib
import os
import re
import sys

from prototxt_tools.commands import stdout
from prototxt_tools.errors import InputError
from prototxt_tools.files import write_bytes
from prototxt_tools.text.document import Document


def add_output(command):
    """Give a command its IN and the options that say where the result goes."""
    command.add_argument("input", metavar="IN", help="a prototxt file, or - for standard input")
    output = command.add_mutually_exclusive_group()
    output.add_argument(
        "-o", metavar="OUT", dest="output", help="file to write (default, and -: standard output)"
    )
    output.add_argument(
        "--in-place", action="store_true", help="change the file itself; the old one becomes .bak"
    )
    command.add_argument(
        "--diff", action="store_true", help="show what changes, as a unified diff on stdout"
    )


def read(path):
    """The document of a file, or of standard input if the path is ``-``."""
    if path == "-":
        return Document.parse(sys.stdin.buffer.read(), "<stdin>")
    return Document.load(path)


def read_to_change(path):
    """The document of a file that is to be rewritten; what stock Caffe does not know is said.

    Raises
    ------
    PrototxtError
        At what is no net, and at what no parser accepts.
    """
    # Imported here so that --help needs no protobuf.
    from prototxt_tools.net.net import Net
    from prototxt_tools.reports import check

    document = read(path)
    Net.parse(document)
    for stranger in check.strangers(document):
        print(stranger, file=sys.stderr)
    return document


def change(options, *steps):
    """Read the input, apply rewrites one after the other, say their notes, emit the result."""
    document = changed = read_to_change(options.input)
    for step in steps:
        changed, notes = step(changed)
        for note in notes:
            print(note, file=sys.stderr)
    emit(document, changed, options)


def emit(before, after, options):
    """Put a changed document where the options of ``add_output`` say.

    Raises
    ------
    InputError
        If a file cannot be written, or standard input is to be changed in place.
    """
    if options.in_place and options.input == "-":
        raise InputError("--in-place needs a file, not standard input")
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


def _backup_name(path):
    """A name beside the file that nothing has yet: an older backup is never lost."""
    name, count = path + ".bak", 1
    while os.path.exists(name):
        count += 1
        name = f"{path}.bak{count}"
    return name


def _diff(before, after):
    texts = [document.encode().decode("utf-8", "replace") for document in (before, after)]
    lines = [re.findall("[^\n]*\n|[^\n]+", text) for text in texts]
    pieces = []
    for line in difflib.unified_diff(*lines, fromfile=str(before.path), tofile="converted"):
        pieces.append(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n")
    return "".join(pieces)
