"""Graphs that compute in int8, calibrated on pictures."""

import contextlib
import dataclasses
import io
import logging
from typing import Any, Callable, Dict, Iterator, List, Mapping, Set, Tuple

import numpy as np

from caffe_gradcam.engines.onnx import libraries
from caffe_gradcam.engines.onnx.session import RuntimeSession, Session
from caffe_gradcam.engines.versions import of_distribution
from caffe_gradcam.export.certificate import sha256_of
from caffe_gradcam.export.change import Change, Comparing
from caffe_gradcam.export.exporting import Exported
from caffe_gradcam.export.inputs import Pictures, red_first
from caffe_gradcam.export.source import PREFIX, NetSource
from caffe_gradcam.model.preprocess import prepare
from prototxt_tools.errors import EngineError, InputError, ModelError, QuestionError

# From an image to the inputs of a graph.
ToInputs = Callable[[Any], Dict[str, np.ndarray]]
# The severity of errors among those of ONNX Runtime.
_ERRORS_ALONE = 3


def in_int8(exported: Exported, source: NetSource, calibration: Pictures, pictures: Pictures,
            runs_in: Tuple[str, Callable[[bytes], Session]]) -> Exported:
    """A graph whose net computes in int8, and what that changes.

    The weights of each channel and the values of each layer get a scale of their own, by NNCF's
    defaults. Gradients and maps that an explaining graph adds stay in fp32.

    Parameters
    ----------
    exported : Exported
        In fp32.
    source : NetSource
    calibration, pictures : Pictures
        Such as the net is made for: what the scales are chosen for, and what both graphs are
        compared on.
    runs_in : tuple of str and callable
        A library, and how a graph is compiled in it.

    Returns
    -------
    Exported
        Its certificate holds the change.

    Raises
    ------
    EngineMissing
        NNCF is not installed.
    QuestionError
        There are no pictures.
    ModelError
        The net reads no pictures, or nothing in it can be computed in int8.
    EngineError
        NNCF fails.
    """
    if not calibration or not pictures:
        raise QuestionError("--precision int8 needs images of the kind that the net is made for; "
                            "name them with --calibrate", "--calibrate")
    model = libraries.load("onnx").ModelProto.FromString(exported.model)
    to_inputs = _reader(exported, source, model)
    quantized = _quantized(model, calibration, to_inputs)
    if not any(node.op_type == "QuantizeLinear" for node in quantized.graph.node):
        raise ModelError.about(source.name, "nothing in the net can be computed in int8")
    quantized.metadata_props.add(key=PREFIX + "precision", value='"int8"')
    data = bytes(quantized.SerializeToString())
    comparing = Comparing(exported.options.explain is not None)
    sessions = RuntimeSession(exported.model), runs_in[1](data)
    for image in pictures:
        inputs = to_inputs(image)
        comparing.add(*(session.run(inputs, session.outputs) for session in sessions))
    return _certified(exported, data, comparing.change(
        runs_in[0], calibration.descriptions, pictures.descriptions))


def _certified(exported: Exported, data: bytes, change: Change) -> Exported:
    """The graph in place of that in fp32, with what is to be known of it."""
    before = exported.certificate
    certificate = dataclasses.replace(
        before, int8=change, versions=dict(before.versions, nncf=str(of_distribution("nncf"))),
        hashes=dict(before.hashes, fp32_graph=before.hashes["graph"], graph=sha256_of(data)))
    return dataclasses.replace(exported, model=data, certificate=certificate)


def _reader(exported: Exported, source: NetSource, model: Any) -> ToInputs:
    """A function from a picture to the inputs of a graph."""
    if source.model is None:
        raise ModelError.about(source.name, "how it reads images is not known, so it cannot be "
                                            "calibrated on any")
    if exported.options.with_preprocessing:
        return red_first
    inputs: Mapping[str, Any] = source.model.inputs
    # 0 where the batch is open.
    rows = {value.name: value.type.tensor_type.shape.dim[0].dim_value
            for value in model.graph.input if value.name in exported.inputs}
    others = sorted(set(rows) - set(inputs))
    if others:
        raise ModelError(f"{source.name}: input {others[0]} is no image, so the net cannot be "
                         "calibrated on images", others[0])

    def to_inputs(image: Any) -> Dict[str, np.ndarray]:
        blobs = prepare(image, inputs).blobs
        return {name: np.resize(blobs[name], (count or len(blobs[name]),) + blobs[name].shape[1:])
                for name, count in rows.items()}

    return to_inputs


def _quantized(model: Any, pictures: Pictures, to_inputs: ToInputs) -> Any:
    nncf, runtime = libraries.load("nncf"), libraries.load("onnxruntime")
    runtime.set_default_logger_severity(_ERRORS_ALONE)
    try:
        # NNCF draws bars of its progress there.
        with _errors_alone("nncf"), contextlib.redirect_stdout(io.StringIO()):
            return nncf.quantize(
                model, nncf.Dataset(pictures, to_inputs), subset_size=len(pictures),
                ignored_scope=nncf.IgnoredScope(names=_besides_the_net(model), validate=False))
    except InputError:
        raise
    except Exception as error:
        raise EngineError(f"NNCF cannot make an int8 graph of the net: {error}") from error


@contextlib.contextmanager
def _errors_alone(name: str) -> Iterator[None]:
    """Let a logger pass on errors alone.

    Its handlers stay as they are, unlike with ``nncf.set_log_level``: they may be the user's.
    """
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _besides_the_net(model: Any) -> List[str]:
    """The nodes that prepare pictures, and those that explain scores."""
    names = {node.name for node in model.graph.node if node.name.startswith("prepare_")}
    if any(output.name.startswith("cam") for output in model.graph.output):
        needed = _needed_for(model, "score")
        names.update(node.name for node in model.graph.node if node.name not in needed)
    return sorted(names)


def _needed_for(model: Any, output: str) -> Set[str]:
    """The nodes that a value depends on."""
    writers = {name: node for node in model.graph.node for name in node.output}
    needed: Set[str] = set()
    values = [output]
    while values:
        node = writers.get(values.pop())
        if node is not None and node.name not in needed:
            needed.add(node.name)
            values.extend(node.input)
    return needed
