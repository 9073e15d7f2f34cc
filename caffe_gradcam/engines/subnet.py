"""The part of a net that an engine runs, checked before anything runs."""

import mmap

import numpy as np

from prototxt_tools import rewrite, shapes
from prototxt_tools import weights as weight_files
from prototxt_tools.errors import EngineError, InputError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net
from prototxt_tools.reports.audit import audit
from prototxt_tools.text.document import Document

GRADIENTS = ("post", "pre-relu")
# Layers that may stand at the beginning of a net that is fed from outside.
SOURCES = ("Input", "Parameter", "DummyData")
# What to do about a layer that does more than arithmetic, by the kind of the audit's finding.
TRUST = {"code": "if you trust this file, say --trust",
         "file": "make a deploy net of it (prototxt-tools deploy), or say --trust"}


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
    shapes : dict
        Blob name -> its shape with the inputs that were checked last.
    """

    def __init__(self, prototxt, weights, scores, targets, gradient, allow_missing=False,
                 trust=False):
        if gradient not in GRADIENTS:
            raise InputError(f"no gradient {gradient!r}; say post or pre-relu")
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
        self._refuse_infinite(self.weights)
        self._allow_missing, self.missing = allow_missing, {}
        self.reached = {score: self._reached_by(score) for score in self.scores}
        for target in self.targets:
            if not any(target in reached for reached in self.reached.values()):
                raise InputError(f"no score depends on blob {target!r}, so it has no gradient"
                                 )
        self._checked, self._parameters, self.shapes = None, {}, {}
        if all(entry.shape for entry in self.net.inputs):
            self._check_shapes({})

    def forget_weights(self):
        """Keep the shapes of the weights alone, for an engine that has copied the numbers."""
        self.weights = {name: [np.broadcast_to(np.float32(0), array.shape) for array in arrays]
                        for name, arrays in self.weights.items()}

    def let_go_pages(self):
        """Take what was read of the weights' file out of memory; what is read again comes back."""
        for arrays in self.weights.values():
            for array in arrays:
                mapped = _mapping(array)
                if hasattr(mapped, "madvise"):  # Python 3.8 and newer.
                    mapped.madvise(mmap.MADV_DONTNEED)
                    return

    def refuse_unknown_types(self, known, engine, advice):
        """Raise an EngineError for the first layer whose type the engine does not have.

        ``{}`` in the advice stands for the type.
        """
        for layer in self.net.layers:
            if layer.type not in known:
                raise EngineError(f"{engine} has no layer type {layer.type!r} (layer {layer.name}); {advice.format(layer.type)}")

    def check_inputs(self, inputs):
        """The inputs as contiguous float32 arrays, with shapes the net can take."""
        arrays = {}
        for entry in self.net.inputs:
            if entry.blob not in inputs:
                raise InputError(f"input blob {entry.blob!r} is missing")
            arrays[entry.blob] = np.ascontiguousarray(inputs[entry.blob], dtype=np.float32)
        self._check_shapes({name: array.shape for name, array in arrays.items()})
        return arrays

    def check_blobs(self, blobs):
        """Raise an InputError for a blob that the engine does not hold."""
        for blob in blobs:
            if blob not in self.graph:
                raise InputError("blob {!r} is not among those that {} depend on".format(
                    blob, " and ".join(map(repr, self.scores + self.targets))))

    def check_replaced(self, weights):
        """What other weights put where, blobs that layers share included.

        Parameters
        ----------
        weights : dict
            Layer name -> list of arrays.

        Returns
        -------
        dict
            Layer name -> {index of the blob: float32 array of the shape that the net wants}.

        Raises
        ------
        InputError
            No layer of that name has weights, they have other shapes, or are no numbers.
        """
        for name in weights:
            if not self._parameters.get(name):
                raise InputError(f"no layer {name!r} with weights is among those that run")
        problems = weight_files.check(
            {name: self._parameters[name] for name in weights}, weights).problems
        if problems:
            raise InputError(problems[0])
        self._refuse_infinite(weights)
        found = {}
        groups = shared_places(self.net)
        for name, arrays in weights.items():
            for index, array in enumerate(arrays):
                for layer, place in groups.get((name, index), [(name, index)]):
                    shape = self._parameters[layer][place]
                    found.setdefault(layer, {})[place] = np.array(array, np.float32).reshape(shape)
        return found

    def check_backward(self, score, targets):
        """Raise an InputError for blobs that the engine was not opened for."""
        if score not in self.scores:
            raise InputError(f"{score!r} is none of the scores {self.scores}")
        for target in targets:
            if target not in self.targets:
                raise InputError(f"{target!r} is none of the targets {self.targets}")
            if target not in self.reached[score]:
                raise EngineError(f"score {score!r} does not depend on blob {target!r}, so it gives no "
                                  "gradient there")

    def _reached_by(self, score):
        """The targets on whose final value a score depends."""
        ancestors = self.graph.ancestors([score])
        return [target for target in self.targets
                if target != score and ancestors.intersection(self.graph.final_readers(target))]

    def _refuse_foreign_layers(self):
        for finding in audit(self.net):
            if finding.kind in TRUST:
                raise InputError(f"{finding.sentence}; {TRUST[finding.kind]}")
        for layer in self.net.layers:
            if not layer.bottoms and layer.type not in SOURCES:
                raise InputError(f"layer {layer.name} ({layer.type}) brings its own data; give a deploy net, which is "
                                 "fed from outside")

    def _refuse_infinite(self, weights):
        for layer in self.net.layers:
            for index, array in enumerate(weights.get(layer.name, ())):
                # A sum takes no copy; only where it overflows each number has to be looked at.
                with np.errstate(over="ignore", invalid="ignore"):
                    total = array.sum()
                if not np.isfinite(total) and not np.isfinite(array).all():
                    raise InputError(f"{self._path}: layer {layer.name}, blob {index} holds NaN or infinity")

    def _check_wiring(self):
        written = {entry.blob for entry in self.net.inputs}
        for layer in self.net.layers:
            for bottom in layer.bottoms:
                if bottom not in written:
                    raise InputError(f"layer {layer.name} reads blob {bottom!r}, which nothing before it writes"
                                     )
            for top in layer.tops if layer.type != "Input" else ():
                if top in written and top not in layer.bottoms:
                    raise InputError(f"layer {layer.name} writes blob {top!r}, which another layer has written"
                                     )
            written.update(layer.tops)

    def _check_shapes(self, inputs):
        """Infer all shapes and hold the weights against them; a new set of input shapes only."""
        if inputs == self._checked:
            return
        found = shapes.infer(self.net, inputs)
        self._parameters, self.missing = self.check_parameters(self.net, found)
        self._checked, self.shapes = inputs, found

    def check_parameters(self, net, found):
        """Hold the weights against the shapes of a net's blobs.

        Returns
        -------
        parameters, missing : dict
            Layer name -> shapes of its weights, for all layers and for those without any.
        """
        parameters = shapes.parameters(net, found)
        check = weight_files.check(parameters, self.weights)
        if check.problems:
            raise InputError(f"{self._path}: {check.problems[0]}")
        if check.missing and not self._allow_missing:
            raise InputError("{}: no weights for layer {}".format(
                self._path, ", ".join(check.missing)))
        return parameters, {name: parameters[name] for name in check.missing}


def _mapping(array):
    """The mapped file that an array is a view of, or None."""
    while isinstance(array, np.ndarray):
        array = array.base
    owner = array.obj if isinstance(array, memoryview) else array
    return owner if isinstance(owner, mmap.mmap) else None


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
    order = list(weights)
    shared = {name: list(arrays) for name, arrays in weights.items()}
    for group in dict.fromkeys(map(tuple, shared_places(net).values())):
        stored = [(order.index(name), index) for name, index in group
                  if index < len(weights.get(name, ()))]
        if not stored:
            continue
        position, index = max(stored)
        for name, place in group:
            shared.setdefault(name, [])[place:place + 1] = [weights[order[position]][index]]
    return shared


def shared_places(net):
    """For each learned blob that has a name, (layer, index), all the places of that name."""
    places = {}
    for layer in net.layers:
        for index, spec in enumerate(layer.message.param):
            if spec.name:
                places.setdefault(spec.name, []).append((layer.name, index))
    return {place: group for group in places.values() for place in group}
