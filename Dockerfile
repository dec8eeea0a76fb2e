# The server: not root, on a read-only file system, with the weights inside. See docs/how-to/serve.md.
FROM python:3.12-slim

ENV PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    SOFTSPOKEN_CACHE=/opt/softspoken SOFTSPOKEN_HOME=/data

WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install '.[serve,media]' && rm -rf /src
WORKDIR /

# Fetches and builds all that any request needs, so that none waits for it and none needs a network or a place to write.
COPY src/softspoken/assets/demo /tmp/demo
RUN set -e; cd /tmp/demo; \
    for whose in "--speaker voice_ada.flac --words" "--plain --words" --everyone; do softspoken transcribe office.flac $whose; done; \
    rm -r /tmp/demo; \
    useradd --system --no-create-home softspoken; mkdir /data; chown -R softspoken /data /opt/softspoken

USER softspoken
VOLUME /data
EXPOSE 8000
HEALTHCHECK --start-period=60s --interval=30s --timeout=5s CMD \
    ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["softspoken", "serve", "--host", "0.0.0.0", "--data", "/data"]
