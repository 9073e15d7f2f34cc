"""Who writes and reads each blob, and which blobs a Grad-CAM starts from and ends at."""

from typing import NamedTuple, Tuple

from prototxt_tools.errors import InputError

# What turns scores into probabilities, and what judges scores: type -> how the scores are meant.
LINKS = {
    "Softmax": "softmax",
    "SoftmaxWithLoss": "softmax",
    "MultinomialLogisticLoss": "softmax",
    "InfogainLoss": "softmax",
    "Sigmoid": "sigmoid",
    "SigmoidCrossEntropyLoss": "sigmoid",
    "HingeLoss": "none",
    "EuclideanLoss": "none",
    "Accuracy": "none",
    "ArgMax": "none",
    "Silence": "none",
}
_RANK = {"softmax": 0, "sigmoid": 1, "none": 2}
# Layers that move or thin out values without making new features.
_CARRIERS = {
    "Pooling", "Dropout", "Split", "Flatten", "Reshape", "Crop", "Permute", "Slice", "Im2col",
    "BatchReindex", "Filter", "ROIPooling", "PSROIPooling",
}
# Their first bottom has the values; the others only say where or how much.
_GUIDED = {"Crop", "BatchReindex", "ROIPooling", "PSROIPooling"}
_JOINS = {"Concat", "Eltwise"}
# Layers that keep one channel per class when they stand between the class maps and the score.
_CLASS_CARRIERS = _CARRIERS | {
    "ReLU", "Softmax", "Sigmoid", "Eltwise", "Interp", "Upsample", "Power", "BatchNorm", "Scale",
}
# Layers that make one channel per class of features, or of class maps at another size.
_CLASS_MAKERS = {"Convolution", "Deconvolution"}


class Score(NamedTuple):
    """A blob of scores: one value per class, before any Softmax.

    ``link`` is "softmax", "sigmoid" or "none": what makes probabilities of the scores.
    """

    blob: str
    link: str
    reason: str


class Target(NamedTuple):
    """A blob to explain a score at."""

    blob: str
    reason: str


class Candidate(NamedTuple):
    """A blob with spatial extent, that a score may be explained at."""

    blob: str
    shape: Tuple[int, ...]
    reason: str


class Graph:
    """The blobs of a net as a graph.

    Parameters
    ----------
    net : prototxt_tools.net.net.Net
        At one phase; see ``Net.at``.
    """

    def __init__(self, net):
        self.net = net
        self._writers = {entry.blob: [] for entry in net.inputs}
        self._readers = {entry.blob: [] for entry in net.inputs}
        for index, layer in enumerate(net.layers):
            for bottom in dict.fromkeys(layer.bottoms):
                self._readers.setdefault(bottom, []).append(index)
            for top in dict.fromkeys(layer.tops):
                self._writers.setdefault(top, []).append(index)
                self._readers.setdefault(top, [])

    def __contains__(self, blob):
        return blob in self._writers

    def writers(self, blob):
        """Indices of the layers that write a blob, in order: the first one makes it, the others
        change it in place. Empty for a blob that ``input:`` declares."""
        return list(self._writers.get(blob, ()))

    def readers(self, blob):
        """Indices of the layers that read a blob, in-place layers included, in order."""
        return list(self._readers.get(blob, ()))

    def final_readers(self, blob):
        """Indices of the layers that read the value a blob holds when the forward pass is over."""
        writers = self._writers.get(blob, ())
        last = writers[-1] if writers else -1
        return [index for index in self._readers.get(blob, ()) if index > last]

    def maker(self, blob):
        """The layer that makes a blob (not those that change it in place), or None."""
        writers = self._writers.get(blob, ())
        return self.net.layers[writers[0]] if writers else None

    def ancestors(self, blobs):
        """Indices of all layers that the final values of the blobs depend on.

        A layer that changes a blob in place counts if anything needs the changed value.
        """
        needed, found = set(blobs), set()
        for index in range(len(self.net.layers) - 1, -1, -1):
            layer = self.net.layers[index]
            if needed & set(layer.tops):
                found.add(index)
                needed.update(layer.bottoms)
        return found

    def scores(self):
        """The score blobs of the net, the most likely first.

        What a Softmax, a Sigmoid or a loss at the end of the net reads; outputs of the net where
        there is none. Softmax goes before Sigmoid before the rest, later in the file before
        earlier (auxiliary heads come early).

        Returns
        -------
        list of Score
        """
        found = {}
        computing = (layer for layer in self.net.layers if layer.type not in LINKS)
        read_on = {bottom for layer in computing for bottom in layer.bottoms}
        for index, layer in enumerate(self.net.layers):
            link = LINKS.get(layer.type)
            if link is None or not self._ends_here(layer, index, read_on):
                continue
            for blob in layer.bottoms if layer.type == "Silence" else layer.bottoms[:1]:
                maker = self.maker(blob)
                if maker is None or not maker.bottoms:
                    continue
                if LINKS.get(maker.type) in ("softmax", "sigmoid"):
                    continue
                reason = "{} {} reads it".format(layer.type, layer.name or "(unnamed)")
                if blob not in found or _RANK[link] < _RANK[found[blob][1].link]:
                    found[blob] = (index, Score(blob, link, reason))
        inputs = {entry.blob for entry in self.net.inputs}
        for blob in self.net.outputs():
            maker = self.maker(blob)
            if maker is not None and blob not in found and blob not in inputs:
                if maker.type not in LINKS and maker.bottoms:
                    index = self._writers[blob][-1]
                    found[blob] = (index, Score(blob, "none", "an output of the net"))
        ranked = sorted(found.values(), key=lambda entry: (_RANK[entry[1].link], -entry[0]))
        return [score for _, score in ranked]

    def _ends_here(self, layer, index, read_on):
        """Whether nobody but judges of scores reads the layer's tops."""
        for top in layer.tops:
            if top in layer.bottoms:
                return self._readers[top][-1] <= index
        return not read_on.intersection(layer.tops)

    def targets(self, score, shapes, per_class=True):
        """The last blobs with spatial extent on the paths to a score, the best first.

        Pooling and layers that only carry values are passed over. A convolution with one channel
        per class is part of the score, so there the blob that it reads is taken.

        Parameters
        ----------
        score : str
        shapes : dict
            Blob name to shape tuple; see ``shapes.infer``.
        per_class : bool
            Whether the score has one channel per class, as scores do, so that what makes these
            channels is part of it.

        Returns
        -------
        list of Target

        Raises
        ------
        InputError
            If the net has no blob of that name.
        """
        if score not in self:
            raise InputError(f"the net has no blob {score!r}")
        classes = (shapes.get(score) or (0, 0))[1:2]
        found, seen = {}, set()
        stack = [(score, per_class, "the last blob with spatial extent before " + score)]
        while stack:
            blob, per_class, reason = stack.pop()
            maker = self.maker(blob)
            if (blob, per_class) in seen or maker is None or not maker.bottoms:
                continue
            seen.add((blob, per_class))
            shape = shapes.get(blob) or ()
            on_class_maps = per_class and shape[1:2] == classes
            if _is_spatial(shape) and not self._passed_over(maker, on_class_maps):
                found[blob] = Target(blob, reason)
                continue
            carries = per_class and maker.type in _CLASS_CARRIERS
            if on_class_maps and maker.type in _CLASS_MAKERS:
                carries = (shapes.get(maker.bottoms[0]) or ())[1:2] == classes
                if not carries and _is_spatial(shape):
                    reason = f"{maker.name} makes one channel per class of it"
            stack += [(bottom, carries, reason) for bottom in self._values_of(blob)]
        return sorted(found.values(), key=lambda t: -self._writers[t.blob][0])

    def _values_of(self, blob):
        """The blobs whose values go into a blob, by its maker or by layers that change it."""
        found = []
        for index in self._writers[blob]:
            layer = self.net.layers[index]
            found += layer.bottoms[:1] if layer.type in _GUIDED else layer.bottoms
        return [bottom for bottom in dict.fromkeys(found) if bottom != blob]

    def candidates(self, shapes):
        """Every blob with spatial extent, in the order of the file.

        Parameters
        ----------
        shapes : dict
            See ``shapes.infer``.

        Returns
        -------
        list of Candidate
            The reason names the maker, and the module whose branch the blob ends.
        """
        found = []
        for blob in self.net.blobs():
            maker, shape = self.maker(blob), shapes.get(blob) or ()
            if maker is None or not maker.bottoms or not _is_spatial(shape):
                continue
            reason = f"{maker.type} makes it"
            joins = [i for i in self.final_readers(blob) if self.net.layers[i].type in _JOINS]
            if joins:
                join = self.net.layers[joins[0]]
                reason += f", a branch of {join.type} {join.name}"
            found.append(Candidate(blob, shape, reason))
        return found

    def streams(self):
        """Which input each layer computes on, where the net has several.

        The slices of an input count as inputs: siamese nets get their pairs stacked.

        Returns
        -------
        list of (str or None)
            For each layer the blob its stream begins with; None before and behind the streams:
            for layers that read no blob, or those of several streams.
        """
        origins = {entry.blob: entry.blob for entry in self.net.inputs}
        found = []
        for layer in self.net.layers:
            begins = {origins.get(bottom) for bottom in layer.bottoms}
            stream = begins.pop() if len(begins) == 1 else None
            slices = layer.type == "Slice" and layer.bottoms == [stream]
            for top in layer.tops:
                origins[top] = top if slices or not layer.bottoms else stream
            found.append(None if slices else stream)
        return found if len(set(found) - {None}) > 1 else [None] * len(found)

    def _passed_over(self, maker, on_class_maps):
        if maker.type in _CARRIERS:
            return True
        return on_class_maps and maker.type in _CLASS_CARRIERS | _CLASS_MAKERS


def _is_spatial(shape):
    extent = 1
    for size in shape[2:]:
        extent *= size
    return len(shape) >= 4 and extent > 1
