"""What docs/api.md and docs/notebook.ipynb show runs."""

import json
import re
from pathlib import Path

import pytest

from caffe_gradcam import METHODS, Model
from prototxt_tools.layers import TABLE

ROOT = Path(__file__).resolve().parents[1]
pytest.importorskip("torch", reason="torch is not installed here")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder in which models/ is found and files may be written."""
    from caffe_gradcam.engines.torch.registry import LAYERS

    (tmp_path / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    METHODS.pop("max-cam", None)
    LAYERS.pop("MySwish", None)
    TABLE.pop("MySwish", None)


def run(sources):
    """The names that are left when code has run in order."""
    names = {}
    for source in sources:
        exec(source, names)
    names["model"].close()
    return names


def test_the_examples_of_the_page_run_in_order(folder, capsys):
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    names = run(re.findall(r"```python\n(.*?)```", page, re.S))
    assert {explanation.class_name for explanation in names["explanations"]} == {"three", "five"}
    assert sorted(path.name for path in folder.iterdir()) == [
        "models", "overlay.png", "run.yaml", "why.png"]
    first, second = capsys.readouterr().out.splitlines()
    assert "('three', 'grad-cam', 'ok')" in first and "('zero', 'layer-cam', 'ok')" in second
    assert len(names["scores"]) == 10 and "MySwish" in TABLE


def test_the_notebook_runs_from_top_to_bottom(folder):
    cells = json.loads((ROOT / "docs" / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 4
    assert run(code)["explanations"][0]._repr_png_().startswith(b"\x89PNG")


def test_a_notebook_is_shown_a_list_as_pictures(folder):
    with Model.load("models/digits") as model:
        shown = model.explain("models/digits/scenes/3-5.png", classes=[3, 5])._repr_html_()
    assert re.findall('alt="([^"]*)"', shown) == ["3 three", "5 five"]


def test_what_is_named_on_the_page_is_exported():
    import caffe_gradcam

    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for block in re.findall(r"^from caffe_gradcam import (.*)$", page, re.M):
        assert set(block.split(", ")) <= set(caffe_gradcam.__all__)
