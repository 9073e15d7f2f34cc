"""Many images in one file: LMDBs of Caffe's Datums, tars in WebDataset's form."""

import json
import os
import re
import tarfile

from caffe_gradcam.batch.sources.item import Item, from_columns, to_label
from caffe_gradcam.batch.sources.files import open_stream
from prototxt_tools.errors import InputError

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_NOTES = (".cls", ".json")
# Other texts and arrays that WebDataset's writers put beside an image.
_NO_IMAGES = re.compile(r"\.(txt|cls\d*|json|npy|npz|pth|pyd|pickle|pkl|id|index|seg\.png)$")


def is_lmdb(path):
    """Whether a folder, or a file, is an LMDB."""
    return os.path.isfile(os.path.join(path, "data.mdb")) or path.endswith((".mdb", ".lmdb"))


def open_lmdb(path):
    """The environment of an LMDB, to read only."""
    try:
        import lmdb as library
    except ImportError:
        raise InputError(f"{path}: an LMDB needs the package lmdb; pip install lmdb") from None
    try:
        return library.open(path, readonly=True, lock=False, readahead=False,
                            subdir=os.path.isdir(path))
    except library.Error as error:
        raise InputError(f"{path}: no LMDB that can be read: {error}") from None


def lmdb(path):
    """The keys of an LMDB, in its own order; labels come with the Datums."""
    with open_lmdb(path) as environment, environment.begin() as transaction:
        for key in transaction.cursor().iternext(values=False):
            name = key.decode("utf-8", "backslashreplace")
            yield Item.of(os.path.join(path, name), id=name, archive=path, where=key.hex())


def tars(source):
    """The images of one tar, or of all that ``{000..127}`` stands for."""
    match = _RANGE.search(source)
    if not match:
        return tar(source)
    first, last = match.groups()
    numbers = (str(one).zfill(len(first)) for one in range(int(first), int(last) + 1))
    return (item for number in numbers
            for item in tar(source[:match.start()] + number + source[match.end():]))


def tar(path):
    """The images of a WebDataset's tar: members with one name before the first dot belong
    together, ``.cls`` holds the label, ``.json`` any column of a table."""
    with open_stream(path) as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r:") as archive:
                for group in _samples(archive):
                    for item in _images(archive, path, *group):
                        yield item
        except tarfile.TarError as error:
            raise InputError(f"{path}: no tar that can be read: {error}; compressed ones have to be "
                             "unpacked") from None


def _samples(archive):
    """Runs of members with one name: (name, members)."""
    name, members = None, []
    for member in archive:
        # tarfile remembers all that it has seen, which a long archive must not let it.
        archive.members = []
        folder, base = os.path.split(member.name)
        own = os.path.join(folder, base.split(".")[0])
        if own != name and members:
            yield name, members
            members = []
        name = own
        if not base.startswith(".") and member.isfile():
            members.append(member)
    if members:
        yield name, members


def _images(archive, path, name, members):
    notes = {}
    for member in members:
        extension = member.name[len(name):].lower()
        if extension in _NOTES:
            notes.update(_notes(extension, archive.extractfile(member).read()))
    images = [one for one in members if not _NO_IMAGES.search(one.name.lower())]
    for member in images:
        shown = os.path.join(path, member.name)
        try:
            item = from_columns(dict(notes, path=shown), shown)
        except InputError:
            item = Item.of(shown)
        yield item._replace(id=name if len(images) == 1 else member.name, archive=path,
                            where=[member.offset_data, member.size])


def _notes(extension, data):
    """What a member beside the image says of it, as columns of a table."""
    text = data.decode("utf-8", "replace").strip()
    if extension == ".cls":
        return {"label": to_label(text)}
    try:
        values = json.loads(text)
    except ValueError:
        return {}
    wanted = ("label", "class", "question", "box")
    return {key: values[key] for key in wanted if key in values} if isinstance(
        values, dict) else {}
