"""Part files: the rows of one shard, written whole or not at all.

Parquet where pyarrow is installed; else an .npz with the maps and a .jsonl with the rest, of which
the .jsonl is renamed last: a part is finished when it is there.
"""

import io
import json
import re

import numpy as np

from caffe_gradcam.batch.output.plan import PARTS, part_name
from caffe_gradcam.batch.output.rows import COLUMNS
from caffe_gradcam.batch.storage import TEMPORARY
from prototxt_tools.errors import InputError

_LEFTOVER = re.compile(re.escape(TEMPORARY) + r"part-(\d+)\.")


def kind():
    """What parts are written as here: "parquet" or "npz"."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        return "npz"
    return "parquet"


def write(plan, shard, rows):
    """Write a shard's part.

    Parameters
    ----------
    plan : Plan
    shard : int
    rows : list of dict
        With all of ``COLUMNS``, in the order of the items.
    """
    if plan.manifest["rows"] == "parquet":
        plan.folder.write(part_name(shard, "parquet"), _to_parquet(rows))
        return
    plan.folder.write(part_name(shard, "npz"), _to_npz(rows))
    plan.folder.write(part_name(shard, "jsonl"), _to_jsonl(rows))


def read(plan, shard, columns=None):
    """The rows of a finished part; of some columns only, if they are named.

    Raises
    ------
    InputError
        It is not there, or damaged.
    """
    columns = list(columns or COLUMNS)
    if plan.manifest["rows"] == "parquet":
        return _read_parquet(plan, shard, columns)
    name = part_name(shard, "jsonl")
    try:
        rows = [json.loads(line) for line in plan.folder.read(name).decode("utf-8").splitlines()]
        if "cam" in columns:
            _add_maps(rows, plan.folder.read(part_name(shard, "npz")))
        return [{column: row[column] for column in columns} for row in rows]
    except (ValueError, KeyError, OSError) as error:
        raise _damaged(plan, name, error) from None


def remove_leftovers(plan, first, end):
    """Remove what killed processes left of the shards from ``first`` to before ``end``, which
    this run holds."""
    for name in plan.folder.names(PARTS):
        match = _LEFTOVER.match(name)
        if match and first <= int(match.group(1)) < end:
            plan.folder.remove(f"{PARTS}/{name}")


def _schema():
    import pyarrow

    kinds = {"list<int32>": pyarrow.list_(pyarrow.int32()),
             "list<list<int32>>": pyarrow.list_(pyarrow.list_(pyarrow.int32())),
             "list<float64>": pyarrow.list_(pyarrow.float64())}
    return pyarrow.schema([
        (name, kinds.get(kind) or pyarrow.type_for_alias(kind)) for name, kind in COLUMNS.items()])


def to_table(rows):
    """Rows as an Arrow table."""
    import pyarrow

    return pyarrow.Table.from_pylist(rows, schema=_schema())


def _to_parquet(rows):
    import pyarrow.parquet

    stream = io.BytesIO()
    pyarrow.parquet.write_table(to_table(rows), stream, compression="zstd")
    return stream.getvalue()


def _read_parquet(plan, shard, columns):
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(f"{plan.folder.path}: its parts are Parquet; pip install pyarrow") from None
    name = part_name(shard, "parquet")
    data = plan.folder.read(name)
    try:
        # Not read_table, which loads a machinery for many files.
        file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data))
        return file.read(columns, use_threads=False).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise _damaged(plan, name, error) from None


def _to_npz(rows):
    maps = [np.frombuffer(row["cam"] or b"", "<f2") for row in rows]
    ends = np.cumsum([one.size for one in maps])
    stream = io.BytesIO()
    np.savez_compressed(stream, cam=np.concatenate(maps), ends=ends.astype(np.int64))
    return stream.getvalue()


def _to_jsonl(rows):
    lines = (json.dumps({name: row[name] for name in COLUMNS if name != "cam"}) for row in rows)
    return "".join(line + "\n" for line in lines).encode("ascii")


def _add_maps(rows, data):
    with np.load(io.BytesIO(data)) as arrays:
        maps = np.split(arrays["cam"], arrays["ends"][:-1])
    if len(maps) != len(rows):
        raise ValueError(f"{len(maps)} maps for {len(rows)} rows")
    for row, one in zip(rows, maps):
        row["cam"] = one.tobytes() if row["cam_shape"] else None


def _damaged(plan, name, error):
    return InputError(f"{plan.folder.place(name)}: is damaged ({str(error).splitlines()[0] if str(error) else type(error)}); remove it and run again")
