"""Caffe nets as ONNX graphs, and the proof that they compute the same."""
