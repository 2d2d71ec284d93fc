"""The one application of the web process.

Synchronous views run in threads, at a lower cost than Django's own ASGI handler. The reads with a
wait of minutes (a reply's stream, `?wait=`) are native async views and hold no thread.
"""

import os
from typing import Any

import django

from gemchat.monitoring import telemetry

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gemchat.settings")
# Before the middleware is loaded.
telemetry.start("web")
django.setup(set_prefix=False)

# The next imports need the settings and apps.
from django.conf import settings  # noqa: E402
from prometheus_client import REGISTRY  # noqa: E402

from accounts.api.urls import CODE_PATH  # noqa: E402
from billing.api.urls import WEBHOOK_PATH  # noqa: E402
from billing.stripe import client  # noqa: E402
from gemchat.checks import refuse_bad_settings  # noqa: E402
from gemchat.monitoring.clock import ClockCollector  # noqa: E402
from gemchat.serving.application import Application  # noqa: E402
from gemchat.serving.async_views import AsyncViewHandler  # noqa: E402
from gemchat.serving.request_body import RequestBodyMiddleware  # noqa: E402
from gemchat.serving.sync_views import Lane, SyncViewHandler  # noqa: E402
from messaging.replies.metrics import StoresCollector  # noqa: E402
from messaging.streaming.hub import StreamHub  # noqa: E402

refuse_bad_settings()
REGISTRY.register(StoresCollector())
REGISTRY.register(ClockCollector())

threaded = SyncViewHandler(
    threads=settings.WEB_THREADS,
    # A webhook waits for Stripe, and Stripe sends several webhooks at once. Requests for codes need
    # no account. A flood of either leaves threads to other requests.
    lanes=[
        Lane(WEBHOOK_PATH, threads=max(1, settings.WEB_THREADS // 4)),
        Lane(CODE_PATH, threads=max(1, settings.WEB_THREADS // 4)),
    ],
)
application = Application(
    sync_views=RequestBodyMiddleware(threaded),
    async_views=AsyncViewHandler(),
    is_stuck=threaded.is_stuck,
    hub=StreamHub,
    on_start=[client.limit_for_web],
)


def __getattr__(name: str) -> Any:
    """Give uvicorn the class of `--http`, and note that the class's limits hold."""
    if name != "LimitedHttpProtocol":
        raise AttributeError(name)
    from gemchat.serving.http_protocol import LimitedHttpProtocol

    application.has_http_limits = True
    return LimitedHttpProtocol
