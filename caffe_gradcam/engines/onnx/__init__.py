"""Caffe's layers as ONNX operators, and the engine that runs them in ONNX Runtime."""
