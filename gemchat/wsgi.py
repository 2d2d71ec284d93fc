"""The WSGI application; `gemchat.asgi` serves it on standing threads."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gemchat.settings")

application = get_wsgi_application()
