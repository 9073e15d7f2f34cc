"""The small nets, weights and inputs in ``tests/small_nets``."""

import os

import numpy as np

FOLDER = os.path.join(os.path.dirname(__file__), "small_nets")


def path_of(name):
    return os.path.join(FOLDER, name)


def text_of(name):
    with open(path_of(name), encoding="utf-8") as file:
        return file.read()


def inputs_of(name):
    """The arrays of an .npz by the blob that they are for."""
    with np.load(path_of(name)) as arrays:
        return dict(arrays)
