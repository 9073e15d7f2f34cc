"""Every rewrite on every net of the shared folder: a net, or a reason why not."""

import pytest

from prototxt_tools import rewrite, schema
from prototxt_tools.document import Document
from prototxt_tools.errors import InputError
from prototxt_tools.graph import Graph
from prototxt_tools.net import Net


def cut_at_scores(document):
    scores = Graph(Net.parse(document).at("TEST")).scores()
    return rewrite.cut(document, [score.blob for score in scores])


def all_others(document):
    for step in (rewrite.upgrade, rewrite.stock, two_images, rewrite.un_in_place):
        document, _ = step(document)
    return rewrite.Rewrite(document, [])


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
def test_a_stock_net_that_caffe_loads_still_loads_after_rewriting(caffe, shared, tmp_path, half):
    from real_upgrade import in_child

    def load_all(paths):
        for path in paths:
            caffe.Net(str(path), caffe.TEST)

    loaded = 0
    for index, (path, document) in enumerate(nets(shared)):
        layers = Net.parse(document).layers
        if index % 2 != half or any(x.type not in schema.LAYER_TYPES for x in layers):
            continue
        if in_child(load_all, [path]):
            loaded += 1
            results = rewritten(document, tmp_path)
            if not in_child(load_all, results):
                broken = [result.name for result in results if not in_child(load_all, [result])]
                raise AssertionError("{} does not load after {}".format(path.name, broken))
    assert loaded > 40


def rewritten(document, folder):
    """Files of the results that differ from the document, in place of those of the last one."""
    for path in folder.iterdir():
        path.unlink()
    for function in (rewrite.deploy, cut_at_scores, all_others):
        try:
            result = function(document).document
        except InputError:
            continue
        if result is not document:
            (folder / function.__name__).write_bytes(result.encode())
    return sorted(folder.iterdir())
