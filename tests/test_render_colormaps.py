"""Colormaps by name, for heat without and with a sign."""

import numpy as np
import pytest

from caffe_gradcam.pictures import render
from caffe_gradcam.pictures.render.colormaps import is_signed
from prototxt_tools.errors import InputError


def painted(heat, name="jet"):
    return render.apply_colormap(np.float32([heat]), name)[0].tolist()


def test_cold_is_blue_and_hot_is_red():
    assert painted([0, 1]) == [[128, 0, 0], [0, 0, 128]]


def test_any_map_of_opencv_may_be_asked_for_by_its_name():
    assert painted([0, 1], "bone") == [[0, 0, 0], [255, 255, 255]]
    assert painted([0, 1], "HOT") == painted([0, 1], "hot") == [[0, 0, 0], [255, 255, 255]]


def test_every_name_that_is_listed_is_known():
    names = render.colormap_names()
    assert {"jet", "bone", "hot", "blue-white-red", "purple-white-green"} <= set(names)
    assert all(len(render.colormap(name).table) in (255, 256) for name in names)


def test_heat_beyond_the_range_is_painted_as_its_end():
    assert painted([-3, 7]) == painted([0, 1])
    assert painted([-3, 7], "blue-white-red") == painted([-1, 1], "blue-white-red")


def test_in_a_signed_map_zero_is_white_negative_is_blue_and_positive_is_red():
    negative, zero, positive = painted([-1, 0, 1], "blue-white-red")
    assert zero == [255, 255, 255]
    assert negative == [130, 40, 10] and positive == [20, 0, 150]


def test_a_signed_map_gets_steadily_darker_on_both_sides_of_zero():
    for name in ("blue-white-red", "purple-white-green"):
        table = render.colormap(name).table
        light = np.dot(table.astype(float), [0.114, 0.587, 0.299])
        assert (np.diff(light[:128]) > 0).all() and (np.diff(light[127:]) < 0).all()


def test_only_maps_for_signed_heat_are_signed():
    signed = [name for name in render.colormap_names() if render.colormap(name).signed]
    assert signed == ["black-grey-white", "blue-white-red", "purple-white-green"]
    assert list(filter(is_signed, render.colormap_names())) == signed


@pytest.mark.parametrize("name, near", [("jett", "jet"), ("blue-red", "blue-white-red")])
def test_an_unknown_map_is_refused_with_near_names(name, near):
    with pytest.raises(InputError, match=f"no colormap '{name}'; did you mean .*{near}"):
        render.colormap(name)
