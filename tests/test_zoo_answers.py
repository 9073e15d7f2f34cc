"""caffe-gradcam models test: whether a model says what it is known to say."""

import hashlib
import pathlib
import shutil

import pytest

pytest.importorskip("torch")

from caffe_gradcam.commands import cli  # noqa: E402
from caffe_gradcam.doctor import answers  # noqa: E402
from caffe_gradcam.model import folder as model_folder  # noqa: E402
from caffe_gradcam.model import user_folder  # noqa: E402
from caffe_gradcam.zoo import add  # noqa: E402

MODELS = pathlib.Path(__file__).resolve().parents[1] / "models"
WITH_WEIGHTS = sorted({path.parent.name for path in MODELS.glob("*/*.caffemodel")})


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv(user_folder.VARIABLE, str(tmp_path / "home"))


@pytest.fixture
def mine(tmp_path, models):
    """A folder of the user's own, under the name "mine"."""
    folder = tmp_path / "mine"
    shutil.copytree(str(models / "digits"), str(folder))
    add.add(str(folder), "mine")
    return folder


def run(capsys, *words):
    """Exit code, stdout, stderr."""
    code = cli.main(["models", "test"] + list(words))
    output = capsys.readouterr()
    return code, output.out, output.err


def edit(folder, old, new):
    text = (folder / "readme.md").read_text()
    assert old in text
    (folder / "readme.md").write_text(text.replace(old, new))


def without_answers(folder):
    lines = (folder / "readme.md").read_text().splitlines(True)
    start = lines.index("answers:\n")
    (folder / "readme.md").write_text("".join(lines[:start] + lines[start + 5:]))


def test_the_image_is_the_same_in_every_version():
    digest = hashlib.sha256(answers.image().tobytes()).hexdigest()
    assert digest.startswith("1575e42b5e8f371b")


def test_a_model_that_is_as_it_was_agrees(capsys):
    code, out, _ = run(capsys, "digits")
    assert code == 0
    assert out == "digits: answers as known: class 1, 5 scores, map of branches/concat\n"


@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_every_model_that_comes_with_its_weights_gives_its_known_answers(name, capsys):
    code, out, _ = run(capsys, name)
    assert code == 0 and out.startswith(f"{name}: answers as known: ")


@pytest.mark.parametrize("old, new, words", [
    ("mean: [128]", "mean: [0]", "the score of class 1 is"),
    ("scale: 0.00390625", "scale: 1", "the score of class 1 is"),
    ("layer: branches/concat\n  labels", "layer: conv2\n  labels", "the map is of conv2"),
    ("map: [1", "map: [9", "the sums over the quarters of the map are"),
])
def test_what_differs_is_told(mine, capsys, old, new, words):
    edit(mine, old, new)
    code, out, _ = run(capsys, "mine")
    assert code == 1 and words in out and out.startswith("mine: ")


def test_a_model_without_known_answers_says_so(mine, capsys):
    without_answers(mine)
    assert run(capsys, "mine")[:2] == (0, "mine: no known answers; --record makes them\n")


def test_recording_makes_the_answers_and_leaves_the_rest(mine, capsys):
    before = (mine / "readme.md").read_text()
    without_answers(mine)
    assert run(capsys, "mine", "--record")[0] == 0
    assert run(capsys, "mine", "--record")[0] == 0
    after = (mine / "readme.md").read_text()
    lines = [line for line in after.splitlines() if not line.startswith(("  scores:", "  map:"))]
    assert lines == [line for line in before.splitlines()
                     if not line.startswith(("  scores:", "  map:"))]
    assert model_folder.read_front_matter(str(mine))["answers"]["size"] == [24, 24]
    assert run(capsys, "mine")[0] == 0


@pytest.mark.parametrize("value", ["7", "{layer: a}", "{layer: a, scores: [[x, y]], size: 3}"])
def test_answers_of_another_form_are_refused_in_one_sentence(mine, capsys, value):
    without_answers(mine)
    edit(mine, "gradcam:\n", f"answers: {value}\ngradcam:\n")
    code, _, err = run(capsys, "mine")
    assert code == 1 and "answers is not in the form" in err
