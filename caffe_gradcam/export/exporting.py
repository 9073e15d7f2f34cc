"""From a net to a graph that is proven to be equal, or to nothing."""

import contextlib
import json
import os
import tempfile
from dataclasses import dataclass, field
from typing import Any, Dict, FrozenSet, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.engines.opening import open_engine
from caffe_gradcam.engines.running import NetToRun, Running
from caffe_gradcam.export.certificate import Certificate, sha256_of, versions
from caffe_gradcam.export.explaining.expected import expected_outputs
from caffe_gradcam.export.explaining.graph import (
    ExplainingGraph,
    ExplainOptions,
    explained_blobs,
    reserved_names,
)
from caffe_gradcam.export.made import made_inputs
from caffe_gradcam.export.net import Translated, translate
from caffe_gradcam.export.pictures import add_preparation
from caffe_gradcam.export.proof import (
    BLOB_TOLERANCE,
    MAP_TOLERANCE,
    Comparison,
    compare,
    compare_blobs,
    run_graph,
    tolerances,
)
from caffe_gradcam.export.source import PREFIX, NetSource
from caffe_gradcam.export.writer import Value
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.model.preprocess import prepare
from prototxt_tools import rewrite
from prototxt_tools import weights as weight_files
from prototxt_tools.errors import ModelError, QuestionError
from prototxt_tools.files import write_bytes
from prototxt_tools.text.document import Document

# A picture with what a certificate calls it: {"file": ..., "sha256": ...}.
Picture = Tuple[Mapping[str, Any], Any]

# How many made inputs there are in a batch that is open.
_ROWS = 2


@dataclass(frozen=True)
class ExportOptions:
    """What is exported, and in which form.

    Attributes
    ----------
    open_size : bool
        Whether height and width of images may differ from run to run.
    fold : bool
        Whether BatchNorm and Scale layers become part of the convolutions before them.
    outputs : tuple of str
        The blobs to export; empty for those that the net ends in.
    explain : ExplainOptions, optional
        What the graph explains, if it does.
    with_preprocessing : bool
        Whether the graph reads pictures and prepares them itself.
    """

    open_size: bool = False
    fold: bool = False
    outputs: Tuple[str, ...] = ()
    explain: Optional[ExplainOptions] = None
    with_preprocessing: bool = False


@dataclass(frozen=True, eq=False)
class Exported:
    """A graph with its proof.

    Attributes
    ----------
    model : bytes
        Of a .onnx file.
    certificate : Certificate
    """

    model: bytes
    certificate: Certificate

    def write(self, path: str) -> str:
        """Write the graph, and the certificate beside it, whose path is returned.

        Raises
        ------
        NotProven
            The graph is not proven; nothing is written.
        """
        self.certificate.check()
        beside = os.path.splitext(path)[0] + ".certificate.json"
        write_bytes(path, self.model)
        write_bytes(beside, self.certificate.to_json())
        return beside


@dataclass(frozen=True, eq=False)
class ProofInputs:
    """What a graph is run on to prove it.

    Attributes
    ----------
    arrays : dict
        Input blob -> array.
    descriptions : list of dict
    pictures : list
        What the arrays were prepared from, if they were.
    """

    arrays: Dict[str, np.ndarray]
    descriptions: List[Mapping[str, Any]] = field(default_factory=list)
    pictures: List[Any] = field(default_factory=list)


def export(source: NetSource, options: ExportOptions, running: Running,
           pictures: Sequence[Picture] = ()) -> Exported:
    """Write a net as a graph, and compare the graph with an engine, blob by blob.

    Parameters
    ----------
    source : NetSource
    options : ExportOptions
    running : Running
        The engine that the graph is compared with.
    pictures : sequence of (dict, image)
        What it is run on: a description, and an image as ``prepare`` takes it. Without, on made
        numbers.

    Returns
    -------
    Exported
        Its certificate may say that the graph is not proven; ``write`` checks that.

    Raises
    ------
    Unsupported
        A layer cannot be expressed exactly.
    EngineMissing
        A library is not installed.
    NotProven
        ONNX Runtime cannot run the graph.
    """
    graph = write(source, options, running)
    translated, model = graph.translated, graph.model()
    inputs = proof_inputs(source, translated, pictures or made_pictures(source, options))
    run = _run_engine(source, translated, options, running, inputs.arrays)
    blobs = compare_blobs(translated, model, inputs.arrays, run.blobs)
    if options.with_preprocessing and source.model is not None:
        graph.inputs = add_preparation(translated, dict(source.model.inputs))
        model = graph.model()
    data = bytes(model.SerializeToString())
    actual = _run_written(data, inputs, options)
    certificate = Certificate(
        source.name, dict(source.hashes, graph=sha256_of(data)), versions(), run.description,
        inputs.descriptions, blobs, _compared(translated, actual, run, options),
        [f"the {kind} is fixed: {reason}" for kind, reason in translated.fixed.items()])
    return Exported(data, certificate)


class Graph:
    """A graph that is written but for what may come before the net.

    Attributes
    ----------
    translated : Translated
    outputs : list of Value
    more_inputs : list of onnx.ValueInfoProto
        Those besides the net's.
    inputs : list of onnx.ValueInfoProto or None
        In place of the net's, if any.
    metadata : dict
    """

    def __init__(self, translated: Translated, outputs: List[Value], more_inputs: List[Any],
                 metadata: Dict[str, str]) -> None:
        self.translated, self.outputs = translated, outputs
        self.more_inputs, self.metadata = more_inputs, metadata
        self.inputs: Optional[List[Any]] = None

    def model(self) -> Any:
        """The graph as an ``onnx.ModelProto``."""
        return self.translated.model_of(self.outputs, self.metadata, self.more_inputs,
                                        self.inputs)


def write(source: NetSource, options: ExportOptions, running: Running) -> Graph:
    """Write a net as a graph, without a proof; raises as :func:`export` does."""
    model, explain = _explained(source, options), options.explain
    ends = _ends(source, options)
    reserved = reserved_names(model, explain) if model and explain else frozenset()
    with written_net(source, options) as (prototxt, weights):
        translated = translate(prototxt, weights, ends, running, open_sizes(options),
                               source.input_shapes, reserved)
    metadata = source.metadata()
    if model is None or explain is None:
        return Graph(translated, [translated.values[blob] for blob in ends], [], metadata)
    explaining = ExplainingGraph(translated, model, explain)
    metadata[PREFIX + "method"] = json.dumps(explain.method)
    return Graph(translated, explaining.outputs, explaining.inputs, metadata)


def _run_written(data: bytes, inputs: "ProofInputs", options: ExportOptions
                 ) -> Dict[str, np.ndarray]:
    """The outputs of the graph as it is written; one that reads pictures takes them in turn."""
    if not options.with_preprocessing:
        return run_graph(data, inputs.arrays)
    rows = [run_graph(data, dict(_red_first(picture), **inputs.arrays))
            for picture in inputs.pictures]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def _red_first(picture: Any) -> Dict[str, np.ndarray]:
    """A picture as an input of the graph; of nets with several inputs, one for each."""
    if isinstance(picture, Mapping):
        return {"image_" + blob: np.ascontiguousarray(image[:, :, ::-1])
                for blob, image in picture.items()}
    return {"image": np.ascontiguousarray(picture[:, :, ::-1])}


def _explained(source: NetSource, options: ExportOptions) -> Optional[LoadedModel]:
    """The model whose scores the graph explains; None where it explains none."""
    if options.explain is None:
        return None
    if source.model is None:
        raise ModelError(f"{source.name}: the net has no scores to explain; export it without "
                         "--explain")
    if options.outputs:
        raise QuestionError("--output: an explaining graph has outputs of its own", "--output")
    return source.model


def _ends(source: NetSource, options: ExportOptions) -> List[str]:
    """The blobs that the net is written down to."""
    model = _explained(source, options)
    if model is not None:
        return [model.score]
    return list(options.outputs) or source.outputs


@dataclass(frozen=True, eq=False)
class EngineRun:
    """What an engine gave.

    Attributes
    ----------
    blobs : dict
        Blob -> array.
    outputs : dict
        Output of the graph -> array.
    description : dict
        See ``Engine``.
    """

    blobs: Dict[str, np.ndarray]
    outputs: Dict[str, np.ndarray]
    description: Dict[str, str]


def _run_engine(source: NetSource, translated: Translated, options: ExportOptions,
                running: Running, inputs: Mapping[str, np.ndarray]) -> EngineRun:
    """Run the net as its user has it."""
    model, ends = _explained(source, options), _ends(source, options)
    targets: Tuple[str, ...] = ()
    if model is not None and options.explain is not None and options.explain.method != "cam":
        targets = tuple(explained_blobs(model, options.explain))
    net = NetToRun(source.prototxt, source.weights, tuple(ends), targets)
    with open_engine(net, running) as engine:
        blobs = engine.forward(inputs, list(translated.blobs))
        if model is None or options.explain is None:
            outputs = {translated.values[blob].name: blobs[blob] for blob in ends}
        else:
            outputs = expected_outputs(model, options.explain, engine, blobs)
        return EngineRun(blobs, outputs, dict(engine.description))


def _compared(translated: Translated, actual: Mapping[str, np.ndarray], run: EngineRun,
              options: ExportOptions) -> List[Comparison]:
    """Maps, and what was resized by other code, are held to another tolerance than blobs."""
    allowed = tolerances(translated, run.blobs)
    if options.explain is not None:
        scores = float(np.abs(run.outputs["score"]).max())
        allowed["probability"] = BLOB_TOLERANCE * max(1.0, scores)

    def tolerance(name: str) -> float:
        is_map = options.explain is not None and name.startswith(("cam", "heatmap"))
        least = MAP_TOLERANCE if is_map or options.with_preprocessing else BLOB_TOLERANCE
        return max(least, allowed.get(name, 0.0) * (least / BLOB_TOLERANCE))

    return [compare(name, actual[name], expected, tolerance(name))
            for name, expected in run.outputs.items()]


def open_sizes(options: ExportOptions) -> FrozenSet[str]:
    """What is to be open in the graph."""
    return frozenset({"batch", "size"} if options.open_size else {"batch"})


@contextlib.contextmanager
def written_net(source: NetSource, options: ExportOptions) -> Iterator[Tuple[str, str]]:
    """The text of the net that is written and the path of its weights, folded if that is asked."""
    if not options.fold:
        yield source.prototxt, source.weights
        return
    folded = rewrite.fold(Document.parse(source.prototxt), weight_files.load(source.weights))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "folded.caffemodel")
        weight_files.save(path, folded.weights)
        yield folded.document.text(), path


def proof_inputs(source: NetSource, translated: Translated, pictures: Sequence[Picture]
                 ) -> ProofInputs:
    """The arrays that the graph and the engine are run on."""
    shapes = {value.name: value.shape for value in translated.inputs}
    is_open = all(0 in value.open_axes for value in translated.inputs)
    if not pictures:
        if is_open:
            shapes = {blob: (_ROWS,) + shape[1:] for blob, shape in shapes.items()}
        return ProofInputs(made_inputs(translated.subnet.net, shapes),
                           [{"made": "uniform random numbers", "seed": 0}])
    if source.model is None:
        raise ModelError(f"{source.name}: how it reads pictures is not known, so it is proven on "
                         "made numbers alone; give none")
    inputs = source.model.inputs
    prepared = [prepare(image, inputs) for _, image in pictures]
    arrays = {blob: np.concatenate([image.blobs[blob] for image in prepared]) for blob in inputs}
    if not is_open:
        arrays = {blob: np.resize(array, shapes[blob]) for blob, array in arrays.items()}
    missing = {blob: shape for blob, shape in shapes.items() if blob not in arrays}
    arrays.update(made_inputs(translated.subnet.net, missing))
    return ProofInputs(arrays, [description for description, _ in pictures],
                       [image for _, image in pictures])


def made_pictures(source: NetSource, options: ExportOptions) -> List[Picture]:
    """Random pictures, where a graph reads pictures and none are given."""
    if not options.with_preprocessing:
        return []
    if source.model is None:
        raise ModelError(f"{source.name}: how it reads pictures is not known, so their "
                         "preparation cannot be part of the graph")
    random = np.random.RandomState(0)
    pictures: List[Picture] = []
    for seed, factor in enumerate((1.3, 2.1)):
        image = {}
        for blob, preprocessing in source.model.inputs.items():
            height, width = preprocessing.crop or preprocessing.size
            if preprocessing.resize is not None or preprocessing.crop is not None:
                height, width = int(height * factor) + 3, int(width * factor) + 20
            image[blob] = random.randint(0, 256, (height, width, 3)).astype(np.uint8)
        values = list(image.values())
        pictures.append(({"made": "random pixels", "seed": seed},
                         values[0] if len(values) == 1 else image))
    return pictures
