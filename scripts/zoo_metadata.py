#!/usr/bin/env python3
"""scripts/zoo_metadata.py [--check] FACTS
Writes models/NAME/readme.md for every public model of FACTS (zoo_facts.json) that gives scores and
whose weights have an address or a hash; with --check it writes nothing and names what differs.
"""

import json
import re
import sys
from pathlib import Path

import yaml

MODELS = Path(__file__).resolve().parents[1] / "models"
# Written by hand.
OURS = {"digits", "digits-caption", "digits-detector", "digits-question",
        "torchray-vgg16-voc07", "torchray-vgg16-coco14", "torchray-resnet50-voc07",
        "torchray-resnet50-coco14"}
NETWORK = "network facts (shapes, blobs, layer types, format, stock-parse check)"
HASHES = ("sha1", "sha256", "sha384", "md5", "git_blob_sha1", "sha256_prefix")
# A model's task by the words of the facts; the first that fits. None: it gives no class scores.
TASKS = [
    ("region classification", "classification"), ("mtcnn", "faces"), ("detection", None),
    ("multi-label", "multi-label"), ("places", "scenes"), ("scene", "scenes"), ("age", "age"),
    ("gender", "gender"),
    ("face", "faces"), ("segmentation", "segmentation"), ("classification", "classification"),
]
LABEL_SETS = [
    ("2015", "ilsvrc2015"), ("ILSVRC2012", "ilsvrc2012"),
    ("categories_places365", "places365"), ("hybrid1365", "hybrid1365"),
    ("synset.txt in repo", "imagenet21k"), ("(0-2)", "age-groups"),
    ("Male", "gender"), ("SFW", "nsfw"),
]
RAW = "https://raw.githubusercontent.com/"
PLACES = "CSAILVision/places365/06218620d593de09ac4f9f39b72ea0d175990a24/"
LEVI = "GilLevi/AgeGenderDeepLearning/2d591d4663b3faf778377f6b4377285a96262cb5/"
# Mean files with an address: words of the fact -> name, address, size.
MEAN_FILES = [
    ("VGG_mean.binaryproto", "VGG_mean.binaryproto", None, None),
    ("places365CNN_mean", "places365CNN_mean.binaryproto", RAW + PLACES, 786446),
    ("models/mean.binaryproto", "mean.binaryproto", RAW + LEVI + "models/", 786446),
    ("c.yosinski.com", "ilsvrc_2012_mean.npy", None, None),
]
# Where the file lies whose hash the facts hold without an address; a commit that has it.
PROTOTXTS = {
    "SENet-154": "hujie-frank/SENet/369374b0678907a0e45c6f267256c7c34203177e/models/",
    "Places-CNDS-8": "lwwang/Places_CNDS_model/9a9173e70217933a198a607ffd81bea092175119/",
    "GoogleNetCOCO (Excitation BP)":
        "jimmie33/Caffe-ExcitationBP/f9e85bf09b9774ed94787e1b5e9f1fc2b15c2bf0/models/COCO/",
    "VGG16-CAM ImageNet": "zhoubolei/CAM/4c0ad65868a2fd39f94ed92449620552e9ea8e59/models/",
    "GoogLeNet-CAM Places205": "zhoubolei/CAM/5e0c134b20eb104f5344a17cbb3d3ab99af384ce/models/",
    "AlexNet+-CAM ImageNet": "zhoubolei/CAM/5dd57cc9425819a75709fbe4a63db725bd66b92d/models/",
    "AlexNet+-CAM Places205": "zhoubolei/CAM/4c0ad65868a2fd39f94ed92449620552e9ea8e59/models/",
    "FCN-8s PASCAL": "shelhamer/fcn.berkeleyvision.org/1305c7378a9f0ab44b2c936f4d60e4687e3d8743"
                     "/voc-fcn8s/",
    "Light CNN A":
        "AlfredXiangWu/face_verification_experiment/9e5031c9ee45dd2cd9a54c91c099abb34bfbdb56"
        "/proto/",
    "Light CNN B":
        "AlfredXiangWu/face_verification_experiment/e31d2b52fa2e3698ebabd0e04208eb0b2fdf42ee"
        "/proto/",
    "Dilation8 PASCAL VOC": "fyu/dilation/9dbc0410fb2c4e1edead418013e58bc38bf99773/models/",
    "Dilation8 CamVid": "fyu/dilation/1333a64e86d727d24adb0ecf6542ff22c80b2e7e/models/",
    "Dilation7 KITTI": "fyu/dilation/9dbc0410fb2c4e1edead418013e58bc38bf99773/models/",
    "SegNet-Basic CamVid":
        "alexgkendall/SegNet-Tutorial/2d0457ca20a7d22a81f07316bc04b2f26992730c/Example_Models/",
    "SegNet SUN":
        "alexgkendall/SegNet-Tutorial/2d0457ca20a7d22a81f07316bc04b2f26992730c/Example_Models/",
    "SegNet PASCAL":
        "alexgkendall/SegNet-Tutorial/2d0457ca20a7d22a81f07316bc04b2f26992730c/Example_Models/",
    "ICNet Cityscapes train 30k":
        "hszhao/ICNet/d33360ef1419f837e593c638b1f2f7a8fefe3fd5/evaluation/prototxt/",
}
# Facts about other files than those of this registry, or about how they were found.
UNSAID = re.compile("local copy|not read|stored tree|CI fixture")
# Numbers of a search engine that nobody else has.
UNTRACEABLE = [
    (r"\s*\(find_string ids? [\d, ]+\)", ""), (r"find_string ids? [\d, ]+\((.*?)\)", r"\1"),
    (r",? e\.g\. find_string ids? \d+", ""), (r"stored copy", "copy"),
]
SOEAVER = "soeaver/caffe-model@20205fae:cls/evaluation_cls.py (base size is the short side)"


def main(arguments):
    if not arguments or "--help" in arguments:
        print(__doc__.strip())
        return 0 if "--help" in arguments else 2
    facts = json.loads(Path(arguments[-1]).read_text(encoding="utf-8"))
    readmes = {slug: readme(fact, slug) for slug, fact in chosen(facts).items()}
    if "--check" not in arguments:
        for slug, text in readmes.items():
            (MODELS / slug).mkdir(exist_ok=True)
            (MODELS / slug / "readme.md").write_text(text, encoding="utf-8")
        return 0
    current = {path.parent.name: path.read_text(encoding="utf-8")
               for path in MODELS.glob("*/readme.md")}
    differ = [slug for slug in sorted(set(current) | set(readmes))
              if slug not in OURS and current.get(slug) != readmes.get(slug)]
    for slug in differ:
        print(f"models/{slug}/readme.md differs from the facts")
    return 1 if differ else 0


def chosen(facts):
    """The models of the registry, by the names of their folders."""
    names = [plain(fact["name"]) for fact in facts]
    folders = {}
    for fact in facts:
        short = plain(re.sub(r"\s*\(.*\)", "", fact["name"]))
        same = [other for other in facts
                if plain(re.sub(r"\s*\(.*\)", "", other["name"])) == short]
        slug = short if len(same) == 1 else plain(fact["name"])
        weights = addresses(fact) or any(fact[kind] for kind in HASHES) or fact["archive_url"]
        if task(fact) and weights:
            folders[slug] = fact
    assert len(set(names)) == len(names)
    return folders


def plain(name):
    name = name.lower().replace("+", "plus").replace("&", "and")
    return re.sub(r"[^a-z0-9._]+", "-", name).strip("-")


def task(fact):
    # Some tasks say only what kind of net it is; the name says of what.
    named = [word for word in ("mtcnn", "places") if word in fact["name"].lower()]
    words = " ".join(named + [fact["task"].lower()])
    if "files not read" in words:
        return None
    return next((name for word, name in TASKS if word in words), None)


def addresses(fact):
    """Every address of the weights, those that give files before those that show pages."""
    urls = [fact["caffemodel_url"]] + (fact["caffemodel_mirrors"] or [])
    links = [drive(url) for url in urls if url and not url.startswith("git-lfs:")]
    return sorted(dict.fromkeys(links), key=is_page)


def drive(url):
    key = re.match(r"google_drive:(.+)", url) or re.search(r"drive\.google\.com/.*?[=/]"
                                                           r"([\w-]{20,})", url)
    return "https://drive.google.com/open?id=" + key.group(1) if key else url


def is_page(url):
    return any(host in url for host in ("drive.google.com", "onedrive.live.com", "1drv.ms"))


def readme(fact, slug):
    """The text of a model's readme.md."""
    front = {"name": fact["name"]}
    urls = addresses(fact)
    if urls and not fact["archive_url"]:
        front.update(caffemodel=weights_name(fact, urls, slug), caffemodel_url=urls[0])
    elif fact["name"] == "VGG_FACE":
        front["caffemodel"] = "VGG_FACE.caffemodel"
    elif lfs(fact):
        front["caffemodel"] = lfs(fact)[0].split("/")[-1]
    front["license"] = fact["license"]
    front["sha1"] = fact["sha1"]
    front["gradcam"] = gradcam(fact)
    front["zoo"] = zoo(fact, urls)
    text = yaml.dump(kept(front), Dumper=Dumper, sort_keys=False, width=10000, allow_unicode=True)
    return f"---\n{text}{recorded(slug)}---\n{body(fact, slug)}"


def recorded(slug):
    """The known answers that `models test --record` has written into the entry, as they stand."""
    path = MODELS / slug / "readme.md"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    answers = re.search(r"^answers:\n(?:  .*\n)+", text, re.MULTILINE)
    return answers.group(0) if answers else ""


class Dumper(yaml.SafeDumper):
    """Small things on one line, all others line by line."""

    def ignore_aliases(self, data):
        return True

    def represent_sequence(self, tag, sequence, flow_style=None):
        return super().represent_sequence(tag, sequence, is_small(sequence))

    def represent_mapping(self, tag, mapping, flow_style=None):
        values = list(mapping.values())
        numbers = not any(isinstance(value, (str, bool)) for value in values)
        return super().represent_mapping(tag, mapping, numbers and is_small(values))


def is_small(values):
    simple = not any(isinstance(value, (list, dict)) for value in values)
    return simple and len(str(values)) < 80 and not any("/" in str(value) for value in values)


def weights_name(fact, urls, slug):
    name = next((url.split("?")[0].split("/")[-1] for url in urls + lfs(fact)
                 if url.split("?")[0].endswith(".caffemodel")), None)
    return name or slug + ".caffemodel"


def lfs(fact):
    return [url[len("git-lfs: "):] for url in fact["caffemodel_mirrors"] or []
            if url.startswith("git-lfs:")]


def gradcam(fact):
    order = {"BGR": "BGR", "RGB": "RGB", "gray": "GRAY"}.get(
        re.split(r"[ ]", fact["channel_order"] or "")[0])
    mean = mean_file(fact)
    given = dict(
        channel_order=order,
        mean=fact["mean"] or (mean["name"] if mean else mean_pixel(fact)),
        scale=fact["scale"],
        **geometry(fact)
    )
    if (fact["mean"] or []) and not any(fact["mean"]):
        given["mean"] = "none"
    return {
        "inputs": kept(given),
        "score": fact["score_blob"],
        "layer": fact["gradcam_target_blob"],
        "labels": "names.txt" if fact["label_order"] == "names.txt in archive" else None,
    }


def geometry(fact):
    """Resize and crop, where the facts say both without doubt and the net's size is known."""
    text, shape = fact["crop_resize"], fact["input_shape"]
    if not text or not shape:
        return {}
    size, lengths = shape[2:], [int(number) for number in re.findall(r"\d{3}", text)]
    if text.startswith("["):
        steps = [step for step in json.loads(text) if step["type"] in ("resize", "crop")]
        if not steps or steps[0]["type"] != "resize":
            return {}
        first = steps[0]
        resize = [first.get("dst_height", first.get("size")),
                  first.get("dst_width", first.get("size"))]
        if first.get("aspect_ratio_scale") == "greater":
            resize = first["size"]
        return {"resize": resize, "crop": size if len(steps) > 1 else None}
    short = re.match("base|smaller side|shorter side|face box", text)
    number = next(length for length in lengths if length > min(size))
    return {"resize": number if short else [number, number], "crop": size}


def mean_file(fact):
    for words, name, folder, size in MEAN_FILES:
        if not fact["mean"] and words in (fact["mean_file"] or ""):
            url = folder + name if folder else fact["mean_file"]
            return {"name": name, "url": url, "size": size}
    return None


def mean_pixel(fact):
    """The mean colour of a mean file that has no address of its own."""
    match = re.search(r"pixel mean ~\[([\d.,]+)\] BGR", fact["mean_file"] or "")
    return [float(number) for number in match.group(1).split(",")] if match else None


def zoo(fact, urls):
    section = {
        "architecture": fact["architecture"],
        "task": task(fact),
        "about": fact["task"] if fact["task"] != task(fact) else None,
        "classes": fact["num_outputs"],
        "aliases": fact["aliases"],
        "weights": dict({kind: fact[kind] for kind in HASHES if kind != "sha1"},
                        size=fact["size_bytes"], mirrors=urls[1:], elsewhere=elsewhere(fact)),
        "archive": archive(fact),
        "prototxt": prototxt(fact),
        "mean": mean_file(fact),
        "labels": next((name for word, name in LABEL_SETS
                        if word in (fact["label_order"] or "")), None),
        "stated": {"label order": fact["label_order"], "mean file": fact["mean_file"],
                   "channel order": fact["channel_order"], "crop and resize": fact["crop_resize"]},
        "net": net(fact),
        "needs": needs(fact),
        "accuracy": fact["reference_accuracy"],
        "sources": sources(fact),
    }
    return kept(section)


def elsewhere(fact):
    return ["Git LFS of " + path.replace(" ", ": ", 1) for path in lfs(fact)]


def archive(fact):
    if not fact["archive_url"]:
        return None
    hashes = dict(fact["archive_hashes"] or {})
    mirrors = hashes.pop("mirrors", [])
    return dict(hashes, url=fact["archive_url"], size=fact["archive_size_bytes"],
                mirrors=[drive(url) for url in mirrors])


def prototxt(fact):
    if fact["archive_url"]:
        return None
    url, source = fact["prototxt_url"], fact["sources"].get(NETWORK, "")
    path = re.match(r"([^@]+)@([0-9a-f]+):(\S+)", source)
    page = None
    if not url and path:
        file = path.group(3).split("/")[-1]
        if fact["name"] in PROTOTXTS:
            url = RAW + PROTOTXTS[fact["name"]] + file
        else:
            page = "https://github.com/{}/blob/{}/{}".format(*path.groups())
    return {"url": url, "elsewhere": [page] if page else [], "size": fact["prototxt_size_bytes"],
            "sha1": fact["prototxt_sha1"], "sha256": fact["prototxt_sha256"],
            "sha384": fact["prototxt_sha384"]}


def net(fact):
    return {
        "form": fact["prototxt_format"], "input": fact["input_blob"], "shape": fact["input_shape"],
        "outputs": fact["outputs"], "softmax": fact["softmax_blob"],
        "layers": fact["layer_types"],
    }


def needs(fact):
    layers = ["layer type " + name for name in fact["nonstock_layers"] or []]
    fields = ["field " + name for name in fact["stock_caffe_unknown_fields"] or {}]
    return layers + [field for field in fields
                     if not field.startswith("field V1LayerParameter.type")]


def sources(fact):
    origins = {key: traceable(text) for key, text in fact["sources"].items()}
    if (fact["crop_resize"] or "").startswith("base"):
        origins["resize"] = SOEAVER
    return origins


def traceable(text):
    for pattern, plainer in UNTRACEABLE:
        text = re.sub(pattern, plainer, text)
    return text


def kept(mapping):
    """A mapping without what is not known."""
    filled = {}
    for key, value in mapping.items():
        if isinstance(value, dict):
            value = kept(value)
        if value is not None and value != [] and value != {}:
            filled[key] = value
    return filled


def body(fact, slug):
    lines = ["{}: {}.".format(fact["architecture"] or fact["name"], fact["task"]), "",
             "This folder describes a public model. The model itself is fetched by", "",
             f"    caffe-gradcam models fetch {slug}"]
    notes = [traceable(note.replace(" Good rewriter fixture.", "")) for note in fact["notes"]
             if not UNSAID.search(note)]
    if notes:
        lines += [""] + ["- " + note for note in notes]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
