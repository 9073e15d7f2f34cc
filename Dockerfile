# Real Caffe (Debian 11's own CPU build) with this project. Build it with scripts/build-image.
#   cpu   what scripts/caffe-gradcam runs
#   test  the same and the test tools, with Debian's CPU torch: both engines meet in one process

# This digest stands in public repositories: sat-heritage/docker-images, tests/test_validation.py
# at commit 59a109a652ef40bff84b7c1d227f348f12cf221b (debian:bullseye-20220711-slim), and the
# Dockerfile that mwalbeck/docker-jellyfin-livestream once had (debian:bullseye-slim).
ARG BASE=debian:bullseye-slim@sha256:f576b8067b77ff85c70725c976b7b6cde960898e2f19b9abab3fb148407614e2

FROM ${BASE} AS caffe
# Without OpenBLAS Caffe falls back on the reference BLAS, many times slower.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        libopenblas0-pthread \
        python3-caffe \
        python3-h5py \
        python3-numpy \
        python3-opencv \
        python3-protobuf \
        python3-tqdm \
        python3-yaml \
 && apt-get clean && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 1000 --create-home caffe
# A home that any user may write to: the image runs as whoever calls it.
ENV GLOG_minloglevel=2 HOME=/tmp
USER caffe
WORKDIR /home/caffe
ENTRYPOINT ["caffe-gradcam"]

FROM caffe AS build
USER root
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-pip
COPY . /src
RUN pip install --no-deps --no-build-isolation --no-index --root=/install /src \
 && mkdir -p /install/opt/caffe-gradcam \
 && cp -r /src/models /install/opt/caffe-gradcam/ \
 && chmod -R a+rX /install

FROM caffe AS cpu
COPY --from=build /install /

FROM caffe AS test
USER root
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        python3-hypothesis \
        python3-pytest \
        python3-pytest-timeout \
        python3-sklearn \
        python3-torch \
 && apt-get clean && rm -rf /var/lib/apt/lists/*
# The repository is mounted read-only; here Caffe must be found, never skipped.
ENV CAFFE_GRADCAM_REQUIRE_CAFFE=1 \
    HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis \
    PYTEST_ADDOPTS="-p no:cacheprovider" \
    PYTHONDONTWRITEBYTECODE=1
USER caffe
COPY --from=build /install /
