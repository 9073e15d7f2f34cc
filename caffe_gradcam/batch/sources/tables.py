"""CSV, JSONL and Parquet with a column ``path``; see ``item.from_columns`` for the others."""

import csv as csv_module
import io
import json

from caffe_gradcam.batch.sources.item import from_columns
from caffe_gradcam.batch.sources.files import lines, open_stream, resolve
from prototxt_tools.errors import InputError

_COLUMNS = ("id", "path", "label", "class", "question", "box")


def csv(path, root=None):
    """A table with a line of column names; commas, or in a .tsv tabs."""
    stream = io.TextIOWrapper(open_stream(path), "utf-8-sig", "surrogateescape", newline="")
    with stream as file:
        reader = csv_module.DictReader(file, dialect="excel-tab" if path.endswith(".tsv") else
                                       "excel")
        if "path" not in (reader.fieldnames or ()):
            raise InputError(f"{path}: its first line names no column path")
        for row in reader:
            yield _item(row, path, root, f"{path}:{reader.line_num}")


def jsonl(path, root=None):
    """One JSON object on each line."""
    for number, line in enumerate(lines(path), 1):
        place = f"{path}:{number}"
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise InputError(f"{place}: not a JSON object")
        yield _item(row, path, root, place)


def parquet(path, root=None):
    """A Parquet file, read in small groups of rows."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(f"{path}: Parquet needs pyarrow; pip install pyarrow") from None
    try:
        with open_stream(path) as stream:
            file = pyarrow.parquet.ParquetFile(stream)
            known = [name for name in _COLUMNS if name in file.schema_arrow.names]
            number = 0
            for group in file.iter_batches(4096, columns=known):
                for row in group.to_pylist():
                    number += 1
                    yield _item(row, path, root, f"{path}, row {number}")
    except pyarrow.ArrowException as error:
        raise InputError(f"{path}: no Parquet file that can be read: {str(error).splitlines()[0]}") from None


def _item(row, path, root, place):
    item = from_columns({name: row.get(name) for name in _COLUMNS}, place)
    return item._replace(path=resolve(item.path, path, root))
