"""Public models by name: what is known of them, and how to get them."""

from caffe_gradcam.zoo.fetching import fetch, locate

__all__ = ["fetch", "locate"]
