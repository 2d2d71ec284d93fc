"""What web serves by native async views: probes, and the reads that last for minutes."""

import re

from django.urls import URLPattern, URLResolver

from gemchat.monitoring.urls import urlpatterns as probes
from messaging import live_urls

PROBE_PATH = re.compile(r"/(?:livez|readyz|metrics|api/v1/health)/?")

urlpatterns: list[URLPattern | URLResolver] = [*probes, *live_urls.urlpatterns]

handler400 = live_urls.handler400
handler403 = live_urls.handler403
handler404 = live_urls.handler404
handler500 = live_urls.handler500
