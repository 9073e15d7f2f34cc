"""Prints what an image holds, as CycloneDX 1.5 in JSON: Debian's packages and pip's wheels.

scripts/sbom runs it inside the image, with the image's Python (3.6 or newer) and nothing else.
"""
import json
import re
import subprocess
import sys
from pathlib import Path

FIELDS = "${Package}\t${Version}\t${Architecture}\t${db:Status-Abbrev}\n"


def main():
    parts = list(debian()) + sorted(wheels(), key=lambda part: part["name"].lower())
    lines = ",\n".join("  " + json.dumps(part, ensure_ascii=False) for part in parts)
    head = {"type": "container", "name": "caffe-gradcam:" + sys.argv[1]}
    print('{"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,\n'
          f' "metadata": {{"component": {json.dumps(head)}}},\n'
          f' "components": [\n{lines}\n]}}')


def component(name, version, purl, licenses):
    return {"type": "library", "name": name, "version": version, "purl": purl,
            "licenses": [{"license": {"name": name}} for name in licenses]}


def debian():
    """Debian's packages; their licenses where the copyright file can be read by a program."""
    system = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines()
                  if "=" in line)
    distribution = system["ID"].strip('"')
    release = "{}-{}".format(distribution, system["VERSION_ID"].strip('"'))
    output = subprocess.run(["dpkg-query", "-W", "-f", FIELDS], stdout=subprocess.PIPE, check=True)
    for line in output.stdout.decode().splitlines():
        name, version, architecture, status = line.split("\t")
        if status.startswith("ii"):
            escaped = version.replace("+", "%2B").replace(":", "%3A")
            purl = f"pkg:deb/{distribution}/{name}@{escaped}?arch={architecture}&distro={release}"
            yield component(name, version, purl,
                            copyrights(Path("/usr/share/doc") / name / "copyright"))


def copyrights(path):
    """The licenses that a copyright file of Debian's names."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    if not re.match(r"\s*Format(-Specification)?:", text):
        return sorted(set(re.findall(r"/usr/share/common-licenses/([\w.+-]*\w)", text)))
    names = re.findall(r"^License:[ \t]*(\S.*)$", text, re.MULTILINE)
    return sorted({name.strip() for name in names})


def wheels():
    """What pip installed, which is what lies outside Debian's own folder."""
    folders = {Path(folder) for folder in sys.path if folder and "/dist-packages" in folder
               or "/site-packages" in folder or "/beside" in folder}
    for folder in sorted(folders - {Path("/usr/lib/python3/dist-packages")}):
        for metadata in folder.glob("*.dist-info/METADATA"):
            head = metadata.read_text(encoding="utf-8").split("\n\n")[0]
            fields = {}
            for key, value in re.findall(r"^([\w-]+): (.*)$", head, re.MULTILINE):
                fields.setdefault(key, value)
            licenses = [fields[key] for key in ("License-Expression", "License")
                        if fields.get(key)][:1]
            licenses = licenses or [value.split(" :: ")[-1] for value in re.findall(
                r"^Classifier: License :: (.*)$", head, re.MULTILINE)]
            purl = "pkg:pypi/{}@{}".format(
                fields["Name"].lower().replace("_", "-"), fields["Version"])
            wheel = component(fields["Name"], fields["Version"], purl, licenses)
            libraries = carried(metadata.parent, fields["Name"])
            yield dict(wheel, components=libraries) if libraries else wheel


def carried(folder, wheel):
    """The libraries inside a wheel, as its own bills (PEP 770) list them."""
    libraries = {}
    for path in sorted(folder.glob("sboms/*.json")):
        for part in json.loads(path.read_text(encoding="utf-8")).get("components", ()):
            name, version = part["name"], part.get("version", "")
            if name != wheel:
                libraries[name, version] = component(
                    name, version, part.get("purl", ""),
                    copyrights(folder / "licenses" / name))
    return [libraries[key] for key in sorted(libraries)]


main()
