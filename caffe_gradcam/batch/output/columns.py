"""Columns of rows: arrays from which Arrow's columns are made, or plain values, without a Python
object for each row."""

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

import numpy as np

from prototxt_tools.errors import InputError


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
        there = np.ones(len(self.values), bool) if self.missing is None else ~self.missing
        if self.values.ndim == 1:
            return _fixed(self.values, kind, there)
        lengths = self.values.shape[1] * there
        flat = np.ascontiguousarray(self.values[there]).reshape(-1)
        return _array(kind, there, _offsets(lengths), children=[_fixed(flat, kind.value_type)])


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
        texts = [None if text is None else text.encode("utf-8") for text in self.texts]
        return _pieces([texts[code] for code in self.codes.tolist()], kind)


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
        lengths = self.ends - self.starts
        offsets = _offsets(lengths)
        return _array(kind, lengths > 0, offsets, self._in_order(lengths, offsets))

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

        if all(value is None for value in self.values):
            return pyarrow.nulls(len(self.values), kind)
        return pyarrow.array(self.values, kind)


# Columns are made of buffers: `pyarrow.array` imports pandas wherever it is installed, and `cast`
# all of Arrow's functions, which takes more time than a small batch.


def _fixed(values: np.ndarray, kind: Any, there: Optional[np.ndarray] = None) -> Any:
    """An Arrow array of numbers or truth values."""
    there = np.ones(len(values), bool) if there is None else there
    data = _bits(values) if kind == "bool" else np.ascontiguousarray(
        values, kind.to_pandas_dtype())
    return _array(kind, there, data)


def _pieces(pieces: Sequence[Optional[bytes]], kind: Any) -> Any:
    """An Arrow array of bytes, or of texts in UTF-8."""
    offsets = _offsets([0 if piece is None else len(piece) for piece in pieces])
    there = np.array([piece is not None for piece in pieces], bool)
    return _array(kind, there, offsets, b"".join(filter(None, pieces)))


def _offsets(lengths: Union[np.ndarray, Sequence[int]]) -> np.ndarray:
    """Where values of these lengths begin, and where the last one ends: int32."""
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    if offsets[-1] > np.iinfo(np.int32).max:
        raise InputError(f"a column of one part would take {offsets[-1] / 2 ** 30:.1f} GiB, and "
                         "Parquet has room for 2; run again with a smaller --part-size")
    return offsets.astype(np.int32)


def _array(kind: Any, there: np.ndarray, *buffers: Any, children: Sequence[Any] = ()) -> Any:
    import pyarrow

    bits = None if there.all() else pyarrow.py_buffer(_bits(there))
    return pyarrow.Array.from_buffers(
        kind, len(there), [bits, *map(pyarrow.py_buffer, buffers)], children=list(children))


def _bits(values: np.ndarray) -> np.ndarray:
    return np.packbits(np.asarray(values, bool), bitorder="little")


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
        return _pieces([value or None for value in self.values.tolist()], kind)


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
