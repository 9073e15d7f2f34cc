"""What docs/api.md and docs/notebook.ipynb say runs."""

import json
import os
import re

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
torch = pytest.importorskip("torch")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder in which models/ is found and files may be written."""
    os.symlink(os.path.join(ROOT, "models"), str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path)
    from caffe_gradcam.explaining.methods import METHODS

    monkeypatch.setattr("caffe_gradcam.explaining.methods.METHODS", METHODS)
    yield tmp_path
    METHODS.pop("max-cam", None)


def test_the_examples_of_the_page_run_in_order(place, capsys):
    with open(os.path.join(ROOT, "docs", "api.md"), encoding="utf-8") as file:
        blocks = re.findall(r"```python\n(.*?)```", file.read(), re.S)
    names = {}
    for block in blocks:
        exec(block, names)
    assert {one.label for one in names["explanations"]} == {"three", "five"}
    assert sorted(os.listdir(".")) == ["models", "overlay.png", "why.png"]
    said = capsys.readouterr().out.splitlines()
    assert "('three', 'grad-cam', 'ok')" in said[0] and "('zero', 'layer-cam', 'ok')" in said[1]
    names["model"].session[1].close()


def test_the_notebook_runs_from_top_to_bottom(place):
    with open(os.path.join(ROOT, "docs", "notebook.ipynb"), encoding="utf-8") as file:
        cells = json.load(file)["cells"]
    names = {}
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 4
    for source in code:
        exec(source, names)
    assert names["explanations"][0]._repr_png_().startswith(b"\x89PNG")
    names["model"].session[1].close()


def test_a_notebook_is_shown_a_list_as_pictures(place):
    from caffe_gradcam.model.model import Model

    model = Model.load("models/digits")
    shown = model.explain("models/digits/scenes/3-5.png", classes=[3, 5])._repr_html_()
    assert re.findall('alt="([^"]*)"', shown) == ["3 three", "5 five"]
    model.session[1].close()
