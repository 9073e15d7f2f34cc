"""Values of rows and manifests of any version: what does not make sense counts as missing."""

from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np

from caffe_gradcam.batch.output.rows import Row


def parquet_rows(data: bytes, columns: List[str]) -> List[Row]:
    """The rows of a Parquet file, with those of the columns that it has."""
    import pyarrow
    import pyarrow.parquet

    file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data))
    present = [name for name in columns if name in file.schema_arrow.names]
    table: List[Row] = file.read(present, use_threads=False).to_pylist()
    return table


def image_size(row: Row) -> Optional[Tuple[int, int]]:
    """The height and width of a row's image, where they make sense."""
    size = row.get("image_size")
    if isinstance(size, list) and len(size) == 2 and all(
            isinstance(length, int) and 0 < length < 1 << 24 for length in size):
        return size[0], size[1]
    return None


def mapping(values: Mapping[str, Any], name: str) -> Dict[str, Any]:
    """The mapping of a name; an empty one for anything else."""
    value = values.get(name)
    return value if isinstance(value, dict) else {}


def text(value: Any) -> str:
    """A value as text; nothing for None."""
    return "" if value is None else str(value)


def text_or_none(value: Any) -> Optional[str]:
    """A value as text, or None."""
    return None if value is None else str(value)


def index(value: Any) -> Optional[int]:
    """A whole number, or None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def numbers(value: Any) -> Optional[List[float]]:
    """A list of finite numbers, or None for anything else."""
    values = list(map(number, value)) if isinstance(value, list) else [None]
    return None if None in values else values  # type: ignore[return-value]


def number(value: Any) -> Optional[float]:
    """A finite number, or None for anything else."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and np.isfinite(value):
        return float(value)
    return None
