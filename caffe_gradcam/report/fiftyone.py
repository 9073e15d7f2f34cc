"""What a batch came to, as a dataset that FiftyOne imports: JSON, and heatmaps as PNG files.

The layout is the one that FiftyOne infers the fields of: ``metadata.json`` without a version, and
``samples.json`` with a list of samples. Import it as ``fiftyone.types.FiftyOneDataset``.
"""

import json
import os
from typing import TYPE_CHECKING, Any, Dict, List

import numpy as np

from caffe_gradcam.pictures import boxes
from caffe_gradcam.report import thumbnails
from caffe_gradcam.report.entries import ImageEntry
from prototxt_tools.files import write_bytes

if TYPE_CHECKING:
    from caffe_gradcam.explaining.explanation import Explanation
    from caffe_gradcam.report.output import Output

_HEATMAPS = "heatmap"


def write(output: "Output", folder: str, threshold: float = boxes.THRESHOLD) -> None:
    """Write a dataset of FiftyOne.

    A sample has the ``ground_truth`` where the true class is known, the ``prediction`` with its
    probability, the ``heatmap`` of its first map, and in ``heat`` a detection for each hot part of
    every map about one class, with the class's probability, or its score, as confidence.

    Parameters
    ----------
    output : Output
    folder : str
        Gets ``metadata.json``, ``samples.json`` and ``fields/heatmap``. Images stay where they are.
    threshold : float
        The fraction of a map's maximum that a pixel must reach; see ``boxes.find``.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    boxes.check_threshold(threshold)
    samples = {entry.number: _sample(entry, output) for entry in output.entries()
               if entry.status in ("ok", "empty")}
    for entry, explanation in output.explanations():
        sample = samples[entry.number]
        if _HEATMAPS not in sample:
            name = f"fields/{_HEATMAPS}/{entry.number:06d}.png"
            levels = np.rint(explanation.heatmap * 255).astype(np.uint8)
            write_bytes(os.path.join(folder, *name.split("/")), thumbnails.to_png(levels))
            sample[_HEATMAPS] = {"_cls": "Heatmap", "tags": [], "map_path": name,
                                 "range": [0, 255]}
        if explanation.class_index is not None:
            sample["heat"]["detections"] += _detections(explanation, threshold)
    metadata = {"media_type": "image", "info": {"description": f"heat of {output.path}"}}
    write_bytes(os.path.join(folder, "metadata.json"), _json(metadata))
    write_bytes(os.path.join(folder, "samples.json"), _json({"samples": list(samples.values())}))


def _sample(entry: ImageEntry, output: "Output") -> Dict[str, Any]:
    sample: Dict[str, Any] = {
        "filepath": os.path.abspath(entry.path) if "://" not in entry.path else entry.path,
        "tags": ["wrong"] if entry.is_wrong else [], "status": entry.status,
        "heat": {"_cls": "Detections", "detections": []}}
    for field, index in (("ground_truth", entry.true_label), ("prediction", entry.predicted)):
        if index is not None:
            sample[field] = {"_cls": "Classification", "tags": [],
                             "label": output.class_names.get(index) or f"class {index}"}
    if "prediction" in sample and entry.certainty is not None:
        sample["prediction"]["confidence"] = entry.certainty
    return sample


def _detections(explanation: "Explanation", threshold: float) -> List[Dict[str, Any]]:
    height, width = explanation.geometry.image_size
    score = explanation.score if explanation.probability is None else explanation.probability
    return [{
        "_cls": "Detection", "tags": [], "attributes": {},
        "label": explanation.class_name or f"class {explanation.class_index}",
        "bounding_box": [box.x / width, box.y / height, box.width / width, box.height / height],
        "confidence": float(score), "heat": float(box.score), "method": explanation.method,
        "layer": explanation.layer} for box in boxes.find(explanation.heatmap, threshold)]


def _json(value: Any) -> bytes:
    return (json.dumps(value, allow_nan=False) + "\n").encode("ascii")
