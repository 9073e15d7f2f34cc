"""What a batch is made of: folders, lists, tables, LMDBs and tars, as streams of items."""

import os

from caffe_gradcam.batch.sources import archives, files, tables
from caffe_gradcam.batch.storage import is_url
from prototxt_tools.errors import InputError

_TABLES = {
    ".csv": tables.csv, ".tsv": tables.csv, ".jsonl": tables.jsonl, ".ndjson": tables.jsonl,
    ".parquet": tables.parquet,
}


def items(source, root=None, stdin=None):
    """The items of a source, one after the other, in the same order each time.

    Parameters
    ----------
    source : str
        A folder, a text list (``path label``), .csv, .tsv, .jsonl or .parquet with the columns
        of ``item.from_columns``, an LMDB of Caffe's Datums, a WebDataset .tar (also
        ``shards-{000..127}.tar``), or "-" for paths on standard input, one per line.
    root : str, optional
        What relative paths of a list start from; else the list's own folder, and of standard
        input the current one.
    stdin : binary file, optional
        Instead of ``sys.stdin.buffer``.

    Yields
    ------
    Item
        Numbers are not set yet.

    Raises
    ------
    InputError
        There is no such source, or it cannot be read.
    """
    if source == "-":
        return files.standard_input(root, stdin)
    extension = os.path.splitext(source)[1].lower()
    if extension == ".tar":
        return archives.tars(source)
    if extension in _TABLES:
        return _TABLES[extension](source, root)
    if is_url(source):
        return files.url(source, root)
    if not os.path.exists(source):
        raise InputError(f"{source}: no such folder, list or archive")
    if archives.is_lmdb(source):
        return archives.lmdb(source)
    return files.folder(source) if os.path.isdir(source) else files.text_list(source, root)
