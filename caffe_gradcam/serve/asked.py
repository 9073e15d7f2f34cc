"""What a request asks, read from its JSON."""

import base64
import binascii
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple

from prototxt_tools.errors import QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.asking.questions import Question
    from caffe_gradcam.model.model import LoadedModel

_FIELDS = ("image", "name", "classes", "methods", "layers", "crop", "at", "samples")
_MOST_TEXTS, _LONGEST_TEXT = 8, 500
_LONGEST_SIDE = 1 << 24
_MOST_SAMPLES = 512


@dataclass(frozen=True, eq=False)
class Asked:
    """A request.

    Attributes
    ----------
    image : bytes
        An image file.
    name : str
        What the user calls it; never opened.
    classes, methods, layers : tuple of str
        Questions as ``caffe_gradcam.asking.grammar.parse`` reads them; without layers, the
        model's own.
    crop : (int, int, int, int), optional
        x, y, width and height of the part that is asked about.
    at : (int, int, int, int), optional
        Of a net with a map of scores: the region that is asked about.
    samples : int, optional
    """

    image: bytes
    name: str = "image"
    classes: Tuple[str, ...] = ("top:1",)
    methods: Tuple[str, ...] = ("grad-cam",)
    layers: Tuple[str, ...] = ()
    crop: Optional[Tuple[int, int, int, int]] = None
    at: Optional[Tuple[int, int, int, int]] = None
    samples: Optional[int] = None

    @classmethod
    def of(cls, values: Any) -> "Asked":
        """The request of a JSON value; raises a QuestionError that says what is wrong with it."""
        if not isinstance(values, dict):
            raise QuestionError("the request must be a JSON object")
        unknown = sorted(set(values) - set(_FIELDS))
        if unknown:
            raise QuestionError(f"there is no field {unknown[0]!r}; known: {', '.join(_FIELDS)}")
        return cls(
            _image(values.get("image")), _texts(values, "name", ["image"])[0],
            tuple(_texts(values, "classes", ["top:1"])),
            tuple(_texts(values, "methods", ["grad-cam"])), tuple(_texts(values, "layers", [])),
            _box(values, "crop"), _box(values, "at"), _samples(values.get("samples")))

    def questions(self, model: "LoadedModel") -> "List[Question]":
        """The questions about a model's answer; raises a QuestionError for an unknown class."""
        from caffe_gradcam.asking.grammar import parse
        from caffe_gradcam.asking.questions import At

        questions: "List[Question]" = [
            parse(text, model.find_class, model.class_names) for text in self.classes]
        return questions if self.at is None else [At(question, self.at) for question in questions]

    def command(self, model: str) -> str:
        """The command line that gives the same figures."""
        words = ["caffe-gradcam", "explain", model, self.name, "-o", "figures"]
        for option, texts in (("--class", self.classes), ("--method", self.methods),
                              ("--layer", self.layers)):
            for text in texts:
                words += [option, text]
        for option, box in (("--crop", self.crop), ("--at", self.at)):
            if box is not None:
                words += [option, ",".join(map(str, box))]
        if self.samples is not None:
            words += ["--samples", str(self.samples)]
        return " ".join(map(shlex.quote, words))


def _image(value: Any) -> bytes:
    if not isinstance(value, str) or not value:
        raise QuestionError("image must be an image file in base64")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise QuestionError("image is not base64") from None


def _texts(values: Mapping[str, Any], field: str, default: Sequence[str]) -> List[str]:
    """One text or several; the default for none."""
    value = values.get(field)
    texts = [value] if isinstance(value, str) else value
    if texts is None or texts == []:
        return list(default)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise QuestionError(f"{field} must be a text or a list of texts")
    if len(texts) > _MOST_TEXTS or max(map(len, texts)) > _LONGEST_TEXT:
        raise QuestionError(f"{field} may hold {_MOST_TEXTS} texts of {_LONGEST_TEXT} letters")
    return texts


def _box(values: Mapping[str, Any], field: str) -> Optional[Tuple[int, int, int, int]]:
    value = values.get(field)
    if value is None:
        return None
    if isinstance(value, list) and len(value) == 4 and all(
            isinstance(number, int) and not isinstance(number, bool) for number in value):
        x, y, width, height = value
        if min(x, y) >= 0 and min(width, height) > 0 and max(value) < _LONGEST_SIDE:
            return x, y, width, height
    raise QuestionError(f"{field} must be [x, y, width, height] in whole pixels")


def _samples(value: Any) -> Optional[int]:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST_SAMPLES:
        raise QuestionError(f"samples must be a whole number from 1 to {_MOST_SAMPLES}")
    return value


def describe_fields() -> Dict[str, Any]:
    """The fields of a request as an OpenAPI schema."""
    texts = {"oneOf": [{"type": "string"}, {
        "type": "array", "maxItems": _MOST_TEXTS, "items": {
            "type": "string", "maxLength": _LONGEST_TEXT}}]}
    box = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 4,
           "maxItems": 4, "description": "x, y, width, height in pixels of the image"}
    return {
        "type": "object", "required": ["image"], "additionalProperties": False, "properties": {
            "image": {"type": "string", "format": "byte",
                      "description": "an image file in base64"},
            "name": {"type": "string", "description": "for the command line; never opened"},
            "classes": dict(texts, description="questions, as --class takes them: a number, a "
                            "name, top:3, 'A versus B', ... (default: top:1)"),
            "methods": dict(texts, description="default: grad-cam"),
            "layers": dict(texts, description="default: the model's own"),
            "crop": dict(box), "at": dict(box),
            "samples": {"type": "integer", "minimum": 1, "maximum": _MOST_SAMPLES}}}
