"""Inputs that hold the frames of a clip instead of one picture."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, List, Optional, Sequence, Tuple

import numpy as np

from prototxt_tools.errors import ImageError

if TYPE_CHECKING:
    from caffe_gradcam.model.geometry import Geometry
    from caffe_gradcam.model.preprocess import Preprocessing

Shape = Tuple[int, ...]

# The axis of time in N x C x T x h x w; of nets that join the scores of frames it is 0.
DEPTH, ROWS = 2, 0


@dataclass(frozen=True)
class Clip:
    """How an input takes a clip.

    Attributes
    ----------
    length : int
        How many frames.
    axis : int
        Where they stand side by side: 2 in N x C x T x h x w, as in C3D (Tran et al. 2015); 0 in
        T x C x h x w, as in temporal segment networks (Wang et al. 2016).
    stride : int or None
        Every how many frames of a video one is taken, around its middle; None: spread evenly over
        the whole of it.
    """

    length: int
    axis: int
    stride: Optional[int] = None

    def shape(self, picture: Shape) -> Shape:
        """The shape of the input, for 1 x C x h x w of one frame."""
        if self.axis == ROWS:
            return (self.length,) + tuple(picture[1:])
        return (1, picture[1], self.length) + tuple(picture[2:])

    def chosen(self, count: int, name: str) -> List[int]:
        """Which of so many frames the net sees.

        Raises
        ------
        ImageError
            There are too few.
        """
        span = self.length if self.stride is None else (self.length - 1) * self.stride + 1
        if count < span:
            every = f", every {_ordinal(self.stride)} one of {span}" if span > self.length else ""
            raise ImageError(f"{name}: the clip ends after {count} frames, and the net takes "
                             f"{self.length}{every}", name)
        if self.stride is None:
            return [int((index + 0.5) * count / self.length) for index in range(self.length)]
        first = (count - span) // 2
        return [first + index * self.stride for index in range(self.length)]

    def views(self, frames: Sequence[np.ndarray], preprocessing: "Preprocessing"
              ) -> Tuple[np.ndarray, "List[Geometry]"]:
        """The frames of a clip as the net reads them, and the part of each that it shows.

        Parameters
        ----------
        frames : sequence of numpy.ndarray
            H x W x 3 uint8, blue first.
        preprocessing : Preprocessing
            Of each frame.

        Returns
        -------
        views : numpy.ndarray
            T x C x h x w float32.
        geometries : list of Geometry

        Raises
        ------
        ImageError
            Another number of frames, frames of several sizes, or one that does not fit the net.
        """
        from caffe_gradcam.model.preprocess import to_blobs

        if len(frames) != self.length:
            raise ImageError(f"the net takes clips of {self.length} frames, not {len(frames)}")
        for number, frame in enumerate(frames, 1):
            if frame.shape[:2] != frames[0].shape[:2]:
                sizes = "{0[1]}x{0[0]} and frame {1} is {2[1]}x{2[0]}".format(
                    frames[0].shape, number, frame.shape)
                raise ImageError("the frames of a clip must have one size, but frame 1 is "
                                 f"{sizes} pixels")
        prepared = [to_blobs(frame, preprocessing) for frame in frames]
        if any(len(blobs) > 1 for blobs, _ in prepared):
            raise ImageError("clips are prepared as one crop, not as ten")
        return (np.concatenate([blobs for blobs, _ in prepared]),
                [geometries[0] for _, geometries in prepared])

    def blob(self, views: np.ndarray) -> np.ndarray:
        """What the input holds of T x C x h x w."""
        if self.axis == DEPTH:
            return np.ascontiguousarray(views.transpose(1, 0, 2, 3)[np.newaxis])
        return views


def _ordinal(number: Optional[int]) -> str:
    return {2: "second", 3: "third"}.get(number or 0, f"{number}th")
