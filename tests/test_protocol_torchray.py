"""Our pointing game gives the numbers of TorchRay's own code, from an environment of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import protocol_sets
import pytest

from caffe_gradcam.measuring.protocols import averages, coco, scores, voc

ROOT = Path(__file__).resolve().parents[1]
# scripts/setup puts it there.
TORCHRAY = Path(sys.prefix) / "torchray"


def heat_for(rng):
    """A map with ties in half of the cases, and at times an empty one."""
    heat = np.float32(rng.rand(protocol_sets.HEIGHT, protocol_sets.WIDTH))
    return np.zeros_like(heat) if rng.rand() < 0.1 else (
        np.float32(np.round(heat, 1)) if rng.rand() < 0.5 else heat)


def questions_about(kind, folder):
    """The cases, as (subject, class, map), and the same for TorchRay."""
    make, reader, classes = {"voc": (protocol_sets.make_voc, voc, 20),
                             "coco": (protocol_sets.make_coco, coco, 80)}[kind]
    make(folder)
    names = [subject.name for subject in reader.read(str(folder)).subjects]
    rng = np.random.RandomState(7)
    # The last image is missing from the list, and of the first everything is difficult.
    flags = {name: (rng.rand(classes) < (0.5 if index else 2)).tolist()
             for index, name in enumerate(names[:-1])}
    cases = [(subject, target.class_index, heat_for(rng)) for _ in range(6)
             for subject in reader.read(str(folder), flags).subjects
             for target in subject.targets]
    points = [[subject.name, index, int(heat.argmax()) % heat.shape[1],
               int(heat.argmax()) // heat.shape[1]] for subject, index, heat in cases]
    return cases, {"kind": kind, "data": str(folder), "points": points, "flags": flags}


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """Kind of data set -> cases, and TorchRay's answers; in one process, which starts slowly."""
    if not (TORCHRAY / "torchray").is_dir():
        pytest.skip("TorchRay is not installed here; scripts/setup installs it")
    pytest.importorskip("torch")
    pytest.importorskip("pycocotools")
    about = {kind: questions_about(kind, tmp_path_factory.mktemp(kind))
             for kind in ("voc", "coco")}
    result = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "torchray_answers.py")],
        input=json.dumps([question for _, question in about.values()]), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, universal_newlines=True,
        env=dict(os.environ, PYTHONPATH=str(TORCHRAY)))
    assert result.returncode == 0, result.stderr
    return {kind: (cases, answers) for (kind, (cases, _)), answers
            in zip(about.items(), json.loads(result.stdout))}


@pytest.mark.parametrize("kind, classes", [("voc", 20), ("coco", 80)])
@pytest.mark.parametrize("column", ["all", "difficult"])
def test_hits_misses_and_accuracy_are_those_of_torchray(played, kind, classes, column):
    cases, answers = played[kind]
    ours = [scores.pointing(heat, subject, index) for subject, index, heat in cases]
    hits = [{None: 0, 0.0: -1, 1.0: 1}[values.get(column)] for values in ours]
    assert hits == answers[column]["hits"]
    assert {-1, 1} <= set(hits)
    assert 0 in hits or (kind, column) == ("coco", "all")  # of which nothing is skipped
    counted = [(values[column], index, subject.name)
               for values, (subject, index, _) in zip(ours, cases) if column in values]
    classes_present = len({index for _, index, _ in counted})
    assert column == "difficult" or classes_present == classes
    # TorchRay counts a class of which nothing counts as 0; here it is left out of the mean.
    assert averages.over_groups(*zip(*counted)).mean * classes_present == pytest.approx(
        answers[column]["accuracy"] * classes)
