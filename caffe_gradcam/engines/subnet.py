"""The part of a net that an engine runs, checked before anything runs."""

import logging
import mmap
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from prototxt_tools import layers, rewrite, shapes
from prototxt_tools import weights as weight_files
from prototxt_tools.errors import (
    EngineError,
    ImageError,
    ModelError,
    QuestionError,
    WeightsError,
)
from prototxt_tools.net import fork_fields
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Layer, Net
from prototxt_tools.reports import check
from prototxt_tools.reports.audit import audit
from prototxt_tools.reports.forks import fork_of
from prototxt_tools.text.document import Document

from .on_device import OnDevice
from .running import NetToRun, Running

_logger = logging.getLogger(__name__)

Shape = Tuple[int, ...]
Shapes = Dict[str, Shape]
Weights = Dict[str, List[np.ndarray]]
# A learned blob: the layer's name, and the blob's index in it.
LearnedBlob = Tuple[str, int]

# Layers that may stand at the beginning of a net that is fed from outside.
SOURCES = ("Input", "Parameter", "DummyData")
# What to do about a layer that does more than arithmetic, by the kind of the audit's finding.
TRUST = {"code": "if you trust this file, use --trust",
         "file": "make a deploy net of it (prototxt-tools deploy), or use --trust"}


class Subnet:
    """The part of a net that scores and targets depend on, checked before anything runs.

    Parameters
    ----------
    net : NetToRun
    running : Running
    adapt : callable, optional
        Rewrites the whole net for the engine, after its weights have been given to its layers.

    Attributes
    ----------
    document : Document
        The user's file, of form V1 or V2, without the layers that are not needed.
    net : Net
        At phase TEST.
    graph : Graph
    reached : dict
        Score -> the targets on whose final value it depends.
    weights : dict
        Layer name -> list of arrays; blobs that layers share stand with each of them.
    missing : dict
        Layer name -> shapes of its blobs, for layers without weights.
    shapes : dict
        Blob name -> its shape with the inputs that were checked last.

    Raises
    ------
    ModelError, WeightsError, QuestionError
        The net, the weights or the blobs cannot be used; or the net runs code or reads files,
        and is not trusted.
    """

    def __init__(self, net: NetToRun, running: Running,
                 adapt: Callable[[Document], Document] = lambda document: document) -> None:
        self.scores, self.targets = list(net.scores), list(net.targets)
        document = Document.parse(net.prototxt, net.path)
        if Net.parse(document).form in ("V0", "mixed"):
            document = rewrite.upgrade(document).document
        self._path = str(net.weights)
        separated = separate(document, self._path)
        for note in separated.notes:
            if note.startswith("renamed"):
                _logger.warning(note)
        self.document = rewrite.cut(
            adapt(separated.document), self.scores + self.targets).document
        self.net = Net.parse(self.document).at("TEST")
        self.graph = Graph(self.net)
        if not running.trust:
            self._refuse_foreign_layers()
        self._check_wiring()
        self._check_layers()
        self.weights: Weights = share(self.net, separated.weights)
        self._refuse_infinite(self.weights)
        self._allow_missing = running.allow_missing
        self.missing: Dict[str, List[Shape]] = {}
        self.reached = {score: self._reached_by(score) for score in self.scores}
        for target in self.targets:
            if not any(target in reached for reached in self.reached.values()):
                raise QuestionError(
                    f"no score depends on blob {target!r}, so it has no gradient", target)
        self._checked: Optional[Shapes] = None
        self._parameters: Dict[str, List[Shape]] = {}
        self.shapes: Shapes = {}
        if all(entry.shape for entry in self.net.inputs):
            self._check_shapes({})

    def forget_weights(self) -> None:
        """Keep the shapes of the weights alone, for an engine that has copied the numbers."""
        self.weights = {name: [np.broadcast_to(np.float32(0), array.shape) for array in arrays]
                        for name, arrays in self.weights.items()}

    def let_go_pages(self) -> None:
        """Drop what was read of the weights file from memory; it is read again when needed."""
        for arrays in self.weights.values():
            for array in arrays:
                mapped = _mapping(array)
                if mapped is not None and hasattr(mapped, "madvise"):  # Python 3.8 and newer.
                    mapped.madvise(mmap.MADV_DONTNEED)
                    return

    def refuse_unknown_types(self, known: Iterable[str], engine: str, advice: str) -> None:
        """Raise an EngineError for the first layer whose type the engine does not have.

        ``{}`` in the advice stands for the type.
        """
        for layer in self.net.layers:
            if layer.type not in known:
                meant = layers.similar(layer.type)
                way_out = f"did you mean {meant}?" if meant else advice.format(layer.type)
                raise EngineError(f"{engine} has no layer type {layer.type!r} (layer {layer.name});"
                                  f" {way_out}", layer.name)

    def refuse_unknown_fields(self, types: Iterable[str],
                              is_known: Callable[[Layer], bool] = lambda layer: False) -> None:
        """Raise a ModelError for a field that is not understood and may change what a layer gives.

        Parameters
        ----------
        types : iterable of str
            The layer types whose fields are judged.
        is_known : callable, optional
            Whether what runs the layer knows all its fields.
        """
        judged = set(types)
        for layer in self.net.layers:
            fields = fork_fields.material(layer) if layer.type in judged else []
            if fields and not is_known(layer):
                names = " and ".join(dict.fromkeys(field.name for field in fields))
                raise ModelError(
                    f"layer {layer.name} ({layer.type}) has "
                    f"{names}, which {_of_fork(fields[0].name)} may compute with and this engine "
                    "does not understand; run the net in that Caffe, or without the field with "
                    "--ignore-unknown-fields", layer.name)

    def check_inputs(self, inputs: Mapping[str, Any]) -> Dict[str, Any]:
        """The inputs as contiguous float32 arrays, with shapes the net can take; what is on the
        device already stays there."""
        arrays = {}
        for entry in self.net.inputs:
            if entry.blob not in inputs:
                raise ImageError(f"input blob {entry.blob!r} is missing", entry.blob)
            value = inputs[entry.blob]
            arrays[entry.blob] = value if isinstance(value, OnDevice) else np.ascontiguousarray(
                value, dtype=np.float32)
        self._check_shapes({name: array.shape for name, array in arrays.items()})
        return arrays

    def check_blobs(self, blobs: Iterable[str]) -> None:
        """Raise a QuestionError for a blob that the engine does not hold."""
        for blob in blobs:
            if blob not in self.graph:
                needed_by = " and ".join(map(repr, self.scores + self.targets))
                raise QuestionError(
                    f"blob {blob!r} is not among those that {needed_by} depend on", blob)

    def check_replaced(
            self, weights: Mapping[str, Sequence[np.ndarray]]) -> Dict[str, Dict[int, np.ndarray]]:
        """What other weights put where, blobs that layers share included.

        Parameters
        ----------
        weights : dict
            Layer name -> list of arrays.

        Returns
        -------
        dict
            Layer name -> {index of the blob: float32 array of the shape that the net expects}.

        Raises
        ------
        WeightsError
            No layer of that name has weights, they have other shapes, or are no numbers.
        """
        for name in weights:
            if not self._parameters.get(name):
                raise WeightsError(f"no layer {name!r} with weights is among those that run", name)
        problems = weight_files.check(
            {name: self._parameters[name] for name in weights}, weights).problems
        if problems:
            raise WeightsError(problems[0])
        self._refuse_infinite(weights)
        replaced: Dict[str, Dict[int, np.ndarray]] = {}
        groups = sharing(self.net)
        for name, arrays in weights.items():
            for index, array in enumerate(arrays):
                for layer, position in groups.get((name, index), [(name, index)]):
                    shape = self._parameters[layer][position]
                    replaced.setdefault(layer, {})[position] = np.array(
                        array, np.float32).reshape(shape)
        return replaced

    def check_backward(self, score: str, targets: Iterable[str]) -> None:
        """Raise a QuestionError for blobs that the engine was not opened for."""
        if score not in self.scores:
            raise QuestionError(f"the engine was not opened for score {score!r}, but for "
                                + ", ".join(self.scores), score)
        for target in targets:
            if target not in self.targets:
                raise QuestionError(f"the engine was not opened for target {target!r}, but for "
                                    + ", ".join(self.targets), target)
            if target not in self.reached[score]:
                raise EngineError(f"score {score!r} does not depend on blob {target!r}, so it "
                                  "gives no gradient there", target)

    def check_parameters(self, net: Net, blob_shapes: Shapes) -> Tuple[Dict[str, List[Shape]],
                                                                       Dict[str, List[Shape]]]:
        """Hold the weights against the shapes of a net's blobs.

        Returns
        -------
        parameters, missing : dict
            Layer name -> shapes of its weights, for all layers and for those that have none in
            the file.
        """
        parameters = shapes.parameters(net, blob_shapes)
        checked = weight_files.check(parameters, self.weights)
        if checked.problems:
            raise WeightsError(f"{self._path}: {checked.problems[0]}", self._path)
        if checked.missing and not self._allow_missing:
            raise WeightsError(
                f"{self._path}: no weights for layer {', '.join(checked.missing)}", self._path)
        return parameters, {name: parameters[name] for name in checked.missing}

    def _reached_by(self, score: str) -> List[str]:
        """The targets on whose final value a score depends."""
        ancestors = self.graph.ancestors([score])
        return [target for target in self.targets
                if target != score and ancestors.intersection(self.graph.final_readers(target))]

    def _refuse_foreign_layers(self) -> None:
        for finding in audit(self.net):
            if finding.kind in TRUST:
                raise ModelError(f"{finding.sentence}; {TRUST[finding.kind]}")
        for layer in self.net.layers:
            if not layer.bottoms and layer.type not in SOURCES:
                raise ModelError(f"layer {layer.name} ({layer.type}) reads data of its own; use a "
                                 "deploy net, whose inputs are given from outside", layer.name)

    def _refuse_infinite(self, weights: Mapping[str, Sequence[np.ndarray]]) -> None:
        for layer in self.net.layers:
            for index, array in enumerate(weights.get(layer.name, ())):
                # A sum needs no copy; only where it overflows each number has to be checked.
                with np.errstate(over="ignore", invalid="ignore"):
                    total = array.sum()
                if not np.isfinite(total) and not np.isfinite(array).all():
                    raise WeightsError(f"{self._path}: layer {layer.name}, blob {index} holds NaN "
                                       "or infinity", self._path)

    def _check_layers(self) -> None:
        """Raise a ModelError for a layer with a number of blobs, or a value, that Caffe refuses."""
        for layer in self.net.layers:
            for problem in check.misfits(layer):
                raise ModelError(f"layer {layer.name} ({layer.type}) {problem}", layer.name)

    def _check_wiring(self) -> None:
        written = {entry.blob for entry in self.net.inputs}
        for layer in self.net.layers:
            for bottom in layer.bottoms:
                if bottom not in written:
                    raise ModelError(f"layer {layer.name} reads blob {bottom!r}, which nothing "
                                     "before it writes", layer.name)
            for top in layer.tops if layer.type != "Input" else ():
                if top in written and top not in layer.bottoms:
                    raise ModelError(f"layer {layer.name} writes blob {top!r}, which another "
                                     "layer has written", layer.name)
            written.update(layer.tops)

    def _check_shapes(self, inputs: Shapes) -> None:
        """Infer all shapes and hold the weights against them; a new set of input shapes only."""
        if inputs == self._checked:
            return
        blob_shapes = shapes.infer(self.net, inputs)
        self._parameters, self.missing = self.check_parameters(self.net, blob_shapes)
        self._checked, self.shapes = inputs, blob_shapes

    def complete_shapes(self, blobs: Iterable[str], shape_of: Callable[[str], Shape]) -> None:
        """Take the shapes of blobs from the last forward where the net alone does not tell them."""
        unknown = {blob: shape_of(blob) for blob in blobs if not self.shapes.get(blob)}
        if unknown:
            self.shapes = dict(self.shapes, **unknown)


def separate(document: Document, path: str) -> rewrite.WithWeights:
    """The net and the weights of a file with one layer, of a name of its own, for each step.

    Raises
    ------
    WeightsError
        The file cannot be read, or layers share a name and it is not known which weights belong
        to which.
    """
    weights = weight_files.load(path)
    try:
        return rewrite.separate(document, weights)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}", path) from None


def _of_fork(field_name: str) -> str:
    return fork_of(field_name) or "a fork of Caffe"


def _mapping(array: Any) -> Optional[mmap.mmap]:
    """The mapped file that an array is a view of, or None."""
    while isinstance(array, np.ndarray):
        array = array.base
    owner = array.obj if isinstance(array, memoryview) else array
    return owner if isinstance(owner, mmap.mmap) else None


def share(net: Net, weights: Mapping[str, Sequence[np.ndarray]]) -> Weights:
    """Give layers whose params have one name one blob: the last of them in the file, as Caffe.

    Caffe: ``Net::AppendParam`` and ``Net::CopyTrainedLayersFrom`` in ``src/caffe/net.cpp``.

    Parameters
    ----------
    net : Net
    weights : dict
        Layer name -> list of arrays, in the order of the file.

    Returns
    -------
    dict
    """
    order = list(weights)
    shared = {name: list(arrays) for name, arrays in weights.items()}
    for group in dict.fromkeys(map(tuple, sharing(net).values())):
        stored = [(order.index(name), index) for name, index in group
                  if index < len(weights.get(name, ()))]
        if not stored:
            continue
        position, last = max(stored)
        for name, index in group:
            shared.setdefault(name, [])[index:index + 1] = [weights[order[position]][last]]
    return shared


def sharing(net: Net) -> Dict[LearnedBlob, List[LearnedBlob]]:
    """For each learned blob that has a name, all the learned blobs of that name."""
    groups: Dict[str, List[LearnedBlob]] = {}
    for layer in net.layers:
        for index, spec in enumerate(layer.message.param):
            if spec.name:
                groups.setdefault(spec.name, []).append((layer.name, index))
    return {blob: group for group in groups.values() for blob in group}
