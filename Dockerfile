# The images; docs/images.md says what each is for. Build them with scripts/build-image.
#   cpu    real Caffe, CPU: what scripts/caffe-gradcam runs
#   cuda   real Caffe on NVIDIA cards
#   torch  the torch engine: on NVIDIA cards, or with --build-arg TORCH=cpu without any
#   test   both engines in one Python, and what tests them
# caffe-wheel and caffe-wheel-cuda hold real Caffe as a wheel and nothing else (scripts/build-caffe-wheel).
# Every input is pinned: the base by digest (docs/images.md says where it was read), Debian packages
# by version, wheels and Caffe's source by hash (images/*.lock, written by scripts/lock-images).
ARG BASE=debian:bookworm-20260824-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171
# Where the archive of snapshots stands still; empty for the mirror of the day.
ARG SNAPSHOT=20261001T000000Z
# 2026-10-01 00:00:00 UTC
ARG SOURCE_DATE_EPOCH=1790812800
# The build of Caffe that the target bundle packs.
ARG BUNDLE=cuda

# Wheels for pip where its index lacks some: --build-context wheels=FOLDER.
FROM scratch AS wheels

FROM ${BASE} AS base

# What a RUN needs of images/ is copied, never mounted: Buildah's cache does not see changes in a mount.
FROM base AS compiler
ARG SNAPSHOT
COPY images/install images/compiler.lock /images/
RUN /images/install /images/compiler.lock
COPY images/install-wheels images/wheel-tools.lock /images/
RUN --mount=type=bind,from=wheels,target=/wheels /images/install-wheels /images/wheel-tools.lock

FROM compiler AS caffe-source
COPY images/fetch-caffe images/caffe-source.lock images/caffe-*.patch /images/
RUN /images/fetch-caffe /caffe

FROM compiler AS caffe-cpu
COPY --from=caffe-source /caffe /caffe
COPY images/compile-caffe /images/
RUN /images/compile-caffe cpu /caffe /build

FROM caffe-cpu AS wheel-cpu
ARG SOURCE_DATE_EPOCH
COPY images/pack-caffe images/caffe-source.lock images/caffe-wheel.txt /images/
RUN /images/pack-caffe cpu /caffe /build /wheel

FROM compiler AS compiler-cuda
ARG SNAPSHOT
COPY images/compiler-cuda.lock /images/
RUN /images/install /images/compiler-cuda.lock contrib non-free

FROM compiler-cuda AS caffe-cuda
COPY --from=caffe-source /caffe /caffe
COPY images/compile-caffe images/cuda-architectures.txt /images/
RUN /images/compile-caffe cuda /caffe /build

FROM caffe-cuda AS wheel-cuda
ARG SOURCE_DATE_EPOCH
COPY images/pack-caffe images/caffe-source.lock images/caffe-wheel.txt /images/
RUN /images/pack-caffe cuda /caffe /build /wheel

FROM scratch AS caffe-wheel
COPY --from=wheel-cpu /wheel /

FROM scratch AS caffe-wheel-cuda
COPY --from=wheel-cuda /wheel /

# Debian's Python, and pip to fill it; the finished images have no pip.
FROM base AS python
ARG SNAPSHOT
COPY images/install images/python.lock /images/
RUN /images/install /images/python.lock

FROM python AS pip
ARG SNAPSHOT
COPY images/pip.lock images/install-wheels /images/
RUN /images/install /images/pip.lock

FROM scratch AS source
COPY setup.py pyproject.toml README.md LICENSE /source/
COPY prototxt_tools /source/prototxt_tools
COPY caffe_gradcam /source/caffe_gradcam
COPY models /source/models

# The project as /wheel/*.whl and its models, the same for every image.
FROM pip AS project
ARG SOURCE_DATE_EPOCH
COPY --from=source /source /source
# Whatever umask the checkout was made under.
RUN chmod -R u=rwX,go=rX /source \
 && pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /wheel /source \
 && mkdir -p /opt/caffe-gradcam && cp -r /source/models /opt/caffe-gradcam/

FROM pip AS libraries
COPY images/caffe.lock /images/
RUN --mount=type=bind,from=wheels,target=/wheels /images/install-wheels /images/caffe.lock

FROM libraries AS cpu-libraries
COPY --from=wheel-cpu /wheel /wheel
COPY --from=project /wheel /wheel
RUN python3 -m pip install --break-system-packages --no-compile --no-deps --no-index /wheel/*.whl

FROM python AS cpu-frozen
ARG SOURCE_DATE_EPOCH
COPY --from=cpu-libraries /usr/local /usr/local
COPY --from=project /opt /opt
COPY images/freeze /images/
RUN /images/freeze

FROM scratch AS cpu
COPY --from=cpu-frozen / /
# A home that any user may write to: the image runs as whoever calls it.
ENV GLOG_minloglevel=2 HOME=/tmp PYTHONDONTWRITEBYTECODE=1
LABEL org.opencontainers.image.title="caffe-gradcam" \
      org.opencontainers.image.description="Grad-CAM on real Caffe, CPU" \
      org.opencontainers.image.documentation="docs/images.md" \
      org.opencontainers.image.licenses="BSD-2-Clause AND LicenseRef-Debian" \
      org.opencontainers.image.base.name="debian:bookworm-slim"
USER 1000:1000
ENTRYPOINT ["caffe-gradcam"]

FROM libraries AS cuda-libraries
COPY --from=wheel-cuda /wheel /wheel
COPY --from=project /wheel /wheel
RUN python3 -m pip install --break-system-packages --no-compile --no-deps --no-index /wheel/*.whl

FROM python AS cuda-frozen
ARG SOURCE_DATE_EPOCH
COPY --from=cuda-libraries /usr/local /usr/local
COPY --from=project /opt /opt
COPY scripts/check-gpu /opt/caffe-gradcam/scripts/
COPY tests/definitions.py tests/layer_cases.py /opt/caffe-gradcam/tests/
COPY benchmarks/nets.py /opt/caffe-gradcam/benchmarks/
COPY benchmarks/gpu_checks /opt/caffe-gradcam/benchmarks/gpu_checks
COPY images/freeze /images/
RUN chmod -R u=rwX,go=rX /opt/caffe-gradcam && chmod 755 /opt/caffe-gradcam/scripts/check-gpu \
 && ln -s /opt/caffe-gradcam/scripts/check-gpu /usr/local/bin/check-gpu && /images/freeze

FROM scratch AS cuda
COPY --from=cuda-frozen / /
ENV GLOG_minloglevel=2 HOME=/tmp PYTHONDONTWRITEBYTECODE=1 \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
LABEL org.opencontainers.image.title="caffe-gradcam" \
      org.opencontainers.image.description="Grad-CAM on real Caffe, NVIDIA cards" \
      org.opencontainers.image.documentation="docs/images.md" \
      org.opencontainers.image.licenses="BSD-2-Clause AND LicenseRef-Debian AND LicenseRef-NVIDIA" \
      org.opencontainers.image.base.name="debian:bookworm-slim"
USER 1000:1000
ENTRYPOINT ["caffe-gradcam"]

# Real Caffe with its own Python, in parts (scripts/bundle-cuda).
FROM ${BUNDLE}-libraries AS bundle-parts
ARG SOURCE_DATE_EPOCH
COPY images/bundle /images/
RUN /images/bundle /parts

FROM scratch AS bundle
COPY --from=bundle-parts /parts /

FROM libraries AS test-libraries
COPY images/test.lock /images/
RUN --mount=type=bind,from=wheels,target=/wheels /images/install-wheels /images/test.lock
COPY --from=wheel-cpu /wheel /wheel
COPY --from=project /wheel /wheel
RUN python3 -m pip install --break-system-packages --no-compile --no-deps --no-index /wheel/*.whl

# Here Caffe must be found, never skipped. The repository is mounted read-only.
FROM python AS test
COPY --from=test-libraries /usr/local /usr/local
COPY --from=project /opt /opt
ENV CAFFE_GRADCAM_REQUIRE_CAFFE=1 \
    GLOG_minloglevel=2 \
    HOME=/tmp \
    HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis \
    PYTEST_ADDOPTS="-p no:cacheprovider" \
    PYTHONDONTWRITEBYTECODE=1
USER 1000:1000
ENTRYPOINT ["caffe-gradcam"]

FROM pip AS torch-libraries
ARG TORCH=cuda
COPY images/torch-$TORCH.lock /images/
RUN --mount=type=bind,from=wheels,target=/wheels /images/install-wheels /images/torch-$TORCH.lock
COPY --from=project /wheel /wheel
RUN python3 -m pip install --break-system-packages --no-compile --no-deps --no-index /wheel/*.whl

FROM python AS torch-frozen
ARG SOURCE_DATE_EPOCH
COPY --from=torch-libraries /usr/local /usr/local
COPY --from=project /opt /opt
COPY images/freeze /images/
RUN /images/freeze

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
