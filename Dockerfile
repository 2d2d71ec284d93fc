# The image of every process: web by default, worker, beat and migrate by another command.
FROM python:3.13.9-slim-trixie AS packages
# `s3` adds the package for FILES_STORAGE_URL.
ARG REQUIREMENTS=base
COPY requirements/${REQUIREMENTS}.txt /packages.txt
# Without pip, which no process needs. Compiled here, since the file system is read-only later.
RUN python -m venv --without-pip /venv \
    && pip --python /venv/bin/python install --no-cache-dir --no-deps --compile \
        --requirement /packages.txt

FROM packages AS program
ENV PATH=/venv/bin:$PATH
WORKDIR /app
COPY . .
# The settings require these; collecting static files uses none of them.
RUN DEBUG=true DATABASE_URL=postgres://none REDIS_URL=redis://none \
    python manage.py collectstatic --no-input \
    && python -m compileall -q .

FROM python:3.13.9-slim-trixie
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --system --uid 10001 --home-dir /app --no-create-home gemchat \
    && install --directory --owner=gemchat --mode=700 /files
WORKDIR /app
COPY --from=packages /venv /venv
COPY --from=program /app /app
USER gemchat
EXPOSE 8000
CMD ["uvicorn", "gemchat.asgi:application", "--host", "0.0.0.0", "--port", "8000", \
     "--http", "gemchat.asgi:LimitedHttpProtocol", "--no-access-log", \
     "--no-server-header", "--no-proxy-headers", "--timeout-graceful-shutdown", "10"]
