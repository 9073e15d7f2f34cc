"""Metadata stands here, not in pyproject.toml, for the pip and setuptools of Python 3.6 too."""

import re
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).resolve().parent
version = re.search(
    r'^__version__ = "([^"]+)"$',
    (here / "prototxt_tools" / "__init__.py").read_text(encoding="utf-8"),
    re.MULTILINE,
).group(1)

setup(
    name="caffe-gradcam",
    version=version,
    description="Grad-CAM for Caffe networks, and the tools to read and rewrite their prototxt",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="the caffe-gradcam authors",
    license="BSD-2-Clause",
    packages=find_packages(include=["prototxt_tools*", "caffe_gradcam*"])
    + ["caffe_gradcam.zoo.models"],
    # The registry is a folder for people; an installed package carries it inside.
    package_dir={"caffe_gradcam.zoo.models": "models"},
    package_data={"prototxt_tools": ["py.typed", "commands/gradcam_script.py.txt"],
                  "caffe_gradcam": ["py.typed", "report/templates/*", "export/templates/*",
                                    "serve/templates/*"],
                  "caffe_gradcam.zoo.models": [
        "*.yaml", "*/readme.md", "digits*/*.prototxt", "digits*/*.txt", "digits*/*.caffemodel",
    ]},
    python_requires=">=3.6",
    install_requires=[
        "dataclasses; python_version < '3.7'",
        "numpy",
        "opencv-python",
        "protobuf",
        "PyYAML",
        "tqdm",
    ],
    extras_require={
        # Real Caffe for old Pythons; newer NumPy and protobuf do not load it.
        "caffe": ["kendryte-caffe; python_version < '3.10'",
                  "numpy<2; python_version < '3.10'",
                  "protobuf<3.21; python_version < '3.10'"],
        "torch": ["torch"],
        "jpeg": ["torch", "torchvision"],
        "onnx": ["onnx", "onnxruntime"],
        "openvino": ["onnx", "openvino"],
        "int8": ["nncf", "onnx", "onnxruntime", "scipy"],
        "h5": ["h5py"],
        "zoo": ["requests"],
        "batch": ["fsspec", "lmdb", "pyarrow"],
        "ray": ["ray[data]"],
        "report": ["jinja2"],
        "survey": ["jinja2", "scikit-learn"],
        "serve": ["starlette", "uvicorn"],
        "figures": ["matplotlib", "pillow"],
        "tiff": ["tifffile"],
        "video": ["av"],
        "completion": ["shtab"],
        "test": [
            "av; python_version >= '3.10'",
            "cachetools; python_version >= '3.10'",
            "fsspec",
            "h5py",
            "hypothesis",
            "import-linter; python_version >= '3.10'",
            "jinja2",
            "jsonschema; python_version >= '3.10'",
            "lmdb; python_version >= '3.7'",
            "matplotlib",
            "mlflow-skinny; python_version >= '3.10'",
            "mypy; python_version >= '3.10'",
            "nncf; python_version >= '3.10'",
            "onnx; python_version >= '3.10'",
            "onnxruntime; python_version >= '3.10'",
            "pandas; python_version >= '3.10'",
            "pillow",
            "pyarrow; python_version >= '3.10'",
            "pycocotools; python_version >= '3.10'",
            "pytest",
            "pytest-timeout",
            "pytest-xdist",
            "requests",
            "ruff; python_version >= '3.7'",
            "scikit-image; python_version >= '3.10'",
            "scikit-learn",
            "selenium; python_version >= '3.10'",
            "shtab; python_version >= '3.7'",
            "starlette; python_version >= '3.10'",
            "tensorboard; python_version >= '3.10'",
            "tifffile; python_version >= '3.10'",
            "types-PyYAML; python_version >= '3.10'",
            "types-requests; python_version >= '3.10'",
            "types-tqdm; python_version >= '3.10'",
            "uvicorn; python_version >= '3.10'",
            "vermin",
        ],
    },
    entry_points={
        "console_scripts": [
            "prototxt-tools = prototxt_tools.commands.cli:main",
            "caffe-gradcam = caffe_gradcam.commands.cli:main",
        ]
    },
    classifiers=[
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
