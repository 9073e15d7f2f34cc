"""What decodes JPEGs: OpenCV in the decoders, in full or at reduced size, or the card."""

import dataclasses
from typing import Optional

from caffe_gradcam.batch.options import AUTO, CARD, FULL, REDUCED, Pipeline
from caffe_gradcam.batch.pipeline import sizes
from caffe_gradcam.engines import opening
from caffe_gradcam.engines.running import Running
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.model.preprocess import CHANNELS, LETTERBOX, Preprocessing
from prototxt_tools.errors import QuestionError

# With so many cores for each card, the decoders keep it busy and it need not decode besides.
_PLENTY = 32


def settled(pipeline: Pipeline, running: Running, model: LoadedModel) -> Pipeline:
    """The pipeline with its devices named, those of ``running`` if it names none, and what decodes
    JPEGs chosen for them, by :func:`chosen`.

    Parameters
    ----------
    pipeline : Pipeline
    running : Running
        Of a recipe as ``dependencies.resolved`` gives it.
    model : LoadedModel

    Raises
    ------
    QuestionError
        JPEGs cannot be decoded as the pipeline asks.
    """
    pipeline = dataclasses.replace(pipeline, devices=pipeline.devices or (running.device,))
    return dataclasses.replace(pipeline, decode=chosen(pipeline, running.engine, model))


def chosen(pipeline: Pipeline, engine: str, model: LoadedModel) -> str:
    """How a run decodes JPEGs: one of ``DECODINGS`` other than "auto".

    The card is taken where it can decode, unless there are so many cores that they feed it.

    Parameters
    ----------
    pipeline : Pipeline
        Its devices are named.
    engine : str
        As ``resolve_engine`` gives it.
    model : LoadedModel

    Raises
    ------
    QuestionError
        "cuda" is asked for where the card cannot decode; the message tells why. Or "reduced" of
        a model that takes clips.
    """
    if model.clips and pipeline.decode == REDUCED:
        raise QuestionError("--decode reduced: the frames of clips are decoded in full; use "
                            "--decode cpu", "--decode")
    if pipeline.decode not in (AUTO, CARD):
        return pipeline.decode
    obstacle = _obstacle(pipeline, engine, model)
    if pipeline.decode == CARD:
        if obstacle is not None:
            raise QuestionError(f"--decode cuda: {obstacle}; use --decode cpu", "--decode")
        return CARD
    is_plenty = sizes.cores() >= _PLENTY * len(set(pipeline.devices))
    return FULL if obstacle is not None or is_plenty else CARD


def _obstacle(pipeline: Pipeline, engine: str, model: LoadedModel) -> Optional[str]:
    """Why the card cannot decode JPEGs, if it cannot."""
    if engine != "torch":
        return f"the {engine} engine cannot decode JPEGs (the torch engine can)"
    if not pipeline.devices or any(not device.startswith("cuda") for device in pipeline.devices):
        return "the net runs on the CPU; a card is named by --device"
    if not opening.is_installed("torchvision"):
        return "torchvision is not installed; pip install 'caffe-gradcam[jpeg]'"
    if model.clips:
        return "the net takes clips"
    if len(model.inputs) != 1 or model.arrays or model.slices:
        return "the net has several inputs"
    (blob, preprocessing), = model.inputs.items()
    reason = _unprepared(preprocessing)
    return None if reason is None else f"input {blob!r} {reason}"


def _unprepared(preprocessing: Preprocessing) -> Optional[str]:
    """Why the card cannot prepare an input, if it cannot."""
    if preprocessing.channel_order not in CHANNELS:
        return "takes no colours"
    if preprocessing.crops != 1:
        return f"takes {preprocessing.crops} crops of each image"
    if preprocessing.resize == LETTERBOX:
        return "takes a letterbox, which only the CPU prepares"
    if preprocessing.any_size:
        return "has the size of each image, so that only the CPU prepares it"
    is_image = preprocessing.mean is not None and preprocessing.mean.ndim > 1
    if is_image and not isinstance(preprocessing.resize, tuple):
        return "has a mean image and no fixed size, so that only the CPU prepares it"
    return None
