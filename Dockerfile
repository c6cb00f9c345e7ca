# The gateway: small, not root, and content with a root file system that cannot be written.
#   docker build -t appserverd-gateway .
#   docker run --read-only --tmpfs /tmp -v gateway:/home/gateway -p 8080:8080 appserverd-gateway
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY appserver appserver
COPY protocol protocol
RUN python -m venv /opt/gateway && /opt/gateway/bin/pip install --no-cache-dir --no-compile ".[gateway]" \
 && /opt/gateway/bin/pip uninstall -y pip && /opt/gateway/bin/python -m compileall -q /opt/gateway/lib

FROM python:3.13-slim
RUN useradd --uid 10001 --create-home --home-dir /home/gateway --shell /usr/sbin/nologin gateway
COPY --from=build /opt/gateway /opt/gateway
USER 10001:10001
WORKDIR /home/gateway
ENV PATH=/opt/gateway/bin:$PATH APPSERVER_HOME=/home/gateway APPSERVER_LOG=info APPSERVER_LOG_FORMAT=json \
    PYTHONDONTWRITEBYTECODE=1 PORT=8080
VOLUME /home/gateway
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python", "-c", \
  "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/ready', timeout=2)"]
ENTRYPOINT ["appserver", "gateway"]
CMD ["--host", "0.0.0.0"]
