"""From a net to a graph that is proven to be equal, or to nothing."""

import contextlib
import dataclasses
import json
import os
import tempfile
from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.engines.onnx.net import Translated, translate
from caffe_gradcam.engines.onnx.writer import Value
from caffe_gradcam.engines.opening import open_engine, resolve_engine
from caffe_gradcam.engines.running import GRAPH_ENGINES, NetToRun, Running
from caffe_gradcam.export.certificate import Certificate, sha256_of, versions
from caffe_gradcam.export.explaining.expected import expected_outputs
from caffe_gradcam.export.explaining.graph import (
    ExplainingGraph,
    ExplainOptions,
    explained_blobs,
    reserved_names,
)
from caffe_gradcam.export.inputs import (
    Picture,
    ProofInputs,
    made_pictures,
    proof_inputs,
    red_first,
)
from caffe_gradcam.export.pictures import add_preparation
from caffe_gradcam.export.proof import (
    BLOB_TOLERANCE,
    MAP_TOLERANCE,
    Comparison,
    choice_notes,
    compare,
    compare_blobs,
    layer_errors,
    run_graph,
    tolerances,
)
from caffe_gradcam.export.source import PREFIX, NetSource
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools import rewrite
from prototxt_tools import weights as weight_files
from prototxt_tools.errors import EngineError, EngineMissing, ModelError, QuestionError
from prototxt_tools.files import write_bytes
from prototxt_tools.text.document import Document


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
    options : ExportOptions
    layers : tuple of str
        The blobs that are explained.
    inputs, outputs : dict
        What ONNX Runtime was run on, and what it gave; of graphs that read pictures, the first.
    """

    model: bytes
    certificate: Certificate
    options: ExportOptions
    layers: Tuple[str, ...]
    inputs: Dict[str, np.ndarray]
    outputs: Dict[str, np.ndarray]

    @property
    def method(self) -> str:
        """The method that it explains by; "" for none."""
        return self.options.explain.method if self.options.explain is not None else ""

    def tolerance(self, name: str) -> float:
        """The tolerance of an output; in int8 there is none."""
        if self.certificate.int8 is not None:
            return float("inf")
        return next(entry.tolerance for entry in self.certificate.outputs if entry.name == name)

    def write(self, path: str, data: Optional[bytes] = None) -> str:
        """Write the graph, or a file that holds it, and the certificate; the path of that.

        Raises
        ------
        NotProven
            The graph is not proven; nothing is written.
        """
        self.certificate.check()
        write_bytes(path, self.model if data is None else data)
        return self.write_certificate(path)

    def write_certificate(self, path: str) -> str:
        """Write the certificate beside the file of a graph; its path."""
        beside = os.path.splitext(path)[0] + ".certificate.json"
        write_bytes(beside, self.certificate.to_json())
        return beside


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
        A library is not installed, or no engine to compare the graph with.
    EngineError
        The engine to compare with runs the same graph.
    NotProven
        ONNX Runtime cannot run the graph.
    """
    _check_independent(running.engine)
    graph = write(source, options, running)
    translated, model = graph.translated, graph.model()
    inputs = proof_inputs(source, translated, pictures or (
        made_pictures(source) if options.with_preprocessing else ()))
    run = _run_engine(source, translated, options, running, inputs.arrays)
    blobs, plain = compare_blobs(translated, model, inputs.arrays, run.blobs), model
    if options.with_preprocessing and source.model is not None:
        graph.inputs = add_preparation(translated, dict(source.model.inputs))
        model = graph.model()
    data = bytes(model.SerializeToString())
    given, rows = _run_written(data, inputs, options)
    actual = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    outputs = _compared(translated, actual, run, options)
    blob_of = {name: blob for blob, name in translated.blobs.items()}
    errors = layer_errors(translated, plain, inputs.arrays, run.blobs, {
        blob_of.get(entry.name, entry.name) for entry in outputs if not entry.passes}.union(
            entry.name for entry in blobs if not entry.passes))
    blobs = _with_layers(blobs, errors)
    outputs = _with_layers(outputs, {
        name: errors[blob] for name, blob in blob_of.items() if blob in errors})
    certificate = Certificate(
        source.name, dict(source.hashes, graph=sha256_of(data)), versions(), run.description,
        inputs.descriptions, blobs, outputs,
        [f"the {kind} is fixed: {reason}" for kind, reason in translated.fixed.items()]
        + choice_notes(blobs + outputs))
    model_explained = _explained(source, options)
    layers = (explained_blobs(model_explained, options.explain)
              if model_explained is not None and options.explain is not None else [])
    return Exported(data, certificate, options, tuple(layers), given, rows[0])


def _check_independent(engine: str) -> None:
    """Refuse an engine that runs the very graph that is to be proven."""
    if resolve_engine(engine) not in GRAPH_ENGINES:
        return
    if engine == "auto":
        raise EngineMissing("an export is proven by an engine that does not run the exported graph "
                            "itself: install pycaffe, or pip install torch", "torch")
    raise EngineError(f"--engine {engine} runs the graph that is exported, so a comparison with it "
                      "proves nothing; use --engine torch or --engine caffe", engine)


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
    with _written_net(source, options, tuple(ends)) as net:
        translated = translate(net, running, open_sizes(options), source.input_shapes, reserved)
    metadata = source.metadata()
    if model is None or explain is None:
        return Graph(translated, [translated.values[blob] for blob in ends], [], metadata)
    explaining = ExplainingGraph(translated, model, explain)
    metadata[PREFIX + "method"] = json.dumps(explain.method)
    return Graph(translated, explaining.outputs, explaining.inputs, metadata)


def _run_written(data: bytes, inputs: ProofInputs, options: ExportOptions
                 ) -> Tuple[Dict[str, np.ndarray], List[Dict[str, np.ndarray]]]:
    """What the graph is run on first, and its outputs; one that reads pictures takes each in
    turn."""
    if not options.with_preprocessing:
        return inputs.arrays, [run_graph(data, inputs.arrays)]
    given = [dict(inputs.arrays, **red_first(picture)) for picture in inputs.pictures]
    return given[0], [run_graph(data, arrays) for arrays in given]


def _explained(source: NetSource, options: ExportOptions) -> Optional[LoadedModel]:
    """The model whose scores the graph explains; None where it explains none."""
    if options.explain is None:
        return None
    if source.model is None:
        raise ModelError.about(source.name, "the net has no scores to explain; export it without "
                                            "--explain")
    if options.outputs:
        raise QuestionError("--output: an explaining graph has outputs of its own", "--output")
    return source.model


def _ends(source: NetSource, options: ExportOptions) -> List[str]:
    """The blobs that the net is written down to."""
    model = _explained(source, options)
    if model is not None:
        return [model.score]
    ends = list(options.outputs) or source.outputs
    if not ends:
        raise ModelError.about(source.name, "no layer of the net gives an output to export")
    return ends


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
    net = NetToRun(source.prototxt, source.weights, tuple(ends), targets, path=source.path)
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


def _with_layers(compared: Sequence[Comparison], errors: Mapping[str, float]
                 ) -> List[Comparison]:
    """Comparisons with the errors of layers that were run by themselves."""
    return [dataclasses.replace(entry, layer_error=errors.get(entry.name)) for entry in compared]


def open_sizes(options: ExportOptions) -> FrozenSet[str]:
    """What is to be open in the graph."""
    return frozenset({"batch", "size"} if options.open_size else {"batch"})


@contextlib.contextmanager
def _written_net(source: NetSource, options: ExportOptions, ends: Tuple[str, ...]
                 ) -> Iterator[NetToRun]:
    """The net that is written, folded if that is asked."""
    if not options.fold:
        yield NetToRun(source.prototxt, source.weights, ends, (), path=source.path)
        return
    folded = rewrite.fold(Document.parse(source.prototxt, source.path),
                          weight_files.load(source.weights))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "folded.caffemodel")
        weight_files.save(path, folded.weights)
        yield NetToRun(folded.document.text(), path, ends, ())
