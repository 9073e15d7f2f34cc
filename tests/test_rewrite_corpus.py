"""Every rewrite on every net of the shared folder: a net, or a reason why not."""

import pytest

from prototxt_tools import rewrite, schema
from prototxt_tools.document import Document
from prototxt_tools.errors import InputError
from prototxt_tools.graph import Graph
from prototxt_tools.net import Net


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


def nets(shared):
    """Path and document of everything that is a net, one at a time."""
    for path in sorted((shared / "prototxt").rglob("*")):
        try:
            document = Document.load(path)
            Net.parse(document)
        except InputError:
            continue
        yield path, document


def test_a_rewrite_gives_a_net_and_nothing_new_the_second_time(shared):
    changed, refused = dict.fromkeys(REWRITES, 0), dict.fromkeys(REWRITES, 0)
    for path, document in nets(shared):
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
    assert min(changed.values()) > 50
    assert refused["deploy"] < 130
    assert max(count for name, count in refused.items() if name != "deploy") < 60


@pytest.mark.parametrize("half", range(2))
def test_a_stock_net_that_caffe_loads_still_loads_after_all_rewrites(caffe, shared, tmp_path, half):
    from real_upgrade import in_child

    def loads(document):
        path.write_bytes(document.encode())
        return in_child(caffe.Net, str(path), caffe.TEST)

    path, loaded = tmp_path / "net.prototxt", 0
    for index, (original, document) in enumerate(nets(shared)):
        layers = Net.parse(document).layers
        if index % 2 != half or any(x.type not in schema.LAYER_TYPES for x in layers):
            continue
        if loads(document):
            loaded += 1
            assert loads(all_at_once(document)), original.name
    assert loaded > 40
