"""The WSGI application; `gemchat.asgi` serves it on standing threads."""

import os

from django.core.wsgi import get_wsgi_application

from gemchat.database import bound_for_web

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gemchat.settings")
bound_for_web()

application = get_wsgi_application()
