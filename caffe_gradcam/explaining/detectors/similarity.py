"""How much of a box is still found in a changed image: the similarity of D-RISE."""

import itertools
from typing import TYPE_CHECKING, Iterable, List, Mapping

import numpy as np

from caffe_gradcam.engines.detection.suppression import overlaps
from caffe_gradcam.explaining.detectors.detection import Candidates, Detection

if TYPE_CHECKING:
    from caffe_gradcam.explaining.detections import DetectionExplainer

_ROWS = 16


def largest_similarity(target: Detection, profile: np.ndarray, candidates: Candidates) -> float:
    r"""The largest similarity of a box to the boxes of another image.

    .. math::
        s(d_t, d_j) = \mathrm{IoU}(L_t, L_j) \cdot
        \frac{P_t \cdot P_j}{\|P_t\| \|P_j\|} \cdot O_j

    Petsiuk et al., "Black-box Explanation of Object Detectors via Saliency Maps" (D-RISE), CVPR
    2021, equation 3; the maximum over j is their equation 2.

    Parameters
    ----------
    target : Detection
    profile : numpy.ndarray
        C: the class probabilities of the target.
    candidates : Candidates
    """
    column = 0 if candidates.boxes.shape[1] == 1 else target.class_index
    overlap = overlaps(target.box, candidates.boxes[:, column])
    near = np.flatnonzero(overlap)
    if not len(near):
        return 0.0
    others = candidates.probabilities[near]
    lengths = np.linalg.norm(others, axis=1) * np.linalg.norm(profile)
    cosines = np.dot(others, profile) / np.maximum(lengths, np.finfo(np.float32).tiny)
    return float((overlap[near] * cosines * candidates.objectness[near]).max())


class Similarity:
    """Measures how much of some boxes is still found when an image is changed.

    Parameters
    ----------
    explainer : DetectionExplainer
    blobs : dict
        Input blob -> 1 x ..., of the image as it is.
    targets : list of Detection
        Its boxes.
    """

    def __init__(self, explainer: "DetectionExplainer", blobs: Mapping[str, np.ndarray],
                 targets: List[Detection]) -> None:
        self._explainer, self._blobs, self._targets = explainer, blobs, targets
        whole = explainer.detector.candidates(explainer.forward(blobs))[0]
        self._profiles = [whole.probabilities[target.prior] for target in targets]

    def values(self, images: Iterable[np.ndarray]) -> np.ndarray:
        """The similarity of each of K targets in each of M changed images.

        Parameters
        ----------
        images : iterable of numpy.ndarray
            C x H x W each.

        Returns
        -------
        numpy.ndarray
            M x K float64.
        """
        rows = 1 if self._explainer.detector.one_by_one else _ROWS
        results: List[List[float]] = []
        images = iter(images)
        for part in iter(lambda: list(itertools.islice(images, rows)), []):
            results += [self._of_targets(candidates) for candidates in self._run(part)]
        return np.array(results)

    def _of_targets(self, candidates: Candidates) -> List[float]:
        return [largest_similarity(target, profile, candidates)
                for target, profile in zip(self._targets, self._profiles)]

    def _run(self, images: List[np.ndarray]) -> List[Candidates]:
        source = self._explainer.model.input
        blobs = {blob: np.repeat(value, len(images), axis=0)
                 for blob, value in self._blobs.items()}
        blobs[source] = np.stack(images).astype(np.float32)
        return self._explainer.detector.candidates(self._explainer.forward(blobs))
