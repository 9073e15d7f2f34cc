"""What to explain and how, as one value: from files and to files."""

import dataclasses
import json

import pytest

from caffe_gradcam import Asking, Explaining, ModelChoice, QuestionError, Recipe, Running
from caffe_gradcam.asking.questions import Class
from caffe_gradcam.explaining.recipe import _READERS

FULL = Recipe(
    ModelChoice("models/digits", "w.caffemodel", {"mean": "104,117,123", "size": [96, 96]}),
    Asking(("three", "top:2"), (1, 2, 3, 4), None, "cat.png", True, True, True),
    Explaining(("grad-cam", "layer-cam"), ("conv1", "conv2"), "max", "pre-relu", "stretch", 7),
    Running("torch", "cuda:1", "bf16", False, True, False, 2.5, True, False, ()))
SHORT = Recipe(ModelChoice("models/digits"))


@pytest.mark.parametrize("name", ["run.yaml", "run.yml", "run.json"])
@pytest.mark.parametrize("recipe", [FULL, SHORT], ids=["full", "short"])
def test_a_saved_recipe_is_loaded_as_it_was(tmp_path, recipe, name):
    recipe.save(tmp_path / name)
    assert Recipe.load(tmp_path / name) == recipe


def test_a_recipe_and_its_dictionary_are_the_same():
    values = json.loads(json.dumps(FULL.to_dict()))
    assert Recipe.from_dict(values) == FULL


def test_every_field_can_stand_in_a_file():
    for name, kind in (("model", ModelChoice), ("asking", Asking), ("explaining", Explaining),
                       ("running", Running)):
        assert set(_READERS[name]) == {entry.name for entry in dataclasses.fields(kind)}


def test_what_a_person_writes_is_short(tmp_path):
    (tmp_path / "run.yaml").write_text("""
model:
  path: models/digits
  overrides: {mean: 104}
asking:
  classes: [3, five]
explaining:
  methods: layer-cam
""")
    recipe = Recipe.load(tmp_path / "run.yaml")
    assert recipe == Recipe(ModelChoice("models/digits", None, {"mean": 104}),
                            Asking(("3", "five")), Explaining(("layer-cam",)))


@pytest.mark.parametrize("text, problem", [
    ("model: {path: 3}", "run.yaml: model.path must be a text, not 3"),
    ("model: {path: x}\nasking: {classes: [1.5]}",
     r"run.yaml: asking.classes must be a text or a list of texts, not \[1.5\]"),
    ("model: {path: x}\nasking: {at: [1, 2]}",
     "asking.at must be four whole numbers: x, y, width, height, at least 1 wide and high, not"),
    ("model: {path: x}\nasking: {crop: [0, 0, 0, 9]}", "asking.crop must be four whole numbers"),
    ("model: {path: x}\nasking: {cosine: 1}", "asking.cosine must be true or false, not 1"),
    ("model: {path: x}\nasking: {classes: 2026-01-01}", "asking.classes must be a text"),
    ("model: {path: x}\nexplaining: {samples: many}",
     "explaining.samples must be a whole number, not 'many'"),
    ("model: {path: x}\nexplaining: {samples: 0}",
     "run.yaml: samples must be a whole number of at least 1"),
    ("model: {path: x}\nexplaining: {methods: gradcam}", "run.yaml: there is no method 'gradcam'"),
    ("model: {path: x}\nrunning: {timeout: -1}", "running.timeout must be a number of seconds"),
    ("model: {path: x}\nrunning: {engine: tf}", "run.yaml: .*'tf'"),
    ("model: {path: x, overrides: {means: 3}}",
     "run.yaml: Model.load has no keyword 'means'; did you mean 'mean'"),
    ("model: {path: x, overrides: [3]}", "model.overrides must be a mapping of keywords"),
    ("model: {path: x}\nrunning: {trst: true}",
     "run.yaml: the section running has no key 'trst'; did you mean trust"),
    ("model: {path: x}\nrunnning: {}", "run.yaml has no key 'runnning'; did you mean running"),
    ("model: x", "run.yaml: model must consist of lines of `key: value`"),
    ("- x", "run.yaml must consist of lines of `key: value`"),
    ("asking: {}", "run.yaml: model.path is missing"),
    ("", "run.yaml: model.path is missing"),
    ("format: 2\nmodel: {path: x}", "this version reads format 1 only"),
    ("model: {path: x", "run.yaml:1: not YAML|run.yaml:2: not YAML"),
    ("a: &a [1]\nmodel: *a", "not YAML: aliases are not supported; write the value of .a again"),
    ("model: !!python/object/apply:os.system [true]", "run.yaml:1: not YAML"),
    ("[" * 3000, "run.yaml: nested too deeply|not YAML"),
    ("model: {path: x}\n\0", "run.yaml: not YAML: unacceptable character"),
    ("model: {path: 2026-99-99}", "run.yaml: not YAML: month must be in 1..12"),
])
def test_what_a_file_may_not_hold_is_one_sentence(tmp_path, text, problem):
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(QuestionError, match=problem) as caught:
        Recipe.load(tmp_path / "run.yaml")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("data, problem", [
    (b"\xff\xfe\x00", "not a text in UTF-8"), (b"{", "run.json: not JSON"),
    (b"#" * (1 << 20) + b"# ", "more than the 1048576 that are read")])
def test_files_that_are_something_else(tmp_path, data, problem):
    (tmp_path / "run.json").write_bytes(data)
    with pytest.raises(QuestionError, match=problem):
        Recipe.load(tmp_path / "run.json")


def test_a_file_that_is_missing():
    with pytest.raises(QuestionError, match="nowhere.yaml: no such file"):
        Recipe.load("nowhere.yaml")


def test_other_extensions_are_not_written(tmp_path):
    with pytest.raises(QuestionError, match="a configuration is a .yaml or a .json file"):
        SHORT.save(tmp_path / "run.txt")


def test_a_file_does_not_trust_code_by_itself(tmp_path):
    trusting = dataclasses.replace(SHORT, running=Running(trust=True))
    trusting.save(tmp_path / "run.yaml")
    with pytest.raises(QuestionError, match="cannot trust code by itself; give --trust"):
        Recipe.load(tmp_path / "run.yaml")
    assert Recipe.load(tmp_path / "run.yaml", trust=True) == trusting


def test_a_file_does_not_import_plugins_by_itself(tmp_path, monkeypatch):
    (tmp_path / "mylayers.py").write_text("")
    (tmp_path / "others.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    with_plugin = dataclasses.replace(SHORT, running=Running(plugins=("mylayers",)))
    with_plugin.save(tmp_path / "run.yaml")
    with pytest.raises(QuestionError, match="names the plugin 'mylayers', but a file cannot"):
        Recipe.load(tmp_path / "run.yaml", plugins=["others"])
    assert Recipe.load(tmp_path / "run.yaml", plugins=["mylayers"]) == with_plugin


def test_the_digest_is_that_of_what_maps_depend_on():
    assert SHORT.digest() == Recipe.from_dict(SHORT.to_dict()).digest() != FULL.digest()
    assert len(SHORT.digest()) == 64
    elsewhere = Running(device="cuda", timeout=3.0, verbose=True, isolated=False)
    assert dataclasses.replace(SHORT, running=elsewhere).digest() == SHORT.digest()
    other = dataclasses.replace(SHORT, running=Running(precision="bf16"))
    assert other.digest() != SHORT.digest()


def test_what_file_names_show_leaves_a_recipe_the_default():
    named = Recipe(ModelChoice("x"), Asking(("3",)), Explaining(("layer-cam",), ("conv1",)))
    assert SHORT.is_default and named.is_default
    for changed in (dataclasses.replace(named, asking=Asking(probability=True)),
                    dataclasses.replace(named, model=ModelChoice("x", None, {"mean": 3})),
                    dataclasses.replace(named, explaining=Explaining(placement="stretch")),
                    dataclasses.replace(named, running=Running(precision="bf16"))):
        assert not changed.is_default


def test_overrides_that_no_file_can_hold_are_refused(tmp_path):
    recipe = Recipe(ModelChoice("x", None, {"mean": {1, 2}}))
    with pytest.raises(QuestionError, match="this recipe cannot be written to a file"):
        recipe.save(tmp_path / "run.json")


def test_overrides_that_are_not_given_do_not_matter():
    assert ModelChoice("x", None, {"mean": None}) == ModelChoice("x")


def test_a_recipe_opens_an_explainer_and_asks_its_questions(torch, models):
    recipe = Recipe(ModelChoice(str(models / "digits")), Asking(("three",)),
                    Explaining(("layer-cam",), ("conv2",)), Running("torch"))
    with recipe.open() as explainer:
        assert recipe.asker(explainer).questions() == [Class(3)]
        assert explainer.model.layers == ("conv2",)
        assert explainer.engine.description["engine"] == "torch"
