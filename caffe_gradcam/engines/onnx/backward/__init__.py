"""The backward pass as operators of a graph; importing this registers the layer types."""

from caffe_gradcam.engines.onnx.backward import pointwise, rearranging, windows  # noqa: F401
