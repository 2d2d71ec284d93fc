"""URLs of probes, for load balancers and monitoring."""

import re

from django.urls import re_path

from gemchat.monitoring import health
from gemchat.monitoring.metrics import metrics

urlpatterns = [
    re_path(r"^livez/?$", health.live),
    re_path(r"^readyz/?$", health.ready),
    re_path(r"^metrics/?$", metrics),
    re_path(r"^api/v1/health/?$", health.health, name="health"),
]

PROBE_PATH = re.compile(r"/(?:livez|readyz|metrics|api/v1/health)/?")
