"""Opens engines in one line."""

from caffe_gradcam.engines import NetToRun, Running, open_engine

# Engine on graphs -> the library that runs them.
GRAPH_LIBRARIES = {"onnx": "onnxruntime", "openvino": "openvino"}


def open_net(engine, prototxt, weights, scores, targets, gradient="post", **running):
    """An engine for a net; `running` holds other fields of ``Running``."""
    return open_engine(
        NetToRun(prototxt, str(weights), tuple(scores), tuple(targets), gradient),
        Running(engine=engine, **running))
