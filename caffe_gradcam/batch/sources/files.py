"""Folders and plain lists of image files."""

import glob as glob_module
import io
import logging
import os
import posixpath
import re
import stat
import sys
from typing import IO, Any, Callable, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from caffe_gradcam.batch.sources import pages
from caffe_gradcam.batch.sources.item import Item, to_label
from caffe_gradcam.batch.sources.kinds import has_image_name, is_image_file
from caffe_gradcam.batch.storage import file_system, is_url, local_path, reason
from prototxt_tools.errors import InputError, Outcome
from prototxt_tools.files import byte_limit, open_regular

_LABELLED = re.compile(r"(.*\S)\s+(-?\d+)$", re.DOTALL)
_LONGEST_LINE = 1 << 22
_logger = logging.getLogger(__name__)


def folder(path: str, class_names: Optional[Sequence[str]] = None) -> Iterator[Item]:
    """The images in a folder and below, by name; hidden files are left out.

    Links to folders are followed. Where all folders in it are named after classes, they give the
    true labels.
    """
    labels = class_folders(subfolders(path), class_names)
    others: List[str] = []
    count = 0
    for name, file_path in walk(path):
        if is_image_file(file_path):
            count += 1
            yield from pages.items(
                Item.of(file_path, id=name, true_label=labels.get(name.split("/")[0])))
        elif len(others) < 2:
            others.append(name)
    if not count:
        raise InputError(f"{path}: there are no images in this folder", path)
    if others:
        _logger.info("%s: files that are not images were left out, such as %s", path, others[0])


def class_folders(names: Sequence[str], class_names: Optional[Sequence[str]]) -> Dict[str, int]:
    """Folder -> class number, where each of the folders is named after a class; else empty."""
    if not names or not class_names:
        return {}
    numbers: Dict[str, List[int]] = {}
    for number, class_name in enumerate(class_names):
        whole = class_name.strip().lower()
        for name in {whole, *(part.strip() for part in whole.split(","))}:
            numbers.setdefault(name.replace("_", " "), []).append(number)
    matches_of_all = [numbers.get(name.lower().replace("_", " "), []) for name in names]
    if any(len(matches) != 1 for matches in matches_of_all):
        return {}
    return {name: matches[0] for name, matches in zip(names, matches_of_all)}


def subfolders(path: str) -> List[str]:
    """The names of the folders in a folder, without hidden ones."""
    try:
        return [entry.name for entry in os.scandir(path)
                if not entry.name.startswith(".") and entry.is_dir()]
    except OSError:
        return []  # `walk` reports it.


def walk(path: str) -> Iterator[Tuple[str, str]]:
    """The files in a folder and below, by name: their names from there on, with slashes, and their
    paths. Hidden files are left out; links to folders are followed."""
    return _walk(path, "", (), set())


def _walk(path: str, prefix: str, above: Tuple[Any, ...], linked: Set[Any]
          ) -> Iterator[Tuple[str, str]]:
    """The files of a folder and those in it; a folder is entered through one link only, or
    folders that link to each other would have as many names as there are ways through them."""
    try:
        status = os.stat(path)
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{path}: cannot be listed: {reason(error)}", path) from None
    if (status.st_dev, status.st_ino) in above:
        return  # A link to a folder that contains it.
    above += ((status.st_dev, status.st_ino),)
    for entry in entries:
        if entry.name.startswith("."):
            continue
        entry_path, name = os.path.join(path, entry.name), prefix + entry.name
        if os.path.isdir(entry_path):
            if entry.is_symlink() and not _is_first(entry_path, linked):
                continue
            for inner in _walk(entry_path, name + "/", above, linked):
                yield inner
        else:
            yield name, entry_path


def _is_first(path: str, linked: Set[Any]) -> bool:
    """Whether no link led to this folder before."""
    status = os.stat(path)
    key = (status.st_dev, status.st_ino)
    if key in linked:
        _logger.warning("%s: links to a folder that another link leads to; passed over", path)
        return False
    linked.add(key)
    return True


def matches(pattern: str, class_names: Optional[Sequence[str]] = None) -> Iterator[Item]:
    """The images that a pattern such as ``photos/**/*.jpg`` matches, and those in the folders that
    it matches."""
    count = 0
    for path in sorted(glob_module.glob(pattern, recursive=True)):
        if os.path.isdir(path):
            # "**" also matches the folders on the way to the files.
            inner = [] if "**" in pattern else folder(path, class_names)
        else:
            inner = [Item.of(path)] if is_image_file(path) else []
        for item in inner:
            count += 1
            yield item
    if not count:
        raise InputError(f"{pattern}: no image matches this pattern", pattern)


def text_list(path: str, root: Optional[str] = None) -> Iterator[Item]:
    """Caffe's lists of images: ``path label`` on each line, the label a number, or no label."""
    for number, line in enumerate(lines(path), 1):
        match = _LABELLED.match(line)
        name, text = match.groups() if match else (line, None)
        label = Outcome.of(to_label, text, f"{path}, entry {number}")
        yield Item.of(resolve(name, path, root), id=name, true_label=label.value,
                      error=None if label.error is None else str(label.error))


def standard_input(root: Optional[str] = None, stdin: Optional[IO[bytes]] = None) -> Iterator[Item]:
    """One path per line; blanks belong to the name."""
    for line in _lines(stdin or sys.stdin.buffer, "standard input"):
        name = os.fsdecode(line.rstrip(b"\r\n"))
        if name:
            yield Item.of(os.path.join(root, name) if root else name, id=name)


def url(source: str, root: Optional[str] = None,
        is_wanted: Callable[[str], bool] = has_image_name) -> Iterator[Item]:
    """The images below a URL that is a folder, otherwise those of the list behind it; instead of
    images, the files whose names are wanted."""
    system, inner = file_system(source)
    try:
        is_folder = system.isdir(inner)
    except Exception as error:  # each file system has errors of its own
        raise InputError(f"{source}: cannot be listed: {reason(error)}", source) from None
    if not is_folder:
        if not system.exists(inner):
            raise missing(source)
        if is_wanted(source):
            yield Item.of(source)
            return
        for item in text_list(source, root):
            yield item
        return
    top = inner.rstrip("/") + "/"
    for path in sorted(system.find(inner)):
        name = path[len(top):]
        if is_wanted(name) and not any(part.startswith(".") for part in name.split("/")):
            yield Item.of(posixpath.join(source, name), id=name)


def missing(source: str) -> InputError:
    """The error for a source that does not exist."""
    return InputError(f"{source or repr(source)}: no such image, folder, list or archive", source)


def lines(path: str) -> Iterator[str]:
    """The lines of a text file or URL that are not empty, decoded as file names are."""
    with open_stream(path, pipes=True) as stream:
        for line in _lines(stream, path):
            text = os.fsdecode(line).strip("\r\n \t")
            if text:
                yield text


def _lines(stream: IO[bytes], name: str) -> Iterator[bytes]:
    number, longest = 0, byte_limit(_LONGEST_LINE)
    while True:
        line = stream.readline(longest)
        if not line:
            return
        number += 1
        if len(line) >= longest:
            raise InputError(f"{name}: line {number} is longer than {longest} bytes, so this is "
                             "not a list of images", name)
        yield line


def open_stream(path: str, pipes: bool = False) -> IO[bytes]:
    """A regular file or a URL, opened to read bytes.

    Parameters
    ----------
    path : str
    pipes : bool
        Whether it may also be a pipe that somebody writes to, such as the shell's ``<(command)``.

    Raises
    ------
    InputError
        It cannot be read, or is another kind of file.
    """
    path = local_path(path)
    if not is_url(path):
        return _open_pipe(path) if pipes and _is_pipe(path) else open_regular(path)
    try:
        system, inner = file_system(path)
        return system.open(inner, "rb")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file", path) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {reason(error)}", path) from None


def _is_pipe(path: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _open_pipe(path: str) -> IO[bytes]:
    """A pipe; an InputError where nobody writes to it, for which opening would wait for ever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        start = os.read(descriptor, 1)
    except BlockingIOError:  # The writer has not begun.
        start = None
    if start == b"":
        os.close(descriptor)
        raise InputError(f"{path}: a pipe that nobody writes to", path)
    os.set_blocking(descriptor, True)
    return io.BufferedReader(_Continued(start or b"", descriptor))


class _Continued(io.RawIOBase):
    """A pipe of which the first bytes have been read."""

    def __init__(self, start: bytes, descriptor: int) -> None:
        super().__init__()
        self._start, self._descriptor = start, descriptor

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data, self._start = self._start or os.read(self._descriptor, len(buffer)), b""
        buffer[:len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def resolve(name: str, table: str, root: Optional[str]) -> str:
    """The full path of a path in a list, which is relative to the root or to the list's folder."""
    if is_url(name) or os.path.isabs(name):
        return name
    if is_url(table) and not root:
        return posixpath.join(posixpath.dirname(table), name)
    return os.path.join(root or os.path.dirname(table), name)
