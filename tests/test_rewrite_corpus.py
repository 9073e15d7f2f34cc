"""Every rewrite on every net of the shared folder: a net, or a reason why not."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))

import stock_caffe  # noqa: E402

from prototxt_tools import layers, rewrite
from prototxt_tools.errors import InputError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document


def cut_at_scores(document):
    net = Net.parse(document).at("TEST")
    return rewrite.cut(document, [x.blob for x in Graph(net).scores()] or net.outputs())


def two_images(document):
    return rewrite.batch_size(document, 2)


REWRITES = {
    "upgrade": rewrite.upgrade,
    "deploy": rewrite.deploy,
    "stock": rewrite.stock,
    "two images": two_images,
    "un in place": rewrite.un_in_place,
    "cut": cut_at_scores,
    "strip softmax": rewrite.strip_softmax,
    "force backward": rewrite.force_backward,
}


def all_at_once(document):
    for function in REWRITES.values():
        try:
            document = function(document).document
        except InputError:
            pass
    return document


def files(shared):
    return sorted((shared / "prototxt").rglob("*"))


def small_and_some_large(shared):
    """Large files are relatives of each other and take most of the time: every sixth of them."""
    large = [path for path in files(shared) if path.stat().st_size > 32000]
    return [path for path in files(shared) if path not in large or path in large[::6]]


def nets(paths):
    """Path and document of everything that is a net, one at a time."""
    for path in paths:
        try:
            document = Document.load(path)
            Net.parse(document)
        except InputError:
            continue
        yield path, document


def test_a_rewrite_gives_a_net_and_nothing_new_the_second_time(shared):
    changed, refused = dict.fromkeys(REWRITES, 0), dict.fromkeys(REWRITES, 0)
    for path, document in nets(small_and_some_large(shared)):
        for name, function in REWRITES.items():
            try:
                once = function(document).document
            except InputError as error:
                assert str(error), (path, name)
                refused[name] += 1
                continue
            if once is not document:
                Net.parse(once)
                assert function(once).document.text() == once.text(), (path, name)
                changed[name] += 1
    assert min(changed.values()) > 40
    assert refused["deploy"] < 130
    assert max(count for name, count in refused.items() if name != "deploy") < 60


@pytest.mark.parametrize("half", [0, pytest.param(1, marks=pytest.mark.long)])
def test_a_stock_net_that_caffe_loads_still_loads_after_all_rewrites(caffe, shared, half):
    def loads(document):
        return stock_caffe.build(document).refusal is None

    loaded = 0
    for index, (original, document) in enumerate(nets(files(shared))):
        types = {layer.type for layer in Net.parse(document).layers}
        if index % 2 != half or not types <= layers.stock_types():
            continue
        if loads(document):
            loaded += 1
            assert loads(all_at_once(document)), original.name
    assert loaded > 40
