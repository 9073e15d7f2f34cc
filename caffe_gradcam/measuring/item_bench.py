"""What the benches of boxes, clips and words have in common: they measure item by item."""

from typing import TYPE_CHECKING, Any, Generic, List, Optional, Sequence, TypeVar

from caffe_gradcam.measuring.annotations import ClassBoxes
from caffe_gradcam.measuring.measurement import Measurement, Settings
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import Outcome

if TYPE_CHECKING:
    from typing import Union

    from caffe_gradcam.explaining.captions import Captioner
    from caffe_gradcam.explaining.clips import ClipExplainer
    from caffe_gradcam.explaining.detections import DetectionExplainer

Explains = TypeVar("Explains", bound="Union[Captioner, ClipExplainer, DetectionExplainer]")
# An image, or the frames of a clip.
Picture = TypeVar("Picture")


class ItemBench(Generic[Explains, Picture]):
    """Measures the maps of images or clips, one item after the other.

    Parameters
    ----------
    explainer : Captioner, ClipExplainer or DetectionExplainer
        With all the methods and layers to compare.
    settings : Settings
        With metrics of the module's ``METRICS``.

    Attributes
    ----------
    model : LoadedModel
    stages : list
        Empty: no weights are randomised.
    """

    def __init__(self, explainer: Explains, settings: Settings) -> None:
        self.explainer, self.settings = explainer, settings
        self.model: LoadedModel = explainer.model
        self.stages: List[List[str]] = []

    def measure(self, paths: Sequence[str], pictures: "Sequence[Outcome[Picture]]",
                questions: Sequence[Any] = (), boxes: Optional[Sequence[ClassBoxes]] = None
                ) -> "List[Outcome[List[Measurement]]]":
        """Measure the maps of some items.

        Parameters
        ----------
        paths : list of str
        pictures : list of Outcome
            An image, H x W x 3 uint8, blue first, or a list of the frames of a clip that the net
            sees; or why there is none.
        questions : sequence of list, optional
            What is asked about each item.
        boxes : list of dict, optional
            For each item, index of a class or a word -> boxes as people drew them.

        Returns
        -------
        list of Outcome
            For each item a list of Measurement: by box, class or word, then by method and layer,
            with the baselines at the end of each; or an InputError.
        """
        return [picture.then(self._measured, path, questions[index] if questions else (),
                             boxes[index] if boxes else {})
                for index, (path, picture) in enumerate(zip(paths, pictures))]

    def _measured(self, picture: Picture, path: str, questions: Sequence[Any], boxes: ClassBoxes
                  ) -> List[Measurement]:
        raise NotImplementedError
