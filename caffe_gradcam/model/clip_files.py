"""The only reader and writer of videos, and of folders of frames."""

import hashlib
import io
import os
import re
from typing import Any, Iterator, List, Optional, Sequence, Set, Tuple

import numpy as np

from caffe_gradcam.model import image_sizes, image_values, images, page_sizes
from caffe_gradcam.model.clips import Clip
from prototxt_tools.errors import ImageError, InputError
from prototxt_tools.files import read_bytes, write_bytes

# FFmpeg is told the format: some that it would recognise by themselves are lists of other files.
_FORMATS = {
    ".avi": "avi", ".mp4": "mov", ".m4v": "mov", ".mov": "mov", ".mkv": "matroska",
    ".webm": "matroska", ".mpg": "mpeg", ".mpeg": "mpeg", ".wmv": "asf", ".gif": "gif",
    ".apng": "apng",
}
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".tif", ".tiff")
FORMATS = ("mp4", "gif")
MOST_BYTES = 1 << 30
MOST_FRAMES = 1 << 17
_FRAMES_PER_SECOND = 8


def is_video(path: str) -> bool:
    """Whether the name of a file is that of a video."""
    return _extension(path) in _FORMATS


def is_frame(name: str) -> bool:
    """Whether the name of a file is that of a frame in a folder."""
    return name.lower().endswith(IMAGES) and not name.startswith(".")


def names(path: str) -> List[str]:
    """The clips that an argument means: the videos in a folder, or the argument itself.

    Raises
    ------
    ImageError
        There is no such file, or the folder holds neither videos nor frames.
    """
    if not os.path.isdir(path):
        if not os.path.exists(path):
            raise ImageError(f"{path}: no such file", path)
        return [path]
    entries = sorted(os.listdir(path), key=_natural)
    videos = [os.path.join(path, name) for name in entries if is_video(name)]
    if videos:
        return videos
    if not any(map(is_frame, entries)):
        raise ImageError(f"{path}: a folder with neither videos nor frames of one", path)
    return [path]


class Frames:
    """The frames of a clip that lies in a file or in a folder.

    Parameters
    ----------
    path : str

    Raises
    ------
    ImageError
        It cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    @property
    def count(self) -> int:
        """How many there are."""
        raise NotImplementedError

    def read(self, indices: Sequence[int]) -> List[np.ndarray]:
        """Some of them, in this order: H x W x 3 uint8, blue first; raises ImageError."""
        raise NotImplementedError

    def sha256(self, indices: Sequence[int]) -> str:
        """The SHA-256 of the file's bytes; of a folder, of those of these frames' digests."""
        raise NotImplementedError


class _Folder(Frames):
    """Images in the order of their names."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._names = sorted(filter(is_frame, os.listdir(path)), key=_natural)

    @property
    def count(self) -> int:
        return len(self._names)

    def read(self, indices: Sequence[int]) -> List[np.ndarray]:
        self._check(indices)
        return [images.read(os.path.join(self.path, self._names[index])) for index in indices]

    def sha256(self, indices: Sequence[int]) -> str:
        digests = [hashlib.sha256(read_bytes(os.path.join(self.path, self._names[index]),
                                             MOST_BYTES, ImageError)).hexdigest()
                   for index in indices]
        return hashlib.sha256("".join(digests).encode("ascii")).hexdigest()

    def _check(self, indices: Sequence[int]) -> None:
        if max(indices) >= self.count:
            raise ImageError(f"{self.path}: there is no frame {max(indices) + 1}; the folder holds "
                             f"{self.count}", self.path)


class _File(Frames):
    """Frames in one file."""

    def __init__(self, path: str, data: Optional[bytes]) -> None:
        super().__init__(path)
        self._data = read_bytes(path, MOST_BYTES, ImageError) if data is None else data

    def sha256(self, indices: Sequence[int]) -> str:
        return hashlib.sha256(self._data).hexdigest()


class _Pages(_File):
    """The pages of a TIFF."""

    @property
    def count(self) -> int:
        return len(page_sizes.declared(self.path))

    def read(self, indices: Sequence[int]) -> List[np.ndarray]:
        return [image_values.to_uint8(page(self.path, index), self.path, None)
                for index in indices]


class _Video(_File):
    """A video; it is decoded once to count its frames, since only its end tells how many it
    has."""

    @property
    def count(self) -> int:
        return sum(1 for _ in _decoded(self._data, self.path, None))

    def read(self, indices: Sequence[int]) -> List[np.ndarray]:
        chosen = set(indices)
        frames = dict(zip(sorted(chosen), _decoded(self._data, self.path, chosen)))
        if len(frames) < len(chosen):
            raise ImageError(f"{self.path}: the video ends before frame {max(chosen) + 1}",
                             self.path)
        return [frames[index] for index in indices]


def open_frames(path: str, data: Optional[bytes] = None) -> Frames:
    """The frames of a clip.

    Parameters
    ----------
    path : str
        A video, an animated GIF, a TIFF of several pages, or a folder of frames.
    data : bytes, optional
        The content of a video that does not lie in a file of its own.

    Raises
    ------
    ImageError
        There is none, or it cannot be read.
    """
    if data is None and os.path.isdir(path):
        return _Folder(path)
    if data is None and path.lower().endswith((".tif", ".tiff")):
        return _Pages(path, data)
    if not is_video(path):
        raise ImageError(f"{path}: the net takes clips: a video ({', '.join(_FORMATS)}), a TIFF of "
                         "several pages, or a folder of frames", path)
    return _Video(path, data)


def read(path: str, clip: Clip) -> List[np.ndarray]:
    """The frames of a clip that a net sees.

    Parameters
    ----------
    path : str
        See :func:`open_frames`.
    clip : Clip

    Returns
    -------
    list of numpy.ndarray
        H x W x 3 uint8, blue first.

    Raises
    ------
    ImageError
        It cannot be read, or ends before the net has seen enough.
    """
    frames = open_frames(path)
    return frames.read(clip.chosen(frames.count, path))


def frame(path: str, index: int) -> np.ndarray:
    """One frame of a video or an animated GIF: H x W x 3 uint8, blue first."""
    data = read_bytes(path, MOST_BYTES, ImageError)
    for picture in _decoded(data, path, {index}):
        return np.asarray(picture)
    raise ImageError(f"{path}: the video ends before frame {index + 1}", path)


def picture(path: str, index: int) -> np.ndarray:
    """A page of a TIFF, or a frame of an animated GIF: H x W x 3 of the file's own type."""
    return frame(path, index) if path.lower().endswith(".gif") else page(path, index)


def page(path: str, index: int) -> np.ndarray:
    """One page of a TIFF, H x W x 3 of the file's own type, blue first.

    Raises
    ------
    ImageError
        OpenCV cannot read it, or it is too large.
    """
    import cv2

    sizes = page_sizes.declared(path)
    limit = image_sizes.pixel_limit(image_sizes.MOST_PIXELS)
    if any(size is None or size[0] * size[1] > limit for size in sizes):
        raise ImageError(f"{path}: a page has more than {limit} pixels", path)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    try:
        try:
            _, frames = cv2.imreadmulti(path, index, 1, flags=flags)
        except (TypeError, cv2.error):  # OpenCV before 4.5.2 has no such arguments.
            frames = cv2.imreadmulti(path, flags=flags)[1][index:index + 1]
    except cv2.error:
        frames = ()
    if not len(frames):
        raise ImageError(f"{path}: OpenCV cannot read page {index + 1} of this TIFF", path)
    return np.asarray(frames[0])


def write(path: str, frames: Sequence[np.ndarray]) -> None:
    """Write a video; the extension of its name decides the format.

    Parameters
    ----------
    path : str
        .mp4 (MPEG-4 in H.264 where the library has an encoder for it) or .gif.
    frames : sequence of numpy.ndarray
        H x W x 3 uint8 of one size, blue first.

    Raises
    ------
    InputError
        PyAV is missing, has no encoder, or the file cannot be written.
    """
    av, file = _pyav(path), io.BytesIO()
    extension = _extension(path)[1:]
    codec, pixels = ("gif", "rgb8") if extension == "gif" else (_mp4_codec(av), "yuv420p")
    height, width = (size - size % 2 for size in frames[0].shape[:2])
    try:
        with av.open(file, "w", format=extension) as container:
            stream = container.add_stream(codec, rate=_FRAMES_PER_SECOND)
            stream.width, stream.height, stream.pix_fmt = width, height, pixels
            for frame in frames:
                picture = np.ascontiguousarray(frame[:height, :width])
                for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")):
                    container.mux(packet)
            for packet in stream.encode(None):
                container.mux(packet)
    except av.error.FFmpegError as error:
        raise InputError(f"{path}: this video cannot be written: {error.strerror}", path) from None
    write_bytes(path, file.getvalue())


def _extension(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _mp4_codec(av: Any) -> str:
    return "libx264" if "libx264" in av.codecs_available else "mpeg4"


def _decoded(data: bytes, path: str, chosen: Optional[Set[int]]) -> Iterator[Any]:
    """The chosen frames; of all frames, where none are chosen, None for each."""
    av = _pyav(path)
    try:
        with av.open(io.BytesIO(data), format=_FORMATS[_extension(path)]) as container:
            if not container.streams.video:
                raise ImageError(f"{path}: holds no video", path)
            stream = container.streams.video[0]
            _check_size(stream, path)
            for index, frame in enumerate(container.decode(stream)):
                if index >= MOST_FRAMES:
                    raise ImageError(f"{path}: has more than {MOST_FRAMES} frames; cut it", path)
                if chosen is None:
                    yield None
                elif index in chosen:
                    yield frame.to_ndarray(format="bgr24")
    except av.error.FFmpegError as error:
        raise ImageError(f"{path}: this video cannot be read: {error.strerror}", path) from None


def _check_size(stream: Any, path: str) -> None:
    limit = image_sizes.pixel_limit(image_sizes.MOST_PIXELS)
    if (stream.width or 0) * (stream.height or 0) > limit:
        raise ImageError(f"{path}: a video of {stream.width}x{stream.height} is too large", path)


def _pyav(path: str) -> Any:
    try:
        import av
    except ImportError:
        raise InputError(f"{path}: videos need PyAV; pip install av", path) from None
    return av


def _natural(name: str) -> List[Tuple[int, int, str]]:
    """A key by which frame2 stands before frame10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part)
            for part in re.split(r"(\d+)", name.lower()) if part]
