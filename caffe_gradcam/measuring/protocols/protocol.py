"""The protocols by name: what each reads, asks and makes of the maps."""

import os
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

from caffe_gradcam.explaining.explanation import Explanation
from caffe_gradcam.measuring.protocols import coco, difficulty, ilsvrc, scores, voc
from caffe_gradcam.measuring.protocols.scores import Score
from caffe_gradcam.measuring.protocols.subjects import DataSet, Subject
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools import shapes as blob_shapes
from prototxt_tools.errors import InputError, QuestionError

# TorchRay shows its nets whole images with this short side.
SHORT_SIDE = 224
# The maps of CAM's table are merged from ten crops of images warped to this height and width.
CROPPED_FROM = 256
# Guesses that count in localisation.
_GUESSES = 5

Reader = Callable[..., DataSet]
Overrides = Dict[str, Any]


@dataclass(frozen=True)
class Protocol:
    """How a published table was made.

    Attributes
    ----------
    name : str
    title : str
        What the numbers are, for the line above the table.
    columns : tuple of str
    reader : callable
        Folder and ``limit``, and ``flags`` where a list of difficult images counts -> DataSet.
    classes : int or None
        How many classes a list of difficult images has; None where none counts.
    threshold : float or None
        Of boxes around heat; None for the pointing game.
    short_side : int or None
        Of the images that nets see which take any size; None: images are warped to the net's
        input.
    cropped_from : int or None
        The height and width of the images of which the net sees ten crops; None: it sees one.
    """

    name: str
    title: str
    columns: Tuple[str, ...]
    reader: Reader
    classes: Optional[int] = None
    threshold: Optional[float] = None
    short_side: Optional[int] = None
    cropped_from: Optional[int] = None

    def read(self, data: str, difficult: Optional[str] = None, limit: Optional[int] = None
             ) -> DataSet:
        """Read the data set.

        Parameters
        ----------
        data : str
            Its folder.
        difficult : str, optional
            The path of a list of difficult images, see ``difficulty.read``.
        limit : int, optional
            Take only the first images.

        Raises
        ------
        InputError
            A file or folder is missing or damaged.
        QuestionError
            A list of difficult images is given, and this protocol has none.
        """
        data = os.path.abspath(data)
        if self.classes is None:
            if difficult is not None:
                raise QuestionError(f"{self.name} knows no difficult images; leave out "
                                    "--difficult", "--difficult")
            return _checked(self.reader(data, limit=limit), data)
        flags = None if difficult is None else difficulty.read(difficult, self.classes)
        return _checked(self.reader(data, flags=flags, limit=limit), data)

    def items(self, data_set: DataSet, classes: Sequence[int]
              ) -> Iterator[Dict[str, Union[str, int]]]:
        """What is asked, as rows of a table for ``batch``.

        Parameters
        ----------
        data_set : DataSet
        classes : sequence of int
            The net's class for each class of the data set.
        """
        for subject in data_set.subjects:
            if self.threshold is not None:
                yield {"id": subject.name, "path": subject.path, "question": f"top:{_GUESSES}"}
                continue
            for target in subject.targets:
                if not target.is_skipped:
                    yield {"id": f"{subject.name}/{target.class_index}", "path": subject.path,
                           "question": f"{classes[target.class_index]} at its peak"}

    def overrides(self, model: LoadedModel) -> Overrides:
        """The published preprocessing, as keywords of ``Model.load``: the size that the net sees.

        The mean, the scale and the order of the channels are the net's own.
        """
        if self.short_side is not None and takes_any_size(model):
            return {"resize": self.short_side, "crop": "none"}
        size = list(model.preprocessing.size)
        if self.cropped_from is not None:
            sides = [max(self.cropped_from, side) for side in size]
            return {"resize": sides, "crop": size, "crops": 10}
        return {"resize": size, "crop": "none"}


@dataclass(frozen=True, eq=False)
class Scorer:
    """Scores the maps of a data set by a protocol.

    Attributes
    ----------
    protocol : Protocol
    subjects : mapping
        Name -> Subject.
    classes : tuple of int
        The net's class for each class of the data set.
    """

    protocol: Protocol
    subjects: Mapping[str, Subject]
    classes: Tuple[int, ...]

    @classmethod
    def of(cls, protocol: Protocol, data_set: DataSet, classes: Tuple[int, ...]) -> "Scorer":
        """The scorer of a data set."""
        return cls(protocol, {subject.name: subject for subject in data_set.subjects}, classes)

    def score(self, item_id: str, explanations: Sequence[Explanation]) -> List[Score]:
        """A score for each method and layer.

        Parameters
        ----------
        item_id : str
            As :meth:`Protocol.items` gives it.
        explanations : sequence of Explanation
            All maps of the item, in the order of the questions.

        Raises
        ------
        ImageError
            See ``scores.pointing``.
        """
        members: Dict[Tuple[str, str], List[Explanation]] = {}
        for explanation in explanations:
            members.setdefault((explanation.method, explanation.layer), []).append(explanation)
        name, _, class_text = item_id.partition("/")
        subject, group = self.subjects[name], int(class_text or 0)
        return [Score(name, group, method, layer, self._values(maps, subject, group))
                for (method, layer), maps in members.items()]

    def _values(self, maps: Sequence[Explanation], subject: Subject, group: int
                ) -> Mapping[str, float]:
        if self.protocol.threshold is None:
            return scores.pointing(maps[0].heatmap, subject, group)
        guesses = [(self._data_class(explanation), explanation.heatmap) for explanation in maps]
        return scores.localisation(guesses, subject, self.protocol.threshold)

    def _data_class(self, explanation: Explanation) -> int:
        """The data set's class that an explanation is about."""
        assert explanation.class_index is not None
        return self.classes.index(explanation.class_index)


def _checked(data_set: DataSet, data: str) -> DataSet:
    """The data set, if it shows something and its first image is there."""
    if not data_set.subjects:
        raise InputError(f"{data}: none of the images shows an object", data)
    path = data_set.subjects[0].path
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file; the images belong beside the annotations", path)
    return data_set


def takes_any_size(model: LoadedModel) -> bool:
    """Whether images of any size can go through a net: none of its dense layers then sees more
    numbers of a larger image."""
    inputs = {blob: model.shapes[blob] for blob in model.inputs}
    doubled = {blob: shape[:2] + tuple(2 * side for side in shape[2:])
               for blob, shape in inputs.items()}
    sizes = []
    for given in (inputs, doubled):
        problems: List[Any] = []
        shapes = blob_shapes.infer(model.graph.net, dict(given), problems)
        if problems:
            return False
        sizes.append([shapes.get(layer.bottoms[0], ())[1:] for layer in model.graph.net.layers
                      if layer.type == "InnerProduct"])
    return sizes[0] == sizes[1]


def fingerprint(model: LoadedModel) -> Tuple[int, int, int]:
    """How many convolutions and dense layers the scores depend on, and the channels and the
    kernel of the first convolution; by these ``published.net_of`` knows a net."""
    graph = model.graph
    layers = [graph.net.layers[index] for index in sorted(graph.ancestors([model.score]))]
    convolutions = [layer for layer in layers if layer.type == "Convolution"]
    dense = sum(layer.type == "InnerProduct" for layer in layers)
    if not convolutions:
        return dense, 0, 0
    first = convolutions[0].message.convolution_param
    kernel = first.kernel_size[0] if first.kernel_size else first.kernel_h
    return len(convolutions) + dense, first.num_output, kernel


_POINTING = (scores.ALL, scores.DIFFICULT)
_ERRORS = (scores.TOP_1, scores.TOP_5)
_GAME = "accuracy of the pointing game in percent, the mean over classes"
_ERROR = "localisation error in percent"
PROTOCOLS = {protocol.name: protocol for protocol in (
    Protocol("torchray-voc07", _GAME, _POINTING, voc.read, 20, short_side=SHORT_SIDE),
    Protocol("torchray-coco14", _GAME, _POINTING, coco.read, 80, short_side=SHORT_SIDE),
    Protocol("gradcam-ilsvrc", _ERROR, _ERRORS, ilsvrc.read, threshold=0.15),
    Protocol("cam-ilsvrc", _ERROR, _ERRORS, ilsvrc.read, threshold=0.2,
             cropped_from=CROPPED_FROM),
)}
