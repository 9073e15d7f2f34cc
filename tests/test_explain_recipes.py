"""Recipes of explain: configuration files, file names, and figures that are never lost."""

import json
import os
import pathlib
import re
import shutil

import cv2
import numpy as np
import pytest

from caffe_gradcam.commands import cli
from caffe_gradcam.pictures import metadata

pytest.importorskip("torch")
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DIGITS = os.path.join(ROOT, "models", "digits")
SCENE = os.path.join(DIGITS, "scenes", "3-5.png")
PLAIN = "3-5.class-3-three.branches_concat.grad-cam"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def explain(*arguments, images=(SCENE,), model=(DIGITS,)):
    return cli.main(["explain", *model, *images, "-o", "out", "-q", *arguments])


def figures():
    return sorted(os.listdir("out"))


def entries(capsys, *arguments, **where):
    code = explain("--json", *arguments, **where)
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return [entry for image in json.loads(captured.out)["images"]
            for entry in image["explanations"]]


def test_four_different_figures_have_four_names():
    explain()
    explain("--method", "layer-cam")
    explain("--crop", "0,0,60,96")
    explain("--figure", "overlay", "--style", "contours")
    plain, layer_cam = PLAIN + ".png", PLAIN.replace("grad", "layer") + ".png"
    names = figures()
    assert len(names) == 4 and {plain, layer_cam} < set(names)
    others = [name for name in names if name not in (plain, layer_cam)]
    assert all(re.match(re.escape(PLAIN) + r"\.[0-9a-f]{8}\.png$", name) for name in others)


def test_the_same_command_replaces_its_figures():
    assert explain("--npz") == explain("--npz") == 0
    assert figures() == [PLAIN + ".npz", PLAIN + ".png"]


def test_a_figure_of_another_image_is_refused_and_kept(capsys):
    explain()
    before = open(os.path.join("out", PLAIN + ".png"), "rb").read()
    os.mkdir("other")
    image = cv2.imread(SCENE)
    cv2.imwrite(os.path.join("other", "3-5.png"), image // 2 + 60)
    assert explain(images=[os.path.join("other", "3-5.png")]) == 2
    assert "was made from another image or with other options" in capsys.readouterr().err
    assert open(os.path.join("out", PLAIN + ".png"), "rb").read() == before


def test_a_figure_of_another_model_is_refused(capsys):
    explain()
    shutil.copytree(DIGITS, "digits-2")
    assert explain(model=["digits-2"]) == 2
    assert PLAIN + ".png: was made" in capsys.readouterr().err


def test_engine_and_verbosity_do_not_change_the_name():
    assert explain("--engine", "torch", "--batch", "2") == explain() == 0
    assert figures() == [PLAIN + ".png"]


@pytest.mark.parametrize("option", [
    ["--placement", "stretch"], ["--gradient", "positive"], ["--probability"], ["--mean", "100"],
    ["--colormap", "viridis"], ["--heat-boxes"],
])
def test_whatever_changes_a_figure_changes_its_name(option):
    explain("--class", "3", *option)
    assert re.match(re.escape("3-5.") + r".*\.[0-9a-f]{8}\.png$",
                    [name for name in figures() if name.endswith("png")][0])


def test_a_figure_carries_its_recipe(capsys):
    entry, = entries(capsys, "--class", "3", "--placement", "stretch")
    Image = pytest.importorskip("PIL.Image")
    with Image.open(entry["figure"]) as image:
        facts = json.loads(image.text[metadata.KEYWORD])
    assert facts["recipe"]["explaining"]["placement"] == "stretch"
    assert facts["recipe"]["asking"]["classes"] == ["3"]
    assert (facts["image"], facts["method"], facts["layer"]) == (
        SCENE, "grad-cam", "branches/concat")


def test_class_names_cannot_leave_the_folder_or_break_the_name(capsys):
    names = ["zero", "one", "two", "../../x/..\\ y:*?\n", "four"] + list("56789")
    with open("labels.txt", "w", encoding="utf-8") as file:
        file.write("\n".join(name.replace("\n", " ") for name in names))
    entry, = entries(capsys, "--class", "3", "--labels", "labels.txt")
    assert os.path.dirname(entry["figure"]) == "out"
    assert re.match(r"3-5\.class-3-[\w.-]+\.branches_concat\.grad-cam\.[0-9a-f]{8}\.png$",
                    os.path.basename(entry["figure"]))


def test_the_heatmap_is_computed_once(capsys, monkeypatch):
    from caffe_gradcam.explaining import explanation
    from caffe_gradcam.explaining.methods import heatmap

    calls = []
    monkeypatch.setattr(explanation, "heatmap", lambda cam: calls.append(1) or heatmap(cam))
    entries(capsys, "--heat-boxes", "--npz")
    assert len(calls) == 1


def test_a_saved_configuration_repeats_the_run(capsys):
    options = ["--class", "top:2", "--versus", "3", "5", "--method", "layer-cam,grad-cam",
               "--layer", "conv2", "--placement", "stretch", "--mean", "100"]
    first = entries(capsys, *options, "--save-config", "run.yaml")
    assert len(first) == 6
    assert entries(capsys, "--config", "run.yaml") == first
    assert entries(capsys, "--config", "run.yaml", model=()) == first


def test_so_does_one_that_asks_about_a_part_of_the_image(capsys):
    first = entries(capsys, "--crop", "0,0,60,96", "--save-config", "run.yaml")
    assert entries(capsys, "--config", "run.yaml") == first != entries(capsys)


def test_only_explain_asks_about_a_part_of_each_image(capsys):
    explain("--crop", "0,0,60,96", "--save-config", "run.yaml")
    for command in ["batch", "--config", "run.yaml", SCENE, "-o", "rows"], [
            "evaluate", "--config", "run.yaml", SCENE]:
        assert cli.main(command) == 2
        assert "asked about by `caffe-gradcam explain` alone" in capsys.readouterr().err
    assert not os.path.exists("rows")


def test_the_command_line_wins_over_a_configuration(capsys):
    explain("--class", "3", "--method", "layer-cam", "--save-config", "run.json")
    entry, = entries(capsys, "--config", "run.json", "--class", "5")
    assert (entry["class"], entry["method"]) == (5, "layer-cam")


@pytest.mark.parametrize("running, option", [
    ({"trust": True}, "--trust"), ({"plugins": ["harmful"]}, "--plugin harmful")])
def test_a_configuration_never_lets_code_run_by_itself(capsys, running, option):
    with open("harmful.py", "w") as file:
        file.write("open('was_here', 'w').close()\n")
    with open("run.json", "w") as file:
        json.dump({"model": {"path": DIGITS}, "running": running}, file)
    assert explain("--config", "run.json") == 2
    assert f"give {option}" in capsys.readouterr().err
    assert not os.path.exists("was_here")


def test_a_plugin_is_imported_where_the_command_line_names_it(monkeypatch, capsys):
    with open("methods_of_a_recipe.py", "w") as file:
        file.write("from caffe_gradcam.explaining.methods import METHODS\n"
                   "METHODS['my-cam'] = METHODS['grad-cam']\n")
    from caffe_gradcam.explaining.methods import METHODS

    try:
        entry, = entries(capsys, "--plugin", "methods_of_a_recipe", "--method", "my-cam")
        assert entry["method"] == "my-cam"
    finally:
        METHODS.pop("my-cam", None)


@pytest.mark.parametrize("text, message", [
    ("model: [", "run.yaml"), ("", "model.path is missing"), ("- a", "run.yaml"),
    ("model: {path: x}\nexplainig: {}", "explainig"),
    ("model: {path: x}\nexplaining: {samples: many}", "samples"),
])
def test_a_configuration_that_cannot_be_is_one_sentence(capsys, text, message):
    with open("run.yaml", "w") as file:
        file.write(text)
    assert explain("--config", "run.yaml") == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def test_images_may_be_a_folder_of_classes_a_table_or_a_pattern(capsys):
    for name in ("three", "nine"):
        os.makedirs(os.path.join("images", name))
    shutil.copy(SCENE, os.path.join("images", "three", "a.png"))
    shutil.copy(os.path.join(DIGITS, "scenes", "9-0.png"), os.path.join("images", "nine", "b.png"))
    assert explain("--json", images=["images"]) == 0
    rows = json.loads(capsys.readouterr().out)["images"]
    assert [row["true_label"] for row in rows] == [9, 3]
    with open("list.csv", "w") as file:
        file.write("path,class,box\nimages/three/a.png,5,\nimages/nine/b.png,0,\"0,0,60,90\"\n")
    assert [entry["class"] for entry in entries(capsys, images=["list.csv"])] == [5, 0]
    assert len(entries(capsys, "--batch", "1", images=["images/*/*.png"])) == 2


def test_a_net_with_two_inputs_explains_every_pair(capsys):
    from test_explain_options import PAIR, write_net


    model = write_net(pathlib.Path("pair"), PAIR, ["left", "right"])
    other = os.path.join(DIGITS, "scenes", "9-0.png")
    assert explain("--json", model=[model], images=[
        "left=" + SCENE, "right=" + other, "left=" + other, "right=" + SCENE]) == 0
    rows = json.loads(capsys.readouterr().out)["images"]
    assert [row["path"] for row in rows] == [f"{SCENE} {other}", f"{other} {SCENE}"]
    assert [name.split(".")[:2] for name in figures()] == [
        ["3-5+9-0", "left"], ["3-5+9-0", "right"], ["9-0+3-5", "left"], ["9-0+3-5", "right"]]


def test_an_empty_map_is_printed_as_empty(capsys, monkeypatch):
    from caffe_gradcam.explaining.explanation import Explanation

    monkeypatch.setattr(Explanation, "status", property(lambda self: "empty"))
    assert cli.main(["explain", DIGITS, SCENE, "-o", "out"]) == 0
    line, = capsys.readouterr().out.splitlines()
    assert re.match(re.escape(SCENE) + r": 3 three \(\d+\.\d %\), grad-cam at branches/concat, "
                    r"the map is empty -> out.*\.png$", line)


def test_arrays_are_as_before(capsys):
    entry, = entries(capsys, "--npz")
    with np.load(entry["npz"]) as arrays:
        assert sorted(arrays) == ["cam", "heatmap", "scores"]


def test_the_processes_of_a_batch_import_plugins_too():
    with open("my_batch_methods.py", "w") as file:
        file.write("from caffe_gradcam.explaining.methods import METHODS\n"
                   "METHODS['my-batch-cam'] = METHODS['grad-cam']\n")
    from caffe_gradcam.explaining.methods import METHODS

    try:
        assert cli.main(["batch", DIGITS, SCENE, "-o", "rows", "--plugin", "my_batch_methods",
                         "--method", "my-batch-cam", "-q"]) == 0
        assert cli.main(["render", "rows", "--plugin", "my_batch_methods", "-q"]) == 0
    finally:
        METHODS.pop("my-batch-cam", None)
    assert cli.main(["batch", "verify", "rows"]) == 0
