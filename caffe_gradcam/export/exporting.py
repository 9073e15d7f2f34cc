"""From a net to a graph that is proven to be equal, or to nothing."""

import contextlib
import os
import tempfile
from dataclasses import dataclass, field
from typing import Any, Dict, FrozenSet, Iterator, List, Mapping, Sequence, Tuple

import numpy as np

from caffe_gradcam.engines.running import Running
from caffe_gradcam.export.certificate import Certificate, sha256_of, versions
from caffe_gradcam.export.made import made_inputs
from caffe_gradcam.export.net import Translated, translate
from caffe_gradcam.export.proof import blobs_of_engine, compare, compare_blobs, run_graph
from caffe_gradcam.export.source import NetSource
from caffe_gradcam.model.preprocess import prepare
from prototxt_tools import rewrite
from prototxt_tools import weights as weight_files
from prototxt_tools.errors import ModelError
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
    """

    open_size: bool = False
    fold: bool = False
    outputs: Tuple[str, ...] = ()


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
    """

    arrays: Dict[str, np.ndarray]
    descriptions: List[Mapping[str, Any]] = field(default_factory=list)


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
    outputs = list(options.outputs) or source.outputs
    with written_net(source, options) as (prototxt, weights):
        translated = translate(prototxt, weights, outputs, running, open_sizes(options),
                               source.input_shapes)
        model = translated.model(outputs, source.metadata())
    inputs = proof_inputs(source, translated, pictures)
    run = blobs_of_engine(source.prototxt, source.weights, outputs, running, inputs.arrays,
                          list(translated.blobs))
    blobs = compare_blobs(translated, model, inputs.arrays, run.blobs)
    data = bytes(model.SerializeToString())
    actual = run_graph(data, inputs.arrays)
    certificate = Certificate(
        source.name, dict(source.hashes, graph=sha256_of(data)), versions(), run.description,
        inputs.descriptions, blobs,
        [compare(blob, actual[translated.values[blob].name], run.blobs[blob])
         for blob in outputs],
        [f"the {kind} is fixed: {reason}" for kind, reason in translated.fixed.items()])
    return Exported(data, certificate)


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
    return ProofInputs(arrays, [description for description, _ in pictures])
