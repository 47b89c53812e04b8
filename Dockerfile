# syntax=docker/dockerfile:1
# Everything that driver, executors and ranks need, at the versions of requirements.lock: Spark, Delta, torch, Horovod with NCCL.
#
#   docker build -t sparknlp_ft .                             (GPUs)
#   docker build -t sparknlp_ft:cpu --build-arg DEVICE=cpu .  (no GPUs: Horovod with gloo alone)
#
# The tests check this file and hadolint passes it; it has not been built yet. CUDA's major version is torch's (a test compares them).
ARG DEVICE=cuda

FROM nvidia/cuda:13.0.0-devel-ubuntu24.04 AS build-on-cuda
FROM ubuntu:24.04 AS build-on-cpu
FROM nvidia/cuda:13.0.0-runtime-ubuntu24.04 AS run-on-cuda
FROM ubuntu:24.04 AS run-on-cpu

# The name of the stage is chosen by the argument.
# hadolint ignore=DL3006
FROM build-on-${DEVICE} AS build
# A mirror, without a password: arguments are kept in the image's history.
ARG PIP_INDEX_URL
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates g++ make openjdk-17-jre-headless python3-dev python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 185 --create-home spark \
 && install --directory --owner spark /opt/sparknlp_ft
USER 185
WORKDIR /opt/sparknlp_ft
COPY --chown=185:185 . .
# The cache keeps Horovod's wheel and the packages from one build to the next. Delta's jars go where every session finds them.
RUN --mount=type=cache,target=/home/spark/.cache,uid=185,gid=185 bash scripts/setup.sh \
 && ln -s "$(.venv/bin/python -c 'import pyspark; print(*pyspark.__path__)')" spark \
 && cp /home/spark/.ivy2*/jars/io.delta_*.jar spark/jars/

# hadolint ignore=DL3006
FROM run-on-${DEVICE}
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates openjdk-17-jre-headless python3 tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 185 --create-home spark
COPY --from=build --chown=185:185 /opt/sparknlp_ft /opt/sparknlp_ft
ENV PATH=/opt/sparknlp_ft/.venv/bin:$PATH \
    SPARK_HOME=/opt/sparknlp_ft/spark \
    PYSPARK_PYTHON=/opt/sparknlp_ft/.venv/bin/python
USER 185
WORKDIR /home/spark
ENTRYPOINT ["/usr/bin/tini", "-s", "--", "/opt/sparknlp_ft/deploy/entrypoint.sh"]
CMD ["sparknlp-ft", "--help"]
