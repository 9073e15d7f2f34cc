"""The XML of VOC and of ILSVRC: which objects an image shows, and where.

Such files are data of strangers: they are small and in UTF-8, whatever encoding they name, and a
document type, with which entities could be defined, is refused.
"""

from dataclasses import dataclass
from typing import Any, Optional, Tuple
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from caffe_gradcam.measuring.protocols.subjects import Box, Size
from prototxt_tools.errors import InputError
from prototxt_tools.files import read_bytes

# The largest of VOC 2007 and of ILSVRC 2012 have a few kilobytes.
MOST_BYTES = 1 << 20
_MOST_PIXELS = 1 << 20
_EDGES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class Marked:
    """An object as the file has it.

    Attributes
    ----------
    name : str
        Of its class.
    edges : (int, int, int, int)
        xmin, ymin, xmax and ymax, as they stand in the file.
    is_difficult : bool
    """

    name: str
    edges: Tuple[int, int, int, int]
    is_difficult: bool = False

    def box(self, first: int) -> Box:
        """The box, where the file counts pixels from ``first``."""
        left, top, right, bottom = (edge - first for edge in self.edges)
        return Box(left, top, right, bottom)


@dataclass(frozen=True)
class Annotation:
    """What a file tells of an image.

    Attributes
    ----------
    size : (int, int)
        Height and width.
    objects : tuple of Marked
    """

    size: Tuple[int, int]
    objects: Tuple[Marked, ...]


def read(path: str) -> Annotation:
    """Read a file of annotations.

    Parameters
    ----------
    path : str

    Raises
    ------
    InputError
        It cannot be read, is not such a file, or has a document type; the message names the
        file, and the object by its number.
    """
    root = _parsed(read_bytes(path, MOST_BYTES), path)
    if root.tag != "annotation":
        raise InputError(f"{path}: its outermost element is <{root.tag[:40]}>, not <annotation>",
                         path)
    size = root.find("size")
    height, width = (_number(size, name, f"{path}: size") for name in ("height", "width"))
    if not (0 < height <= _MOST_PIXELS and 0 < width <= _MOST_PIXELS):
        raise InputError(f"{path}: no image has {height}x{width} pixels", path)
    objects = [_marked(element, f"{path}: object {number}", (height, width))
               for number, element in enumerate(root.findall("object"), 1)]
    return Annotation((height, width), tuple(objects))


def _marked(element: Element, position: str, size: Size) -> Marked:
    name = (element.findtext("name") or "").strip()
    if not name:
        raise InputError(f"{position} has no name", position)
    box = element.find("bndbox")
    left, top, right, bottom = (_number(box, edge, position) for edge in _EDGES)
    if right < left or bottom < top:
        raise InputError.about(position, "its box ends before it begins")
    if left > size[1] or top > size[0] or right < 0 or bottom < 0:
        raise InputError.about(
            position, f"its box lies outside the image of {size[0]}x{size[1]} pixels")
    difficult = (element.findtext("difficult") or "0").strip()
    return Marked(name, (left, top, right, bottom), difficult not in ("", "0"))


def _number(parent: Optional[Element], name: str, position: str) -> int:
    text = None if parent is None else parent.findtext(name)
    try:
        number = int(float(text or ""))
    except (ValueError, OverflowError):
        raise InputError.about(position, f"{name} is missing" if text is None else
                               f"{name} must be a number, not {text[:40]!r}") from None
    if abs(number) > _MOST_PIXELS:
        raise InputError.about(position, f"{name} of {number} lies beyond any image")
    return number


def _parsed(data: bytes, path: str) -> Element:
    builder, parser = TreeBuilder(), expat.ParserCreate("utf-8")
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data

    def refuse(*declaration: Any) -> None:
        raise InputError(f"{path}: has a document type, which annotations do not need", path)

    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
        return builder.close()
    except expat.ExpatError as error:
        raise InputError(f"{path}: not XML: {error}", path) from None
