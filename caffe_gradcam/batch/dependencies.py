"""What rows depend on besides the items; compared before an output is continued."""

import dataclasses
import hashlib
import json
from typing import Any, Dict, Optional

from caffe_gradcam.batch.options import Pipeline
from caffe_gradcam.engines.opening import resolve_engine
from caffe_gradcam.engines.versions import of_distribution
from caffe_gradcam.explaining.recipe import Recipe
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.model.preprocess import Preprocessing
from prototxt_tools.errors import InputError
from prototxt_tools.files import feed


def resolved(recipe: Recipe, device: Optional[str] = None) -> Recipe:
    """The recipe as one process of a run uses it: "auto" is replaced by the engine that it means
    here, the engine runs in that same process, and the device may be another."""
    running = recipe.running
    return dataclasses.replace(recipe, running=dataclasses.replace(
        running, engine=resolve_engine(running.engine), device=device or running.device,
        isolated=False))


def rows_depend_on(recipe: Recipe, model: LoadedModel, heat_boxes: Optional[float],
                   pipeline: Pipeline) -> Dict[str, Any]:
    """What the rows of an item depend on, as JSON values.

    Parameters
    ----------
    recipe : Recipe
        As :func:`resolved` gives it.
    model : LoadedModel
        The recipe's.
    heat_boxes : float or None
    pipeline : Pipeline
        Of which the images that go through the net together and the threads of a net count, on
        which the last bits of the numbers depend, and what decodes JPEGs.

    Raises
    ------
    InputError
        A file that is part of it cannot be read.
    """
    asking = dataclasses.asdict(recipe.asking)
    for name in ("mask", "like"):
        if asking[name]:
            asking[name] = "sha256:" + _digest_of_file(asking[name])
    if recipe.explaining.layers:
        model = model.with_layers(recipe.explaining.layers)
    values = {
        "model": model.name, "prototxt_sha256": _digest_of_file(model.path),
        "weights_sha256": _digest_of_file(model.weights),
        "inputs": {name: _described(values) for name, values in model.inputs.items()},
        "clips": {name: dataclasses.asdict(clip) for name, clip in model.clips.items()},
        "arrays": {blob: None if spec.default is None else _digest(spec.default.tobytes())
                   for blob, spec in model.arrays.items()},
        "words": {blob: _digest(json.dumps(spec.words.words).encode("ascii"))
                  for blob, spec in model.arrays.items() if spec.words is not None},
        "caption": _of_captions(recipe, model),
        "class_names_sha256": None if model.class_names is None else _digest(
            json.dumps(list(model.class_names)).encode("ascii")),
        "score": model.score, "layers": list(model.layers),
        "asking": {name: value for name, value in asking.items()
                   if value or (value == 0 and value is not False)},
        "explaining": dataclasses.asdict(recipe.explaining),
        "engine": recipe.running.engine, "precision": recipe.running.precision,
        "heat_boxes": heat_boxes, "batch": pipeline.batch, "threads": pipeline.threads,
        "decode": pipeline.decode,
        # With torch, the layers below the target run as OpenVINO compiles them.
        "openvino": of_distribution("openvino") if recipe.running.engine in (
            "torch", "openvino") else None,
    }
    plain: Dict[str, Any] = json.loads(json.dumps(values))
    return plain


def _of_captions(recipe: Recipe, model: LoadedModel) -> Dict[str, Optional[str]]:
    """The files of the net that describes images, where that is asked for."""
    if not recipe.asking.is_caption or model.caption_files is None:
        return {}
    files = model.caption_files
    return {"net": files.net and _digest_of_file(files.net),
            "weights": files.weights and _digest_of_file(files.weights),
            "words": files.words and _digest_of_file(files.words), "features": files.features}


def about(model: LoadedModel) -> Dict[str, Any]:
    """What reports tell of a model: its class names, and where its values come from."""
    names = model.class_names
    return {"class_names": None if names is None else [str(name) for name in names],
            "origins": {str(name): str(origin) for name, origin in model.origins.items()}}


def _digest_of_file(path: str) -> str:
    digest = hashlib.sha256()
    try:
        feed(path, digest)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", path) from None
    return digest.hexdigest()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _described(preprocessing: Preprocessing) -> Dict[str, Any]:
    values = dataclasses.asdict(preprocessing)
    mean = values["mean"]
    if mean is not None:
        values["mean"] = [float(value) for value in mean.ravel()] if mean.size <= 4 else (
            "sha256:" + _digest(mean.tobytes()))
    return values
