"""The contract of the engines, and what they share before they run."""

import importlib.util
import re

import numpy as np

from prototxt_tools import rewrite, shapes
from prototxt_tools import weights as weight_files
from prototxt_tools.audit import audit
from prototxt_tools.document import Document
from prototxt_tools.errors import InputError
from prototxt_tools.graph import Graph
from prototxt_tools.net import Net

GRADIENTS = ("post", "pre-relu")
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
# What to do where the library of an engine is missing; "auto" takes the first that is there.
ADVICE = {"caffe": "pycaffe is not installed; use the image, or the torch engine",
          "torch": "torch is not installed; pip install torch"}
# Layers that may stand at the beginning of a net that is fed from outside.
SOURCES = ("Input", "Parameter", "DummyData")
# What to do about a layer that does more than arithmetic, by the kind of the audit's finding.
TRUST = {"code": "if you trust this file, say --trust",
         "file": "make a deploy net of it (prototxt-tools deploy), or say --trust"}


class EngineError(InputError):
    """An engine cannot run this net, or stopped while it ran it."""


class OutOfMemory(EngineError):
    """The memory does not hold this batch; a smaller one may fit. The engine is still good."""


class Engine:
    """Runs the part of a net that its scores and targets depend on.

    Engines are context managers. They belong to the thread that opened them.

    Attributes
    ----------
    description : dict
        What runs, for reports: ``engine``, ``version``, ``device``.
    """

    description = {}

    def forward(self, inputs, keep):
        """Run the net on a batch.

        Parameters
        ----------
        inputs : dict
            Input blob name -> array, float32, N x C x H x W (or what the input's shape says);
            any N. The arrays must not change before the last ``backward``.
        keep : iterable of str
            The blobs wanted.

        Returns
        -------
        dict
            Blob name -> float32 array, the value the blob holds after all its in-place layers.

        Raises
        ------
        InputError
            An input is missing or has an impossible shape, or the engine has no such blob.
        """
        raise NotImplementedError

    def backward(self, score, top_diff, targets):
        """Propagate a gradient from a score blob to target blobs, after a ``forward``.

        It may be called several times after one forward; nothing carries over.

        Parameters
        ----------
        score : str
            One of the scores the engine was opened with.
        top_diff : array
            Gradient with respect to the score blob, of its shape: one-hot rows, say.
        targets : iterable of str
            Among the targets the engine was opened with.

        Returns
        -------
        dict
            Target -> float32 array of its shape: the gradient of ``sum(score * top_diff)`` with
            respect to the value that ``forward`` reported for the blob (``gradient="post"``) or
            to the value before its in-place layers (``"pre-relu"``).

        Raises
        ------
        EngineError
            No gradient can reach a target.
        """
        raise NotImplementedError

    def close(self):
        """Free what the engine holds; further calls fail."""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


def open_engine(kind, prototxt, weights, scores, targets, gradient="post", device="cpu",
                verbose=False, timeout=None, allow_missing=False, trust=False, precision="fp32"):
    """Open an engine for a net.

    Parameters
    ----------
    kind : str
        "caffe" (in a process of its own: where Caffe aborts, only that process dies), "torch",
        or "auto": Caffe where pycaffe is installed, else torch.
    prototxt : str
        Text of the user's deploy file; the engine rewrites it for itself.
    weights : str or os.PathLike
        A ``.caffemodel`` or ``.caffemodel.h5``.
    scores, targets : iterable of str
        Blobs that ``backward`` will start from and lead to.
    gradient : str
        "post" or "pre-relu"; see ``Engine.backward``.
    device : str
        "cpu", "cuda" or "cuda:N".
    verbose : bool
        Let what Caffe logs through to stderr.
    timeout : float, optional
        Seconds that one call may take in an engine with a process of its own.
    allow_missing : bool
        Fill the blobs of layers that have no weights as Caffe would, instead of refusing them.
    trust : bool
        Let layers that run Python code or touch files do so, instead of refusing the net.
    precision : str
        "fp32", as Caffe computes; in the torch engine also "tf32" (on CUDA), "bf16" and "fp16"
        (on CUDA): then matrix products and convolutions take shorter numbers, blobs do not.

    Returns
    -------
    Engine

    Raises
    ------
    InputError
        The engine is not installed, or the net, the weights or the blobs cannot be used.
    """
    if kind == "auto":
        kind = next((name for name in ADVICE if importlib.util.find_spec(name)), None)
        if kind is None:
            raise InputError("neither pycaffe nor torch is installed; pip install torch")
    arguments = {"prototxt": prototxt, "weights": weights, "scores": list(scores),
                 "targets": list(targets), "gradient": gradient, "device": device,
                 "allow_missing": allow_missing, "trust": trust, "precision": precision}
    if kind == "caffe":
        from .isolated import IsolatedEngine

        return IsolatedEngine(kind, arguments, verbose=verbose, timeout=timeout)
    return open_here(kind, **arguments)


def open_here(kind, **arguments):
    """``open_engine`` in this very process; arguments as there."""
    if kind not in ADVICE:
        raise InputError("no engine {!r}; say auto, caffe or torch".format(kind))
    if not importlib.util.find_spec(kind):
        raise InputError(ADVICE[kind])
    if kind == "caffe":
        from .pycaffe import PycaffeEngine

        return PycaffeEngine(**arguments)
    from .torch import TorchEngine

    return TorchEngine(**arguments)


def check_precision(precision, possible, where):
    """Raise an InputError for a precision that an engine does not have."""
    if precision not in PRECISIONS:
        raise InputError("no precision {!r}; say {}".format(precision, ", ".join(PRECISIONS)))
    if precision not in possible:
        raise EngineError("{} does not compute in {}; say {}".format(
            where, precision, " or ".join(possible)))


def device_index(device):
    """None for "cpu", N for "cuda:N", 0 for "cuda"; InputError for anything else."""
    match = re.match(r"cuda(?::(\d+))?$", device)
    if device != "cpu" and not match:
        raise InputError("no device {!r}; say cpu, cuda or cuda:N".format(device))
    return int(match.group(1) or 0) if match else None


class Subnet:
    """The part of a net that scores and targets depend on, checked before anything runs.

    Parameters
    ----------
    prototxt, weights, scores, targets, gradient, allow_missing, trust
        As for ``open_engine``.

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
    """

    def __init__(self, prototxt, weights, scores, targets, gradient, allow_missing=False,
                 trust=False):
        if gradient not in GRADIENTS:
            raise InputError("no gradient {!r}; say post or pre-relu".format(gradient))
        self.scores, self.targets = list(scores), list(targets)
        blobs = self.scores + self.targets
        document = Document.parse(prototxt)
        if Net.parse(document).form in ("V0", "mixed"):
            document = rewrite.upgrade(document).document
        self.document = rewrite.cut(document, blobs).document
        self.net = Net.parse(self.document).at("TEST")
        self.graph = Graph(self.net)
        if not trust:
            self._refuse_foreign_layers()
        self._check_wiring()
        self._path = weights
        self.weights = share(self.net, weight_files.load(weights))
        self._refuse_infinite_weights()
        self._allow_missing, self.missing = allow_missing, {}
        self.reached = {score: self._reached_by(score) for score in self.scores}
        for target in self.targets:
            if not any(target in reached for reached in self.reached.values()):
                raise InputError("no score depends on blob {!r}, so it has no gradient"
                                 .format(target))
        self._checked = None
        if all(entry.shape for entry in self.net.inputs):
            self._check_shapes({})

    def forget_weights(self):
        """Keep the shapes of the weights alone, for an engine that has copied the numbers."""
        self.weights = {name: [np.broadcast_to(np.float32(0), array.shape) for array in arrays]
                        for name, arrays in self.weights.items()}

    def refuse_unknown_types(self, known, engine, advice):
        """Raise an EngineError for the first layer whose type the engine does not have.

        ``{}`` in the advice stands for the type.
        """
        for layer in self.net.layers:
            if layer.type not in known:
                raise EngineError("{} has no layer type {!r} (layer {}); {}".format(
                    engine, layer.type, layer.name, advice.format(layer.type)))

    def check_inputs(self, inputs):
        """The inputs as contiguous float32 arrays, with shapes the net can take."""
        arrays = {}
        for entry in self.net.inputs:
            if entry.blob not in inputs:
                raise InputError("input blob {!r} is missing".format(entry.blob))
            arrays[entry.blob] = np.ascontiguousarray(inputs[entry.blob], dtype=np.float32)
        self._check_shapes({name: array.shape for name, array in arrays.items()})
        return arrays

    def check_blobs(self, blobs):
        """Raise an InputError for a blob that the engine does not hold."""
        for blob in blobs:
            if blob not in self.graph:
                raise InputError("blob {!r} is not among those that {} depend on".format(
                    blob, " and ".join(map(repr, self.scores + self.targets))))

    def check_backward(self, score, targets):
        """Raise an InputError for blobs that the engine was not opened for."""
        if score not in self.scores:
            raise InputError("{!r} is none of the scores {}".format(score, self.scores))
        for target in targets:
            if target not in self.targets:
                raise InputError("{!r} is none of the targets {}".format(target, self.targets))
            if target not in self.reached[score]:
                raise EngineError("score {!r} does not depend on blob {!r}, so it gives no "
                                  "gradient there".format(score, target))

    def _reached_by(self, score):
        """The targets on whose final value a score depends."""
        ancestors = self.graph.ancestors([score])
        return [target for target in self.targets
                if target != score and ancestors.intersection(self.graph.final_readers(target))]

    def _refuse_foreign_layers(self):
        for finding in audit(self.net):
            if finding.kind in TRUST:
                raise InputError("{}; {}".format(finding.sentence, TRUST[finding.kind]))
        for layer in self.net.layers:
            if not layer.bottoms and layer.type not in SOURCES:
                raise InputError("layer {} ({}) brings its own data; give a deploy net, which is "
                                 "fed from outside".format(layer.name, layer.type))

    def _refuse_infinite_weights(self):
        for layer in self.net.layers:
            for index, array in enumerate(self.weights.get(layer.name, ())):
                # A sum takes no copy; only where it overflows each number has to be looked at.
                with np.errstate(over="ignore", invalid="ignore"):
                    total = array.sum()
                if not np.isfinite(total) and not np.isfinite(array).all():
                    raise InputError("{}: layer {}, blob {} holds NaN or infinity".format(
                        self._path, layer.name, index))

    def _check_wiring(self):
        written = {entry.blob for entry in self.net.inputs}
        for layer in self.net.layers:
            for bottom in layer.bottoms:
                if bottom not in written:
                    raise InputError("layer {} reads blob {!r}, which nothing before it writes"
                                     .format(layer.name, bottom))
            for top in layer.tops if layer.type != "Input" else ():
                if top in written and top not in layer.bottoms:
                    raise InputError("layer {} writes blob {!r}, which another layer has written"
                                     .format(layer.name, top))
            written.update(layer.tops)

    def _check_shapes(self, inputs):
        """Infer all shapes and hold the weights against them; a new set of input shapes only."""
        if inputs == self._checked:
            return
        parameters = shapes.parameters(self.net, shapes.infer(self.net, inputs))
        check = weight_files.check(parameters, self.weights)
        if check.problems:
            raise InputError("{}: {}".format(self._path, check.problems[0]))
        if check.missing and not self._allow_missing:
            raise InputError("{}: no weights for layer {}".format(
                self._path, ", ".join(check.missing)))
        self.missing = {name: parameters[name] for name in check.missing}
        self._checked = inputs


def share(net, weights):
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
    places = {}
    for layer in net.layers:
        for index, spec in enumerate(layer.message.param):
            if spec.name:
                places.setdefault(spec.name, []).append((layer.name, index))
    order = list(weights)
    shared = {name: list(arrays) for name, arrays in weights.items()}
    for group in places.values():
        stored = [(order.index(name), index) for name, index in group
                  if index < len(weights.get(name, ()))]
        if not stored:
            continue
        position, index = max(stored)
        for name, place in group:
            shared.setdefault(name, [])[place:place + 1] = [weights[order[position]][index]]
    return shared
