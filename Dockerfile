# A service that reads eToro's stream: examples/service.py. For a program of your own, copy yours.
#
#   docker build -t etoro-service .
#   docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#       -e ETORO_API_KEY -e ETORO_USER_KEY -p 127.0.0.1:9464:9464 etoro-service
#
# The keys come when it runs, from the environment or from files (ETORO_API_KEY_FILE, see
# docs/operations.md). None is in the image.

FROM python:3.13-slim AS build
COPY . /src
RUN python -m venv /opt/service \
    && /opt/service/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
        "/src[prometheus,speed]"

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin service
COPY --from=build /opt/service /opt/service
COPY examples/service.py /app/service.py
# Other containers may scrape it; the host publishes the port only if it is told to. Answers about
# instruments are kept in a folder that may be thrown away.
ENV METRICS_HOST=0.0.0.0 METRICS_PORT=9464 XDG_CACHE_HOME=/tmp \
    PYTHONUNBUFFERED=1 PYTHONFAULTHANDLER=1
WORKDIR /app
USER 10001:10001
EXPOSE 9464
STOPSIGNAL SIGTERM
# 0: live and fresh; 1: not, or it does not answer. http.client asks no proxy.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/opt/service/bin/python", "-c", "import http.client as h, os; c = h.HTTPConnection('127.0.0.1', int(os.environ['METRICS_PORT']), timeout=4); c.request('HEAD', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
# No shell in between, which would keep SIGTERM from the program.
CMD ["/opt/service/bin/python", "/app/service.py"]
