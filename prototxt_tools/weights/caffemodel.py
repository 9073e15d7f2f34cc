"""The wire format of a ``.caffemodel``, a ``NetParameter`` of protobuf.

It is walked, not parsed as a message: forks give one number to different parameters, so only
names and blobs can be trusted, and a walk leaves the values where they are, in the file.
The numbers are those of ``src/caffe/proto/caffe.proto``.
"""

import posixpath
from dataclasses import dataclass
from typing import Any, Dict, Iterable, Iterator, List, Sequence, Tuple, Union

import numpy as np

from prototxt_tools.errors import WeightsError

_LAYER, _LAYERS, _V0_LAYER = 100, 2, 1
# The fields name and blobs in a layer of each form.
_V2, _V1, _V0 = (1, 7), (4, 6), (1, 50)

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}

_DATA, _SHAPE, _DOUBLE_DATA, _RAW_DATA_TYPE, _RAW_DATA = 5, 7, 8, 10, 12
# C3D 1.0: a length between channels and height makes width the fifth size, a varint where stock
# Caffe has its values, and moves the values to the next number.
_CLIP_WIDTH, _CLIP_DATA = 5, 6
_BLOB_WIRES = {
    1: (_VARINT,),
    2: (_VARINT,),
    3: (_VARINT,),
    4: (_VARINT,),
    _DATA: (_BYTES, _FIXED32, _VARINT),
    _SHAPE: (_BYTES,),
    _DOUBLE_DATA: (_BYTES, _FIXED64),
    _RAW_DATA_TYPE: (_VARINT,),
    _RAW_DATA: (_BYTES,),
}
# NVIDIA/caffe 0.17, the enum Type: DOUBLE, FLOAT, FLOAT16.
_RAW_TYPES = {0: "<f8", 1: "<f4", 2: "<f2"}
_MAX_AXES, _MAX_SIZE = 32, (1 << 31) - 1


Data = Any  # an mmap or bytes: what numpy.frombuffer reads
# Number and wire type of a field, and the span of its value.
WireField = Tuple[int, int, int, int]
Piece = Union[bytes, np.ndarray]


@dataclass(frozen=True, eq=False)
class Blob:
    """An array as the file holds it; ``is_legacy`` if it has num, channels, height and width,
    or those of C3D 1.0 with a length as well.

    ``is_absent`` marks an empty array in place of a blob that HDF5 leaves out because the layer
    shares it with another one.
    """

    array: np.ndarray
    is_legacy: bool
    is_absent: bool = False


class Broken(Exception):
    """The bytes at ``position`` cannot be read; ``missing`` bytes lie beyond the end."""

    def __init__(self, position: int, missing: int = 0) -> None:
        super().__init__(position)
        self.position = position
        self.missing = missing


def layers(data: Data, path: str) -> Iterator[Tuple[str, List[Blob]]]:
    """The name and the blobs of each layer of a file, in its order.

    Parameters
    ----------
    data : mmap.mmap or bytes
    path : str
        Named in errors.

    Yields
    ------
    (str, list of Blob)

    Raises
    ------
    Broken, WeightsError
    """
    for number, wire, start, stop in _fields(data, 0, len(data)):
        if wire == _BYTES and number == _LAYER:
            yield _layer(data, (start, stop), _V2, path)
        elif wire == _BYTES and number == _LAYERS:
            inner = [
                field[2:]
                for field in _fields(data, start, stop)
                if field[:2] == (_V0_LAYER, _BYTES)
            ]
            if inner:
                yield _layer(data, inner[-1], _V0, path)
            else:
                yield _layer(data, (start, stop), _V1, path)


def other_message(data: Data) -> str:
    """What a binary file of Caffe without layers is; "" if it is none that is known."""
    try:
        fields = [field for _, field in zip(range(8), _fields(data, 0, len(data)))]
    except Broken:
        return ""
    kinds = [field[:2] for field in fields]
    if kinds[:2] == [(1, _VARINT), (2, _BYTES)]:
        name = data[fields[1][2]:fields[1][3]].decode("utf-8", "replace")
        if not name.endswith((".caffemodel", ".h5")):
            return f"not weights of Caffe; perhaps an ONNX model that {name} wrote"
        return ("a solver state, which holds no weights; use the snapshot beside it, "
                f"{posixpath.basename(name)}")
    if kinds[:4] == [(number, _VARINT) for number in (1, 2, 3, 4)]:
        return "a mean image (.binaryproto), not weights"
    return ""


def blob(data: Data, begin: int, end: int, name: str) -> Blob:
    """The values of a ``BlobProto`` in its shape and its precision, a view of ``data``.

    Caffe: ``Blob::FromProto`` in ``src/caffe/blob.cpp``. Legacy sizes, where any is given, take
    precedence over ``shape``, and doubles over floats; NVCaffe's ``raw_data`` comes last. The
    blobs of C3D 1.0 have five sizes. Only values in several parts, which Caffe never writes, are
    copied.

    Parameters
    ----------
    data : mmap.mmap or bytes
    begin, end : int
        The span of the message.
    name : str
        What errors call the blob: the file, the layer and the index.

    Raises
    ------
    Broken, WeightsError
    """
    legacy: Dict[int, int] = {}
    dims: List[int] = []
    raw_type = 0
    values: Dict[int, List[Tuple[int, int, int]]] = {
        number: [] for number in (_DOUBLE_DATA, _DATA, _RAW_DATA, _CLIP_DATA)}
    for number, wire, start, stop in _fields(data, begin, end):
        if wire not in _BLOB_WIRES.get(number, (wire,)):
            raise Broken(start)
        if number <= 4 or (number, wire) == (_CLIP_WIDTH, _VARINT):
            legacy[number] = _varint(data, start, stop)[0]
        elif number == _SHAPE and _CLIP_WIDTH not in legacy:
            dims += _dims(data, start, stop)
        elif number == _RAW_DATA_TYPE:
            raw_type = _varint(data, start, stop)[0]
        elif number in values:
            values[number].append((wire, start, stop))
    if values[_RAW_DATA] and raw_type not in _RAW_TYPES:
        raise WeightsError(
            f"{name}: raw_data of type {raw_type} is neither double, float nor half", subject=name
        )
    is_of_clips = _CLIP_WIDTH in legacy
    axes = range(1, 6 if is_of_clips else 5)
    shape = tuple(legacy.get(axis, 0) for axis in axes) if legacy else tuple(dims)
    if len(shape) > _MAX_AXES or max(shape, default=0) > _MAX_SIZE:
        raise Broken(begin)
    dtypes = {_DOUBLE_DATA: "<f8", _DATA: "<f4", _CLIP_DATA: "<f4",
              _RAW_DATA: _RAW_TYPES.get(raw_type, "")}
    numbers = (_CLIP_DATA,) if is_of_clips else (_DOUBLE_DATA, _DATA, _RAW_DATA)
    number = next((number for number in numbers if values[number]), numbers[0])
    parts = [_numbers(data, dtypes[number], *value) for value in values[number]]
    array = parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, "<f4")] + parts)
    if array.size != _count(shape):
        raise WeightsError(f"{name}: the shape is {format_shape(shape)}, and the file holds "
                           f"{array.size} values", subject=name)
    return Blob(array.reshape(shape), bool(legacy))


def format_shape(shape: Iterable[int]) -> str:
    """A shape in words, such as ``64 x 3 x 7 x 7``."""
    return " x ".join(str(size) for size in shape) or "a single number"


def layer_pieces(name: str, arrays: Sequence[np.ndarray], layer_type: str) -> List[Piece]:
    """A V2 layer in pieces: bytes, and the arrays, which are to be written as ``<f4``."""
    pieces: List[Piece] = [_tagged(_V2[0], name.encode("utf-8", "surrogateescape"))]
    if layer_type:
        pieces.append(_tagged(2, layer_type.encode("utf-8")))
    for array in arrays:
        dims = b"".join(_encoded(size) for size in np.shape(array))
        values = piece_size(array)
        head = _tagged(_SHAPE, _tagged(1, dims) if dims else b"") + _head(_DATA, values)
        pieces += [_head(_V2[1], len(head) + values) + head, array]
    pieces.insert(0, _head(_LAYER, sum(map(piece_size, pieces))))
    return pieces


def piece_size(piece: Piece) -> int:
    """How many bytes a piece of ``layer_pieces`` takes in the file."""
    return len(piece) if isinstance(piece, bytes) else 4 * np.size(piece)


def _fields(data: Data, position: int, end: int) -> Iterator[WireField]:
    """The fields of a message: number, wire type, and the span of the value.

    A run of unpacked numbers comes as one field, whose span includes their tags.
    """
    while position < end:
        start = position
        tag, position = _varint(data, position, end)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            stop = _varint(data, position, end)[1]
        elif wire == _BYTES:
            length, position = _varint(data, position, end)
            stop = position + length
        elif wire in _FIXED_SIZES:
            stop = position + _FIXED_SIZES[wire]
            if number < 16 and stop <= end:
                position, stop = start, _end_of_run(data, start, end, 1 + _FIXED_SIZES[wire])
        else:
            raise Broken(start)
        if number == 0:
            raise Broken(start)
        if stop > end:
            raise Broken(start, missing=stop - end if end == len(data) else 0)
        yield number, wire, position, stop
        position = stop


def _end_of_run(data: Data, start: int, end: int, step: int) -> int:
    """The first position, in steps of ``step``, whose byte is not that at ``start``."""
    stop = start
    while end - stop >= step:
        window = np.frombuffer(data, np.uint8, min(4096, (end - stop) // step) * step, stop)
        others = np.flatnonzero(window[::step] != data[start])
        if others.size:
            return stop + step * int(others[0])
        stop += window.size
    return stop


def _varint(data: Data, position: int, end: int) -> Tuple[int, int]:
    """A number of variable length, and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            raise Broken(position, missing=1 if end == len(data) else 0)
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise Broken(position)


def _layer(data: Data, span: Tuple[int, int], numbers: Tuple[int, int],
           path: str) -> Tuple[str, List[Blob]]:
    """Name and blobs of a layer, whose fields have the given numbers."""
    name, spans = "", []
    for number, wire, start, stop in _fields(data, *span):
        if wire == _BYTES and number == numbers[0]:
            name = data[start:stop].decode("utf-8", "surrogateescape")
        elif wire == _BYTES and number == numbers[1]:
            spans.append((start, stop))
    blobs: List[Blob] = []
    for start, stop in spans:
        blobs.append(blob(data, start, stop, f"{path}: layer {name}, blob {len(blobs)}"))
    return name, blobs


def _dims(data: Data, begin: int, end: int) -> List[int]:
    dims = []
    for number, wire, start, stop in _fields(data, begin, end):
        while number == 1 and wire in (_VARINT, _BYTES) and start < stop:
            dim, start = _varint(data, start, stop)
            dims.append(dim)
    return dims


def _numbers(data: Data, dtype: str, wire: int, start: int, stop: int) -> np.ndarray:
    size = np.dtype(dtype).itemsize
    if wire != _BYTES:
        rows = np.frombuffer(data, np.uint8, stop - start, start).reshape(-1, 1 + size)
        return np.ascontiguousarray(rows[:, 1:]).view(dtype).reshape(-1)
    if (stop - start) % size:
        raise Broken(start)
    return np.frombuffer(data, dtype, (stop - start) // size, start)


def _count(shape: Iterable[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _tagged(number: int, payload: bytes) -> bytes:
    return _head(number, len(payload)) + payload


def _head(number: int, size: int) -> bytes:
    return _encoded(number << 3 | _BYTES) + _encoded(size)


def _encoded(value: int) -> bytes:
    """A number of variable length."""
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
