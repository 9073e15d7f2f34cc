# The images; docs/images.md says what each is for. Build them with scripts/build-image.
#   cpu    real Caffe, Debian 11's own CPU build: what scripts/caffe-gradcam runs
#   cuda   real Caffe on NVIDIA cards up to Turing (sm_75): NVIDIA's last image of Caffe
#   torch  the torch engine: for current cards, or with --build-arg TORCH=cpu without any
#   test   cpu and the test tools, with Debian's CPU torch: both engines meet in one process
# Every input is pinned: the bases by digest (docs/images.md says where each was read), Debian packages
# by version and wheels by hash (images/*.lock, written by scripts/lock-images).
ARG BASE=debian:bullseye-20260824-slim@sha256:e5b6442dd2e9684cf5e87d8338b5968f3b348636fc0be6d7850a381e3731a2bd
ARG TORCH_BASE=debian:bookworm-20260824-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171
ARG CUDA_BASE=nvcr.io/nvidia/caffe:20.03-py3@sha256:c6fb6d8309be4c43ccdc7dd19dde73d186404df3627f660866178eff507e22c7
# Where the archive of snapshots stands still; empty for the mirror of the day.
ARG SNAPSHOT=20261001T000000Z
# 2026-10-01 00:00:00 UTC
ARG SOURCE_DATE_EPOCH=1790812800

# A digest of images/: Buildah's cache does not see that what a RUN mounts has changed. The project's wheel,
# for the same reason, is copied and never mounted.
ARG IMAGES

# Wheels for pip where no index can be reached: --build-context wheels=FOLDER.
FROM scratch AS wheels

FROM ${BASE} AS base

FROM ${BASE} AS caffe
ARG SNAPSHOT IMAGES
RUN --mount=type=bind,source=images,target=/images /images/install /images/caffe.lock

# The project as /wheel/*.whl, the same for every image, and as files for Debian 11.
FROM caffe AS build
ARG SNAPSHOT SOURCE_DATE_EPOCH IMAGES
RUN --mount=type=bind,source=images,target=/images /images/install /images/build.lock
COPY setup.py pyproject.toml README.md LICENSE /source/
COPY prototxt_tools /source/prototxt_tools
COPY caffe_gradcam /source/caffe_gradcam
COPY models /source/models
# Whatever umask the checkout was made under.
RUN chmod -R u=rwX,go=rX /source \
 && pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /wheel /source \
 && pip install --no-deps --no-index --no-compile --root /install /wheel/*.whl \
 && mkdir -p /install/opt/caffe-gradcam && cp -r /source/models /install/opt/caffe-gradcam/

FROM caffe AS pruned
ARG SOURCE_DATE_EPOCH IMAGES
COPY --from=build /install /
RUN --mount=type=bind,source=images,target=/images /images/prune && /images/freeze

FROM scratch AS cpu
COPY --from=pruned / /
# A home that any user may write to: the image runs as whoever calls it.
ENV GLOG_minloglevel=2 HOME=/tmp PYTHONDONTWRITEBYTECODE=1
LABEL org.opencontainers.image.title="caffe-gradcam" \
      org.opencontainers.image.description="Grad-CAM on real Caffe, CPU" \
      org.opencontainers.image.documentation="docs/images.md" \
      org.opencontainers.image.licenses="BSD-2-Clause AND LicenseRef-Debian" \
      org.opencontainers.image.base.name="debian:bullseye-slim"
USER 1000:1000
ENTRYPOINT ["caffe-gradcam"]

FROM caffe AS test
ARG SNAPSHOT SOURCE_DATE_EPOCH IMAGES
RUN --mount=type=bind,source=images,target=/images /images/install /images/test.lock
COPY --from=build /install /
# The repository is mounted read-only; here Caffe must be found, never skipped.
ENV CAFFE_GRADCAM_REQUIRE_CAFFE=1 \
    GLOG_minloglevel=2 \
    HOME=/tmp \
    HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis \
    PYTEST_ADDOPTS="-p no:cacheprovider" \
    PYTHONDONTWRITEBYTECODE=1
USER 1000:1000
ENTRYPOINT ["caffe-gradcam"]

FROM ${TORCH_BASE} AS torch-base

FROM ${TORCH_BASE} AS torch-debian
ARG SNAPSHOT IMAGES
RUN --mount=type=bind,source=images,target=/images /images/install /images/torch.lock

FROM torch-debian AS torch-wheels
ARG SNAPSHOT IMAGES
ARG TORCH=cuda
ARG PIP_EXTRA_INDEX_URL
RUN --mount=type=bind,source=images,target=/images /images/install /images/torch-build.lock
RUN --mount=type=bind,source=images,target=/images \
    --mount=type=bind,from=wheels,target=/wheels \
    /images/install-wheels /images/torch-$TORCH.lock
COPY --from=build /wheel /wheel
RUN python3 -m pip install --break-system-packages --no-compile --no-deps --no-index /wheel/*.whl

FROM torch-debian AS torch-frozen
ARG SOURCE_DATE_EPOCH IMAGES
COPY --from=torch-wheels /usr/local /usr/local
COPY --from=build /install/opt /opt
RUN --mount=type=bind,source=images,target=/images /images/freeze

FROM scratch AS torch
COPY --from=torch-frozen / /
ENV HOME=/tmp PYTHONDONTWRITEBYTECODE=1 \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
LABEL org.opencontainers.image.title="caffe-gradcam" \
      org.opencontainers.image.description="Grad-CAM for Caffe models on the torch engine" \
      org.opencontainers.image.documentation="docs/images.md" \
      org.opencontainers.image.licenses="BSD-2-Clause AND LicenseRef-Debian AND LicenseRef-NVIDIA" \
      org.opencontainers.image.base.name="debian:bookworm-slim"
USER 1000:1000
ENTRYPOINT ["caffe-gradcam"]

# NVIDIA's image brings Caffe and its Python 3.6. What else the command needs comes after those on
# Python's path, so that where the image has a library, it is the image's that is used.
FROM ${CUDA_BASE} AS cuda
ARG IMAGES
RUN --mount=type=bind,source=images,target=/images \
    --mount=type=bind,from=wheels,target=/wheels \
    /images/install-beside /images/cuda.lock
COPY --from=build /install/opt /opt
COPY --from=build /wheel /opt/caffe-gradcam/wheel
RUN python3 -m pip install --no-compile --no-deps --no-index /opt/caffe-gradcam/wheel/*.whl
ENV GLOG_minloglevel=2 HOME=/tmp PYTHONDONTWRITEBYTECODE=1
LABEL org.opencontainers.image.title="caffe-gradcam" \
      org.opencontainers.image.description="Grad-CAM on real Caffe, NVIDIA cards up to sm_75" \
      org.opencontainers.image.documentation="docs/images.md" \
      org.opencontainers.image.base.name="nvcr.io/nvidia/caffe:20.03-py3"
USER 1000:1000
ENTRYPOINT ["caffe-gradcam"]
