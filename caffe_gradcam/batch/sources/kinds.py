"""What a file is, from its name and its first bytes."""

import os
import re
from typing import Optional, Tuple

from prototxt_tools.errors import InputError
from prototxt_tools.files import open_regular

# What OpenCV reads.
IMAGE_EXTENSIONS = frozenset((
    ".avif", ".bmp", ".dib", ".exr", ".gif", ".hdr", ".jp2", ".jpe", ".jpeg", ".jpg", ".pam",
    ".pbm", ".pfm", ".pgm", ".pic", ".png", ".pnm", ".ppm", ".pxm", ".ras", ".sr", ".tif", ".tiff",
    ".webp"))
HDF5_START = b"\x89HDF\r\n\x1a\n"
HEAD = 512

_IMAGE = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|II\*\0|MM\0\*|RIFF....WEBP|BM........|"
    rb"P[1-7]\s+(?:#[^\n]*\s+)*(?:\d+\s+\d+\s|WIDTH)|#\?(?:RADIANCE|RGBE)|"
    rb"\0\0\0\x0cjP  |\x59\xa6\x6a\x95|v/1\x01|....ftypavif", re.DOTALL)
_UNPACK = "unpack it, and give the folder"
_CONVERT = "convert it to .png or .jpg"
_FROM_PYTHON = "save the images as files, or pass arrays from Python"
_FRAMES = "extract its frames as images, and give their folder"
# The start of a file -> what it is, and what to do.
_STRANGERS: Tuple[Tuple[bytes, str, str], ...] = (
    (rb"PK\x03\x04.{26}[^\0]*?\.npy", "a file of NumPy arrays", _FROM_PYTHON),
    (rb"PK\x03\x04|PK\x05\x06", "a zip archive", _UNPACK),
    (rb"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (rb"\x1f\x8b", "gzip data", _UNPACK),
    (rb"BZh[1-9]", "bzip2 data", _UNPACK),
    (rb"\xfd7zXZ\0", "xz data", _UNPACK),
    (rb"\x28\xb5\x2f\xfd", "Zstandard data", _UNPACK),
    (rb"RIFF....AVI ", "an AVI video", _FRAMES),
    (rb"....ftyp(?:hei[cmsx]|hev[cmsx]|mif1|msf1)", "a HEIC photograph", _CONVERT),
    (rb"....ftyp", "an MP4 or QuickTime video", _FRAMES),
    (rb"\x1a\x45\xdf\xa3", "a Matroska or WebM video", _FRAMES),
    (rb"OggS", "an Ogg file", _FRAMES),
    (rb"FLV\x01", "a Flash video", _FRAMES),
    (rb"\0\0\x01[\xb3\xba]|G.{187}G", "an MPEG video", _FRAMES),
    (rb"\x30\x26\xb2\x75", "a Windows Media file", _FRAMES),
    (rb"RIFF....WAVE|ID3", "a sound file", "give images"),
    (rb".{128}DICM", "a DICOM image", _CONVERT),
    (rb"8BPS", "a Photoshop file", _CONVERT),
    (rb"\x80[\x02-\x05]", "a Python pickle", _FROM_PYTHON),
    (rb"%PDF", "a PDF document", "save its pages as images"),
    (rb"SQLite format 3", "an SQLite database", "export a table as .csv"),
    (rb"version https://git-lfs", "a Git LFS pointer, not the file itself", "run `git lfs pull`"),
    (rb"(?i)\s*<!doctype html|\s*<html", "a web page", "download the raw file"),
)
_BY_EXTENSION = {
    ".caffemodel": ("a weights file", "give images"),
    ".prototxt": ("a prototxt", "give images"),
    ".json": ("JSON", "give a table as .jsonl, with one object on each line"),
    ".svg": ("a drawing of lines", "convert it to .png"),
    ".tfrecord": ("a TFRecord file", "write its images into a folder, a .tar or an LMDB"),
}


def has_image_name(name: str) -> bool:
    """Whether a file's extension is that of an image."""
    return os.path.splitext(name)[1].lower() in IMAGE_EXTENSIONS


def is_pattern(name: str) -> bool:
    """Whether a name stands for all files that it matches."""
    return any(letter in name for letter in "*?[")


def is_image(start: bytes) -> bool:
    """Whether a file with these first bytes is an image that OpenCV may read, or an array."""
    if start.startswith(b"\x93NUMPY"):
        return True
    match = _IMAGE.match(start)
    # A text may begin with BM; a bitmap has zeros there.
    return bool(match) and not (start.startswith(b"BM") and b"\0" not in start[:10])


def is_image_file(path: str) -> bool:
    """Whether a local file is an image by its extension or by its first bytes."""
    if has_image_name(path):
        return True
    if not os.path.isfile(path):
        return False
    try:
        return is_image(read_start(path))
    except InputError:
        return False


def read_start(path: str, size: int = HEAD) -> bytes:
    """The first bytes of a local file; raises InputError where it cannot be read."""
    with open_regular(path) as file:
        return file.read(size)


def stranger(path: str, start: bytes) -> Optional[InputError]:
    """The error for a file that is neither an image nor a list; None for text.

    Parameters
    ----------
    path : str
    start : bytes
        Its first bytes.
    """
    for pattern, kind, advice in _STRANGERS:
        if re.match(pattern, start, re.DOTALL):
            return _refusal(path, kind, advice)
    named = _BY_EXTENSION.get(os.path.splitext(path)[1].lower())
    if named:
        return _refusal(path, *named)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _refusal(path, "text in UTF-16", "save it as UTF-8")
    if b"\0" in start:
        return _refusal(path, "binary data of an unknown kind",
                        "give images, or a list, table or archive of images")
    return None


def _refusal(path: str, kind: str, advice: str) -> InputError:
    return InputError(f"{path}: this is {kind}, which is not read as images; {advice}", path)
