"""What web serves by native async views: probes, and the reads that last for minutes."""

import re

from django.urls import URLPattern, URLResolver

from gemchat.monitoring.urls import urlpatterns as probes
from messaging.api import async_urls

PROBE_PATH = re.compile(r"/(?:livez|readyz|metrics|api/v1/health)/?")

urlpatterns: list[URLPattern | URLResolver] = [*probes, *async_urls.urlpatterns]

handler400 = async_urls.handler400
handler403 = async_urls.handler403
handler404 = async_urls.handler404
handler500 = async_urls.handler500
