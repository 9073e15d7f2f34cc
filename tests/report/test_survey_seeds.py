"""Shortcuts with many seeds; SURVEY_SEEDS says how many, and without it this takes too long."""

import os

import pytest

pytest.importorskip("jinja2", reason="jinja2 is not installed here")
pytest.importorskip("sklearn", reason="scikit-learn is not installed here")

import shortcuts  # noqa: E402
from test_survey import surveyed  # noqa: E402

SEEDS = int(os.environ.get("SURVEY_SEEDS", "0"))
pytestmark = [
    pytest.mark.skipif(not SEEDS, reason="takes a quarter of an hour; SURVEY_SEEDS=10 runs it"),
    pytest.mark.timeout(7200)]


@pytest.fixture(scope="module")
def training(torch):
    """Scenes to train with."""
    return shortcuts.training_scenes()


@pytest.fixture(scope="module")
def drawn():
    """Scenes of held-out digits."""
    return shortcuts.scenes(4000, 200, 1)


def answers_changed(arrays, shortcut, table):
    """The share of the marked pictures whose answer changes when the mark is covered exactly."""
    import cv2
    import numpy as np

    images = np.stack([cv2.imread(str(path), 0) for path in sorted(
        table.parent.glob("marked-*.png"))])
    mask = np.zeros(images.shape[1:], np.uint8)
    mask[shortcut.window] = 1
    covered = np.stack([cv2.inpaint(image, mask, 3, cv2.INPAINT_TELEA) for image in images])
    return float(np.mean(shortcuts.answers(arrays, images) != shortcuts.answers(arrays, covered)))


def test_shortcuts_are_named_in_nine_of_ten_seeds(tmp_path, training, drawn):
    named = {0.05: [], 0.1: [], 0.2: []}
    for seed in range(SEEDS):
        shortcut, arrays = shortcuts.Shortcut(seed), shortcuts.train(seed, training)
        for share, results in named.items():
            folder = tmp_path / f"{seed}-{share}"
            folder.mkdir()
            table = shortcuts.write_scenes(folder / "scenes", shortcut, (380, 60), share, drawn)
            survey = surveyed(folder, arrays, table)
            changed = answers_changed(arrays, shortcut, table)
            print(seed, share, f"{changed:.2f}", [
                finding["sentence"] for finding in survey["findings"]])
            if changed >= 0.2:
                results.append(any(
                    finding["class"] == shortcut.class_index
                    and f"in the {shortcut.words}" in finding["sentence"]
                    for finding in survey["findings"]))
    for share, results in named.items():
        assert len(results) >= SEEDS / 2 and sum(results) >= 0.9 * len(results), (share, results)


def test_at_most_one_false_cluster_in_all_clean_nets(tmp_path, training, drawn):
    findings = []
    for seed in range(SEEDS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        table = shortcuts.write_scenes(
            folder / "scenes", shortcuts.Shortcut(seed), (380, 60), 0, drawn)
        arrays = shortcuts.train(seed, training, with_shortcut=False)
        findings += surveyed(folder, arrays, table)["findings"]
    assert len(findings) <= 1, [finding["sentence"] for finding in findings]
