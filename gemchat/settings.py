"""Settings, read from the environment. `.env.example` lists every variable."""

from datetime import timedelta
from typing import Any

from celery.schedules import crontab

from billing.plans import BASIC, PRO, Plan
from gemchat.env import (
    ALLOWED_HEADERS,
    BASE_DIR,
    EXPOSED_HEADERS,
    backend,
    beat_schedule,
    bucket_origins,
    database,
    env,
    file_storage,
    logging_config,
    redis_cache,
    secret,
)

# Server
DEBUG = env.bool("DEBUG", default=False)

SECRET_KEY = secret("SECRET_KEY", is_development=DEBUG)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
# Only the API is for pages of other origins; no cookie is part of the API.
CORS_URLS_REGEX = r"^/(?:api/|openapi\.json)"
CORS_ALLOW_HEADERS, CORS_EXPOSE_HEADERS = ALLOWED_HEADERS, EXPOSED_HEADERS
TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXY_COUNT", default=0)

# Security of pages

# TLS ends at the proxy in front. The proxy also sends plain HTTP on to HTTPS; the health checks
# behind the proxy speak plain HTTP. Other hosts of the domain may have no TLS: HSTS leaves them.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG
# Browsers take a cookie of this prefix from this host alone, and over TLS only.
COOKIE_PREFIX = "" if DEBUG else "__Host-"
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = f"{COOKIE_PREFIX}sessionid", f"{COOKIE_PREFIX}csrftoken"
REFRESH_COOKIE_NAME = f"{COOKIE_PREFIX}gemchat_refresh"
CSRF_COOKIE_HTTPONLY = True
# The longest session of the admin; an idle session ends sooner (backoffice.sign_in).
SESSION_COOKIE_AGE = 12 * 3600
# The cookie of the default storage would be signed with each request.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
CSRF_FAILURE_VIEW = "gemchat.api.errors.csrf_failure"
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", default=0 if DEBUG else 365 * 24 * 3600)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("HSTS_SUBDOMAINS", default=False)
SECURE_HSTS_PRELOAD = env.bool("HSTS_PRELOAD", default=False)

# Pages display pictures from the bucket, if there is a bucket.
FILES_STORAGE_URL = env.str("FILES_STORAGE_URL", default="")
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", *bucket_origins(FILES_STORAGE_URL)],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "object-src": ["'none'"],
    }
}
PERMISSIONS_POLICY = (
    "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"
)

# Apps and middleware
INSTALLED_APPS = [
    "gemchat",
    "backoffice.apps.StaffAdminConfig",
    # Before django.contrib.auth, to replace two of its commands.
    "accounts",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "corsheaders",
    "csp",
    "drf_spectacular_sidecar",
    "rest_framework",
    "django_celery_results",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "djstripe",
    "chatrooms",
    "messaging",
    "billing",
    "files",
    "privacy",
    "backoffice.apps.BackofficeConfig",
]

# On every answer: also on answers of live views and of the intake, outside all other middleware.
HEADER_MIDDLEWARE = [
    # The first, since the next middleware answers preflights itself.
    "gemchat.api.middleware.NoStoreMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "gemchat.api.middleware.ContentSecurityPolicyMiddleware",
    "gemchat.api.middleware.PermissionsPolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
MIDDLEWARE = [
    "gemchat.api.middleware.RequestIdMiddleware",
    "gemchat.monitoring.access_log.AccessMiddleware",
    *HEADER_MIDDLEWARE,
    "gemchat.api.middleware.ProblemMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "gemchat.api.cookies.CookieNameMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

ROOT_URLCONF = "gemchat.urls"
ASGI_APPLICATION = "gemchat.asgi.application"
APPEND_SLASH = False  # each path answers in both forms, without a redirect

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Capacity

# More would wait for each other's turn: 6 to 8 serve a tenth more sends a second than 16.
WEB_THREADS = env.int("WEB_THREADS", default=8)
# Open connections of one web process, including idle connections and streams.
WEB_CONNECTIONS = env.int("WEB_CONNECTIONS", default=4096)
# Streams, waits and downloads at once, of one web process: of a session, and of all of a person's.
LIVE_READS_PER_SESSION = env.int("LIVE_READS_PER_SESSION", default=20)
LIVE_READS_PER_USER = env.int("LIVE_READS_PER_USER", default=50)
# The limits of a request on the database. A worker may take longer, a command any length of time.
WEB_STATEMENT_SECONDS = env.float("WEB_STATEMENT_SECONDS", default=10.0)
WEB_LOCK_SECONDS = env.float("WEB_LOCK_SECONDS", default=3.0)
WORKER_CONCURRENCY = env.int("WORKER_CONCURRENCY", default=400)
# Of each web process and worker. A thread of web may hold a connection for its whole request. So
# there is a connection for each thread (WEB_THREADS, 8 of live reads, 2 of probes) and 2 to spare.
# A worker takes a connection for milliseconds, at a reply's start and end. PostgreSQL's default of
# 100 is enough for 4 processes, and 200 for 9; `check --database default` warns.
DATABASE_POOL_SIZE = env.int("DATABASE_POOL_SIZE", default=WEB_THREADS + 12)

# Stores and queue
DATABASES = {"default": database(pool_size=DATABASE_POOL_SIZE)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# dj-stripe's own history takes a minute of CPU to apply: see billing/stripe/djstripe_migrations.
MIGRATION_MODULES = {"djstripe": "billing.stripe.djstripe_migrations"}

REDIS_URL = env.str("REDIS_URL")
# Of every rediss:// below: a bundle of CA certificates besides the system's, and whether the
# server's certificate and name are verified.
REDIS_CA_CERTS = env.str("REDIS_CA_CERTS", default="")
REDIS_TLS_VERIFY = env.bool("REDIS_TLS_VERIFY", default=True)
CACHE_TTL_SECONDS = env.int("CACHE_TTL_SECONDS", default=600)
CACHES = {"default": redis_cache(url=REDIS_URL, lifetime_seconds=CACHE_TTL_SECONDS)}

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default=REDIS_URL)
# The transport reads the URL itself; without this transport, kombu would read the URL by its
# scheme.
CELERY_BROKER_TRANSPORT = "gemchat.celery.broker:Transport"
CELERY_RESULT_BACKEND = env.str("CELERY_RESULT_BACKEND", default="django-db")
CELERY_RESULT_EXTENDED = False  # would keep the arguments of failed tasks
CELERY_RESULT_EXPIRES = timedelta(days=7)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_STORE_ERRORS_EVEN_IF_IGNORED = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
# Below the visibility timeout; gemchat.celery.time_limit enforces the limit in threads.
CELERY_TASK_SOFT_TIME_LIMIT = 3000
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "messaging.tasks.generate_reply": {"queue": "gemini"},
    "messaging.tasks.name_room": {"queue": "gemini"},
    "files.tasks.*": {"queue": "files"},
}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CONCURRENCY = WORKER_CONCURRENCY
CELERY_WORKER_CONSUMER = "gemchat.celery.consumer:Consumer"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Longer than any task may run, or a second worker is handed the same task.
    "visibility_timeout": 3600,
    "socket_connect_timeout": 2,
    "socket_timeout": 5,
    "health_check_interval": 30,
}
# A send waits this long for a dead broker, no longer: the sweep sends the reply later.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0.1, "interval_max": 0.1}
# The interval of the sweep for replies lost by the queue or a worker.
REPLY_SWEEP_SECONDS = env.float("REPLY_SWEEP_SECONDS", default=15.0)
# A process with a file renews its lease; after the lease the file is free for another process.
FILE_LEASE_SECONDS = env.float("FILE_LEASE_SECONDS", default=30.0)
# The interval of the sweeps for uploads and deletions of dead processes.
FILE_SWEEP_SECONDS = env.float("FILE_SWEEP_SECONDS", default=15.0)
CELERY_BEAT_SCHEDULER = "gemchat.celery.beat:Scheduler"
CELERY_BEAT_SCHEDULE = beat_schedule(
    {
        "messaging.tasks.sweep_replies": REPLY_SWEEP_SECONDS,
        "backoffice.tasks.count_days": 60.0,
        "messaging.tasks.sweep_rooms": 60.0,
        "messaging.tasks.delete_copies": 60.0,
        "accounts.tasks.sweep_codes": 15.0,
        "privacy.tasks.sweep_accounts": 15.0,
        "privacy.tasks.purge_expired": crontab(hour="3", minute="17"),
        "messaging.tasks.sync_models": crontab(hour="4", minute="5"),
        "billing.tasks.reconcile_subscriptions": crontab(hour="2", minute="41"),
        "billing.tasks.end_expired_grants": 300.0,
        "files.tasks.sweep_uploads": FILE_SWEEP_SECONDS,
        "files.tasks.delete_blobs": FILE_SWEEP_SECONDS,
        "files.tasks.sweep_files": 60.0,
        "files.tasks.delete_orphans": crontab(day_of_week="0", hour="4", minute="23"),
        "privacy.tasks.delete_orphaned_exports": crontab(day_of_week="0", hour="4", minute="29"),
        "billing.tasks.mark_disagreements": 60.0,
    }
)

# Signing in
AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = ["accounts.auth.hashers.Argon2Hasher"]
VALIDATORS = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"{VALIDATORS}.MinimumLengthValidator", "OPTIONS": {"min_length": 8}},
    {"NAME": f"{VALIDATORS}.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"
OTP_TOTP_ISSUER = "GemChatRoom"

JWT_SECRETS = [key.strip() for key in secret("JWT_SECRET", is_development=DEBUG).split(",")]
JWT_ALGORITHM = env.str("JWT_ALGORITHM", default="HS256")
JWT_LIFETIME = timedelta(hours=env.int("JWT_EXPIRATION_HOURS", default=24))
OTP_SECRET = secret("OTP_SECRET", is_development=DEBUG)
OTP_LIFETIME = timedelta(minutes=env.int("OTP_EXPIRATION_MINUTES", default=5))
# Days without use, after which a sign-in by code alone needs a confirmation; 0 for none.
ABSENCE_DAYS = env.int("ABSENCE_DAYS", default=180)
OTP_ECHO = env.bool("OTP_ECHO", default=False)
SMS_BACKENDS = {"console": "accounts.sms.ConsoleBackend", "twilio": "accounts.sms.TwilioBackend"}
SMS_BACKEND = backend("SMS_BACKEND", SMS_BACKENDS, default="console")
TWILIO_API_BASE = env.str("TWILIO_API_BASE", default="https://api.twilio.com")
TWILIO_ACCOUNT_SID = env.str("TWILIO_ACCOUNT_SID", default="")
TWILIO_AUTH_TOKEN = env.str("TWILIO_AUTH_TOKEN", default="")
TWILIO_FROM = env.str("TWILIO_FROM", default="")
PHONE_DEFAULT_REGION = env.str("PHONE_DEFAULT_REGION", default="IN")
SMS_ALLOWED_COUNTRIES = env.list("SMS_ALLOWED_COUNTRIES", default=[]) or [PHONE_DEFAULT_REGION]
# Kinds of numbers that are refused otherwise, as pager: accounts/phone_numbers.py has the names.
SMS_ALLOWED_KINDS = env.list("SMS_ALLOWED_KINDS", default=[])
SMS_DAILY_BUDGET = env.int("SMS_DAILY_BUDGET", default=10_000)
# Most numbers are of one country; 2,000 new people an hour stay under the part for new numbers.
SMS_COUNTRY_HOURLY_BUDGET = env.int("SMS_COUNTRY_HOURLY_BUDGET", default=SMS_DAILY_BUDGET // 3)
# The share of both budgets for numbers with an account alone.
SMS_RESERVED_SHARE = env.float("SMS_RESERVED_SHARE", default=0.25)
# Codes for one number an hour; twice as many a day.
SMS_PER_NUMBER = env.int("SMS_PER_NUMBER", default=5)
# Per IPv4 address or IPv6 /48 and hour; a /56 has half of each, a /64 a third.
SMS_UNANSWERED_PER_ADDRESS = env.int("SMS_UNANSWERED_PER_ADDRESS", default=200)
CODE_FAILURES_PER_ADDRESS = env.int("CODE_FAILURES_PER_ADDRESS", default=200)
PASSWORD_FAILURES_PER_ADDRESS = env.int("PASSWORD_FAILURES_PER_ADDRESS", default=60)
LOGINS_PER_ADDRESS = env.int("LOGINS_PER_ADDRESS", default=1_000)
SIGNUPS_PER_ADDRESS = env.int("SIGNUPS_PER_ADDRESS", default=200)
# Per number and hour; wrong passwords per number, network and day.
LOGINS_PER_NUMBER = env.int("LOGINS_PER_NUMBER", default=30)
PASSWORD_FAILURES_PER_NUMBER = env.int("PASSWORD_FAILURES_PER_NUMBER", default=10)
SMS_CHALLENGE = env.str("SMS_CHALLENGE", default="auto")
# Hashes of a challenge at most; half of the hashes on average.
SMS_CHALLENGE_WORK = env.int("SMS_CHALLENGE_WORK", default=100_000)

# API
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.api.authentication.SessionTokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "gemchat.api.parsers.JSONNegotiation",
    "DEFAULT_PARSER_CLASSES": ["gemchat.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "EXCEPTION_HANDLER": "gemchat.api.errors.problem_handler",
    "DEFAULT_METADATA_CLASS": None,
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

# Gemini
GOOGLE_API_KEY = env.str("GOOGLE_API_KEY", default="")
GEMINI_API_BASE = env.str("GEMINI_API_BASE", default="")
GEMINI_BACKENDS = {
    "google-genai": "messaging.gemini.google_genai.Backend",
    "google-generativeai": "messaging.gemini.google_generativeai.Backend",
    "offline": "messaging.gemini.offline.Backend",
}
GEMINI_BACKEND = backend(
    "GEMINI_BACKEND", GEMINI_BACKENDS, default="google-genai" if GOOGLE_API_KEY else "offline"
)
GEMINI_MODEL = env.str("GEMINI_MODEL", default="gemini-3.5-flash-lite")
GEMINI_CONTEXT_TOKENS = env.int("GEMINI_CONTEXT_TOKENS", default=32_000)
GEMINI_MAX_OUTPUT_TOKENS = env.int("GEMINI_MAX_OUTPUT_TOKENS", default=8_192)
GEMINI_CONTINUE = env.bool("GEMINI_CONTINUE", default=False)
GEMINI_FIRST_BYTE_SECONDS = env.float("GEMINI_FIRST_BYTE_SECONDS", default=30.0)
GEMINI_IDLE_SECONDS = env.float("GEMINI_IDLE_SECONDS", default=20.0)
GEMINI_TOTAL_SECONDS = env.float("GEMINI_TOTAL_SECONDS", default=300.0)
# The copy of a file to Google's Files API.
GEMINI_UPLOAD_SECONDS = env.float("GEMINI_UPLOAD_SECONDS", default=60.0)
# A running reply renews its lease; a reply past its lease is taken up again.
REPLY_LEASE_SECONDS = env.float("REPLY_LEASE_SECONDS", default=30.0)

# Plans and retention

# The plan of each tier, the lowest first. BASIC_DAILY_LIMIT sets `daily_limit` of "basic", and so
# on. With a new plan, `makemigrations` writes the constraints for the new tier in rows.
PLANS = {
    "basic": Plan(**env.numbers("BASIC", **BASIC)),
    "pro": Plan(
        **env.numbers("PRO", **PRO),
        stripe_price_ids=env.list("STRIPE_PRO_PRICE_ID", default=[]),
        is_granted_by_staff=True,
    ),
}
GIVE_BACKS_PER_DAY = env.int("GIVE_BACKS_PER_DAY", default=3)
AUDIT_RETENTION_DAYS = env.int("AUDIT_RETENTION_DAYS", default=0)

# Stripe
STRIPE_PUBLISHABLE_KEY = env.str("STRIPE_PUBLISHABLE_KEY", default="")
STRIPE_SECRET_KEY = env.str("STRIPE_SECRET_KEY", default="")
STRIPE_API_BASE = env.str("STRIPE_API_BASE", default="")
STRIPE_WEBHOOK_SECRETS = env.list("STRIPE_WEBHOOK_SECRET", default=[])
STRIPE_SUCCESS_URL = env.str("STRIPE_SUCCESS_URL", default="")
STRIPE_CANCEL_URL = env.str("STRIPE_CANCEL_URL", default="")
# All calls to Stripe in one request, together.
STRIPE_REQUEST_SECONDS = env.float("STRIPE_REQUEST_SECONDS", default=8.0)
# Requests of one person with calls to Stripe.
STRIPE_CALLS_PER_HOUR = env.int("STRIPE_CALLS_PER_HOUR", default=20)
STRIPE_PORTAL_CONFIGURATION = env.str("STRIPE_PORTAL_CONFIGURATION", default="")
# The version behind dj-stripe's models, not the SDK's newer version.
STRIPE_API_VERSION: Any = "2026-05-27.dahlia"
STRIPE_LIVE_MODE = "_live_" in STRIPE_SECRET_KEY
STRIPE_LIVE_SECRET_KEY = STRIPE_SECRET_KEY if STRIPE_LIVE_MODE else ""
STRIPE_TEST_SECRET_KEY = "" if STRIPE_LIVE_MODE else STRIPE_SECRET_KEY
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
DJSTRIPE_SUBSCRIBER_MODEL = "accounts.User"
# The link from user to customer is User.stripe_customer_id. dj-stripe's own link would follow the
# metadata at Stripe.
DJSTRIPE_SUBSCRIBER_CUSTOMER_KEY = None

# Files
FILES_ROOT = env.str("FILES_ROOT", default=str(BASE_DIR / "var" / "files"))
# Uploads in progress; a folder on disk, since a folder in memory would hold them in memory.
FILES_TEMP_DIR = env.str("FILES_TEMP_DIR", default=str(BASE_DIR / "var" / "uploads"))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "files": file_storage(FILES_STORAGE_URL, root=FILES_ROOT),
}
FILE_SCANNERS = {"clamd": "files.scanners.Clamd"}
# Empty for none.
FILE_SCANNER = backend("FILE_SCANNER", {"": "", **FILE_SCANNERS}, default="")
CLAMD_ADDRESS = env.str("CLAMD_ADDRESS", default="127.0.0.1:3310")

# Language and static files
LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = "gemchat.formats"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "var" / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_ALLOW_ALL_ORIGINS = False

# Monitoring

# /metrics is closed without a token; the port wants none, and is not to be reached by strangers.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
METRICS_PORT = env.int("METRICS_PORT", default=0)

SENTRY_DSN = env.str("SENTRY_DSN", default="")
OTEL_EXPORTER_OTLP_ENDPOINT = env.str("OTEL_EXPORTER_OTLP_ENDPOINT", default="")

MAX_BODY_BYTES = 256 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES

LOGGING = logging_config(is_development=DEBUG)
