"""The images that a user names: files, folders, lists, tables and archives, as streams of items."""

import os
import stat
from typing import IO, Callable, Dict, Iterator, Optional, Sequence

from caffe_gradcam.batch.sources import archives, clips, files, hdf5, kinds, lmdb, pages, tables
from caffe_gradcam.batch.sources.item import IMAGE_ALONE, InputColumns, Item
from caffe_gradcam.batch.storage import is_url
from caffe_gradcam.model.clip_files import is_video
from prototxt_tools.errors import InputError

__all__ = ["InputColumns", "Item", "is_table", "open_source"]

_TABLES: Dict[str, Callable[[str, Optional[str], InputColumns], Iterator[Item]]] = {
    ".csv": tables.csv, ".tsv": tables.csv, ".jsonl": tables.jsonl, ".ndjson": tables.jsonl,
    ".parquet": tables.parquet,
}


def open_source(source: str, root: Optional[str] = None,
                class_names: Optional[Sequence[str]] = None,
                stdin: Optional[IO[bytes]] = None,
                inputs: InputColumns = IMAGE_ALONE) -> Iterator[Item]:
    """The items of a source, one after the other, in the same order each time.

    Parameters
    ----------
    source : str
        An image; a folder, of which the images are taken; a pattern such as ``photos/*.jpg``; a
        text list in Caffe's form (``path label``); a .csv, .tsv, .jsonl or .parquet with the
        columns of ``item.from_columns``; an LMDB of Caffe's Datums; a WebDataset .tar (also
        ``train-{000..127}.tar``); an HDF5 file with a dataset of images (``file.h5`` or
        ``file.h5:dataset``); or "-" for paths on standard input, one per line.
    root : str, optional
        The folder that relative paths of a list start from; without it, the list's own folder,
        and for standard input the current one.
    class_names : sequence of str, optional
        The model's. Where all folders in a folder are named after classes, they give the true
        labels.
    stdin : binary file, optional
        Instead of ``sys.stdin.buffer``.
    inputs : InputColumns
        The model's. If an image alone is not enough, the source must be a table with a column for
        each. Of a model that takes clips, videos and folders of frames are the items.

    Yields
    ------
    Item
        Without numbers. An image file that is missing or damaged is an item as well; reading it
        raises the error.

    Raises
    ------
    InputError
        There is no such source, it cannot be read, it is something else, such as a video, or it
        does not hold an image for each input.
    """
    extension = os.path.splitext(source)[1].lower()
    if inputs.needs_columns and not is_table(source):
        names = ", ".join(inputs.pictures + inputs.arrays)
        raise InputError(f"{source}: the net has several inputs; give a .csv, .tsv, .jsonl or "
                         f".parquet with a column of paths for each: {names}", source)
    if source == "-":
        return files.standard_input(root, stdin)
    if extension == ".tar":
        return archives.tars(source)
    if is_table(source):
        return _TABLES[extension](source, root, inputs)
    if is_url(source):
        return files.url(source, root, is_video if inputs.clips else kinds.has_image_name)
    if inputs.clips:
        return clips.local(source, root, class_names)
    if os.path.isdir(source):
        return _folder(source, class_names)
    return _file(source, root, class_names)


def is_table(source: str) -> bool:
    """Whether a source is a table with named columns, by its extension."""
    return os.path.splitext(source)[1].lower() in _TABLES


def _folder(path: str, class_names: Optional[Sequence[str]]) -> Iterator[Item]:
    if lmdb.is_lmdb(path):
        return lmdb.items(path)
    if archives.is_leveldb(path):
        raise InputError(f"{path}: this is a LevelDB; convert it to LMDB (convert_imageset "
                         "--backend lmdb)", path)
    return files.folder(path, class_names)


def _file(source: str, root: Optional[str], class_names: Optional[Sequence[str]]
          ) -> Iterator[Item]:
    path, dataset = hdf5.split(source)
    if kinds.has_image_name(path) and (os.path.lexists(path) or not kinds.is_pattern(path)):
        return pages.items(Item.of(path))
    if not os.path.exists(path):
        if kinds.is_pattern(path):
            return files.matches(path, class_names)
        raise files.missing(path)
    if not os.path.isfile(path):
        if not stat.S_ISFIFO(os.stat(path).st_mode):
            raise InputError(f"{path}: neither a file nor a folder nor a pipe", path)
        return files.text_list(path, root)  # Such as the shell's <(command).
    if lmdb.is_lmdb(path):
        return lmdb.items(path)
    start = kinds.read_start(path)
    if start.startswith(kinds.HDF5_START):
        return hdf5.hdf5(path, dataset)
    if dataset is not None:
        raise InputError(f"{source}: only an HDF5 file has datasets to name, and {path} is none",
                         source)
    if start.startswith(b"PAR1"):
        return tables.parquet(path, root)
    if start[257:262] == b"ustar":
        return archives.tar(path)
    if kinds.is_image(start):
        return pages.items(Item.of(path))
    error = kinds.stranger(path, start)
    if error is not None:
        raise error
    return files.text_list(path, root)
