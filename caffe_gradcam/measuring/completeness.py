"""Does a map sum to what the image adds to the score?"""

from typing import List, Optional, Tuple

import numpy as np

from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.passes import Pass
from caffe_gradcam.measuring.maps import Subject, score_seed
from caffe_gradcam.measuring.metrics import faithfulness


def gaps(explainer: Explainer, subject: Subject) -> List[Optional[float]]:
    """For each map, the relative completeness gap; None for baselines.

    The map is taken as it is, signed and at its own resolution, and the score of the class instead
    of its probability, since that is what maps are made of.
    """
    model = explainer.model
    batch = Pass(explainer.engine, model, subject.prepared.blobs, [],
                 one_by_one=explainer.one_by_one)
    seeds = [score_seed(model, measured_map.explanation, batch.scores[0])
             for measured_map in subject.maps]
    numbers: List[Optional[float]] = [None] * len(subject.maps)
    for source in model.inputs:
        image = subject.prepared.blobs[source][0]
        indices = [index for index, measured_map in enumerate(subject.maps)
                   if measured_map.explanation.layer and measured_map.explanation.input == source]
        reruns: List[Tuple[int, int, np.ndarray]] = [
            (index, 0, blob) for index in indices for blob in (image, np.zeros_like(image))]
        values = batch.rerun_net(source, seeds, reruns).reshape(-1, 2)
        for index, (value, baseline_value) in zip(indices, values):
            numbers[index] = faithfulness.relative_completeness_gap(
                subject.maps[index].explanation.cam, value, baseline_value)
    return numbers
