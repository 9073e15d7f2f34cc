"""Nets that describe images in words, as two nets: one from image to features, one to words.

The form is that of LRCN (Donahue et al. 2015, "Long-term Recurrent Convolutional Networks for
Visual Recognition and Description"): a net that reads ``input_sentence``, a word at a time,
``cont_sentence``, which is 0 where a sentence begins, and the features of the image.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, List, Mapping, Optional, Sequence, Set, Tuple

from caffe_gradcam.engines.running import NetToRun
from caffe_gradcam.model.words import Vocabulary
from prototxt_tools import rewrite
from prototxt_tools.errors import ModelError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net
from prototxt_tools.rewrite.text import quoted
from prototxt_tools.text.document import Document
from prototxt_tools.text.edits import Edits

if TYPE_CHECKING:
    from caffe_gradcam.model.model import LoadedModel

Shape = Tuple[int, ...]

_RECURRENT = ("LSTM", "RNN", "LSTMUnit")


@dataclass(frozen=True)
class Part:
    """One of the two nets.

    Attributes
    ----------
    prototxt : str
        Its text.
    weights : str
        The path of its weights.
    path : str, optional
        The file that holds the text; None for a part of a file.
    """

    prototxt: str
    weights: str
    path: Optional[str] = None

    def net(self, scores: Sequence[str], targets: Sequence[str], gradient: str = "post"
            ) -> NetToRun:
        """The net, to be run for these blobs."""
        return NetToRun(self.prototxt, self.weights, tuple(scores), tuple(targets), gradient,
                        self.path)


@dataclass(frozen=True, eq=False)
class Chain:
    """An image net, the language net behind it, and what joins them.

    Attributes
    ----------
    image, language : Part
    links : dict
        Input of the language net -> the blob of the image net that fills it.
    feature_shapes : dict
        Input of the language net -> its shape for one image.
    words, continuation : str
        The language net's inputs of words (T x N) and of what is 0 where a sentence begins.
    score : str
        The language net's blob of T x N x K scores.
    steps : int
        T as the net declares it; 1: any.
    vocabulary : Vocabulary
    """

    image: Part
    language: Part
    links: Mapping[str, str]
    feature_shapes: Mapping[str, Shape]
    words: str
    continuation: str
    score: str
    steps: int
    vocabulary: Vocabulary


@dataclass(frozen=True)
class _Reading:
    """The inputs by which a net reads a sentence."""

    words: str
    continuation: str
    count: int
    steps: int


def of_model(model: "LoadedModel") -> Chain:
    """The chain that a model's folder declares, or that its one net consists of.

    Raises
    ------
    ModelError
        The net reads no words, or the two nets do not fit each other.
    """
    if model.caption_files is not None and model.caption_files.net is not None:
        return _of_two(model, Document.load(model.caption_files.net), model.caption_files.weights)
    document = Document.parse(model.prototxt, model.path)
    graph = Graph(Net.parse(document).at("TEST"))
    reading = _reading(graph)
    if reading is None:
        raise ModelError(
            f"{model.path}: the net reads no words (an Embed layer, and an LSTM or RNN layer that "
            "reads an input of continuation markers), so it cannot describe an image; name a "
            "language net in readme.md, under gradcam: caption: net", model.path)
    boundary = _boundary(graph, model.score, {reading.words, reading.continuation})
    if not boundary or not all(model.shapes.get(blob) for blob in boundary):
        raise ModelError(f"{model.path}: no blob of known shape leads from the image to the words",
                         model.path)
    shapes = {blob: tuple(model.shapes[blob]) for blob in boundary}
    image = rewrite.cut(document, boundary).document
    language = _behind(document, graph, model.score, shapes)
    return Chain(
        Part(image.text(), model.weights), Part(language.text(), model.weights),
        {blob: blob for blob in boundary}, {blob: shape[1:] for blob, shape in shapes.items()},
        reading.words, reading.continuation, model.score, reading.steps,
        _vocabulary(model, reading.count))


def _of_two(model: "LoadedModel", document: Document, weights: Optional[str]) -> Chain:
    """The chain of a model's image net and the language net that its folder names."""
    path = document.shown_path
    graph = Graph(Net.parse(document).at("TEST"))
    reading = _reading(graph)
    if reading is None:
        raise ModelError(f"{path}: a language net needs an Embed layer that reads the words, and "
                         "an LSTM or RNN layer that reads an input of continuation markers", path)
    assert model.caption_files is not None and weights is not None
    scores = graph.scores()
    if not scores:
        raise ModelError(f"{path}: the language net has no score blob", path)
    score = scores[0].blob
    features = [entry for entry in graph.net.inputs
                if entry.blob not in (reading.words, reading.continuation)
                and graph.ancestors([score]) & set(graph.readers(entry.blob))]
    if not features:
        raise ModelError(f"{path}: the language net reads nothing but words; it needs an input "
                         "for the features of the image", path)
    links, shapes = {}, {}
    for entry in features:
        source = model.caption_files.features or (
            entry.blob if entry.blob in model.graph else model.score)
        shape = tuple(entry.shape or ())[1:]
        _check_link(model, source, entry.blob, shape, path)
        links[entry.blob], shapes[entry.blob] = source, shape
    return Chain(Part(model.prototxt, model.weights, model.path),
                 Part(document.text(), weights, document.path), links, shapes, reading.words,
                 reading.continuation, score, reading.steps, _vocabulary(model, reading.count))


def _check_link(model: "LoadedModel", source: str, blob: str, shape: Shape, path: str) -> None:
    """Raise a ModelError where a blob of the image net cannot fill an input."""
    if source not in model.graph:
        raise ModelError(f"{model.path}: the image net has no blob {source!r}, which readme.md "
                         "names under gradcam: caption: features", source)
    given = tuple(model.shapes.get(source, ()))[1:]
    if given and _size(given) != _size(shape):
        raise ModelError(
            f"{path}: input {blob} takes {_text(shape)} for each image, and blob {source} of the "
            f"image net is {_text(given)}", blob)


def _reading(graph: Graph) -> Optional[_Reading]:
    """How a net reads sentences, or None."""
    inputs = {entry.blob: entry for entry in graph.net.inputs}
    words = next((layer for layer in graph.net.layers
                  if layer.type == "Embed" and layer.bottoms[0] in inputs), None)
    markers = [bottom for layer in graph.net.layers if layer.type in _RECURRENT
               for bottom in layer.bottoms[1:] if bottom in inputs]
    if words is None or not markers:
        return None
    blob = words.bottoms[0]
    continuation = next((name for name in markers
                         if (inputs[name].shape or ())[:2] == (inputs[blob].shape or ())[:2]),
                        markers[0])
    return _Reading(blob, continuation, words.message.embed_param.input_dim,
                    (inputs[blob].shape or (1,))[0])


def _boundary(graph: Graph, score: str, texts: Set[str]) -> List[str]:
    """The blobs that depend on the image alone and that layers read which depend on words."""
    needed, reading, layers = graph.ancestors([score]), set(texts), graph.net.layers
    boundary: List[str] = []
    for index in sorted(needed):
        layer = layers[index]
        if reading.intersection(layer.bottoms):
            boundary += [bottom for bottom in layer.bottoms
                         if bottom not in reading and bottom not in boundary]
            reading.update(layer.tops)
    inputs = {entry.blob for entry in graph.net.inputs}
    return [blob for blob in boundary if blob not in inputs]


def _behind(document: Document, graph: Graph, score: str, shapes: Mapping[str, Shape]
            ) -> Document:
    """The net behind some blobs, which become its inputs, with these shapes."""
    root, before = document.root, graph.ancestors(shapes)
    needed = sorted(graph.ancestors([score]) - before)
    layers = [graph.net.layers[index] for index in needed]
    kept = {id(layer.field) for layer in layers if layer.type != "Input"}
    edits = Edits(document)
    for layer in Net.parse(document).layers:
        if id(layer.field) not in kept:
            edits.remove(layer.field)
    for field in root.all("input") + root.all("input_shape") + root.all("input_dim"):
        edits.remove(field)
    inputs = dict(shapes)
    for entry in graph.net.inputs:
        if any(entry.blob in layer.bottoms for layer in layers):
            inputs[entry.blob] = tuple(entry.shape or ())
    lines = ["input: {}\ninput_shape {{ {} }}\n".format(
        quoted(blob), " ".join(f"dim: {size}" for size in shape))
        for blob, shape in inputs.items()]
    return Document.parse("".join(lines) + edits.apply().text(), document.path)


def _vocabulary(model: "LoadedModel", count: int) -> Vocabulary:
    """The words of a model, or their numbers where it has no list of them."""
    if model.caption_files is not None and model.caption_files.words is not None:
        return Vocabulary.read(model.caption_files.words, count)
    if model.class_names and len(model.class_names) == count:
        return Vocabulary(tuple(model.class_names))
    return Vocabulary.numbers(count)


def _size(shape: Shape) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def _text(shape: Shape) -> str:
    return " x ".join(map(str, shape)) or "1 number"
