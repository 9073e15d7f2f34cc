"""Many images in one file: tars in WebDataset's form."""

import dataclasses
import os
import re
import tarfile
from typing import Any, Dict, Iterator, List, Tuple

from caffe_gradcam.batch.sources.files import open_stream
from caffe_gradcam.batch.sources.item import Item, from_columns, unusable
from prototxt_tools.errors import InputError, Outcome
from prototxt_tools.files import byte_limit, parse_json, too_long

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_NOTES = (".cls", ".json")
_LONGEST_NOTE = 1 << 20
# Texts and arrays that WebDataset's writers put beside an image.
_NO_IMAGES = re.compile(r"\.(txt|cls\d*|json|npy|npz|pth|pyd|pickle|pkl|id|index|seg\.png)$")


def is_leveldb(path: str) -> bool:
    """Whether a folder is a LevelDB, Caffe's other kind of database."""
    return os.path.isfile(os.path.join(path, "CURRENT")) and any(
        name.startswith("MANIFEST-") for name in os.listdir(path))


def tars(source: str) -> Iterator[Item]:
    """The images of one tar, or of all that ``{000..127}`` stands for."""
    match = _RANGE.search(source)
    if not match:
        return tar(source)
    first, last = match.groups()
    numbers = (str(number).zfill(len(first)) for number in range(int(first), int(last) + 1))
    return (item for number in numbers
            for item in tar(source[:match.start()] + number + source[match.end():]))


def tar(path: str) -> Iterator[Item]:
    """The images of a WebDataset tar: members with one name before the first dot belong together,
    ``.cls`` holds the true label, ``.json`` any column of a table."""
    with open_stream(path) as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r:") as archive:
                for name, members in _samples(archive, path):
                    for item in _images(archive, path, name, members):
                        yield item
        except (tarfile.TarError, OverflowError) as error:
            raise InputError(f"{path}: this tar cannot be read: {error}; a compressed one must be "
                             "unpacked first", path) from None


def _samples(archive: tarfile.TarFile, path: str) -> Iterator[Tuple[str, List[tarfile.TarInfo]]]:
    """Runs of members with one name: (name, members)."""
    sample, members = "", []  # type: Tuple[str, List[tarfile.TarInfo]]
    offset = -1
    for member in archive:
        # tarfile keeps all members in memory, which would grow with the archive.
        archive.members = []  # type: ignore[attr-defined]
        # Old Pythons follow a negative size backwards, in an endless loop.
        if member.size < 0 or member.offset <= offset:
            raise InputError(f"{path}: {member.name!r} has an impossible size; this tar is damaged",
                             path)
        offset = member.offset
        folder, base = os.path.split(member.name)
        name = os.path.join(folder, base.split(".")[0])
        if name != sample and members:
            yield sample, members
            members = []
        sample = name
        if not base.startswith(".") and member.isfile():
            members.append(member)
    if members:
        yield sample, members


def _images(archive: tarfile.TarFile, path: str, name: str,
            members: List[tarfile.TarInfo]) -> Iterator[Item]:
    columns = Outcome.of(_notes, archive, path, name, members)
    images = [member for member in members if not _NO_IMAGES.search(member.name.lower())]
    for member in images:
        shown = os.path.join(path, member.name)
        item = columns.then(lambda notes, shown=shown: from_columns(
            dict(notes, path=shown), shown))
        yield dataclasses.replace(
            unusable(shown, str(item.error)) if item.error else item.unwrap(),
            id=name if len(images) == 1 else member.name, archive=path,
            position=("tar", member.offset_data, member.size))


def _notes(archive: tarfile.TarFile, path: str, name: str, members: List[tarfile.TarInfo]
           ) -> Dict[str, Any]:
    """What the members beside an image specify; raises InputError for damaged ones."""
    columns: Dict[str, Any] = {}
    for member in members:
        extension = member.name[len(name):].lower()
        stream = archive.extractfile(member) if extension in _NOTES else None
        if stream is not None:
            shown, limit = os.path.join(path, member.name), byte_limit(_LONGEST_NOTE)
            if member.size > limit:
                raise InputError(f"{shown}: {too_long(member.size, limit)}", shown)
            columns.update(_columns(extension, stream.read(), shown))
    return columns


def _columns(extension: str, data: bytes, shown: str) -> Dict[str, Any]:
    """What a member beside the image specifies, as columns of a table."""
    text = data.decode("utf-8", "replace").strip()
    if extension == ".cls":
        return {"true_label": text}
    try:
        values = parse_json(text)
    except ValueError:
        raise InputError(f"{shown}: not JSON, or nested too deeply", shown) from None
    names = ("true_label", "label", "class", "question", "box")
    return {name: values[name] for name in names if name in values} if isinstance(
        values, dict) else {}
