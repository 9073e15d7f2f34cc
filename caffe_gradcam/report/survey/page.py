"""A survey as a page: one HTML file without scripts that loads nothing."""

import base64
import os
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from caffe_gradcam import __version__
from caffe_gradcam.pictures import render
from caffe_gradcam.pictures.render.colormaps import apply_colormap
from caffe_gradcam.report import page, thumbnails
from caffe_gradcam.report.survey.maps import SIDE, WINDOW, SurveyedMap
from caffe_gradcam.report.survey.regions import Region
from caffe_gradcam.report.survey.results import ClassSurvey, Finding, Survey

_TYPICAL, _MOST_CLUSTERS_SHOWN, _MOST_CLASSES = 6, 8, 100
_CELL = 8  # pixels of a cell of a mean map


def render_page(survey: Survey, title: str, made_from: str) -> bytes:
    """The page.

    Parameters
    ----------
    survey : Survey
    title, made_from : str
        The heading, and the line below it.

    Raises
    ------
    InputError
        Jinja2 is missing.
    """
    environment = page.environment()
    style = page.source("base.css", "report.css", "survey.css")
    shown = survey.classes[:_MOST_CLASSES]
    values: Dict[str, Any] = {
        "title": title, "made_from": made_from, "version": __version__, "style": style,
        "kind": "survey", "problems": survey.problems, "first": "odd",
        "first_name": "what is odd",
        "policy": page.policy(style, ""), "survey": survey,
        "maps": sum(len(of.maps) for of in survey.classes),
        "findings": [_finding(finding) for finding in survey.findings],
        "classes": [_class(of) for of in shown], "left_out": len(survey.classes) - len(shown),
        "has_objects": any(of.inside is not None for of in survey.classes)}
    return environment.get_template("survey.html").render(values).encode("utf-8", "replace")


def _finding(finding: Finding) -> Dict[str, Any]:
    return {"sentence": finding.sentence, "asked": finding.asked, "chance": finding.chance,
            "pictures": _pictures(finding.maps, finding.region)}


def _class(of: ClassSurvey) -> Dict[str, Any]:
    return {
        "survey": of, "mean": _mean(of.heat),
        "object": None if of.object_heat is None else _mean(of.object_heat, with_box=True),
        "clusters": [{"cluster": cluster, "mean": _mean(cluster.heat),
                      "pictures": _pictures(cluster.maps)}
                     for cluster in of.clusters[:_MOST_CLUSTERS_SHOWN]],
        "left_out": max(0, len(of.clusters) - _MOST_CLUSTERS_SHOWN)}


def _mean(heat: np.ndarray, with_box: bool = False) -> str:
    """A mean map as the base64 of a PNG file; with the place of the box, where it has one."""
    import cv2

    side = SIDE * _CELL
    levels = cv2.resize((heat / max(float(heat.max()), 1e-12)).astype(np.float32), (side, side),
                        interpolation=cv2.INTER_LINEAR)
    picture = apply_colormap(levels).astype(np.uint8)
    if with_box:
        start = int(side * (1 - 1 / WINDOW) / 2)
        cv2.rectangle(picture, (start, start), (side - start, side - start), (255, 255, 255), 1)
    return _base64(cv2.imencode(".png", picture)[1].tobytes())


def _pictures(maps: Sequence[SurveyedMap], region: Optional[Region] = None
              ) -> List[Dict[str, Any]]:
    return [{"data": _overlay(item, region), "path": item.entry.path,
             "name": os.path.basename(item.entry.path),
             "certainty": item.shown.probability, "true_label": item.entry.true_label,
             "is_wrong": item.entry.is_wrong} for item in maps[:_TYPICAL]]


def _overlay(item: SurveyedMap, region: Optional[Region]) -> Optional[str]:
    """The image under its heat, as the base64 of a JPEG file; None without a picture."""
    import cv2

    if item.entry.picture is None or item.shown.heat is None:
        return None
    image = thumbnails.from_jpeg(item.entry.picture)
    heat = cv2.resize(item.shown.heat.astype(np.float32) / 255, image.shape[1::-1],
                      interpolation=cv2.INTER_LINEAR)
    drawn = render.overlay(image, heat)
    if region is not None:
        rows, columns = region.pixels(image.shape[:2])
        cv2.rectangle(drawn, (columns.start, rows.start), (columns.stop - 1, rows.stop - 1),
                      (255, 255, 255), 1)
    return _base64(thumbnails.to_jpeg(drawn, max(drawn.shape)))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
