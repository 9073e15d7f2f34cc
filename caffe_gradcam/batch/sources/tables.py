"""CSV, JSON lines and Parquet with a column ``path``; see ``item.from_columns`` for the others.

For a net with several inputs there is a column for each input blob instead of ``path``.
"""

import csv as csv_module
import dataclasses
import io
import json
from typing import Any, Iterator, Mapping, Optional, Sequence

from caffe_gradcam.batch.sources.files import lines, open_stream, resolve
from caffe_gradcam.batch.sources.item import COLUMNS, Item, from_columns
from prototxt_tools.errors import InputError

_READ = tuple(name for name in COLUMNS if name != "image")


def csv(path: str, root: Optional[str] = None, inputs: Sequence[str] = ()) -> Iterator[Item]:
    """A table with a line of column names, separated by commas, or in a .tsv by tabs."""
    stream = io.TextIOWrapper(open_stream(path), "utf-8-sig", "surrogateescape", newline="")
    with stream as file:
        reader = csv_module.DictReader(
            file, dialect="excel-tab" if path.lower().endswith(".tsv") else "excel")
        try:
            for name in inputs or ["path"]:
                if name not in (reader.fieldnames or ()):
                    raise InputError(f"{path}: the first line names no column {name}", path)
            for row in reader:
                yield _item(row, path, root, f"{path}:{reader.line_num}", inputs)
        except csv_module.Error as error:
            raise InputError(f"{path}:{reader.line_num}: cannot be read: {error}", path) from None


def jsonl(path: str, root: Optional[str] = None, inputs: Sequence[str] = ()) -> Iterator[Item]:
    """One JSON object on each line."""
    for number, line in enumerate(lines(path), 1):
        row_name = f"{path}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise InputError(f"{row_name}: not a JSON object", path)
        yield _item(row, path, root, row_name, inputs)


def parquet(path: str, root: Optional[str] = None, inputs: Sequence[str] = ()) -> Iterator[Item]:
    """A Parquet file, read in small groups of rows."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(f"{path}: Parquet needs pyarrow; pip install pyarrow", path) from None
    try:
        with open_stream(path) as stream:
            file = pyarrow.parquet.ParquetFile(stream)
            columns = [name for name in _READ + tuple(inputs) if name in file.schema_arrow.names]
            number = 0
            for group in file.iter_batches(4096, columns=columns):
                for row in group.to_pylist():
                    number += 1
                    yield _item(row, path, root, f"{path}, row {number}", inputs)
    except (pyarrow.ArrowException, OSError) as error:
        summary = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: this Parquet file cannot be read: {summary}", path) from None


def _item(row: Mapping[str, Any], path: str, root: Optional[str], row_name: str,
          inputs: Sequence[str]) -> Item:
    names = _READ + tuple(inputs)
    item = from_columns({name: row.get(name) for name in names}, row_name, inputs)
    if inputs:
        resolved = Item.of_inputs({blob: resolve(name, path, root)
                                   for blob, name in item.input_paths})
        return dataclasses.replace(item, path=resolved.path, input_paths=resolved.input_paths)
    return dataclasses.replace(item, path=resolve(item.path, path, root))
