# The image of every process: web by default, worker, beat and migrate by another command.
FROM python:3.13-slim AS packages
COPY requirements/base.txt /base.txt
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --no-deps --requirement /base.txt

FROM python:3.13-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --system --uid 10001 --home-dir /app gemchat
WORKDIR /app
COPY --from=packages /venv /venv
COPY . .
# Settings want secrets to be there; collecting static files uses none of them.
RUN DEBUG=true DATABASE_URL=postgres://none REDIS_URL=redis://none \
    python manage.py collectstatic --no-input
USER gemchat
EXPOSE 8000
CMD ["uvicorn", "gemchat.asgi:application", "--host", "0.0.0.0", "--port", "8000", \
     "--http", "gemchat.asgi:BoundedHttp", "--no-access-log", \
     "--no-server-header", "--no-proxy-headers", "--timeout-graceful-shutdown", "10"]
