"""Public models by name: what is known of them, and how to get them."""

from typing import TYPE_CHECKING

from prototxt_tools.lazy import export

if TYPE_CHECKING:
    from caffe_gradcam.zoo.fetching import fetch
    from caffe_gradcam.zoo.locating import locate

__all__ = ["fetch", "locate"]

# Most programs are given a path and need nothing that fetches.
export(__name__, {"fetch": "caffe_gradcam.zoo.fetching", "locate": "caffe_gradcam.zoo.locating"})
