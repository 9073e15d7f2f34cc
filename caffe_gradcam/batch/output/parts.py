"""Part files: the rows of one part, written whole or not at all.

Parquet where pyarrow is installed; otherwise an .npz with the maps and a .jsonl with the rest, of
which the .jsonl is renamed last: a part is finished when it is there.
"""

import io
import json
import re
from typing import Any, List, Mapping, Optional, Sequence

import numpy as np

from caffe_gradcam.batch.output import checksums
from caffe_gradcam.batch.output.columns import Column, to_rows
from caffe_gradcam.batch.output.plan import PARTS, Plan, part_name
from caffe_gradcam.batch.output.rows import COLUMNS, Row
from caffe_gradcam.batch.storage import TEMPORARY
from prototxt_tools.errors import InputError
from prototxt_tools.files import parse_json

_OF_A_PART = re.compile("(" + re.escape(TEMPORARY) + r")?part-(\d+)\.")


def preferred_format() -> str:
    """The format in which parts are written here: "parquet" or "npz"."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        return "npz"
    return "parquet"


def write(plan: Plan, part: int, columns: Mapping[str, Column], replaces: bool = False) -> None:
    """Write a part.

    Parameters
    ----------
    plan : Plan
    part : int
    columns : dict
        All of ``COLUMNS``, in the order of the items.
    replaces : bool
        Whether it takes the place of a finished part.

    Raises
    ------
    InputError
        It cannot be written, or another run has taken over since.
    """
    if plan.manifest["part_format"] == "parquet":
        contents = {"parquet": _to_parquet(columns)}
    else:
        rows = to_rows(columns)
        contents = {"npz": _to_npz(rows), "jsonl": _to_jsonl(rows)}
    plan.claim.check()
    if replaces:
        for extension in reversed(list(contents)):
            checksums.remove(plan.folder, part_name(part, extension))
    if not all(checksums.create(plan.folder, part_name(part, extension), data)
               for extension, data in contents.items()):
        plan.claim.check()
        if not plan.is_done(part):
            raise InputError(f"{plan.folder.path}: another process has begun to write part {part} "
                             "meanwhile; run the same command again", plan.folder.path)


def last_name(plan: Plan, part: int) -> str:
    """The name of the file with which a part is finished."""
    is_parquet = plan.manifest["part_format"] == "parquet"
    return part_name(part, "parquet" if is_parquet else "jsonl")


def read(plan: Plan, part: int, columns: Optional[Sequence[str]] = None) -> List[Row]:
    """The rows of a finished part; of some columns only, if they are named.

    Raises
    ------
    InputError
        It is not there, or damaged.
    """
    columns = list(columns or COLUMNS)
    if plan.manifest["part_format"] == "parquet":
        return _read_parquet(plan, part, columns)
    name = last_name(plan, part)
    try:
        rows = [parse_json(line) for line in _read(plan, name).decode("utf-8").splitlines()]
        if "cam" in columns:
            _add_maps(rows, _read(plan, part_name(part, "npz")))
        return [{column: row[column] for column in columns} for row in rows]
    except (ValueError, KeyError, OSError) as error:
        raise _damaged(plan, name, error) from None


def _read(plan: Plan, name: str) -> bytes:
    return checksums.read(plan.folder, name, "remove it and run again")


def remove_leftovers(plan: Plan, parts: range) -> None:
    """Remove what killed processes left of these parts, which this run holds."""
    done = plan.done()
    for folder in (PARTS, checksums.FOLDER):
        for name in plan.folder.names(folder):
            match = _OF_A_PART.match(name)
            if match and int(match.group(2)) in parts and (
                    match.group(1) or int(match.group(2)) not in done):
                plan.folder.remove(f"{folder}/{name}")


def _schema() -> Any:
    import pyarrow

    kinds = {"list<int32>": pyarrow.list_(pyarrow.int32()),
             "list<list<int32>>": pyarrow.list_(pyarrow.list_(pyarrow.int32())),
             "list<float32>": pyarrow.list_(pyarrow.float32()),
             "list<float64>": pyarrow.list_(pyarrow.float64()),
             "list<string>": pyarrow.list_(pyarrow.string())}
    return pyarrow.schema([
        (name, kinds.get(kind) or pyarrow.type_for_alias(kind)) for name, kind in COLUMNS.items()])


def to_table(columns: Mapping[str, Column]) -> Any:
    """Columns as an Arrow table."""
    import pyarrow

    schema = _schema()
    return pyarrow.Table.from_arrays(
        [columns[name].to_arrow(schema.field(name).type) for name in COLUMNS], schema=schema)


def _to_parquet(columns: Mapping[str, Column]) -> bytes:
    import pyarrow.parquet

    stream = io.BytesIO()
    pyarrow.parquet.write_table(to_table(columns), stream, compression="zstd",
                                write_page_checksum=True)
    data: bytes = stream.getvalue()
    return data


def _read_parquet(plan: Plan, part: int, columns: List[str]) -> List[Row]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(f"{plan.folder.path}: its parts are Parquet; pip install pyarrow",
                         plan.folder.path) from None
    name = last_name(plan, part)
    data = _read(plan, name)
    try:
        # Not read_table, which loads support for data sets of many files.
        file = pyarrow.parquet.ParquetFile(
            pyarrow.BufferReader(data), page_checksum_verification=True)
        rows: List[Row] = file.read(columns, use_threads=False).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise _damaged(plan, name, error) from None
    return rows


def _to_npz(rows: List[Row]) -> bytes:
    maps = [np.frombuffer(row["cam"] or b"", "<f2") for row in rows]
    ends = np.cumsum([cam.size for cam in maps])
    stream = io.BytesIO()
    np.savez_compressed(stream, cam=np.concatenate(maps), ends=ends.astype(np.int64))
    return stream.getvalue()


def _to_jsonl(rows: List[Row]) -> bytes:
    lines = (json.dumps({name: row[name] for name in COLUMNS if name != "cam"}) for row in rows)
    return "".join(line + "\n" for line in lines).encode("ascii")


def _add_maps(rows: List[Row], data: bytes) -> None:
    with np.load(io.BytesIO(data)) as arrays:
        maps = np.split(arrays["cam"], arrays["ends"][:-1])
    if len(maps) != len(rows):
        raise ValueError(f"{len(maps)} maps for {len(rows)} rows")
    for row, cam in zip(rows, maps):
        row["cam"] = cam.tobytes() if row["cam_shape"] else None


def _damaged(plan: Plan, name: str, error: Exception) -> InputError:
    path = plan.folder.locate(name)
    summary = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InputError(f"{path}: this part is damaged ({summary}); remove it and run again", path)
