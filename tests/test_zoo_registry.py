"""The registry that comes along: every entry holds together, and agrees with the nets it names."""

import glob
import hashlib
import json
import os
import re
import subprocess
import sys

import pytest

from caffe_gradcam.model import readme, user_folder
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.zoo import checks, entries, labelsets, registry
from prototxt_tools import shapes
from prototxt_tools.errors import InputError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv(user_folder.VARIABLE, str(tmp_path / "home"))


@pytest.fixture(scope="module")
def known():
    return [entries.read(path) for path in sorted(glob.glob(registry.shipped() + "/*/"))]


@pytest.fixture(scope="module")
def facts(shared):
    return json.loads((shared.parent / "zoo_facts.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def nets(shared, known):
    """(entry, path) for every entry whose prototxt is at hand, by its SHA-256."""
    paths = glob.glob(str(shared / "**" / "*.prototxt"), recursive=True)
    by_hash = {hashlib.sha256(open(path, "rb").read()).hexdigest(): path for path in paths}
    found = []
    for entry in known:
        file = entry.file("prototxt")
        path = by_hash.get(file.hashes.get("sha256")) if file else None
        if path:
            found.append((entry, path))
    return found


def test_every_entry_holds_together(known):
    assert {entry.id: checks.problems(entry) for entry in known if entry.facts
            and checks.problems(entry)} == {}


def test_there_are_the_models_that_people_look_for(known):
    ids = {entry.id for entry in known}
    assert len(ids) >= 110
    assert {
        "bvlc_alexnet", "bvlc_googlenet", "vgg_ilsvrc_16_layers", "resnet-50", "densenet-121",
        "mobilenet-v1", "squeezenet-v1.1", "inception-v3", "se-resnet-50", "nin_imagenet",
        "vgg16-places365", "age_net", "gender_net", "open_nsfw", "googlenetcoco", "vgg_face",
        "sphereface-20", "mtcnn-r", "fcn-8s-pascal", "segnet-basic-camvid",
        "googlenet-cam-imagenet", "oxford102-alexnet", "digits",
    } <= ids


def test_most_can_be_fetched_and_all_those_have_a_hash_of_their_net_or_an_archive(known):
    fetchable = [entry for entry in known if entry.is_fetchable]
    assert len(fetchable) >= 70
    for entry in fetchable:
        net = entry.file("prototxt")
        # The author's gist or page has these; nobody published a hash of them.
        if net is not None and entry.id not in ("vgg_cnn_f", "vgg_cnn_m_2048",
                                                "pascalvoc2012-multilabel"):
            assert net.hashes, entry.id


def test_names_and_aliases_mean_one_model_each(known):
    names = [registry._plain(name) for entry in known for name in set(entry.names)]
    own = {registry._plain(entry.id) for entry in known}
    assert len(own) == len(known)
    for entry in known:
        for name in entry.names:
            assert registry.find(name, known) is entry
    assert len(set(names)) >= len(known)


def test_every_label_set_holds_together_and_every_entry_names_one_that_is_there(known):
    sets = labelsets.load(registry.shipped())
    assert [one for name in sets for one in labelsets.problems(name, sets[name])] == []
    for entry in known:
        name, classes = entry.facts.get("labels"), entry.facts.get("classes")
        if name:
            assert classes is None or sets[name]["count"] == classes, entry.id


def test_the_gradcam_section_has_only_fields_that_a_model_reads(known):
    for entry in known:
        section = readme.read(entry.front, os.path.join(entry.folder, "readme.md"))
        assert section.warnings == (), entry.id


def test_score_and_target_are_those_that_prototxt_tools_finds(nets):
    assert len(nets) >= 22
    for entry, path in nets:
        graph = Graph(Net.parse(Document.load(path)).at("TEST"))
        given = entry.front.get("gradcam") or {}
        score = graph.scores()[0].blob
        if given.get("score"):
            assert score == given["score"], entry.id
        if given.get("layer"):
            assert graph.targets(score, shapes.infer(graph.net))[0].blob == given["layer"]


def test_form_layers_and_input_are_those_of_the_net(nets):
    for entry, path in nets:
        net, said = Net.parse(Document.load(path)), entry.facts["net"]
        counts = {}
        for layer in net.layers:
            counts[layer.type] = counts.get(layer.type, 0) + 1
        told = {kind: count for kind, count in said["layers"].items() if kind != "Input"}
        told = {"Softmax" if kind == "SOFTMAX" else kind: told[kind] for kind in told}
        counts.pop("Input", None)
        # A net that mixes both forms is named by the form that most of it has.
        assert net.form in (said["form"], "mixed"), entry.id
        if not any(kind.isupper() and len(kind) > 4 for kind in told):
            assert counts == told, entry.id
        assert said["input"] in [one.blob for one in net.inputs], entry.id


def test_a_size_and_hashes_of_a_net_are_those_of_the_file(nets):
    from caffe_gradcam.zoo import hashes

    for entry, path in nets:
        file = entry.file("prototxt")
        assert hashes.mismatch(path, file.size, file.hashes) is None, entry.id


def test_an_entry_beside_its_files_is_a_model(known, shared, tmp_path):
    entry = next(one for one in known if one.id == "squeezenet-v1.1")
    source = shared / "models" / "squeezenet_v1.1"
    (tmp_path / "readme.md").write_bytes(open(os.path.join(entry.folder, "readme.md"), "rb").read())
    (tmp_path / "deploy.prototxt").write_bytes((source / "deploy.prototxt").read_bytes())
    (tmp_path / entry.front["caffemodel"]).write_bytes(
        (source / "squeezenet_v1.1.caffemodel").read_bytes())
    model = LoadedModel.load(str(tmp_path))
    assert (model.score, model.layers) == ("pool10", ("fire9/concat",))
    assert model.preprocessing.resize == (256, 256) and model.preprocessing.crop == (227, 227)
    assert "SHA-1 is not the one in readme.md" in " ".join(model.warnings)


def test_the_entries_say_what_the_facts_say(shared):
    script = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scripts",
                          "zoo_metadata.py")
    result = subprocess.run(
        [sys.executable, script, "--check", str(shared.parent / "zoo_facts.json")],
        stdout=subprocess.PIPE)
    assert result.stdout.decode() == "" and result.returncode == 0


def test_nothing_is_said_that_the_facts_do_not_hold(known, facts):
    """Every hash and every address but those of this project's own look-ups."""
    text = json.dumps(facts)
    for entry in known:
        if entry.id.startswith("digits"):
            continue
        for file in entry.files:
            for digits in file.hashes.values():
                assert digits in text, entry.id
            if file.role in ("weights", "archive"):
                for url in file.urls:
                    assert url in text or url.split("=")[-1] in text, entry.id


@pytest.mark.parametrize("name, meant", [
    ("squeezenet-v1.1", "squeezenet-v1.1"), ("SqueezeNet v1.1", "squeezenet-v1.1"),
    ("omz:squeezenet1.1", "squeezenet-v1.1"), ("SQUEEZENET_V1.1", "squeezenet-v1.1"),
    ("age_net (Levi & Hassner)", "age_net"), ("agenet", "age_net"),
])
def test_a_model_is_found_by_any_of_its_names(known, name, meant):
    assert registry.find(name, known).id == meant


def test_a_name_that_is_none_comes_with_near_ones(known):
    with pytest.raises(InputError, match="no model is called 'squeezenet'; near: squeezenet-v1"):
        registry.find("squeezenet", known)
    with pytest.raises(InputError, match="models list` lists them all"):
        registry.find("qqqq", known)


@pytest.mark.parametrize("options, ids", [
    ({"task": "gender"}, ["dex-gender", "gender_net"]),
    ({"task": "COCO"}, ["googlenetcoco", "torchray-resnet50-coco14", "torchray-vgg16-coco14"]),
    ({"task": "faces", "max_size": 10000000, "fetchable": True},
     ["mtcnn-o", "mtcnn-p", "mtcnn-r"]),
    ({"license": "cc0"}, ["inception21k"]),
])
def test_filters_let_through_what_fits(known, options, ids):
    assert [entry.id for entry in registry.selected(known, **options)] == ids


@pytest.mark.parametrize("change, problem", [
    ({"task": "poetry"}, "unknown task 'poetry'"),
    ({"sources": None}, "does not say where the facts were read"),
    ({"colour": "red"}, "unknown key zoo.colour"),
    ({"weights": {"colour": "red"}}, "unknown key zoo.weights.colour"),
    ({"net": {"form": "V9", "layers": {"ReLU": 1}}}, "unknown form 'V9'"),
    ({"net": {"form": "V2", "layers": {}}}, "must give the number of layers"),
    ({"net": {"form": "V2", "layers": {"ReLU": 1}, "softmax": "p"}}, "has no Softmax"),
    ({"net": {"form": "V2", "layers": {"ReLU": 1}, "outputs": ["other"]}},
     "score fc is not the net's output other"),
    ({"net": {"form": "V2", "layers": {"Softmax": 1}, "softmax": "fc"}},
     "score fc is the net's input or its Softmax"),
    ({"net": {"form": "V2", "layers": {"ReLU": 1}, "shape": [1, 3, 8, 9], "outputs": ["fc"]}},
     "images end as .8, 8., but the net's input is .8, 9."),
    ({"net": {"form": "V2", "layers": {"ReLU": 1}, "shape": [1, 1, 8, 8], "outputs": ["fc"]}},
     "the mean has 3 numbers for 1 channels"),
    ({"needs": ["layer type Axpy"]}, "needs layer type Axpy, which its net does not have"),
])
def test_an_entry_that_contradicts_itself_is_told(change, problem, tmp_path):
    zoo = {"task": "scenes", "sources": {"all": "here"},
           "net": {"form": "V2", "layers": {"ReLU": 1}, "outputs": ["fc"], "input": "data"}}
    zoo.update(change)
    front = {"caffemodel": "a.caffemodel", "caffemodel_url": "http://x.invalid/a", "zoo": zoo,
             "gradcam": {"score": "fc", "inputs": {"mean": [1, 2, 3], "crop": [8, 8]}}}
    (tmp_path / "readme.md").write_text(f"---\n{json.dumps(front)}\n---\n")
    found = checks.problems(entries.read(str(tmp_path)))
    assert len(found) == 1

    assert re.search(problem, found[0])


@pytest.mark.parametrize("digits", ["12", "g" * 40, "A" * 39])
def test_a_hash_that_is_none_is_refused(digits, tmp_path):
    front = {"caffemodel": "a.caffemodel", "sha1": digits}
    (tmp_path / "readme.md").write_text(f"---\n{json.dumps(front)}\n---\n")
    with pytest.raises(InputError, match="sha1 must have 40 hexadecimal digits"):
        entries.read(str(tmp_path))


@pytest.mark.parametrize("zoo, sentence", [
    ("text", "zoo must consist of `key: value` lines"),
    ({"weights": "text"}, "weights: must consist of `key: value` lines"),
    ({"weights": {"size": "big"}}, "weights: size must be a number of bytes, not 'big'"),
    ({"prototxt": {"url": "ftp://x/y"}}, "prototxt: 'ftp://x/y' is not an http or https address"),
])
def test_an_entry_that_cannot_be_read_is_told(zoo, sentence, tmp_path):
    front = {"caffemodel": "a.caffemodel", "zoo": zoo}
    (tmp_path / "readme.md").write_text(f"---\n{json.dumps(front)}\n---\n")
    with pytest.raises(InputError) as caught:
        entries.read(str(tmp_path))
    assert str(caught.value) == "{}: {}".format(tmp_path / "readme.md", sentence)
