"""Colormaps, overlays and figures: pure functions on arrays, blue first throughout."""

from caffe_gradcam.pictures.render.colormaps import apply_colormap, colormap, colormap_names
from caffe_gradcam.pictures.render.draw import draw, figure
from caffe_gradcam.pictures.render.lines import draw_boxes
from caffe_gradcam.pictures.render.sheets import Panel, Sheet, crop_and_whole, grid, side_by_side
from caffe_gradcam.pictures.render.styles import STYLES, Look, overlay
from caffe_gradcam.pictures.render.text import to_ascii

__all__ = [
    "STYLES", "Look", "Panel", "Sheet", "apply_colormap", "colormap", "colormap_names",
    "crop_and_whole", "draw", "draw_boxes", "figure", "grid", "overlay", "side_by_side",
    "to_ascii",
]
