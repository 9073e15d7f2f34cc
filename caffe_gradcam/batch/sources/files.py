"""Folders and plain lists of image files."""

import os
import posixpath
import re
import sys

from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.batch.storage import file_system, is_url, reason
from prototxt_tools.errors import InputError

_LABELLED = re.compile(r"(.*\S)\s+(-?\d+)$", re.DOTALL)


def folder(path):
    """All files below a folder, by name, hidden ones left out; links to folders are followed.

    Whatever a file is called: what is no image has a row that says so.
    """
    for name, place in _walk(path, "", ()):
        yield Item.of(place, id=name)


def _walk(path, prefix, above):
    try:
        status = os.stat(path)
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{path}: cannot be listed: {reason(error)}") from None
    if (status.st_dev, status.st_ino) in above:
        return  # a link to a folder that it lies in
    above += ((status.st_dev, status.st_ino),)
    for entry in entries:
        if entry.name.startswith("."):
            continue
        place, name = os.path.join(path, entry.name), prefix + entry.name
        if os.path.isdir(place):
            for found in _walk(place, name + "/", above):
                yield found
        else:
            yield name, place


def text_list(path, root=None):
    """Caffe's lists of images: ``path label`` on each line, the label a number, or no label."""
    for line in lines(path):
        match = _LABELLED.match(line)
        name, label = (match.group(1), int(match.group(2))) if match else (line, None)
        yield Item.of(resolve(name, path, root), id=name, label=label)


def standard_input(root=None, stdin=None):
    """One path per line; blanks belong to the name."""
    for line in stdin or sys.stdin.buffer:
        name = os.fsdecode(line.rstrip(b"\r\n"))
        if name:
            yield Item.of(os.path.join(root, name) if root else name, id=name)


def url(source, root=None):
    """All files below a URL that is a folder, else those of the list behind it."""
    system, inner = file_system(source)
    try:
        is_folder = system.isdir(inner)
    except Exception as error:
        raise InputError(f"{source}: cannot be listed: {reason(error)}") from None
    if not is_folder:
        if not system.exists(inner):
            raise InputError(f"{source}: no such folder, list or archive")
        for item in text_list(source, root):
            yield item
        return
    top = inner.rstrip("/") + "/"
    for place in sorted(system.find(inner)):
        name = place[len(top):]
        if not any(part.startswith(".") for part in name.split("/")):
            yield Item.of(posixpath.join(source, name), id=name)


def lines(path):
    """The lines of a text file or URL that hold something, as file names are decoded."""
    for line in open_stream(path):
        text = os.fsdecode(line).strip("\r\n \t")
        if text:
            yield text


def open_stream(path):
    """A file or a URL, opened to read bytes."""
    try:
        if is_url(path):
            system, inner = file_system(path)
            return system.open(inner, "rb")
        return open(path, "rb")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {reason(error)}") from None


def resolve(name, table, root):
    """A path in a list as it is from here: relative to the root, or to the list's own folder."""
    if is_url(name) or os.path.isabs(name):
        return name
    if is_url(table) and not root:
        return posixpath.join(posixpath.dirname(table), name)
    return os.path.join(root or os.path.dirname(table), name)
