"""How much is read of what a user names, or of what others made."""

import contextlib
import os
import re
from dataclasses import dataclass
from typing import Iterator, Optional

from caffe_gradcam.model.image_sizes import LIMIT
from prototxt_tools.files import MAX_BYTES


@dataclass(frozen=True)
class Limits:
    """What files and images are read, in place of the limits that each kind of file has.

    Environment variables hold them, so that they reach every reader, OpenCV, and the processes
    that this one starts.

    Attributes
    ----------
    bytes : int, optional
        The most bytes of a file, or of what an archive unpacks to: ``CAFFE_GRADCAM_MAX_BYTES``.
        Without it, 256 MiB of an image, 64 MiB of a mean file, 512 MiB of boxes, 16 MiB of class
        names or of a prototxt, 4 MiB of a line of a list, 1 MiB of a readme.md or a
        configuration, 8 GiB of an archive.
    pixels : int, optional
        The most pixels of an image: ``OPENCV_IO_MAX_IMAGE_PIXELS``. Without it, 2^27, in a batch
        2^26.
    """

    bytes: Optional[int] = None
    pixels: Optional[int] = None

    @classmethod
    def current(cls) -> "Limits":
        """Those that the environment of this process holds."""
        return cls(*(int(text) if re.match("[0-9]{1,18}$", text) else None
                     for text in (os.environ.get(name, "") for name in (MAX_BYTES, LIMIT))))

    def apply(self) -> None:
        """Put those that are not None in force for this process and those that it starts."""
        for name, number in ((MAX_BYTES, self.bytes), (LIMIT, self.pixels)):
            if number is not None:
                os.environ[name] = str(number)

    @contextlib.contextmanager
    def in_force(self) -> Iterator[None]:
        """Apply them for a while."""
        before = {name: os.environ.get(name) for name in (MAX_BYTES, LIMIT)}
        self.apply()
        try:
            yield
        finally:
            for name, text in before.items():
                if text is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = text
