"""Image files of several pages: TIFFs, and animated GIFs, whose frames are pages here."""

import dataclasses
import logging
import os
import struct
from typing import BinaryIO, Iterator, Optional

import numpy as np

from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.model import clip_files, image_values, images
from prototxt_tools.errors import ImageError, InputError
from prototxt_tools.files import open_regular, read_bytes

_EXTENSIONS = (".tif", ".tiff", ".gif")
_MOST_PAGES = 1 << 12
_logger = logging.getLogger(__name__)


def items(item: Item) -> Iterator[Item]:
    """An item for each page of an image file; the item itself where there is only one.

    Pages are counted by the file's own table of contents, without decoding them. A file that
    cannot be read is one item; reading it raises the error.
    """
    count = _count(item.path)
    if count < 2:
        yield item
        return
    _logger.warning("%s: has %d pages; each is an image of its own", item.path, count)
    for page in range(count):
        yield dataclasses.replace(
            item, id=f"{item.id}/page-{page + 1}", path=f"{item.path}/page-{page + 1}",
            archive=item.path, position=("page", page))


def read(path: str, page: int) -> np.ndarray:
    """A page of an image file: H x W x 3 uint8, blue first.

    Raises
    ------
    InputError
        It cannot be read.
    """
    if path.lower().endswith(".gif"):
        return clip_files.frame(path, page)
    import cv2

    name = f"{path}/page-{page + 1}"
    pages = clip_files.pages(read_bytes(path, images.MOST_BYTES, ImageError), path,
                             cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if page >= len(pages):
        raise ImageError(f"{name}: OpenCV reads only {len(pages)} pages of this file", path)
    return image_values.to_uint8(pages[page], name, None)


def _count(path: str) -> int:
    """How many pages a file has; 1 where it is of another kind, or damaged."""
    if not path.lower().endswith(_EXTENSIONS) or not os.path.isfile(path):
        return 1
    try:
        with open_regular(path) as file:
            start = file.read(13)
            if start[:6] in (b"GIF87a", b"GIF89a"):
                return _gif_frames(file, start)
            order = {b"II*\0": "<", b"MM\0*": ">"}.get(start[:4])
            return 1 if order is None else _tiff_pages(file, order)
    except (InputError, OSError, struct.error, IndexError):
        return 1


def _tiff_pages(file: BinaryIO, order: str) -> int:
    """The length of the chain of directories (TIFF 6.0, section 2)."""
    file.seek(4)
    offset, seen = struct.unpack(order + "I", file.read(4))[0], set()
    while offset and offset not in seen and len(seen) < _MOST_PAGES:
        seen.add(offset)
        file.seek(offset)
        entries = struct.unpack(order + "H", file.read(2))[0]
        file.seek(12 * entries, os.SEEK_CUR)
        offset = struct.unpack(order + "I", file.read(4))[0]
    return len(seen)


def _gif_frames(file: BinaryIO, start: bytes) -> int:
    """How many image blocks stand in a GIF (GIF89a, section 20)."""
    _skip_colors(file, start[10])
    count = 0
    while count < _MOST_PAGES:
        kind = file.read(1)
        if kind == b"\x2c":
            count += 1
            _skip_colors(file, file.read(9)[8])
            file.read(1)
        elif kind == b"\x21":
            file.read(1)
        else:
            break
        size: Optional[int] = None
        while size != 0:
            size = file.read(1)[0]
            file.seek(size, os.SEEK_CUR)
    return count


def _skip_colors(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        file.seek(3 << ((flags & 7) + 1), os.SEEK_CUR)
