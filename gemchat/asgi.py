"""The one application of the web process.

Django's views run as WSGI on standing threads, which costs less than its ASGI handler does; the
reads that wait for minutes (a reply's stream, `?wait=`) are native async views and hold no thread.
"""

import os
from typing import Any, cast

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gemchat.settings")
wsgi = get_wsgi_application()

# These need the settings and apps that the line above has set up.
from a2wsgi import WSGIMiddleware  # noqa: E402
from django.conf import settings  # noqa: E402

from gemchat.checks import refuse_bad_settings  # noqa: E402
from gemchat.intake import BodyIntake  # noqa: E402
from gemchat.live import LiveHandler  # noqa: E402
from gemchat.web import WebProcess  # noqa: E402
from messaging.live_urls import LIVE_PATH  # noqa: E402

refuse_bad_settings()

# a2wsgi's annotations are narrower than ASGI's own and than Django's.
threaded: Any = WSGIMiddleware(cast(Any, wsgi), workers=settings.WEB_THREADS)

application = WebProcess(
    views=BodyIntake(threaded),
    live=LiveHandler(urlconf="messaging.live_urls"),
    live_path=LIVE_PATH,
)
