"""CSV, JSON lines and Parquet with a column ``path``; see ``item.from_columns`` for the others.

For a net with several inputs there is a column for each input instead of ``path``: paths of
images, and for inputs that are no pictures files of numbers, or numbers.
"""

import csv as csv_module
import dataclasses
import io
from typing import Any, Iterator, Mapping, Optional, Sequence, Tuple, Union

from caffe_gradcam.batch.sources.files import lines, open_stream, resolve
from caffe_gradcam.batch.sources.item import (
    COLUMNS,
    IMAGE_ALONE,
    InputColumns,
    Item,
    from_columns,
    unusable,
)
from prototxt_tools.errors import InputError
from prototxt_tools.files import parse_json

_READ = tuple(name for name in COLUMNS if name != "image")


def csv(path: str, root: Optional[str] = None, inputs: InputColumns = IMAGE_ALONE
        ) -> Iterator[Item]:
    """A table with a line of column names, separated by commas, or in a .tsv by tabs."""
    stream = open_stream(path, pipes=True)
    with io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="") as file:
        reader = csv_module.DictReader(
            file, dialect="excel-tab" if path.lower().endswith(".tsv") else "excel")
        for row, row_name in _csv_rows(reader, path, inputs):
            yield _item(row, path, root, row_name, inputs)


def _csv_rows(reader: Any, path: str, inputs: InputColumns) -> Iterator[Tuple[Any, str]]:
    """Rows, or the reasons why there are none, each with its name."""
    try:
        names = reader.fieldnames or ()
    except csv_module.Error as error:
        raise InputError(f"{path}:1: cannot be read: {error}", path) from None
    for name in inputs.missing(names):
        raise InputError(f"{path}: the first line names no column {name}", path)
    while True:
        try:
            row = next(reader, None)
        except csv_module.Error as error:
            row = f"cannot be read: {error}"
        if row is None:
            return
        yield row, f"{path}:{reader.reader.line_num}"


def jsonl(path: str, root: Optional[str] = None, inputs: InputColumns = IMAGE_ALONE
          ) -> Iterator[Item]:
    """One JSON object on each line."""
    for number, line in enumerate(lines(path), 1):
        row_name = f"{path}:{number}"
        try:
            row = parse_json(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            row = "not a JSON object"
        yield _item(row, path, root, row_name, inputs)


def parquet(path: str, root: Optional[str] = None, inputs: InputColumns = IMAGE_ALONE
            ) -> Iterator[Item]:
    """A Parquet file, read in small groups of rows."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise InputError(f"{path}: Parquet needs pyarrow; pip install pyarrow", path) from None
    try:
        with open_stream(path) as stream:
            file = pyarrow.parquet.ParquetFile(stream)
            columns = [name for name in _READ + inputs.names if name in file.schema_arrow.names]
            number = 0
            for row in _parquet_rows(file, columns):
                number += 1
                yield _item(row, path, root, f"{path}, row {number}", inputs)
    except _damages() as error:
        raise InputError(f"{path}: this Parquet file cannot be read: {_first_line(error)}",
                         path) from None


def _parquet_rows(file: Any, columns: Sequence[str]) -> Iterator[Any]:
    """Rows; of a damaged group those that can be read, and then the reason."""
    for group in range(file.num_row_groups):
        try:
            for batch in file.iter_batches(4096, row_groups=[group], columns=columns):
                for index in range(batch.num_rows):
                    yield _parquet_row(batch, index)
        except _damages() as error:
            yield f"it and the rest of row group {group} cannot be read: {_first_line(error)}"


def _parquet_row(batch: Any, index: int) -> Any:
    try:
        return batch.slice(index, 1).to_pylist()[0]
    except _damages() as error:
        return f"cannot be read: {_first_line(error)}"


def _damages() -> Tuple[Any, ...]:
    """What pyarrow raises for damaged files; its own errors, and those of texts."""
    import pyarrow

    return pyarrow.ArrowException, OSError, ValueError


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _item(row: Union[str, Mapping[str, Any]], path: str, root: Optional[str], row_name: str,
          inputs: InputColumns) -> Item:
    """The item of a row, which is unusable where the row is, or is a reason instead of a row."""
    if isinstance(row, str):
        return unusable(row_name, f"{row_name}: {row}")
    names = _READ + inputs.names
    try:
        item = from_columns({name: row.get(name) for name in names}, row_name, inputs)
    except InputError as error:
        return unusable(row_name, str(error))
    if not item.input_paths:
        return dataclasses.replace(item, path=resolve(item.path, path, root))
    input_paths = tuple(
        (blob, inputs.located(blob, text, lambda name: resolve(name, path, root)))
        for blob, text in item.input_paths)
    pictures = [text for blob, text in input_paths if blob in inputs.pictures]
    item_path = " ".join(dict.fromkeys(pictures))
    return dataclasses.replace(
        item, path=item_path, input_paths=input_paths,
        id=item_path if item.id == item.path else item.id)
