"""What a type checker tells users about the public face; tests/test_types.py reads its answers."""

import caffe_gradcam
from caffe_gradcam import Model

model = Model.load("models/digits")
explanations = model.explain("2-7.png")
reveal_type(explanations[0].cam)  # noqa: F821  # expected: ndarray
model.explain("2-7.png", metod="gradcam")  # expected: Argument "metod" to "explain"
caffe_gradcam.explain_batch(sources="photos")  # expected: Argument "sources" to "explain_batch"
model.explain("2-7.png", method=3)  # expected: incompatible type "int"
