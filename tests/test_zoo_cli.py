"""caffe-gradcam models: list, show, fetch, check, add and remove."""

import json
import os
import shutil

import pytest

from caffe_gradcam.commands import cli
from caffe_gradcam.model import user_folder
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.zoo import add, fetching, locating, registry
from prototxt_tools.errors import InputError


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv(user_folder.VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


def run(capsys, *words):
    """Exit code, lines of stdout, stderr."""
    code = cli.main(["models"] + list(words))
    said = capsys.readouterr()
    return code, said.out.splitlines(), said.err


@pytest.fixture
def mine(tmp_path, models):
    """A folder as in the BVLC Model Zoo."""
    shutil.copytree(str(models / "digits"), str(tmp_path / "My Digits"))
    return tmp_path / "My Digits"


def test_list_is_a_table(capsys):
    code, lines, _ = run(capsys, "list", "--task", "gender")
    assert code == 0
    assert lines[0].split() == ["name", "task", "classes", "size", "get", "needs", "license"]
    assert [line.split()[0] for line in lines[1:]] == ["dex-gender", "gender_net"]
    assert lines[2].split()[:4] == ["gender_net", "gender", "2", "fetch"]


def test_list_json_is_a_list_of_objects(capsys):
    code, lines, _ = run(capsys, "list", "--json", "--fetchable", "--max-size", "6MB",
                         "--task", "classification")
    found = json.loads("\n".join(lines))
    assert code == 0
    assert [one["id"] for one in found] == ["shufflenet-v2-x0.5", "squeezenet-v1.0",
                                            "squeezenet-v1.1"]
    assert found[2]["score"] == "pool10" and found[2]["layer"] == "fire9/concat"
    assert found[2]["size"] == 4959758 and found[2]["here"] is False
    assert found[0]["needs"] == ["layer type ShuffleChannel",
                                 "field LayerParameter.shuffle_channel_param"]


@pytest.mark.parametrize("text", ["big", "-5", "5 parsecs"])
def test_a_size_that_is_none_is_refused(capsys, text):
    with pytest.raises(SystemExit) as left:
        cli.main(["models", "list", "--max-size=" + text])
    assert left.value.code == 2
    assert "a size such as 50MB" in capsys.readouterr().err


def test_show_says_all_and_where_it_was_read(capsys, home):
    code, lines, _ = run(capsys, "show", "SqueezeNet v1.1")
    assert code == 0 and lines[0] == "id: squeezenet-v1.1"
    assert any("forresti/SqueezeNet@51147dc06816" in line for line in lines)
    assert lines[-2:] == [
        "folder: {}".format(home / "models" / "squeezenet-v1.1"),
        "to fetch: squeezenet_v1.1.caffemodel (4.95 MB), deploy.prototxt (9.68 kB)"]


def test_show_json_is_the_front_matter(capsys):
    _, lines, _ = run(capsys, "show", "digits", "--json")
    one = json.loads("\n".join(lines))
    assert one["id"] == "digits" and one["here"] is True
    assert one["gradcam"]["score"] == "score"


def test_show_of_nothing_is_unusable(capsys):
    code, _, err = run(capsys, "show", "qqqq")
    assert code == 2 and err.startswith("caffe-gradcam: no model is called 'qqqq'")


def test_fetch_counts_failures(capsys):
    code, lines, err = run(capsys, "fetch", "-q", "--offline", "digits", "squeezenet-v1.1")
    assert code == 1
    assert lines == [os.path.join(registry.shipped(), "digits")]
    assert "squeezenet-v1.1: squeezenet_v1.1.caffemodel, deploy.prototxt are missing" in err
    assert run(capsys, "fetch", "-q", "--offline", "squeezenet-v1.1")[0] == 2


def test_fetch_of_what_is_here_verifies_and_writes_nothing(capsys, models, mine):
    before = sorted(os.listdir(str(models / "digits")))
    assert run(capsys, "fetch", "-q", "digits")[0] == 0
    assert locating.locate("digits") == os.path.join(registry.shipped(), "digits")
    assert sorted(os.listdir(str(models / "digits"))) == before
    run(capsys, "add", str(mine), "--name", "mine")
    (mine / "digits.caffemodel").write_bytes(b"other")
    code, _, err = run(capsys, "fetch", "-q", "mine")
    assert code == 2 and "digits.caffemodel: has the SHA-1" in err


def test_check_finds_nothing_wrong_with_what_comes_along(capsys):
    code, lines, _ = run(capsys, "check")
    assert (code, lines) == (0, [f"{len(registry.load())} models, 4 files here, 0 problems"])


def test_check_finds_a_damaged_file(capsys, mine):
    run(capsys, "add", str(mine), "--name", "mine")
    weights = mine / "digits.caffemodel"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    code, lines, _ = run(capsys, "check", "mine")
    assert code == 1
    assert lines[0].startswith("mine: digits.caffemodel has the SHA-1 ")
    assert lines[1] == "1 models, 1 files here, 1 problems"
    _, lines, _ = run(capsys, "check", "mine", "--json")
    assert json.loads("\n".join(lines))[0]["file"] == "digits.caffemodel"


def test_an_added_folder_has_a_name_and_stays_where_it_is(capsys, mine):
    code, lines, _ = run(capsys, "add", str(mine))
    assert (code, lines) == (0, [f"my-digits -> {mine}"])
    path = locating.locate("my-digits")
    assert path == str(mine)
    assert LoadedModel.load(path).score == "score"
    assert run(capsys, "remove", "my-digits")[0] == 0
    assert mine.is_dir()
    assert run(capsys, "show", "my-digits")[0] == 2


def test_an_added_folder_needs_no_readme(mine):
    os.remove(str(mine / "readme.md"))
    os.remove(str(mine / "train.prototxt"))
    assert add.add(str(mine), "bare").id == "bare"
    assert registry.find("bare").folder == str(mine)


def test_a_folder_that_is_gone_hides_no_other_model(capsys, mine):
    run(capsys, "add", str(mine))
    shutil.rmtree(str(mine))
    assert run(capsys, "list")[0] == 0
    code, _, err = run(capsys, "show", "my-digits")
    assert code == 2 and "the folder of my-digits is gone" in err


def test_a_taken_name_is_refused(mine):
    add.add(str(mine))
    with pytest.raises(InputError, match="there is already a model called my-digits"):
        add.add(str(mine))
    with pytest.raises(InputError, match="there is already a model called digits"):
        add.add(str(mine), "Digits")


@pytest.mark.parametrize("name", ["..", "///", " "])
def test_a_name_that_is_none_is_refused(mine, name):
    with pytest.raises(InputError, match="cannot be the name of a model"):
        add.add(str(mine), name)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder or readme.md"):
        add.add(str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="holds no"):
        add.add(str(tmp_path))


def test_a_gist_is_fetched_from_its_readme_alone(tmp_path, models, monkeypatch):
    pytest.importorskip("requests")
    import io
    import zipfile

    from web_server import Answer, serving

    from caffe_gradcam.zoo import links

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("deploy.prototxt", "solver.prototxt", "readme.md"):
            archive.writestr("gist-1f2e/" + name, (models / "digits" / name).read_bytes())
    weights = (models / "digits" / "digits.caffemodel").read_bytes()
    with serving({"/gist": [Answer(packed.getvalue())], "/w": [Answer(weights)]}) as server:
        monkeypatch.setattr(links, "gist", lambda number: server.url + "/gist")
        readme = tmp_path / "readme.md"
        readme.write_text("---\nname: Gist Digits\ngist_id: 1f2e\ncaffemodel: w.caffemodel\n"
                          f"caffemodel_url: {server.url}/w\n"
                          "sha1: ca9f3cac2034b2ebacb0f413fbf611eff69d6c70\n---\n")
        entry = add.add(str(readme))
        assert entry.id == "gist-digits"
        assert [file.name for file in fetching.missing(entry)] == ["w.caffemodel", "gist.zip"]
        path = locating.locate("gist-digits", quiet=True)
        asked = len(server.requests)
        assert locating.locate("gist-digits", quiet=True) == path
        assert len(server.requests) == asked == 2
    assert LoadedModel.load(path).score == "score"


def test_a_readme_that_names_no_weights_is_refused(tmp_path):
    (tmp_path / "readme.md").write_text("---\nname: x\n---\n")
    with pytest.raises(InputError, match="names no caffemodel with its caffemodel_url"):
        add.add(str(tmp_path / "readme.md"))
    (tmp_path / "readme.md").write_text("# no front matter")
    with pytest.raises(InputError, match="not a readme.md that begins with a front matter"):
        add.add(str(tmp_path / "readme.md"))


def test_help_imports_nothing_heavy(tmp_path):
    import subprocess
    import sys

    code = ("import sys\nfrom caffe_gradcam.commands import cli\n"
            "try:\n    cli.main(['models', '--help'])\nexcept SystemExit:\n    pass\n"
            "print(sorted({'numpy', 'cv2', 'requests', 'yaml', 'torch'} & set(sys.modules)))")
    out = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE).stdout.decode()
    assert out.rstrip().splitlines()[-1] == "[]"
