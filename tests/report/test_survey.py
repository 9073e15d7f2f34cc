"""What a survey finds: a shortcut that a net has learned, and nothing in a net without one."""

import json

import cv2
import numpy as np
import pytest

pytest.importorskip("jinja2", reason="jinja2 is not installed here")
pytest.importorskip("sklearn", reason="scikit-learn is not installed here")

import shortcuts  # noqa: E402
from outputs import explanation, items, pets, rows_of, write  # noqa: E402

from caffe_gradcam.commands import cli  # noqa: E402


@pytest.fixture(scope="module")
def drawn():
    """Scenes of held-out digits."""
    return shortcuts.scenes(320, 200, 1)


def surveyed(folder, arrays, scenes_csv, *options):
    """The survey of a net with these weights: batch and survey, and what survey.json holds."""
    model = shortcuts.write_model(folder / "model", arrays)
    out = folder / "out"
    assert cli.main(["batch", str(model), str(scenes_csv), "-o", str(out), "--engine", "torch",
                     "-q"]) == 0
    assert cli.main(["survey", str(out), *options]) == 0
    return json.loads((out / "survey.json").read_text())


def test_a_shortcut_is_named_and_asked_about(tmp_path, torch, drawn, capsys):
    shortcut = shortcuts.Shortcut(shortcuts.SEED)
    table = shortcuts.write_scenes(tmp_path / "scenes", shortcut, (28, 14), 0.36, drawn)
    survey = surveyed(tmp_path, shortcuts.saved(), table)
    finding, = survey["findings"]
    assert finding["class"] == shortcut.class_index
    assert f"sit in the {shortcut.words}, and without it" in finding["sentence"]
    assert sum("marked" in path for path in finding["images"]) >= 10
    assert finding["asked"]["changed"] >= 0.8 * finding["asked"]["images"]
    assert finding["asked"]["elsewhere"] <= 2
    assert finding["sentence"] in capsys.readouterr().out
    assert finding["sentence"].split("'")[0] in (tmp_path / "out" / "survey.html").read_text()


def test_nothing_is_odd_about_a_net_without_a_shortcut(tmp_path, torch, drawn, capsys):
    shortcut = shortcuts.Shortcut(shortcuts.SEED)
    table = shortcuts.write_scenes(tmp_path / "scenes", shortcut, (28, 14), 0, drawn)
    survey = surveyed(tmp_path, shortcuts.clean(), table)
    assert survey["findings"] == [] and survey["maps"] >= 140
    assert "Nothing odd was found" in capsys.readouterr().out


HOSTILE = "<script>alert('x')</script>=\"&{{ 7 * 7 }}"


@pytest.fixture
def crowd(tmp_path):
    """An output of 30 images of a class with a hostile name; its model does not exist."""
    (tmp_path / "pictures").mkdir()
    several = items(tmp_path / "pictures", 30)
    names = (HOSTILE, "dog", "owl")
    corners = [(0, 0), (3, 5), (4, 2)]
    rows = [rows_of(item, true_label=0, predicted=0, path=str(item.path), explanations=[
        explanation(0, corners[number % 3], 0.9, names=names)])
        for number, item in enumerate(several)]
    return write(tmp_path / "out", several, rows, class_names=names)


def test_clusters_and_means_are_those_of_the_maps(crowd, capsys):
    assert cli.main(["survey", str(crowd)]) == 0
    survey = json.loads((crowd / "survey.json").read_text())
    of_class, = survey["classes"]
    assert (of_class["class"], of_class["name"], of_class["maps"]) == (0, HOSTILE, 30)
    assert of_class["certainty"] == pytest.approx(0.9)
    assert np.sum(of_class["mean_map"]) == pytest.approx(1, abs=1e-3)
    assert sorted(cluster["maps"] for cluster in of_class["clusters"]) == [10, 10, 10]
    assert all(len({int(path[-8:-4]) % 3 for path in cluster["images"]}) == 1
               for cluster in of_class["clusters"])
    assert any("the model could not be asked again" in problem for problem in survey["problems"])
    assert any("there is no other class to compare with" in problem
               for problem in survey["problems"])


def test_names_on_the_page_are_escaped(crowd):
    assert cli.main(["survey", str(crowd), "-q"]) == 0
    page = (crowd / "survey.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(" in page and "<script" not in page and "49" not in page.split(
        "alert(")[1][:60]


def test_heat_is_also_shown_around_boxes(crowd, tmp_path):
    (tmp_path / "boxes.csv").write_text("path,class,x,y,width,height\n" + "".join(
        f"{number:04d}.png,0,0,0,20,20\n" for number in range(0, 30, 3)))
    assert cli.main(["survey", str(crowd), "-q", "--boxes", str(tmp_path / "boxes.csv"),
                     "-o", str(tmp_path / "page.html")]) == 0
    survey = json.loads((crowd / "survey.json").read_text())
    of_class, = survey["classes"]
    assert of_class["inside"] == pytest.approx(0.88, abs=0.01)
    middle = np.array(of_class["mean_object_map"])[4:12, 4:12]
    assert middle.sum() == pytest.approx(0.88, abs=0.02)
    assert "mean around the objects" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_heat_is_also_measured_inside_masks(crowd, tmp_path):
    mask = np.zeros((60, 80), np.uint8)
    mask[:20, :20] = 255
    assert cv2.imwrite(str(tmp_path / "mask.png"), mask)
    assert cv2.imwrite(str(tmp_path / "other.png"), mask[:10])
    masks = {f"{number:04d}.png": [{"class": 0, "mask": "mask.png" if number else "other.png"}]
             for number in range(0, 30, 3)}
    (tmp_path / "masks.json").write_text(json.dumps(masks))
    assert cli.main(["survey", str(crowd), "-q", "--objects", str(tmp_path / "masks.json")]) == 0
    survey = json.loads((crowd / "survey.json").read_text())
    of_class, = survey["classes"]
    assert of_class["inside"] == pytest.approx(0.88, abs=0.01)
    assert np.array(of_class["mean_object_map"])[4:12, 4:12].sum() == pytest.approx(0.88, abs=0.02)
    assert any("other.png: is 10x80, and its image is 60x80" in problem
               for problem in survey["problems"])


@pytest.mark.parametrize("options, message", [
    (["--boxes", "a.csv", "--objects", "b.json"], "give one of them"),
    (["-o", "page.txt"], "a report is an .html file"),
    (["--boxes", "none.csv"], "none.csv")])
def test_what_cannot_be_used_is_refused(crowd, capsys, options, message):
    assert cli.main(["survey", str(crowd), *options]) == 2
    assert message in capsys.readouterr().err


def test_an_output_without_maps_of_answers_is_refused(tmp_path, capsys):
    several = items(tmp_path / "pictures", 1)
    out = write(tmp_path / "out", several, [rows_of(several[0], predicted=0, explanations=[
        explanation(1)])])
    assert cli.main(["survey", str(out)]) == 2
    assert "survey needs maps of the classes that the net predicts" in capsys.readouterr().err


def test_few_images_have_means_and_no_clusters(tmp_path):
    assert cli.main(["survey", str(pets(tmp_path)), "-q"]) == 0
    survey = json.loads((tmp_path / "out" / "survey.json").read_text())
    assert [(of["maps"], of["clusters"]) for of in survey["classes"]] == [(2, []), (1, [])]
    assert any(problem.startswith("2 of 2 classes have fewer than 12 maps")
               for problem in survey["problems"])


def test_a_project_has_the_form_that_virelay_reads(crowd, tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed here")
    folder = tmp_path / "project"
    assert cli.main(["survey", str(crowd), "-q", "--virelay", str(folder)]) == 0
    import yaml

    project = yaml.safe_load((folder / "project.yaml").read_text())["project"]
    labels = json.loads((folder / project["label_map"]).read_text())
    assert labels == [{"index": 0, "word_net_id": "0", "name": HOSTILE}]
    with h5py.File(str(folder / project["dataset"]["path"]), "r") as images:
        assert images["data"].shape == (30, 3, 224, 224) and images["label"][3] == 0
    with h5py.File(str(folder / project["attributions"]["sources"][0]), "r") as maps:
        assert maps["attribution"].shape == (30, 1, 224, 224)
        assert maps["prediction"][0, 0] == pytest.approx(0.9)
        assert maps["index"][-1] == 29
    with h5py.File(str(folder / project["analyses"][0]["sources"][0]), "r") as analyses:
        group = analyses["0"]
        assert sorted(np.bincount(group["cluster/spectral"][()])) == [10, 10, 10]
        assert group["embedding/spectral"].shape == (30, 12)
        assert len(group["embedding/spectral"].attrs["eigenvalue"]) == 12
        assert len(group["index"]) == 30
