"""Images of another size than a net's, which only some nets can take."""

import contextlib
from typing import Iterator, Mapping

import numpy as np

from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import EngineFailed, ImageError, InputError, OutOfMemory


@contextlib.contextmanager
def named_size(model: LoadedModel, blobs: Mapping[str, np.ndarray]) -> Iterator[None]:
    """Have the net's refusal of images of another size name the input and the size that it takes.

    Parameters
    ----------
    model : LoadedModel
    blobs : dict
        Picture -> N x C x H x W: what the net is shown within the context.

    Raises
    ------
    ImageError
        Instead of the error that a net of fixed size gives.
    """
    try:
        yield
    except (ImageError, EngineFailed, OutOfMemory):
        raise
    except InputError as error:
        for name, preprocessing in model.inputs.items():
            size, expected = blobs[name].shape[2:], tuple(preprocessing.size)
            if size != expected:
                raise ImageError(
                    "an image of {}x{} does not fit input {} of the net, which is declared as "
                    "{}x{}: {}".format(*size, name, *expected, error), name) from None
        raise
