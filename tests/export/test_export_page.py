"""The page that explains pictures in a browser: a real Chromium, and nothing leaves the machine."""

import os
import shutil
import subprocess

import browser
import cv2
import numpy as np
import pytest

from caffe_gradcam.commands import cli
from caffe_gradcam.export.proof import run_graph


@pytest.fixture(scope="session")
def runtime_folder():
    """The npm package onnxruntime-web, kept from run to run; a skip where npm cannot install it."""
    folder = os.path.join(os.path.expanduser("~"), ".cache", "onnxruntime-web")
    package = os.path.join(folder, "node_modules", "onnxruntime-web")
    if not os.path.isdir(os.path.join(package, "dist")):
        if shutil.which("npm") is None:
            pytest.skip("onnxruntime-web needs npm, which is not installed here")
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["npm", "install", "--silent", "onnxruntime-web"], cwd=folder,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if not os.path.isdir(os.path.join(package, "dist")):
            pytest.skip("npm cannot install onnxruntime-web here")
    return package


@pytest.fixture
def driver():
    driver = browser.open_browser()
    yield driver
    driver.quit()


def test_a_picture_is_explained_in_chromium_without_a_connection(
        driver, runtime_folder, models, tmp_path):
    page, graph = tmp_path / "digits.html", tmp_path / "digits.onnx"
    arguments = ["export", str(models / "digits"), "--engine", "torch", "-q"]
    assert cli.main(arguments + ["-o", str(page), "--format", "html",
                                 "--ort-web", runtime_folder]) == 0
    assert cli.main(arguments + ["-o", str(graph), "--explain", "--with-preprocessing"]) == 0
    picture = models / "digits" / "scenes" / "3-5.png"
    browser.requested(driver)  # Those of the browser itself are forgotten.
    driver.get(page.as_uri())
    browser.wait(driver, "document.getElementById('status').textContent !== 'Loading the net.'")
    assert driver.find_element("id", "status").text == "Ready."
    driver.find_element("id", "file").send_keys(str(picture))
    browser.wait(driver, "window.explanation !== undefined")

    explanation = driver.execute_script("return window.explanation")
    image = cv2.imread(str(picture))[:, :, ::-1].copy()
    expected = run_graph(graph.read_bytes(), {"image": image})
    cam = np.array(explanation["cam"]).reshape(expected["cam"].shape)
    assert explanation["best"] == expected["class"][0, 0]
    assert np.linalg.norm(cam - expected["cam"]) < 1e-4 * np.linalg.norm(expected["cam"])
    assert driver.find_element("id", "status").text in ("three", "five")
    assert driver.find_element("id", "figure").is_displayed()
    assert browser.complaints(driver) == []
    assert [url for url in browser.requested(driver)
            if not url.startswith(("file:", "blob:", "data:"))] == []


def test_the_page_needs_the_folder_of_the_package(models, tmp_path, capsys):
    code = cli.main(["export", str(models / "digits"), "-o", str(tmp_path / "x.html"), "--format",
                     "html", "--engine", "torch", "--ort-web", str(tmp_path)])
    assert code == 2
    assert "npm install onnxruntime-web" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_openvino_files_are_run_before_they_are_written(models, tmp_path, capsys):
    openvino = pytest.importorskip("openvino")
    path = tmp_path / "digits.xml"
    code = cli.main(["export", str(models / "digits"), "-o", str(path), "--format", "openvino",
                     "--fp16", "--explain", "--engine", "torch"])
    assert code == 0, capsys.readouterr().err
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "digits.bin", "digits.certificate.json", "digits.xml"]
    model = openvino.Core().read_model(str(path))
    assert {"score", "probability", "class", "cam"} <= {
        name for port in model.outputs for name in port.names}


def test_a_detector_can_be_cut_before_its_detections(shared, tmp_path, capsys):
    import onnx

    code = cli.main(["export", str(shared / "models" / "res10_ssd_face"), "-o",
                     str(tmp_path / "face.onnx"), "--cut", "detections", "--engine", "torch"])
    assert code == 0, capsys.readouterr().err
    outputs = [entry.name for entry in onnx.load(str(tmp_path / "face.onnx")).graph.output]
    assert outputs == ["mbox_loc", "mbox_conf_flatten", "mbox_priorbox"]
