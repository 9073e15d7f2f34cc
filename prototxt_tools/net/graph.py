"""Who writes and reads each blob, and which blobs a Grad-CAM starts from and ends at."""

from dataclasses import dataclass
from typing import Collection, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from prototxt_tools import layers
from prototxt_tools.errors import InputError
from prototxt_tools.net.net import Layer, Net

Shape = Tuple[int, ...]
Shapes = Mapping[str, Shape]

_REORDERING = ("identity", "carrier", "join")
_RANK = {"softmax": 0, "sigmoid": 1, "none": 2}


@dataclass(frozen=True)
class Score:
    """A blob of scores: one value per class, before any Softmax.

    ``link`` is "softmax", "sigmoid" or "none": what makes probabilities of the scores.
    """

    blob: str
    link: str
    reason: str


@dataclass(frozen=True, eq=False)
class Target:
    """A blob at which to explain a score.

    ``unknown_from`` is the first layer between the blob and the score that writes a blob of
    unknown shape: a later blob may have spatial extent, too. None where all shapes are known.
    """

    blob: str
    reason: str
    unknown_from: Optional[Layer] = None


@dataclass(frozen=True)
class Candidate:
    """A blob with spatial extent at which a score may be explained."""

    blob: str
    shape: Shape
    reason: str


class Graph:
    """The blobs of a net as a graph.

    Parameters
    ----------
    net : prototxt_tools.net.net.Net
        At one phase; see ``Net.at``.
    """

    def __init__(self, net: Net) -> None:
        self.net = net
        self._writers: Dict[str, List[int]] = {entry.blob: [] for entry in net.inputs}
        self._readers: Dict[str, List[int]] = {entry.blob: [] for entry in net.inputs}
        for index, layer in enumerate(net.layers):
            for bottom in dict.fromkeys(layer.bottoms):
                self._readers.setdefault(bottom, []).append(index)
            for top in dict.fromkeys(layer.tops):
                self._writers.setdefault(top, []).append(index)
                self._readers.setdefault(top, [])

    def __contains__(self, blob: str) -> bool:
        return blob in self._writers

    def writers(self, blob: str) -> List[int]:
        """Indices of the layers that write a blob, in order: the first makes it, the others
        change it in place. Empty for a blob that ``input:`` declares."""
        return list(self._writers.get(blob, ()))

    def readers(self, blob: str) -> List[int]:
        """Indices of the layers that read a blob, in-place layers included, in order."""
        return list(self._readers.get(blob, ()))

    def final_readers(self, blob: str) -> List[int]:
        """Indices of the layers that read the value a blob holds when the forward pass is over."""
        writers = self._writers.get(blob, ())
        last = writers[-1] if writers else -1
        return [index for index in self._readers.get(blob, ()) if index > last]

    def maker(self, blob: str) -> Optional[Layer]:
        """The layer that makes a blob (not those that change it in place), or None."""
        writers = self._writers.get(blob, ())
        return self.net.layers[writers[0]] if writers else None

    def ancestors(self, blobs: Iterable[str], values_only: bool = False) -> Set[int]:
        """Indices of all layers that the final values of the blobs depend on.

        A layer that changes a blob in place counts if anything needs the changed value. With
        ``values_only``, layers do not count whose numbers are nothing but positions or sizes to
        those that read them, such as regions of interest.
        """
        needed, indices = set(blobs), set()
        for index in range(len(self.net.layers) - 1, -1, -1):
            layer = self.net.layers[index]
            if needed & set(layer.tops):
                indices.add(index)
                count = layers.of(layer.type).value_bottoms if values_only else None
                needed.update(layer.bottoms[:count])
        return indices

    def scores(self) -> List[Score]:
        """The score blobs of the net, the most likely first.

        What a Softmax, a Sigmoid or a loss at the end of the net reads, and the net's outputs that
        none of these reads. A layer is at the end also where others only move the probabilities
        that it makes. Softmax ranks before Sigmoid, and Sigmoid before the rest; blobs later in
        the file rank before earlier ones, because auxiliary heads come early.

        Returns
        -------
        list of Score
        """
        probabilities = self._probabilities()
        scores = self._linked_scores(probabilities)
        inputs = {entry.blob for entry in self.net.inputs}
        for blob in self.net.outputs():
            maker = self.maker(blob)
            if maker is None or blob in scores or blob in inputs or blob in probabilities:
                continue
            if layers.of(maker.type).link is None and maker.bottoms:
                index = self._writers[blob][-1]
                scores[blob] = (index, Score(blob, "none", "an output of the net"))
        ranked = sorted(scores.values(), key=lambda entry: (_RANK[entry[1].link], -entry[0]))
        return [score for _, score in ranked]

    def _probabilities(self) -> Set[str]:
        """The blobs that a Softmax or Sigmoid makes, and those to which its numbers are moved."""
        blobs: Set[str] = set()
        for layer in self.net.layers:
            kind = layers.of(layer.type)
            values = layer.bottoms[:kind.value_bottoms]
            is_link = (kind.role == "link" and kind.link != "none"
                       and not set(layer.tops).intersection(layer.bottoms))
            is_moving = kind.role in _REORDERING and values and blobs.issuperset(values)
            if is_link or is_moving:
                blobs.update(layer.tops)
            else:
                blobs.difference_update(layer.tops)
        return blobs

    def _read_on(self, probabilities: Set[str]) -> Set[str]:
        """The blobs that layers compute with, directly or once their numbers were moved."""
        read_on: Set[str] = set()
        for layer in reversed(self.net.layers):
            is_moving = bool(layer.tops) and probabilities.issuperset(layer.tops)
            if layers.of(layer.type).link is None and (
                    not is_moving or read_on.intersection(layer.tops)):
                read_on.update(layer.bottoms)
        return read_on

    def _linked_scores(self, probabilities: Set[str]) -> Dict[str, Tuple[int, Score]]:
        """What layers with a link read at the end of the net: blob -> their index, and Score."""
        scores: Dict[str, Tuple[int, Score]] = {}
        read_on = self._read_on(probabilities)
        for index, layer in enumerate(self.net.layers):
            link = layers.of(layer.type).link
            if link is None or not self._ends_here(layer, index, read_on):
                continue
            reason = f"{layer.type} {layer.name or '(unnamed)'} reads it"
            for blob in layer.bottoms if layer.type == "Silence" else layer.bottoms[:1]:
                better = blob not in scores or _RANK[link] < _RANK[scores[blob][1].link]
                if better and self._may_be_score(blob):
                    scores[blob] = (index, Score(blob, link, reason))
        return scores

    def _may_be_score(self, blob: str) -> bool:
        """Whether a layer computes the blob, other than one that makes probabilities."""
        maker = self.maker(blob)
        return (maker is not None and bool(maker.bottoms)
                and layers.of(maker.type).link not in ("softmax", "sigmoid"))

    def _ends_here(self, layer: Layer, index: int, read_on: Set[str]) -> bool:
        """Whether only layers that judge scores read the layer's tops."""
        for top in layer.tops:
            if top in layer.bottoms:
                return self._readers[top][-1] <= index
        return not read_on.intersection(layer.tops)

    def targets(self, score: str, shapes: Shapes, per_class: bool = True) -> List[Target]:
        """The last blobs with spatial extent on the paths to a score, the best first.

        Pooling and layers that only pass values on are skipped. A convolution with one channel per
        class counts as part of the score, so the blob that it reads is taken instead.

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
            Where a later blob may have spatial extent, because its shape is unknown, the reason
            says so.

        Raises
        ------
        InputError
            If the net has no blob of that name.
        """
        if score not in self:
            raise InputError(f"the net has no blob {score!r}", score)
        reasons = self._target_reasons(score, shapes, per_class)
        targets = [self._target(blob, score, shapes, reason) for blob, reason in reasons.items()]
        return sorted(targets, key=lambda target: -self._writers[target.blob][0])

    def _target(self, blob: str, score: str, shapes: Shapes, reason: str) -> Target:
        end = self.unknown_between([blob], score, shapes)
        if end is not None:
            reason = (f"the last blob of known shape with spatial extent before {score}; "
                      f"shapes are unknown from layer {end.name} ({end.type}) on")
        return Target(blob, reason, end)

    def _target_reasons(self, score: str, shapes: Shapes, per_class: bool) -> Dict[str, str]:
        """Blob -> reason, found by walking up from the score."""
        classes = (shapes.get(score) or (0, 0))[1:2]
        reasons: Dict[str, str] = {}
        seen: Set[Tuple[str, bool]] = set()
        stack = [(score, per_class, per_class,
                  f"the last blob with spatial extent before {score}")]
        while stack:
            blob, per_class, holds_scores, reason = stack.pop()
            maker = self.maker(blob)
            if (blob, per_class) in seen or maker is None or not maker.bottoms:
                continue
            seen.add((blob, per_class))
            shape, maker_type = shapes.get(blob) or (), layers.of(maker.type)
            on_class_maps = per_class and shape[1:2] == classes
            # A detector's scores are those of several convolutions, in another order.
            on_class_maps |= holds_scores and maker_type.role == "convolution"
            holds_scores &= maker_type.role in _REORDERING
            if is_spatial(shape) and not _is_passed_over(maker_type, on_class_maps):
                reasons[blob] = reason
                continue
            carries = per_class and maker_type.keeps_classes
            if on_class_maps and maker_type.role == "convolution":
                carries = (shapes.get(maker.bottoms[0]) or ())[1:2] == classes
                if not carries and is_spatial(shape):
                    reason = f"{maker.name} makes one channel per class of it"
            stack += [(bottom, carries, holds_scores, reason)
                      for bottom in self._values_of(blob)]
        return reasons

    def unknown_between(self, blobs: Collection[str], score: str,
                        shapes: Shapes) -> Optional[Layer]:
        """The first layer between some blobs and a score that writes a blob of unknown shape, which
        might therefore be a later blob with spatial extent; None where there is none."""
        on_paths: Set[str] = set()
        flat: Set[str] = set()
        stack = [score]
        while stack:
            blob = stack.pop()
            if blob in self and blob not in on_paths and blob not in blobs:
                on_paths.add(blob)
                stack += self._values_of(blob)
        for layer in self.net.layers:
            layer_type = layers.of(layer.type)
            is_carried = layer_type.carries or layer_type.keeps_classes
            if layer_type.role == "linear" or (is_carried and flat.issuperset(layer.bottoms)):
                flat.update(layer.tops)
            elif not layer_type.carries and any(
                    top in on_paths and shapes.get(top) is None for top in layer.tops):
                return layer
        return None

    def _values_of(self, blob: str) -> List[str]:
        """The blobs whose values go into a blob, by its maker or by layers that change it."""
        sources: List[str] = []
        for index in self._writers[blob]:
            layer = self.net.layers[index]
            sources += layer.bottoms[: layers.of(layer.type).value_bottoms]
        return [source for source in dict.fromkeys(sources) if source != blob]

    def candidates(self, shapes: Shapes) -> List[Candidate]:
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
        candidates = []
        for blob in self.net.blobs():
            maker, shape = self.maker(blob), shapes.get(blob) or ()
            if maker is None or not maker.bottoms or not is_spatial(shape):
                continue
            reason = f"{maker.type} makes it"
            readers = [self.net.layers[index] for index in self.final_readers(blob)]
            join = next((layer for layer in readers if layers.of(layer.type).joins), None)
            if join is not None:
                reason += f", a branch of {join.type} {join.name}"
            candidates.append(Candidate(blob, shape, reason))
        return candidates

    def streams(self) -> List[Optional[str]]:
        """Which input each layer computes on, where the net has several.

        The slices of an input count as inputs, because siamese nets receive their pairs stacked.

        Returns
        -------
        list of (str or None)
            For each layer the blob with which its stream begins; None for layers that read no
            blob, or blobs of several streams.
        """
        origins: Dict[str, Optional[str]] = {entry.blob: entry.blob for entry in self.net.inputs}
        streams = []
        for layer in self.net.layers:
            begins = {origins.get(bottom) for bottom in layer.bottoms}
            stream = begins.pop() if len(begins) == 1 else None
            slices = layer.type == "Slice" and layer.bottoms == [stream]
            for top in layer.tops:
                origins[top] = top if slices or not layer.bottoms else stream
            streams.append(None if slices else stream)
        return streams if len(set(streams) - {None}) > 1 else [None] * len(streams)


def _is_passed_over(maker_type: layers.LayerType, on_class_maps: bool) -> bool:
    if maker_type.carries:
        return True
    return on_class_maps and (maker_type.keeps_classes or maker_type.role == "convolution")


def is_spatial(shape: Sequence[int]) -> bool:
    """Whether a blob has more than one cell along its spatial axes."""
    extent = 1
    for size in shape[2:]:
        extent *= size
    return len(shape) >= 4 and extent > 1
