"""The versions of everything that decodes images or computes numbers, for the manifest."""

import importlib
import os
import platform
from typing import Dict, Optional

from caffe_gradcam import __version__
from caffe_gradcam.engines.versions import of_distribution

# What the caller knows of the container that this runs in, such as "sha256:...".
IMAGE_DIGEST = "CAFFE_GRADCAM_IMAGE_DIGEST"
_MODULES = {"numpy": "numpy", "opencv": "cv2", "pyarrow": "pyarrow"}
# Imported by the net's process alone, since they are large.
_DISTRIBUTIONS = ("torch", "openvino")
_DRIVER = "/proc/driver/nvidia/version"


def versions() -> Dict[str, Optional[str]]:
    """Name -> version; None for what is not installed or not known.

    Caffe's version and that of the library a device uses are in the description of each engine.
    """
    values: Dict[str, Optional[str]] = {
        "caffe-gradcam": __version__, "python": platform.python_version()}
    values.update((name, _of_module(module)) for name, module in _MODULES.items())
    values.update((name, of_distribution(name)) for name in _DISTRIBUTIONS)
    values.update(driver=_driver(), os=platform.platform(), processor=platform.machine(),
                  image_digest=os.environ.get(IMAGE_DIGEST) or None)
    return values


def _of_module(name: str) -> Optional[str]:
    try:
        return str(importlib.import_module(name).__version__)  # type: ignore[attr-defined]
    except (ImportError, AttributeError):
        return None


def _driver() -> Optional[str]:
    """The first line of what NVIDIA's driver says of itself."""
    try:
        with open(_DRIVER) as file:
            return file.readline().strip()
    except OSError:
        return None
