"""JPEGs on their way to the net: decoded and prepared on its device, whatever that is."""

from typing import Any, Dict, List, Tuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from caffe_gradcam.model import images
from caffe_gradcam.model.preprocess import Placed, Preprocessing, mean_of, placed
from prototxt_tools.errors import EngineError, EngineMissing

from ..on_device import OnDevice
from . import devices
from .sending import Sender

# The share of red, green and blue in grey, as in cv2.COLOR_BGR2GRAY.
_GREY = (0.299, 0.587, 0.114)
# By how many levels of 255 a decoder may differ from OpenCV's on a smooth picture, on average.
# Decoders differ in how they round, and in how they enlarge colours that are stored at half size.
_MOST = 4.0
_SIDE = 48


def decoded(files: List[Tensor], device: torch.device) -> List[Tensor]:
    """The pictures in JPEGs.

    Parameters
    ----------
    files : list of torch.Tensor
        The bytes of each, on the CPU.
    device : torch.device

    Returns
    -------
    list of torch.Tensor
        3 x H x W uint8 on the device, red first.

    Raises
    ------
    EngineMissing
        torchvision is not installed, or does not load with this torch.
    """
    try:
        from torchvision.io import ImageReadMode, decode_jpeg
    except (ImportError, RuntimeError, OSError):
        raise EngineMissing("torchvision is not installed, or not the one for this torch; pip "
                            "install 'caffe-gradcam[jpeg]', or use --decode cpu") from None
    pictures: List[Tensor] = decode_jpeg(files, mode=ImageReadMode.RGB, device=device)
    return pictures


class Pictures:
    """Makes an input blob of JPEGs.

    Parameters
    ----------
    sender : Sender
    preprocessing : Preprocessing
        Of the input: of colours or grey, one crop, no letterbox.

    Raises
    ------
    EngineMissing
        torchvision is not installed.
    EngineError
        The device's decoder gives another picture than OpenCV's for a JPEG that both should know.
    """

    def __init__(self, sender: Sender, preprocessing: Preprocessing) -> None:
        self._sender, self._preprocessing = sender, preprocessing
        self._means: Dict[Tuple[Any, ...], Tensor] = {}
        self._check()

    def read(self, places: np.ndarray, sizes: np.ndarray) -> OnDevice:
        """Decode and prepare JPEGs.

        Parameters
        ----------
        places : numpy.ndarray
            N x C x h x w float32: of each image what the net reads, or the bytes of a JPEG at the
            beginning of its place. They must not change before the net has run.
        sizes : numpy.ndarray
            N: bytes of each JPEG, 0 for an image that is prepared.
        """
        encoded = np.flatnonzero(sizes)
        files = [torch.from_numpy(places[index].reshape(-1).view(np.uint8)[:sizes[index]])
                 for index in encoded]
        prepared = None if len(encoded) == len(places) else self._sender.send(places)
        return OnDevice(self._sender.made(lambda: self._read(files, encoded, places, prepared)))

    def _read(self, files: List[Tensor], encoded: np.ndarray, places: np.ndarray, prepared: Any
              ) -> Tensor:
        device = self._sender.device
        blob = torch.empty(places.shape, device=device) if prepared is None else prepared.clone()
        groups: Dict[Tuple[int, ...], List[Tuple[int, Tensor]]] = {}
        for index, picture in zip(encoded.tolist(), self._decoded(files)):
            groups.setdefault(tuple(picture.shape), []).append((index, picture))
        # Pictures of one size go the rest of the way together; the device is waited for only once.
        rows = [self._prepared(torch.stack([picture for _, picture in entries]),
                               placed((height, width), self._preprocessing))
                for (_, height, width), entries in groups.items()]
        order = [index for entries in groups.values() for index, _ in entries]
        blob[torch.tensor(order, device=device)] = torch.cat(rows)
        return blob

    def _decoded(self, files: List[Tensor]) -> List[Tensor]:
        try:
            return decoded(files, self._sender.device)
        except RuntimeError as error:
            if devices.is_fatal(error):
                raise
        if len(files) == 1:
            return [self._by_opencv(files[0])]
        # One of them is damaged.
        return [picture for file in files for picture in self._decoded([file])]

    def _by_opencv(self, file: Tensor) -> Tensor:
        """A picture that the device cannot decode; raises ImageError where nothing can."""
        picture = images.decode(file.numpy().tobytes(), "a JPEG of the batch", upright=False)
        return torch.from_numpy(np.ascontiguousarray(picture[..., ::-1].transpose(2, 0, 1))).to(
            self._sender.device)

    def _prepared(self, pictures: Tensor, place: Placed) -> Tensor:
        """What the net reads of pictures of one size, as ``preprocess.to_blobs`` makes it."""
        values, (top, left, rows, columns, _) = pictures.float(), place.view
        if tuple(values.shape[2:]) != place.resized:
            values = functional.interpolate(
                values, size=place.resized, mode="bilinear", align_corners=False)
        values = values[:, :, top:top + rows, left:left + columns]
        order = self._preprocessing.channel_order
        if order == "GRAY":
            values = sum(share * values[:, index:index + 1] for index, share in enumerate(_GREY))
        elif order == "BGR":
            values = values.flip(1)
        if self._preprocessing.mean is not None:
            values = values - self._mean(place)
        return values * self._preprocessing.scale

    def _mean(self, place: Placed) -> Tensor:
        # A mean of each channel is the same for all sizes, and mean images need a fixed one.
        mean = self._preprocessing.mean
        assert mean is not None
        key = () if mean.ndim == 1 else (place.resized, place.view)
        if key not in self._means:
            array = np.ascontiguousarray(mean_of(self._preprocessing, place.resized, place.view))
            self._means[key] = torch.from_numpy(array).to(self._sender.device)
        return self._means[key]

    def _check(self) -> None:
        """Hold the device's decoder against OpenCV's."""
        ramp = np.linspace(20, 230, _SIDE).astype(np.uint8)
        picture = np.full((_SIDE, _SIDE, 3), 90, np.uint8)
        picture[..., 0], picture[..., 1] = ramp, ramp[:, np.newaxis]
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        files = [cv2.imencode(".jpg", values)[1].reshape(-1) for values in (picture, grey)]
        try:
            results = decoded(list(map(torch.from_numpy, files)), self._sender.device)
        except RuntimeError as error:
            reason = str(error).strip().split("\n")[0]
            raise EngineError(f"{self._sender.device} cannot decode JPEGs ({reason}); use --decode "
                              "cpu") from None
        for file, result in zip(files, results):
            expected = images.decode(file.tobytes(), "a picture")[..., ::-1].astype(np.float32)
            values = result.permute(1, 2, 0).cpu().numpy()
            difference = float(np.abs(values - expected).mean()) if (
                values.shape == expected.shape) else 255.0
            if difference > _MOST:
                raise EngineError(
                    f"{self._sender.device} decodes a JPEG differently from OpenCV, "
                    f"{difference:.0f} levels from it on average; use --decode cpu")
