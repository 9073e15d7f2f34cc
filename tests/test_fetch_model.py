"""A model of the registry becomes a folder that Model.load takes."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import textwrap
import time
from unittest import mock

import pytest

pytest.importorskip("requests")

from web_server import Answer, serving  # noqa: E402

from caffe_gradcam import zoo  # noqa: E402
from caffe_gradcam.model import user_folder  # noqa: E402
from caffe_gradcam.model.model import LoadedModel  # noqa: E402
from caffe_gradcam.zoo import cache, download, entries, fetching, labelsets, registry  # noqa: E402
from prototxt_tools.errors import InputError  # noqa: E402

HASTY = download.Policy(connect=2, stall=0.5, tries=2, pause=0.01)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv(user_folder.VARIABLE, str(tmp_path / "home"))
    monkeypatch.delenv(fetching.OFFLINE, raising=False)
    return tmp_path / "home"


@pytest.fixture(scope="module")
def digits(models):
    """The files of models/digits: name -> bytes."""
    return {name: (models / "digits" / name).read_bytes()
            for name in ("deploy.prototxt", "digits.caffemodel")}


@pytest.fixture
def server(digits):
    answers = {"/" + name: [Answer(content)] for name, content in digits.items()}
    with serving(answers) as running:
        yield running


def sha(content, kind="sha256"):
    return hashlib.new(kind, content).hexdigest()


def entry(tmp_path, front, name="digits-away"):
    """An entry as the registry would read it."""
    folder = tmp_path / "registry" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "readme.md").write_text("---\n" + json.dumps(front) + "\n---\n")
    return entries.read(str(folder))


def front(server, digits, **weights):
    """What a readme.md would say of models/digits on the server."""
    return {
        "caffemodel": "digits.caffemodel", "caffemodel_url": server.url + "/digits.caffemodel",
        "gradcam": {"inputs": {"mean": [128], "scale": 0.00390625}, "score": "score"},
        "zoo": {
            "weights": dict({"sha256": sha(digits["digits.caffemodel"]), "size": 102273},
                            **weights),
            "prototxt": {"url": server.url + "/deploy.prototxt",
                         "sha1": sha(digits["deploy.prototxt"], "sha1")},
        },
    }


def fetch(one, **options):
    return fetching.fetch(one, policy=HASTY, quiet=True, **options)


def test_a_fetched_model_loads(tmp_path, server, digits, home, caplog):
    caplog.set_level("INFO")
    folder = fetch(entry(tmp_path, front(server, digits)))
    assert folder == str(home / "models" / "digits-away")
    model = LoadedModel.load(folder)
    assert model.score == "score" and model.layers == ("branches/concat",)
    assert caplog.messages == [
        f"fetching digits.caffemodel (102 kB), deploy.prototxt (size unknown) into {folder}"]


def test_a_second_fetch_asks_nothing_of_anybody(tmp_path, server, digits):
    one = entry(tmp_path, front(server, digits))
    fetch(one)
    asked = len(server.requests)
    assert fetching.is_ready(one)
    fetch(one)
    assert len(server.requests) == asked == 2


def test_offline_what_is_there_is_used_and_what_is_not_is_named(tmp_path, server, digits):
    one = entry(tmp_path, front(server, digits))
    with pytest.raises(InputError, match="digits.caffemodel, deploy.prototxt are missing, and "
                       "nothing is fetched offline; put them into"):
        fetch(one, offline=True)
    fetch(one)
    asked = len(server.requests)
    assert fetch(one, offline=True) == fetching.folder_of(one)
    assert len(server.requests) == asked


def test_the_environment_can_say_offline(tmp_path, server, digits, monkeypatch):
    monkeypatch.setenv(fetching.OFFLINE, "1")
    with pytest.raises(InputError, match="nothing is fetched offline"):
        fetch(entry(tmp_path, front(server, digits)))
    assert server.requests == []


def test_a_file_put_there_by_hand_is_verified_and_kept(tmp_path, server, digits):
    one = entry(tmp_path, front(server, digits))
    os.makedirs(fetching.folder_of(one))
    with open(os.path.join(fetching.folder_of(one), "digits.caffemodel"), "wb") as file:
        file.write(digits["digits.caffemodel"])
    fetch(one)
    assert [path for path, _ in server.requests] == ["/deploy.prototxt"]


def test_a_wrong_file_put_there_by_hand_is_refused(tmp_path, server, digits):
    one = entry(tmp_path, front(server, digits, size=None))
    os.makedirs(fetching.folder_of(one))
    path = os.path.join(fetching.folder_of(one), "digits.caffemodel")
    with open(path, "wb") as file:
        file.write(b"other weights")
    with open(os.path.join(fetching.folder_of(one), "deploy.prototxt"), "wb") as file:
        file.write(digits["deploy.prototxt"])
    for offline in (False, True):
        with pytest.raises(InputError, match="digits.caffemodel: has the SHA-256 .*delete it"):
            fetch(one, offline=offline)
    assert open(path, "rb").read() == b"other weights"


def test_a_file_that_changed_after_its_fetch_is_noticed(tmp_path, server, digits):
    one = entry(tmp_path, front(server, digits, size=None))
    path = os.path.join(fetch(one), "digits.caffemodel")
    with open(path, "r+b") as file:
        file.write(b"damage")
    os.utime(path, (1, 1))
    assert not fetching.is_ready(one)
    with pytest.raises(InputError, match="delete it so that it is fetched again"):
        fetch(one)
    assert [name for name, wrong in fetching.check(one) if wrong] == ["digits.caffemodel"]


def test_where_no_hash_is_known_the_first_fetch_sets_it(tmp_path, server, digits, caplog):
    caplog.set_level("INFO")
    said = front(server, digits)
    del said["zoo"]["weights"]
    one = entry(tmp_path, said)
    folder = fetch(one)
    assert "no hash of digits.caffemodel is known" in caplog.messages[1]
    record = json.loads(open(os.path.join(folder, cache.RECORD)).read())
    assert record["files"]["digits.caffemodel"]["sha256"] == sha(digits["digits.caffemodel"])
    os.remove(os.path.join(folder, "digits.caffemodel"))
    server.answers["/digits.caffemodel"] = [Answer(digits["digits.caffemodel"][:-1] + b"\1")]
    with pytest.raises(InputError, match="gives another file, which has the SHA-256"):
        fetch(one)
    assert not os.path.exists(os.path.join(folder, "digits.caffemodel"))


def test_a_model_without_an_address_is_named_for_people(tmp_path, server, digits):
    said = front(server, digits, elsewhere=["Git LFS of a/b: digits.caffemodel"])
    del said["caffemodel_url"]
    with pytest.raises(InputError) as caught:
        fetch(entry(tmp_path, said))
    assert "no address of its digits.caffemodel is known; get it by hand from Git LFS of a/b" in (
        str(caught.value))
    assert server.requests == []


def test_a_model_without_a_net_is_said_before_its_weights_come(tmp_path, server, digits):
    said = front(server, digits)
    del said["zoo"]["prototxt"]
    one = entry(tmp_path, said)
    with pytest.raises(InputError, match="no address of its net is known; put a deploy.prototxt"):
        fetch(one)
    assert server.requests == []
    with open(os.path.join(fetching.folder_of(one), "deploy.prototxt"), "wb") as file:
        file.write(digits["deploy.prototxt"])
    assert LoadedModel.load(fetch(one)).score == "score"


def test_an_archive_is_verified_and_unpacked(tmp_path, digits):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in digits.items():
            info = tarfile.TarInfo("digits_caffe/" + name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    content = packed.getvalue()
    with serving({"/d.tar.gz": [Answer(content)]}) as server:
        said = {"gradcam": {"inputs": {"mean": [128], "scale": 0.00390625}}, "zoo": {
            "archive": {"url": server.url + "/d.tar.gz", "md5": sha(content, "md5")}}}
        one = entry(tmp_path, said)
        folder = fetch(one)
        assert LoadedModel.load(folder).score == "score"
        assert sorted(os.listdir(folder)) == [
            ".lock", "deploy.prototxt", "digits.caffemodel", "fetched.json", "readme.md"]
        fetch(one)
        assert len(server.requests) == 1
    assert dict(fetching.check(one)) == {"deploy.prototxt": "", "digits.caffemodel": ""}


def test_two_processes_that_fetch_one_model_do_not_trip(tmp_path, server, digits, home):
    one = entry(tmp_path, front(server, digits))
    server.answers["/digits.caffemodel"] = [
        Answer(digits["digits.caffemodel"], only=50000, stall=0.3),
        Answer(digits["digits.caffemodel"])]
    code = textwrap.dedent("""
        import sys
        from caffe_gradcam.zoo import download, entries, fetching
        print(fetching.fetch(entries.read(sys.argv[1]), quiet=True, policy=download.Policy(
            stall=0.1, pause=0.01)))
    """)
    both = [subprocess.Popen([sys.executable, "-c", code, one.folder], stdout=subprocess.PIPE)
            for _ in range(2)]
    assert [process.communicate()[0].decode().strip() for process in both] == [
        fetching.folder_of(one)] * 2
    assert [path for path, _ in server.requests].count("/deploy.prototxt") == 1
    assert fetching.is_ready(one)


@pytest.mark.skipif(os.name == "nt", reason="wants signals")
def test_a_killed_process_does_not_hold_the_folder(tmp_path):
    folder = str(tmp_path)
    code = "from caffe_gradcam.zoo import cache; import sys, time\n" \
           "with cache.locked(sys.argv[1]):\n    print('held', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(InputError, match="another process kept it locked"):
        with cache.locked(folder, timeout=0.2):
            pass
    process.kill()
    process.communicate()
    begun = time.time()
    with cache.locked(folder, timeout=5):
        assert time.time() - begun < 2


def test_the_home_follows_the_platform(monkeypatch, tmp_path):
    monkeypatch.delenv(user_folder.VARIABLE)
    monkeypatch.setattr(user_folder.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_folder.path() == str(tmp_path / "caffe-gradcam")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/me")
    assert user_folder.path() == "/home/me/.cache/caffe-gradcam"
    monkeypatch.setattr(user_folder.sys, "platform", "darwin")
    assert user_folder.path() == "/home/me/Library/Caches/caffe-gradcam"
    monkeypatch.setenv(user_folder.VARIABLE, "~/zoo")
    assert user_folder.path() == "/home/me/zoo"


def test_a_home_that_cannot_be_made_is_said(tmp_path, server, digits, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(user_folder.VARIABLE, str(tmp_path / "file" / "home"))
    with pytest.raises(InputError, match="cannot be made: .*; set CAFFE_GRADCAM_HOME"):
        fetch(entry(tmp_path, front(server, digits)))


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/b.caffemodel", "readme.md", "..",
                                  "fetched.json"])
def test_a_name_that_leads_out_of_the_folder_is_refused(name, tmp_path):
    with pytest.raises(InputError, match="is not a plain file name"):
        entry(tmp_path, {"caffemodel": name, "caffemodel_url": "http://x.invalid/y"})


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "//x/y", "http:///y"])
def test_an_address_other_than_of_the_web_is_refused(url, tmp_path):
    with pytest.raises(InputError, match="is not an http or https address"):
        entry(tmp_path, {"caffemodel": "a.caffemodel", "caffemodel_url": url})


def test_labels_are_generated_from_facts(tmp_path):
    sets = labelsets.load(registry.shipped())
    path = str(tmp_path / "labels.txt")
    labelsets.write(sets["age-groups"], path)
    assert open(path).read().split() == [
        "0-2", "4-6", "8-12", "15-20", "25-32", "38-43", "48-53", "60-100"]
    labelsets.write(sets["gender"], path)
    assert open(path).read() == "Male\nFemale\n"


def test_labels_of_places_lose_their_paths_and_numbers(tmp_path):
    body = b"/a/airfield 0\n/b/bakery/shop 1\n"
    with serving({"/c.txt": [Answer(body)]}) as server:
        known = {"url": server.url + "/c.txt", "count": 2, "form": "path"}
        labelsets.write(known, str(tmp_path / "labels.txt"), HASTY, True)
    assert (tmp_path / "labels.txt").read_text() == "airfield\nbakery/shop\n"


def test_labels_in_another_order_than_their_numbers_are_refused(tmp_path):
    with serving({"/c.txt": [Answer(b"/a/airfield 1\n/b/bakery 0\n")]}) as server:
        known = {"url": server.url + "/c.txt", "count": 2, "form": "path"}
        with pytest.raises(InputError, match="line 1 does not end with 0"):
            labelsets.write(known, str(tmp_path / "labels.txt"), HASTY, True)
    assert os.listdir(str(tmp_path)) == []


def test_labels_out_of_an_archive_are_counted(tmp_path):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        info = tarfile.TarInfo("synset_words.txt")
        info.size = 18
        archive.addfile(info, io.BytesIO(b"n01440764 tench\nn0"))
    with serving({"/aux.tar.gz": [Answer(packed.getvalue())]}) as server:
        known = {"url": server.url + "/aux.tar.gz", "count": 1000, "member": "synset_words.txt"}
        with pytest.raises(InputError, match="2 labels were fetched instead of 1000"):
            labelsets.write(known, str(tmp_path / "synset_words.txt"), HASTY, True)
    assert os.listdir(str(tmp_path)) == []


def test_labels_that_cannot_be_had_do_not_stop_a_fetch(tmp_path, server, digits, monkeypatch,
                                                       caplog):
    said = front(server, digits)
    said["zoo"]["labels"] = "mine"
    monkeypatch.setattr(labelsets, "load", lambda folder: {
        "mine": {"url": server.url + "/gone", "count": 10, "file": "labels.txt"}})
    folder = fetch(entry(tmp_path, said))
    assert caplog.messages[-1].startswith("without labels: labels.txt: cannot be fetched")
    assert LoadedModel.load(folder).class_names is None


def test_locate_gives_paths_as_they_are_and_fetches_names(tmp_path, server, digits, monkeypatch):
    one = entry(tmp_path, front(server, digits))
    monkeypatch.setattr(registry, "load", lambda: [one])
    assert zoo.locate(str(tmp_path)) == str(tmp_path)
    assert zoo.locate("digits-away", quiet=True) == fetching.folder_of(one)
    asked = len(server.requests)
    assert zoo.locate("Digits Away", quiet=True) == fetching.folder_of(one)
    assert len(server.requests) == asked
    with pytest.raises(InputError, match="no model is called 'digit'; near: digits-away"):
        zoo.locate("digit")
    with pytest.raises(InputError, match="x/y: no such model folder or prototxt"):
        zoo.locate("x/y")


def test_the_registry_s_own_folder_counts_as_the_name(tmp_path, server, digits, home):
    one = entry(tmp_path, front(server, digits))
    assert zoo.locate(one.folder, quiet=True) == str(home / "models" / "digits-away")


def test_a_disk_that_is_too_full_is_said_before_anything_comes(tmp_path, server, digits,
                                                               monkeypatch):
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda path: mock.Mock(free=70000000))
    one = entry(tmp_path, front(server, digits, size=10000000))
    with pytest.raises(InputError, match="10 MB are needed, but only 70 MB are free; set CAFFE"):
        fetch(one)
    assert server.requests == []
