"""Projects of a survey in ViRelAy itself; VIRELAY_PYTHON names an interpreter that has it."""

import json
import os
import pathlib
import subprocess
import sys
from collections import Counter

import pytest

pytest.importorskip("jinja2", reason="jinja2 is not installed here")
pytest.importorskip("sklearn", reason="scikit-learn is not installed here")
pytest.importorskip("h5py", reason="h5py is not installed here")

from outputs import NAMES, explanation, items, rows_of, write  # noqa: E402

from caffe_gradcam.commands import cli  # noqa: E402

PYTHON = os.environ.get("VIRELAY_PYTHON", sys.executable)
READER = pathlib.Path(__file__).with_name("read_by_virelay.py")


def test_virelay_reads_a_project_with_classes_of_different_numbers_of_clusters(tmp_path):
    if subprocess.run([PYTHON, "-c", "import virelay"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("ViRelAy is not installed here, nor named by VIRELAY_PYTHON")
    several = items(tmp_path / "pictures", 50)
    corners = [(0, 0), (3, 5), (4, 2)]
    rows = [rows_of(item, true_label=0, predicted=int(number >= 30), explanations=[
        explanation(int(number >= 30), corners[number % (3 if number < 30 else 2)], 0.75)])
        for number, item in enumerate(several)]
    write(tmp_path / "out", several, rows)
    project = tmp_path / "project"
    assert cli.main(["survey", str(tmp_path / "out"), "-q", "--virelay", str(project)]) == 0
    result = subprocess.run([PYTHON, str(READER), str(project / "project.yaml")], check=True,
                            stdout=subprocess.PIPE)
    project = json.loads(result.stdout.decode())
    assert project["project"] == "out"
    assert {name: sorted(Counter(clusters).values())
            for name, clusters in project["clusters"].items()} == {
                NAMES[0]: [10, 10, 10], NAMES[1]: [10, 10]}
    assert project["embeddings"] == {NAMES[0]: [30, 12], NAMES[1]: [20, 12]}
    assert (project["image"], project["labels"]) == ([224, 224, 3], [NAMES[0]])
    assert project["map"] == [224, 224, 1] and project["hottest"] == 1
    assert project["prediction"] == 0.75
