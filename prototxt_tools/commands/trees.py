"""Whole folders: every prototxt below one is read, and each result goes below another."""

import argparse
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Callable, Dict, Iterator, List, Optional, Tuple

from prototxt_tools.commands.table import table
from prototxt_tools.errors import InputError, QuestionError
from prototxt_tools.files import write_bytes
from prototxt_tools.text.document import Document

if TYPE_CHECKING:
    from prototxt_tools.rewrite import Rewrite

_EXTENSIONS = (".prototxt", ".pbtxt", ".pt")
_SKIPPED, _REFUSED = "skipped", "refused"
_NO_FILE = "a link or no regular file"


@dataclass(frozen=True)
class FileResult:
    """What became of one file.

    Attributes
    ----------
    file : str
        Its path below the folder.
    result : str
        "changed", "unchanged", "skipped" (a solver or a link) or "refused"; of an audit "fine",
        "findings", "skipped" or "refused".
    output : str or None
        The file that was written.
    notes : tuple of str
        Of the rewrite, or the findings.
    reason : str
        Why it was skipped or refused.
    """

    file: str
    result: str
    output: Optional[str] = None
    notes: Tuple[str, ...] = ()
    reason: str = ""


def is_tree(options: argparse.Namespace) -> bool:
    """Whether the input of a command is a folder."""
    return os.path.isdir(options.input)


def change_tree(options: argparse.Namespace,
                step: "Callable[[Document], Rewrite]") -> int:
    """Apply a rewrite to every prototxt below a folder and print what became of each.

    Nothing is overwritten: a file whose output exists is refused.

    Returns
    -------
    int
        The exit code: 1 where a file was refused.

    Raises
    ------
    InputError
        The options do not fit a folder, or it holds no prototxt.
    """
    if options.in_place or options.diff:
        raise QuestionError("--in-place and --diff need a file, not a folder; give -o FOLDER")
    source, target = options.input, options.output
    if target in (None, "-"):
        raise QuestionError(f"{source} is a folder; give -o FOLDER for the results")
    if os.path.exists(target) and not os.path.isdir(target):
        raise QuestionError(f"{target} is a file; give -o a folder, since {source} is one")
    if _contains(source, target) or _contains(target, source):
        raise QuestionError(f"{target} and {source} lie within each other; give -o another folder")
    results = [_change(source, target, name, step) for name in _names(source)]
    return _report(results, options.json)


def examine_tree(options: argparse.Namespace,
                 look: Callable[[Document], List[str]]) -> int:
    """Print what a look at every prototxt below a folder finds; 1 where it finds something."""
    def result(name: str) -> FileResult:
        path = os.path.join(options.input, name)
        if not _is_regular(path):
            return FileResult(name, _SKIPPED, reason=_NO_FILE)
        try:
            findings = tuple(look(Document.load(path)))
        except InputError as error:
            return _not_done(name, error)
        return FileResult(name, "findings" if findings else "fine", notes=findings)

    results = [result(name) for name in _names(options.input)]
    return _report(results, options.json)


def _contains(folder: str, path: str) -> bool:
    """Whether a path is a folder or lies in it."""
    folder, path = os.path.realpath(folder), os.path.realpath(path)
    return os.path.commonpath([folder, path]) == folder


def _names(folder: str) -> List[str]:
    """The prototxts below a folder, in order; links to folders are not followed."""
    names = []
    for place, folders, files in os.walk(folder):
        folders.sort()
        names += [os.path.relpath(os.path.join(place, name), folder) for name in sorted(files)
                  if name.endswith(_EXTENSIONS)]
    if not names:
        raise InputError(f"{folder}: no file in it ends with {', '.join(_EXTENSIONS)}", folder)
    return names


def _is_regular(path: str) -> bool:
    return os.path.isfile(path) and not os.path.islink(path)


def _change(source: str, target: str, name: str,
            step: "Callable[[Document], Rewrite]") -> FileResult:
    path, output = os.path.join(source, name), os.path.join(target, name)
    if not _is_regular(path):
        return FileResult(name, _SKIPPED, reason=_NO_FILE)
    if os.path.lexists(output):
        return FileResult(name, _REFUSED, reason=f"{output} exists, and nothing is overwritten")
    try:
        before = Document.load(path)
        changed = step(before)
        after = changed.document.encode()
        os.makedirs(os.path.dirname(output) or ".", exist_ok=True)
        write_bytes(output, after)
    except InputError as error:
        return _not_done(name, error)
    except OSError as error:
        return FileResult(name, _REFUSED, reason=f"{output}: cannot be written: {error.strerror}")
    result = "unchanged" if after == before.encode() else "changed"
    return FileResult(name, result, output, tuple(changed.notes))


def _not_done(name: str, error: InputError) -> FileResult:
    """A solver beside a net is no fault; anything else is."""
    reason = str(error)
    result = _SKIPPED if "a solver, not a net" in reason else _REFUSED
    return FileResult(name, result, reason=reason)


def _report(results: List[FileResult], as_json: bool) -> int:
    counts: Dict[str, int] = {}
    for entry in results:
        counts[entry.result] = counts.get(entry.result, 0) + 1
    if as_json:
        print(json.dumps({"files": [asdict(entry) for entry in results], "counts": counts},
                         indent=1))
    else:
        print("\n".join(_lines(results)))
        print(", ".join(f"{count} {result}" for result, count in sorted(counts.items())))
    return 1 if {_REFUSED, "findings"}.intersection(counts) else 0


def _lines(results: List[FileResult]) -> Iterator[str]:
    rows = []
    for entry in results:
        left = sum(note.startswith("left") for note in entry.notes)
        remark = entry.reason or (f"{len(entry.notes)} notes" if entry.notes else "")
        rows.append((entry.file, entry.result, remark + (f", {left} left alone" if left else "")))
    return table(("file", "result", "remark"), rows, longest=100)
