"""A survey as the files that ViRelAy opens: a project, images, maps and clusters in HDF5.

The form is that of ViRelAy 0.6 (Anders et al., "Software for dataset-wide XAI", arXiv:2106.13200).
"""

import json
import os
from typing import Any, List, Sequence

import numpy as np

from caffe_gradcam.report import thumbnails
from caffe_gradcam.report.survey.maps import SurveyedMap
from caffe_gradcam.report.survey.results import ClassSurvey, Survey
from prototxt_tools.errors import InputError
from prototxt_tools.files import write_bytes

# Images and maps are written at this many rows and columns.
_SIDE = 224
_FILES = ("images.h5", "maps.h5", "clusters.h5")


def write(survey: Survey, folder: str, title: str, method: str) -> None:
    """Write a project of ViRelAy: ``project.yaml``, ``label-map.json`` and three HDF5 files.

    Parameters
    ----------
    survey : Survey
        Images without a picture are grey.
    folder : str
    title : str
        The name of the project.
    method : str
        The name of the method of the maps.

    Raises
    ------
    InputError
        h5py is missing, a file cannot be written, or no class has clusters.
    """
    try:
        import h5py
    except ImportError:
        raise InputError("--virelay needs h5py; run: pip install 'caffe-gradcam[h5]'",
                         "h5py") from None
    clustered = [of for of in survey.classes if of.clusters]
    if not clustered:
        raise InputError("--virelay: no class has enough maps for clusters", folder)
    maps = [item for of in survey.classes for item in of.maps]
    os.makedirs(folder, exist_ok=True)
    images, attributions, analyses = (os.path.join(folder, name) for name in _FILES)
    try:
        with h5py.File(images, "w") as file:
            _write_images(file, maps)
        with h5py.File(attributions, "w") as file:
            _write_maps(file, maps)
        with h5py.File(analyses, "w") as file:
            _write_clusters(file, clustered, maps)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error}", folder) from None
    write_bytes(os.path.join(folder, "label-map.json"), _json(_labels(survey, maps)))
    # JSON is YAML too.
    write_bytes(os.path.join(folder, "project.yaml"), _json(_project(title, method)))


def _write_images(file: Any, maps: Sequence[SurveyedMap]) -> None:
    data = file.create_dataset("data", (len(maps), 3, _SIDE, _SIDE), "uint8")
    for row, item in enumerate(maps):
        data[row] = _image(item)
    file["label"] = np.array([_true_label(item) for item in maps], np.uint32)


def _write_maps(file: Any, maps: Sequence[SurveyedMap]) -> None:
    import cv2

    data = file.create_dataset("attribution", (len(maps), 1, _SIDE, _SIDE), "float32",
                               compression="gzip")
    highest = max(int(item.entry.predicted or 0) for item in maps) + 1
    predictions = np.zeros((len(maps), highest), np.float32)
    for row, item in enumerate(maps):
        assert item.shown.heat is not None
        data[row, 0] = cv2.resize(item.shown.heat.astype(np.float32) / 255, (_SIDE, _SIDE))
        score = item.shown.probability if item.shown.probability is not None else item.shown.score
        predictions[row, item.entry.predicted or 0] = score or 0
    file["index"] = np.arange(len(maps), dtype=np.uint32)
    file["label"] = np.array([_true_label(item) for item in maps], np.uint32)
    file["prediction"] = predictions


def _write_clusters(file: Any, classes: Sequence[ClassSurvey], maps: Sequence[SurveyedMap]
                    ) -> None:
    rows = {item.entry.number: row for row, item in enumerate(maps)}
    for of in classes:
        assert of.spectrum is not None
        group = file.create_group(str(of.index))
        group["name"] = of.name
        group["index"] = np.array([rows[item.entry.number] for item in of.clustered], np.uint32)
        embedding = group.create_dataset("embedding/spectral",
                                         data=of.spectrum.embedding.astype(np.float32))
        embedding.attrs["eigenvalue"] = of.spectrum.eigenvalues.astype(np.float32)
        # ViRelAy looks for the names of the first class in all of them.
        clustering = group.create_dataset("cluster/spectral",
                                          data=np.array(of.cluster_of, np.uint32))
        clustering.attrs["embedding"] = "spectral"
        clustering.attrs["k"] = len(of.clusters)


def _image(item: SurveyedMap) -> np.ndarray:
    """3 x _SIDE x _SIDE uint8, red first."""
    import cv2

    if item.entry.picture is None:
        return np.full((3, _SIDE, _SIDE), 128, np.uint8)
    image = cv2.resize(thumbnails.from_jpeg(item.entry.picture), (_SIDE, _SIDE))
    red_first: np.ndarray = image[:, :, ::-1].transpose(2, 0, 1)
    return red_first


def _true_label(item: SurveyedMap) -> int:
    """The true class, or the answer where it is not known."""
    label = item.entry.true_label
    return int(label if label is not None and label >= 0 else item.entry.predicted or 0)


def _labels(survey: Survey, maps: Sequence[SurveyedMap]) -> List[Any]:
    names = {_true_label(item): f"class {_true_label(item)}" for item in maps}
    names.update((of.index, of.name) for of in survey.classes)
    return [{"index": index, "word_net_id": str(index), "name": name}
            for index, name in sorted(names.items())]


def _project(title: str, method: str) -> Any:
    images, maps, clusters = _FILES
    return {"project": {
        "name": title, "model": title, "label_map": "label-map.json",
        "dataset": {"name": title, "type": "hdf5", "path": images, "input_width": _SIDE,
                    "input_height": _SIDE, "up_sampling_method": "none",
                    "down_sampling_method": "none"},
        "attributions": {"attribution_method": method, "attribution_strategy": "predicted_label",
                         "sources": [maps]},
        "analyses": [{"analysis_method": "Spectral clustering", "sources": [clusters]}]}}


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode("ascii")
