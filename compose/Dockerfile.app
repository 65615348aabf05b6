# The application: HTTP API, migrations, keys, exporter of the queues' figures.
#
#   docker buildx build -f compose/Dockerfile.app --build-context wheelhouse=.wheelhouse .
#
# No network is used: packages come from the wheelhouse, each checked against the lock.
# The base may be any image of Debian's family with Python 3.11 as python3.
ARG PYTHON_BASE=python:3.11-slim

FROM ${PYTHON_BASE} AS slice
WORKDIR /slice
COPY requirements-lock.txt pyproject.toml ./
COPY console/install.py console/
RUN --network=none python3 -I console/install.py --requirements backend >packages.txt

# Made anew only when this slice of the lock has changed: mounts are compared by content.
FROM ${PYTHON_BASE} AS packages
RUN --network=none --mount=from=wheelhouse,target=/tmp/wheelhouse \
    --mount=source=compose/install-packages.sh,target=/tmp/install-packages.sh \
    --mount=source=compose/pip.txt,target=/tmp/pip.txt \
    --mount=from=slice,source=/slice/packages.txt,target=/tmp/packages.txt \
    sh /tmp/install-packages.sh /venv

FROM ${PYTHON_BASE} AS code
COPY VERSION compose/healthcheck.py /app/
COPY backend /app/backend
RUN --network=none python3 -m compileall -q --invalidation-mode unchecked-hash /app && \
    install -d -o 10001 -g 10001 /app/logs

FROM ${PYTHON_BASE}
COPY --from=packages /venv /venv
COPY --from=code /app /app
ENV PATH=/venv/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    REPLICA_NAME=%h
WORKDIR /app
USER 10001:10001
EXPOSE 8000
CMD ["python", "-m", "backend", "serve", "--host", "0.0.0.0", "--port", "8000"]
# Last: these change with every build.
ARG VERSION
ARG VCS_REF
ARG BUILD_DATE
ARG SOURCE
ENV VERSION=${VERSION} VCS_REF=${VCS_REF} BUILD_DATE=${BUILD_DATE}
LABEL org.opencontainers.image.title="Fragrance AI application" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${VCS_REF}" \
      org.opencontainers.image.created="${BUILD_DATE}" \
      console.source="${SOURCE}"
