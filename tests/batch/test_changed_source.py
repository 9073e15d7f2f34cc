"""An output is continued only with what it was started with; new images are added if asked for."""

import pytest
from tables import column, explain, picture, pictures, plan_of, table

from caffe_gradcam.batch.output import status
from prototxt_tools.errors import InputError


@pytest.fixture
def source(model, tmp_path):
    """A list of eight images with their labels, all of which are explained."""
    pictures(tmp_path / "in", 8)
    path = tmp_path / "list.txt"
    path.write_text("".join(f"in/{index:04d}.png {index % 2}\n" for index in range(8)))
    explain(model, path, tmp_path / "out")
    return path


@pytest.mark.parametrize("old, new", [
    ("0003.png 1", "0003.png 0"), ("in/0003.png 1\n", ""), ("0003", "0004")])
def test_an_edited_list_is_refused(model, source, tmp_path, old, new):
    source.write_text(source.read_text().replace(old, new))
    with pytest.raises(InputError, match="list.txt: no longer lists what it did when .*/out was "
                                         "started, such as .*0003.png"):
        explain(model, source, tmp_path / "out")


def test_another_order_of_the_same_list_changes_nothing(model, source, tmp_path):
    before = table(tmp_path / "out")
    source.write_text("".join(reversed(source.read_text().splitlines(True))))
    assert explain(model, source, tmp_path / "out").parts == 0
    assert table(tmp_path / "out") == before


def test_new_images_are_refused_until_they_are_asked_for(model, source, tmp_path):
    before = table(tmp_path / "out")
    picture(tmp_path / "in" / "9999.png", blue=120)
    source.write_text("in/9999.png 1\n" + source.read_text())
    with pytest.raises(InputError, match="lists 1 images that it did not list .*9999.png; .*--add"):
        explain(model, source, tmp_path / "out")
    summary = explain(model, source, tmp_path / "out", add=True)
    assert (summary.parts, summary.counts["ok"], summary.held["ok"]) == (1, 1, 9)
    assert table(tmp_path / "out")[:8] == before
    assert column(tmp_path / "out", "path")[8] == str(tmp_path / "in" / "9999.png")
    assert column(tmp_path / "out", "item") == list(range(9))
    assert status.problems(plan_of(tmp_path / "out")) == []
    # From now on they belong to the output.
    assert explain(model, source, tmp_path / "out").parts == 0


def test_an_image_that_is_new_in_a_folder_is_added_behind_the_others(model, tmp_path):
    pictures(tmp_path / "in", 7)
    explain(model, tmp_path / "in", tmp_path / "out")
    picture(tmp_path / "in" / "0000a.png")
    assert explain(model, tmp_path / "in", tmp_path / "out", add=True).parts == 1
    assert column(tmp_path / "out", "id") == [f"{index:04d}.png" for index in range(7)] + [
        "0000a.png"]


def test_a_list_with_repeated_images_is_compared_as_often_as_they_occur(model, source, tmp_path):
    source.write_text(source.read_text() + "in/0000.png 0\n")
    with pytest.raises(InputError, match="lists 1 images that it did not list"):
        explain(model, source, tmp_path / "out")


def test_other_class_names_and_another_batch_are_refused(model, source, tmp_path):
    with pytest.raises(InputError, match="was started with batch 4, not 3"):
        explain(model, source, tmp_path / "out", batch=3)
    labels = model / "labels.txt"
    labels.write_text("\n".join(reversed(labels.read_text().splitlines())))
    with pytest.raises(InputError, match="was started with class names sha256"):
        explain(model, source, tmp_path / "out")
