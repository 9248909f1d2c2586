# The image of text2image: one for `serve` and for `worker`. How to build and run it, and what of it was tried, is in
# docs/container.md.
#
# Each image and file from outside is an ARG, so that a mirror can stand in. Tags rather than digests: a digest would
# keep the fixes of Debian, Python and Node out until somebody changes it here. Who needs the same bytes again passes
# PYTHON_IMAGE=...@sha256:...
#
# No `# syntax=` line: BuildKit of Docker 20.10 and buildah 1.28 know all that is used here, and need no further image.
ARG NODE_IMAGE=node:24-bookworm-slim
ARG PYTHON_IMAGE=python:3.13-slim-bookworm
# Public, and replaced by Amazon as authorities come and go: it has no version to name.
ARG RDS_CERTIFICATES=https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem


# The pages for browsers. They are the same on every platform: they are made on the one that builds.
FROM --platform=$BUILDPLATFORM ${NODE_IMAGE} AS pages
ENV npm_config_cache=/var/cache/npm
WORKDIR /src/ui
COPY ui/package.json ui/package-lock.json ./
RUN --mount=type=cache,target=/var/cache/npm npm ci
COPY ui/ ./
RUN npm run build


# RDS shows certificates of authorities that neither Debian nor Python know. Without them PostgreSQL's
# `sslmode=verify-full` fails, and without verification anybody between could read the jobs:
# postgresql://...?sslmode=verify-full&sslrootcert=/etc/ssl/rds-global-bundle.pem
FROM scratch AS certificates
ARG RDS_CERTIFICATES
# A URL, which COPY does not take.
# hadolint ignore=DL3020
ADD --chmod=0644 ${RDS_CERTIFICATES} /rds-global-bundle.pem


FROM ${PYTHON_IMAGE} AS build
ENV PIP_CACHE_DIR=/var/cache/pip
WORKDIR /src
# The virtual environment has no pip of its own: what is in it is there to run.
RUN python -m venv --without-pip /opt/text2image
COPY requirements.txt ./
# Wheels only: whatever would have to be compiled fails here, and no stage needs a compiler.
RUN --mount=type=cache,target=/var/cache/pip \
    python -m pip --python /opt/text2image install --no-compile --only-binary :all: --require-hashes -r requirements.txt
COPY pyproject.toml README.md hatch_build.py ./
COPY graphql_api/ graphql_api/
COPY --from=pages /src/graphql_api/pages/ graphql_api/pages/
RUN --mount=type=cache,target=/var/cache/pip \
    python -m pip wheel --no-deps --wheel-dir /tmp/wheels . \
    && python -m pip --python /opt/text2image install --no-compile --no-deps /tmp/wheels/*.whl
# Compiled here, since nothing can be written later. The hash is not compared at run time: no source changes any more.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/text2image
COPY --from=certificates /rds-global-bundle.pem /etc/ssl/rds-global-bundle.pem
# What a mirror or a proxy gave us instead would be noticed only when a database is refused.
RUN python -c 'import ssl; ssl.create_default_context(cafile="/etc/ssl/rds-global-bundle.pem")'


FROM ${PYTHON_IMAGE}
# tini passes signals on and collects orphans, also where the engine does not.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && apt-get clean && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log \
    && groupadd --gid 10001 text2image \
    && useradd --no-log-init --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin \
        text2image \
    && install --directory --owner text2image --group text2image --mode 0750 /data
COPY --from=build /etc/ssl/rds-global-bundle.pem /etc/ssl/rds-global-bundle.pem
COPY --from=build /opt/text2image /opt/text2image
ENV PATH=/opt/text2image/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    TEXT2IMAGE_DATA_DIR=/data
# By number: Kubernetes' runAsNonRoot cannot tell who a name is.
USER 10001:10001
WORKDIR /data
# A new volume takes owner and mode from the folder. It can be written to where the root is read-only.
VOLUME ["/data"]
EXPOSE 8000
STOPSIGNAL SIGTERM
# Whether the process answers, not whether it is ready: a database that is away is no reason to restart this. A worker
# has a port to ask when HEALTH_PORT names it. Not urllib, which would obey HTTP_PROXY; `-I -S` since it runs so often.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-I", "-S", "-c", "import http.client, os, sys; server = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('HEALTH_PORT') or os.environ.get('PORT') or 8000), timeout=4); server.request('GET', '/healthz'); sys.exit(server.getresponse().status != 200)"]
ENTRYPOINT ["tini", "--", "text2image"]
# With TEXT2IMAGE_AUTH unset this says what to set, and ends: all that reach the port would be let in.
CMD ["serve", "--host", "0.0.0.0"]

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="text2image" \
      org.opencontainers.image.description="A self-hosted text-to-image service: GraphQL in front, streaming notifications, jobs that are never lost." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
