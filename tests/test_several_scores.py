"""Nets with several heads: ``--score`` names those that are explained, each apart."""

import csv
import json
import os

import cv2
import numpy as np
import pytest
from definitions import Builder, write_model

from caffe_gradcam.commands import cli

pytest.importorskip("torch", reason="torch is not installed here")


@pytest.fixture(autouse=True)
def heads(tmp_path, monkeypatch):
    """The current folder, with an image and a net that tells an age and a gender."""
    monkeypatch.chdir(tmp_path)
    b = Builder("age and gender", (1, 3, 8, 8))
    x = b.conv_relu("conv", "data", 4, 3)
    b.softmax(b.fc("fc_age", x, 5), "age")
    b.softmax(b.fc("fc_gender", x, 2), "gender")
    (tmp_path / "model").mkdir()
    write_model(tmp_path / "model", b.text())
    image = np.full((10, 12, 3), 60, np.uint8)
    image[:5, :6] = 200
    cv2.imwrite("face.png", image)


def explain(*options):
    return cli.main(
        ["explain", "model", "face.png", "-o", "out", "--engine", "torch"] + list(options))


def report(capsys, *options):
    assert explain("--json", *options) == 0
    return json.loads(capsys.readouterr().out)["images"]


@pytest.mark.parametrize("options", [
    ["--score", "fc_age", "--score", "fc_gender"], ["--score", "fc_age,fc_gender"]])
def test_each_head_is_explained_apart(capsys, options):
    rows = report(capsys, *options)
    assert [(row["score_blob"], len(row["top"])) for row in rows] == [
        ("fc_age", 5), ("fc_gender", 2)]
    for row in rows:
        alone, = report(capsys, "--score", row["score_blob"])
        assert alone["top"] == row["top"] and alone["score_blob"] == row["score_blob"]


def test_the_names_of_figures_tell_the_head(capsys):
    report(capsys, "--score", "fc_age,fc_gender", "--class", "1")
    assert [name.split(".class-1.")[0] for name in sorted(os.listdir("out"))] == [
        "face.fc_age", "face.fc_gender"]


def test_two_runs_write_two_figures(capsys):
    report(capsys, "--score", "fc_age", "--class", "1")
    report(capsys, "--score", "fc_gender", "--class", "1")
    assert len(os.listdir("out")) == 2


def test_each_line_tells_the_head(capsys):
    assert explain("--score", "fc_age,fc_gender", "--class", "1") == 0
    assert [line.split(": 1 (")[0] for line in capsys.readouterr().out.splitlines()] == [
        "face.png, fc_age", "face.png, fc_gender"]


def test_the_table_of_boxes_tells_the_head(capsys):
    report(capsys, "--score", "fc_age,fc_gender", "--heat-boxes", "0.5", "--class", "0")
    with open("out/boxes.csv", newline="") as file:
        assert "score_blob" in next(csv.reader(file))


def test_a_class_that_one_head_lacks_is_refused_with_the_name_of_the_head(capsys):
    assert explain("--score", "fc_age,fc_gender", "--class", "4") == 2
    assert "score fc_gender: there is no class 4" in capsys.readouterr().err


def test_a_command_for_one_score_refuses_a_second(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["batch", "model", "face.png", "-o", "out", "--score", "a", "--score", "b"])
    assert stop.value.code == 2
    assert "argument --score: this option may be given only once here" in capsys.readouterr().err


def test_a_configuration_of_several_scores_is_refused(capsys):
    assert explain("--score", "fc_age,fc_gender", "--save-config", "recipe.yaml") == 2
    assert "a configuration holds one score" in capsys.readouterr().err
