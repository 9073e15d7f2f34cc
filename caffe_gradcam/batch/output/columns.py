"""Columns of rows: arrays from which Arrow's columns are made, or plain values, without a Python
object for each row."""

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np


class Column:
    """The values of one column; None where a row has none."""

    def __len__(self) -> int:
        raise NotImplementedError

    def take(self, rows: np.ndarray) -> "Column":
        """The values of these rows, in this order."""
        raise NotImplementedError

    def to_list(self) -> List[Any]:
        """Plain values, one for each row."""
        raise NotImplementedError

    def to_arrow(self, kind: Any) -> Any:
        """An Arrow array of this type."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Numbers(Column):
    """Numbers, or lists of equally many.

    Attributes
    ----------
    values : numpy.ndarray
        N, or N x k.
    missing : numpy.ndarray, optional
        N bool.
    """

    values: np.ndarray
    missing: Optional[np.ndarray] = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: np.ndarray) -> "Numbers":
        return Numbers(self.values[rows], None if self.missing is None else self.missing[rows])

    def to_list(self) -> List[Any]:
        values: List[Any] = self.values.tolist()
        if self.missing is None:
            return values
        return [None if is_missing else value
                for value, is_missing in zip(values, self.missing.tolist())]

    def to_arrow(self, kind: Any) -> Any:
        import pyarrow

        if self.values.ndim == 1:
            return pyarrow.array(self.values, kind, mask=self.missing)
        values, count = self.values, self.values.shape[1]
        if self.missing is None:
            offsets = pyarrow.array(np.arange(len(values) + 1, dtype=np.int32) * count)
        else:
            # A missing list begins where the next one does, and its offset is null.
            values = values[~self.missing]
            starts = np.concatenate([[0], np.cumsum(~self.missing)]) * count
            offsets = pyarrow.array(starts.astype(np.int32), mask=np.append(self.missing, False))
        flat = pyarrow.array(np.ascontiguousarray(values).reshape(-1), kind.value_type)
        return pyarrow.ListArray.from_arrays(offsets, flat)


@dataclass(frozen=True, eq=False)
class Texts(Column):
    """Texts, of which few are different.

    Attributes
    ----------
    texts : sequence of (str or None)
        The different ones.
    codes : numpy.ndarray
        N: which of them each row has.
    """

    texts: Sequence[Optional[str]]
    codes: np.ndarray

    @classmethod
    def alike(cls, text: Optional[str], count: int) -> "Texts":
        """The same text in so many rows."""
        return cls([text], np.zeros(count, np.int32))

    @classmethod
    def all_different(cls, texts: Sequence[Optional[str]]) -> "Texts":
        """A text of its own for each row."""
        return cls(texts, np.arange(len(texts), dtype=np.int32))

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: np.ndarray) -> "Texts":
        return Texts(self.texts, self.codes[rows])

    def to_list(self) -> List[Any]:
        return [self.texts[code] for code in self.codes.tolist()]

    def to_arrow(self, kind: Any) -> Any:
        import pyarrow

        return pyarrow.array(self.texts, kind).take(pyarrow.array(self.codes))


@dataclass(frozen=True, eq=False)
class Bytes(Column):
    """Pieces of bytes, one after the other; a piece of none is missing.

    Attributes
    ----------
    data : numpy.ndarray
        uint8.
    starts, ends : numpy.ndarray
        N int64: where the piece of each row lies.
    """

    data: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    def __len__(self) -> int:
        return len(self.ends)

    def take(self, rows: np.ndarray) -> "Bytes":
        return Bytes(self.data, self.starts[rows], self.ends[rows])

    def to_list(self) -> List[Any]:
        data = self.data.tobytes()
        return [data[start:end] if end > start else None
                for start, end in zip(self.starts.tolist(), self.ends.tolist())]

    def to_arrow(self, kind: Any) -> Any:
        import pyarrow

        lengths = self.ends - self.starts
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        whole = pyarrow.Array.from_buffers(
            pyarrow.large_binary(), len(lengths),
            [_validity(lengths > 0), pyarrow.py_buffer(offsets.astype(np.int64)),
             pyarrow.py_buffer(self._in_order(lengths, offsets))])
        return whole.cast(kind)

    def _in_order(self, lengths: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """The bytes in the order of the rows."""
        if not len(lengths) or np.array_equal(self.starts, offsets[:-1]):
            return np.ascontiguousarray(self.data)
        indices = np.arange(offsets[-1]) + np.repeat(self.starts - offsets[:-1], lengths)
        return self.data[indices]


@dataclass(frozen=True, eq=False)
class Values(Column):
    """Plain values of any kind, for columns that few rows have."""

    values: Sequence[Any]

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: np.ndarray) -> "Values":
        return Values([self.values[row] for row in rows.tolist()])

    def to_list(self) -> List[Any]:
        return list(self.values)

    def to_arrow(self, kind: Any) -> Any:
        import pyarrow

        return pyarrow.array(self.values, kind)


def _validity(valid: np.ndarray) -> Any:
    """Arrow's bits of which values are there; None where all are."""
    import pyarrow

    if valid.all():
        return None
    return pyarrow.array(valid).buffers()[1]


@dataclass(frozen=True, eq=False)
class Digests(Column):
    """SHA-256 in hexadecimal digits.

    Attributes
    ----------
    values : numpy.ndarray
        N of "S64"; empty where there is none.
    """

    values: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: np.ndarray) -> "Digests":
        return Digests(self.values[rows])

    def to_list(self) -> List[Any]:
        return [value.decode("ascii") or None for value in self.values.tolist()]

    def to_arrow(self, kind: Any) -> Any:
        import pyarrow

        return pyarrow.array(self.values, pyarrow.binary(), mask=self.values == b"").cast(kind)


def to_rows(columns: Mapping[str, Column]) -> List[Dict[str, Any]]:
    """Rows of columns: dicts of plain values."""
    names = list(columns)
    return [dict(zip(names, values))
            for values in zip(*(column.to_list() for column in columns.values()))]


def of_rows(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Dict[str, Column]:
    """The columns of rows that were read again."""
    return {name: Values([row[name] for row in rows]) for name in names}


def joined(first: Mapping[str, Column], second: Mapping[str, Column]) -> Dict[str, Column]:
    """The rows of two tables as plain values, by the number of their item."""
    columns: Dict[str, Column] = {
        name: Values(first[name].to_list() + second[name].to_list()) for name in first}
    # Rows of one item stay in their order.
    order = np.argsort(np.array(columns["item"].to_list(), np.int64), kind="mergesort")
    return {name: column.take(order) for name, column in columns.items()}


def joined_texts(parts: Sequence[Texts]) -> Texts:
    """Texts one after the other; what the parts share is shared."""
    indices: Dict[Optional[str], int] = {}
    codes = []
    for part in parts:
        own = np.array([indices.setdefault(text, len(indices)) for text in part.texts], np.int32)
        codes.append(own[part.codes])
    return Texts(list(indices), np.concatenate(codes))
