"""The one application of the web process.

Django's views run on standing threads, which costs less than its ASGI handler does; the reads that
wait for minutes (a reply's stream, `?wait=`) are native async views and hold no thread.
"""

import os

import django

from gemchat.monitoring import telemetry

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gemchat.settings")
# Before anything loads the middleware.
telemetry.start("web")
django.setup(set_prefix=False)

# These need the settings and apps that the line above has set up.
from django.conf import settings  # noqa: E402
from prometheus_client import REGISTRY  # noqa: E402

from accounts.api.urls import CODE_PATH  # noqa: E402
from billing.api.urls import WEBHOOK_PATH  # noqa: E402
from billing.stripe import client  # noqa: E402
from gemchat.checks import refuse_bad_settings  # noqa: E402
from gemchat.live_urls import LIVE_PATH  # noqa: E402
from gemchat.serving.application import WebProcess  # noqa: E402
from gemchat.serving.async_views import LiveHandler  # noqa: E402
from gemchat.serving.http_protocol import BoundedHttp  # noqa: E402, F401 named by uvicorn's --http
from gemchat.serving.request_body import BodyIntake  # noqa: E402
from gemchat.serving.sync_views import Lane, ThreadedHandler  # noqa: E402
from messaging.replies.metrics import StoresCollector  # noqa: E402
from messaging.streaming.hub import StreamHub  # noqa: E402

refuse_bad_settings()
REGISTRY.register(StoresCollector())

threaded = ThreadedHandler(
    threads=settings.WEB_THREADS,
    # Each webhook waits for Stripe, which sends several at the same moment.
    # Strangers ask for codes, without an account: a flood of them leaves threads to everybody else.
    lanes=[
        Lane(WEBHOOK_PATH, threads=max(1, settings.WEB_THREADS // 4)),
        Lane(CODE_PATH, threads=max(1, settings.WEB_THREADS // 4)),
    ],
)
application = WebProcess(
    views=BodyIntake(threaded),
    is_stuck=threaded.is_stuck,
    live=LiveHandler(urlconf="gemchat.live_urls"),
    live_path=LIVE_PATH,
    hub=StreamHub,
    on_start=[client.limit_for_web],
)
