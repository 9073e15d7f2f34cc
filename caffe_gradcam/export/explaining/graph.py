"""Scores, probabilities, classes and maps as outputs of one graph."""

from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, List, Optional, Tuple

import numpy as np

from caffe_gradcam.engines.onnx import libraries, maps
from caffe_gradcam.engines.onnx.backward.gradients import Gradients
from caffe_gradcam.engines.onnx.net import Translated
from caffe_gradcam.engines.onnx.registry import Step
from caffe_gradcam.engines.onnx.writer import FLOAT, INT64, Value
from caffe_gradcam.explaining import heads
from caffe_gradcam.model import choices
from caffe_gradcam.model.geometry import Geometry, Placement
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import QuestionError

# The methods that a graph can hold.
METHODS = ("grad-cam", "cam", *maps.METHODS)
# An input that may be left out: the class to explain, -1 for the best one.
CHOSEN = "chosen_class"


@dataclass(frozen=True)
class ExplainOptions:
    """What a graph explains.

    Attributes
    ----------
    method : str
        One of ``METHODS``.
    layers : tuple of str
        Blobs; empty for those of the model.
    top : int
        How many classes, the best first, have maps.
    heatmap : bool
        Whether the maps are also outputs at the size of the input.

    Raises
    ------
    QuestionError
        No such method.
    """

    method: str = "grad-cam"
    layers: Tuple[str, ...] = ()
    top: int = 1
    heatmap: bool = False

    def __post_init__(self) -> None:
        choices.check([self.method], METHODS, "method of an exported graph")


def explained_blobs(model: LoadedModel, options: ExplainOptions) -> List[str]:
    """The blobs whose maps a graph gives.

    Raises
    ------
    QuestionError
        The method has no meaning for the net, or a blob is no layer of it.
    """
    if options.method == "cam":
        return [heads.pooled_blob(model.graph, model.score, model.shapes)[0]]
    return list(model.with_layers(options.layers).layers if options.layers else model.layers)


def output_names(blobs: List[str], options: ExplainOptions) -> Dict[str, str]:
    """Blob -> the end of the names of its maps: none where there is one blob."""
    return {blob: "" if len(blobs) == 1 else "_" + blob for blob in blobs}


def reserved_names(model: LoadedModel, options: ExplainOptions) -> FrozenSet[str]:
    """The names of the outputs, which no blob may have."""
    suffixes = output_names(explained_blobs(model, options), options).values()
    names = {"probability", "class", CHOSEN}
    names |= {kind + suffix for kind in ("cam", "heatmap") for suffix in suffixes}
    return frozenset(names if model.score == "score" else names | {"score"})


class ExplainingGraph:
    """Adds to a graph what explains its scores.

    Parameters
    ----------
    translated : Translated
        The net down to the score blob.
    model : LoadedModel
    options : ExplainOptions

    Attributes
    ----------
    outputs : list of Value
        "score", "probability" where the net has a link, "class", and for each blob "cam" and, if
        it was asked for, "heatmap".
    inputs : list of onnx.ValueInfoProto
        Those besides the net's own.

    Raises
    ------
    QuestionError
        The net gives no score for each class.
    Unsupported
        A gradient is not known.
    """

    def __init__(self, translated: Translated, model: LoadedModel, options: ExplainOptions
                 ) -> None:
        self._translated, self._model, self._options = translated, model, options
        self._score = translated.values[model.score]
        _check_scores(model, self._score, options)
        self._step = translated.added("explain")
        self._open = self._score.open_axes & {0}
        self._rows = self._score.shape[0]
        self._classes = int(np.prod(self._score.shape[1:]))
        self.outputs: List[Value] = []
        self.inputs: List[Any] = []
        self._add_scores()
        for blob, suffix in output_names(explained_blobs(model, options), options).items():
            self._add_maps(blob, suffix)

    def _add(self, name: str, result: str, shape: Tuple[int, ...], kind: int = FLOAT) -> str:
        """Let a value be an output."""
        self._translated.writer.node("Identity", [result], [name], f"explain/{name}")
        self.outputs.append(Value(name, (self._rows,) + shape, self._open, kind))
        return name

    def _add_scores(self) -> None:
        step, options = self._step, self._options
        flat = self._score.name
        if len(self._score.shape) > 2:
            flat = step.op("Flatten", self._score, axis=1)
        if self._score.name == "score":
            self.outputs.append(self._score)
        else:
            self._add("score", flat, (self._classes,))
        if self._model.link == "softmax":
            self._add("probability", step.op("Softmax", flat, axis=1), (self._classes,))
        elif self._model.link == "sigmoid":
            self._add("probability", step.op("Sigmoid", flat), (self._classes,))
        _, best = step.ops("TopK", 2, flat, np.array([options.top], np.int64), axis=1)
        if options.top == 1:
            best = self._or_chosen(best)
        self._best = self._add("class", best, (options.top,), INT64)

    def _or_chosen(self, best: str) -> str:
        """The class that an input names, if it does."""
        step = self._step
        self._translated.writer.constants[CHOSEN] = np.array([-1], np.int64)
        self.inputs.append(libraries.load("onnx.helper").make_tensor_value_info(
            CHOSEN, INT64, [1]))
        is_open = step.op("Less", CHOSEN, np.array(0, np.int64))
        return step.op("Where", is_open, best, CHOSEN)

    def _add_maps(self, blob: str, suffix: str) -> None:
        activations, top = self._translated.values[blob], self._options.top
        cams = [self._map(activations, blob, rank) for rank in range(top)]
        shape = activations.sizes(2)
        if top > 1:
            second = np.array([1], np.int64)
            stacked = [self._step.op("Unsqueeze", cam, second) for cam in cams]
            cams, shape = [self._step.op("Concat", *stacked, axis=1)], (top,) + shape
        cam = self._add("cam" + suffix, cams[0], shape)
        if self._options.heatmap:
            source = self._model.input_of(blob)
            size = self._translated.values[source].sizes(2)
            placement = self._model.placements([blob])[blob]
            matrices = resizing(activations.sizes(2), size, placement)
            laid = heatmap(self._step, cam, self.outputs[-1], matrices)
            self._add("heatmap" + suffix, laid, shape[:-2] + size)

    def _map(self, activations: Value, blob: str, rank: int) -> str:
        """The map of the class of one rank, N x h x w."""
        step, method, classes = self._step, self._options.method, self._best
        if self._options.top > 1:
            classes = maps.of_rank(step, classes, rank)
        if method == "cam":
            return self._class_map(activations, classes)
        seed = maps.seed(step, classes, self._score)
        gradients = Gradients(self._translated, self._model.score, seed)
        return maps.of_layer(method, step, blob, gradients)

    def _class_map(self, activations: Value, index: str) -> str:
        """What the score is the mean of: the channels, each by its weight for the class."""
        step = self._step
        _, layer = heads.pooled_blob(self._model.graph, self._model.score, self._model.shapes)
        weights = {entry.name: entry.weights for entry in self._translated.steps.values()}
        units = np.eye(activations.size(1), dtype=np.float32)[:, :, np.newaxis, np.newaxis]
        matrix = np.ascontiguousarray(heads.class_maps(units, layer, weights)[:, :, 0, 0].T)
        flat_index = step.op("Squeeze", index, np.array([1], np.int64))
        return maps.weighted(step, activations, step.op("Gather", matrix, flat_index, axis=0))


def resizing(shape: Tuple[int, ...], size: Tuple[int, ...], placement: Optional[Placement]
             ) -> Tuple[np.ndarray, np.ndarray]:
    """Two matrices, H x h and W x w, that lay a map of h x w over an input of H x W."""
    whole = Geometry((size[0], size[1]), (0.0, 0.0, float(size[1]), float(size[0])))
    placement = placement or Placement.stretched(shape)
    rows = [whole.to_image(column[:, np.newaxis], placement)[:, 0] for column in np.eye(shape[0])]
    columns = [whole.to_image(row[np.newaxis], placement)[0] for row in np.eye(shape[1])]
    return np.stack(rows, axis=1), np.stack(columns, axis=1)


def heatmap(step: Step, cam: str, shape: Value, matrices: Tuple[np.ndarray, np.ndarray]) -> str:
    """The positive part of a map at the input's size, divided by its maximum.

    Parameters
    ----------
    cam : str
        Rows x h x w.
    shape : Value
        Of the map.
    matrices : (numpy.ndarray, numpy.ndarray)
        H x h and W x w: they resize, as two products cost less than an operator that resizes.
    """
    down, across = matrices
    axes = np.array([len(shape.shape) - 2, len(shape.shape) - 1], np.int64)
    highest = step.op("ReduceMax", cam, axes=axes.tolist(), keepdims=1)
    lowest = step.op("ReduceMin", cam, axes=axes.tolist(), keepdims=1)
    shows = step.op("Greater", highest, step.op("Relu", lowest))
    positive = step.op("MatMul", np.float32(down), step.op("Relu", cam))
    laid = step.op("MatMul", positive, np.ascontiguousarray(across.T, np.float32))
    largest = step.op("ReduceMax", laid, axes=axes.tolist(), keepdims=1)
    divisor = step.op("Where", step.op("Greater", largest, np.float32(0)), largest, np.float32(1))
    return step.op("Mul", step.op("Div", laid, divisor), step.op("Cast", shows, to=FLOAT))


def _check_scores(model: LoadedModel, score: Value, options: ExplainOptions) -> None:
    if model.has_two_sides:
        raise QuestionError("one score stands for two classes here, which an exported graph "
                            "cannot explain", model.score)
    if len(score.shape) < 2 or int(np.prod(score.shape[2:])) != 1:
        size = "x".join(map(str, score.shape[1:]))
        raise QuestionError(f"blob {model.score} ({size}) is not one score for each class; choose "
                            "another with --score, or export without --explain", model.score)
    if options.top > score.shape[1]:
        raise QuestionError(f"--top {options.top}: the net has {score.shape[1]} classes", "--top")
