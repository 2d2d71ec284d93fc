"""The WSGI application, for servers that speak nothing else; `gemchat.asgi` does without it."""

import os

from django.core.wsgi import get_wsgi_application

from gemchat.stores.postgres import bound_for_web

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gemchat.settings")
bound_for_web()

application = get_wsgi_application()
