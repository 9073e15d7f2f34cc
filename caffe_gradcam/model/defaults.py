"""How each input's images are prepared: as given, else as files beside the net specify."""

import os
from typing import Any, Dict, Optional, Tuple

import numpy as np

from caffe_gradcam.model import means, training
from caffe_gradcam.model.given import Default, Given
from caffe_gradcam.model.preprocess import BANDS, CHANNELS, LETTERBOX, LONG, Preprocessing
from prototxt_tools.errors import ModelError

# The mean colour of ImageNet's images, blue first, as BVLC's models use it.
IMAGENET_MEAN = (104.0, 117.0, 123.0)
_SQUASH = (None, "squash")

Size = Tuple[int, int]


class Defaults:
    """What the files of a model's folder specify, and what is assumed without them.

    Parameters
    ----------
    given : Given
        What goes before; it also takes the warnings.
    prototxt : str
    """

    def __init__(self, given: Given, prototxt: str) -> None:
        self.given = given
        self.transform = training.find_transform(given.folder, prototxt)
        self.info = training.read_info(given.folder)
        self._means: Dict[str, np.ndarray] = {}

    def input_size(self) -> Optional[Size]:
        """Height and width of a training net's input, as far as files tell."""
        transform = self.transform
        if transform is not None and transform.crop:
            return transform.crop, transform.crop
        return self._full_size()[0]

    def input_channels(self) -> Optional[int]:
        """The channels of a training net's input, as far as files tell."""
        if self.transform is not None and self.transform.channels:
            return self.transform.channels
        mean = self._found_mean()
        return self.info.channels or (mean.shape[0] if mean is not None else None)

    def preprocessing(self, blob: str, shape: Tuple[int, ...]) -> Preprocessing:
        """The preprocessing of an input blob of this shape."""
        channels, size = shape[1], (shape[2], shape[3])

        def take(name: str, default: Default) -> Any:
            return self.given.take(name, default, blob)

        origin = f"found: {channels} channel" + "s" * (channels > 1)
        order = take("channel_order", lambda: (_usual_order(channels, size), origin))
        if CHANNELS.get(order, channels) != channels:
            raise ModelError(f"channel-order {order} has {CHANNELS[order]} channels, but the "
                             f"net's input has {channels}", blob)
        mean = take("mean", lambda: self._default_mean(channels))
        if mean is not None and mean.shape[0] != channels and mean.size > 1:
            raise ModelError(f"the mean has {mean.shape[0]} channels, but the net's input has "
                             f"{channels}; give --mean", blob)
        scale = take("scale", self._default_scale)
        is_signal = order == BANDS and 1 in size
        resize, crop = self._resize_and_crop(blob, size, is_signal)
        any_size = self._keeps_sizes(blob, size, resize, crop)
        if any_size and means.size_of(mean) is not None:
            self.given.warn("the mean image of {}x{} cannot be subtracted from images of other "
                            "sizes; the mean of each channel is subtracted instead".format(
                                *mean.shape[1:]))
        crops = take("crops", lambda: (1, "assumed: the middle"))
        if not any_size:
            self._check_mean_size(mean, size)
        value_range = take("value_range", lambda: (None, "assumed: by the kind of image"))
        return Preprocessing(size, order, mean, scale, resize, crop, crops, value_range, channels,
                             any_size)

    def _keeps_sizes(self, blob: str, size: Size, resize: Any, crop: Optional[Size]) -> bool:
        """Whether images of several sizes go through the net, each as large as it is."""
        if crop is not None or isinstance(resize, tuple) or resize == LETTERBOX:
            return False
        return self.given.sets("resize", blob) or self.given.sets("crop", blob)

    def _check_mean_size(self, mean: Optional[np.ndarray], size: Size) -> None:
        mean_size = means.size_of(mean)
        if mean_size is None or mean_size == (1, 1):
            return
        if mean_size[0] < size[0] or mean_size[1] < size[1]:
            self.given.warn("the mean image of {}x{} is smaller than the net's input of {}x{} and "
                            "is stretched to it; it may belong to another net".format(
                                *mean_size + size))

    def _resize_and_crop(self, blob: str, size: Size, is_signal: bool) -> Tuple[Any, Any]:
        """As given; else as files specify; else the whole image warped to the input."""
        whole: Tuple[Any, str] = (size, "assumed: the whole image, warped")
        if is_signal:
            whole = (None, "assumed: signals as they are")
        if self.given.has("crop", blob):
            whole = (None, "assumed: cropped as it is")
        elif not self.given.has("resize", blob) and not is_signal:
            whole = self._found_resize(size) or whole
        resize = self.given.take("resize", lambda: whole, blob)
        is_whole = resize in (size, None, LETTERBOX) or str(resize).startswith(LONG)
        middle = (None, "assumed: nothing cut off") if is_whole else (
            size, self._crop_origin(size))
        crop = self.given.take("crop", lambda: middle, blob)
        end = crop or resize
        if isinstance(end, tuple) and end != size:
            field = "crop" if crop else "resize"
            raise ModelError(f"{field} makes images of {end[0]}x{end[1]}, but the net's input is "
                             f"{size[0]}x{size[1]}", field)
        return resize, crop

    def _crop_origin(self, size: Size) -> str:
        transform = self.transform
        if transform is not None and transform.crop and size == (transform.crop,) * 2:
            return "found: " + transform.file_name
        return "assumed: the middle"

    def _found_resize(self, size: Size) -> Optional[Tuple[Any, str]]:
        """What images are resized to before the crop, where files specify it."""
        mode = self.info.resize_mode
        full, origin = self._full_size()
        crop = self.transform.crop if self.transform is not None else None
        if full is None and crop in (None, 0):
            return None
        if crop and size != (crop, crop):
            file = self._file_name()
            self.given.warn(f"{file} crops images to {crop}x{crop}, but the net's input is "
                            f"{size[0]}x{size[1]}; the whole image is warped to that")
            return None
        if full is None:
            self.given.warn(f"{self._file_name()} crops images to {crop}x{crop}, but no file gives "
                            "their size before the crop; the whole image is warped to the net's "
                            "input; give --resize")
            return None
        if not crop and full != size and not self.info.size:
            return None  # A larger mean image alone says nothing of a crop.
        if full[0] < size[0] or full[1] < size[1]:
            return None
        return self._by_mode(mode, full, size, origin)

    def _by_mode(self, mode: Optional[str], full: Size, size: Size, origin: str
                 ) -> Optional[Tuple[Any, str]]:
        """DIGITS' ways of making all images of one size."""
        if mode == "crop" and full[0] == full[1]:
            return full[0], f"found: {training.INFO}, mode crop"
        if mode == "fill" and full == size:
            return LETTERBOX, f"found: {training.INFO}, mode fill"
        if mode not in _SQUASH:
            self.given.warn(f"{training.INFO} resizes images by the mode {mode!r}, which is not "
                            "known here; they are warped; give --resize")
        return full, origin

    def _full_size(self) -> Tuple[Optional[Size], str]:
        """Height and width of images before the crop, and which file says so."""
        if self.transform is not None and self.transform.resize is not None:
            return self.transform.resize, "found: " + self.transform.file_name
        if self.info.size is not None:
            return self.info.size, "found: " + training.INFO
        transform = self.transform
        if transform is None or not transform.mean_file:
            return None, ""
        mean_size = means.size_of(self._found_mean())
        return mean_size, f"found: the size of {transform.mean_file}"

    def _file_name(self) -> str:
        return self.transform.file_name if self.transform is not None else training.INFO

    def _mean_name(self) -> Optional[str]:
        """The name of the mean file that other files specify."""
        if self.transform is not None:
            return self.transform.mean_file
        return self.info.mean

    def _found_mean(self) -> Optional[np.ndarray]:
        """The mean image of the folder."""
        path = means.find(self.given.folder, self._mean_name())
        return self._read_mean(path) if path else None

    def _read_mean(self, path: str) -> np.ndarray:
        """A mean file, which several defaults need."""
        if path not in self._means:
            self._means[path] = means.read(path)
        return self._means[path]

    def _default_mean(self, channels: int) -> Tuple[Optional[np.ndarray], str]:
        transform = self.transform
        if transform is not None and transform.mean is not None:
            return transform.mean, "found: " + transform.file_name
        if transform is not None and transform.mean_file is None:
            return None, f"found: {transform.file_name} subtracts none"
        name = self._mean_name()
        path = means.find(self.given.folder, name)
        if path:
            if name and os.path.basename(path) != name:
                self.given.warn(f"{self._file_name()} names the mean file {name}, which is "
                                f"missing; {os.path.basename(path)} is taken instead")
            return self._read_mean(path), "found: " + os.path.basename(path)
        mean, assumption = np.array(IMAGENET_MEAN, np.float32), "BVLC's for ImageNet"
        value: Optional[np.ndarray] = mean if channels == CHANNELS["BGR"] else None
        if value is None:
            assumption = "none for grey" if channels == 1 else f"none for {channels} channels"
        if name:
            instead = "no mean is subtracted" if value is None else (
                "BVLC's mean for ImageNet is assumed")
            self.given.warn(f"{self._file_name()} names the mean file {name}, which is missing; "
                            f"{instead}; put it into {self.given.folder}, or give --mean")
        return value, "assumed: " + assumption

    def _default_scale(self) -> Tuple[float, str]:
        if self.transform is not None:
            return self.transform.scale, "found: " + self.transform.file_name
        return 1.0, "assumed: values from 0 to 255"


def _usual_order(channels: int, size: Size) -> str:
    if 1 in size:
        return BANDS
    return {1: "GRAY", 3: "BGR"}.get(channels, BANDS)
