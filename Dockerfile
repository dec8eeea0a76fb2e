# The server: not root, on a read-only file system, with the weights inside. See docs/how-to/serve.md.
FROM python:3.12-slim

ENV PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    SOFTSPOKEN_CACHE=/opt/softspoken SOFTSPOKEN_HOME=/data
RUN pip install torch --index-url https://download.pytorch.org/whl/cpu

WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install '.[serve,media]' && rm -rf /src
WORKDIR /

# Fetches and exports all that a first request needs, so that no request waits for it and none needs a network.
RUN python -c "import numpy; from softspoken.serve.backend import EngineBackend; \
EngineBackend.load().talkers(numpy.zeros(160000, numpy.float32))" \
 && useradd --system --no-create-home softspoken && mkdir /data && chown softspoken /data

USER softspoken
VOLUME /data
EXPOSE 8000
HEALTHCHECK --start-period=60s --interval=30s --timeout=5s CMD \
    ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["softspoken", "serve", "--host", "0.0.0.0", "--data", "/data"]
