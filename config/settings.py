"""Every setting of the system, read once from the environment.

`.env.example` lists each name with one line. Any of them may come from a file instead: `NAME_FILE=/run/secrets/name`.
`ENV_FILE` names a dotenv file to read first (only `make run` and deployments set it).
"""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import environ
import structlog
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.urls import reverse_lazy

from config.discretion import hide_opening
from config.environment import VENDORS

BASE_DIR = Path(__file__).resolve().parent.parent


# ---------------------------------------------------------------- readers
OWN_NAMES: set[str] = set()  # of the environment, what is this installation's: no channel's file may name it


class Env(environ.FileAwareEnv):  # type: ignore[misc]
    """A file with a secret ends with a newline, the secret does not. Every name that is asked for is kept."""

    def get_value(self, var: str, *args: Any, **words: Any) -> Any:
        OWN_NAMES.add(var)
        value = super().get_value(var, *args, **words)
        return value.strip() if isinstance(value, str) else value


env = Env()
if env_file := env.str("ENV_FILE", default=""):
    env.read_env(env_file)


def seconds(name: str, default: int) -> dt.timedelta:
    return dt.timedelta(seconds=env.int(name, default=default))


def secret(name: str) -> str:
    """A value without which production does not start; all missing ones are named together below."""
    value: str = env.str(name, default="")
    if not value:
        MISSING.append(name)
    return value


MISSING: list[str] = []

# ---------------------------------------------------------------- Django
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = secret("SECRET_KEY")
ENCRYPTION_KEYS = [key for key in secret("ENCRYPTION_KEY").split(",") if key]
DATABASE_URL = secret("DATABASE_URL")
if MISSING:
    raise ImproperlyConfigured(
        f"Not starting: set {', '.join(MISSING)} (or the same name with _FILE); see .env.example"
    )

PUBLIC_URL = env.str("PUBLIC_URL", default="http://localhost:8000").rstrip("/")
HTTPS = PUBLIC_URL.startswith("https://")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[environ.urlparse(PUBLIC_URL).hostname, "localhost", "127.0.0.1"])
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^health$", r"^ready$"]  # probes come from inside, without TLS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_PROXY", default=False) else None
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        **dict.fromkeys(("default-src", "base-uri", "frame-ancestors"), (NONE,)),
        **dict.fromkeys(("script-src", "style-src", "img-src", "media-src", "font-src"), (SELF,)),
        **dict.fromkeys(("connect-src", "form-action"), (SELF,)),
    }
}

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
    "django_q",
    "django_structlog",
    "pgtrigger",
    "channels_app",
    "production",
    "publishing",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.policy.PolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
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
            "builtins": [f"production.templatetags.{name}" for name in ("money", "reading")],
        },
    },
]
DATABASES = {
    "default": {
        **environ.Env.db_url_config(DATABASE_URL),
        "ENGINE": "django.db.backends.postgresql",
        # 60 s of reuse: at 0 a worker opens a connection a job (95 jobs a second instead of several hundred).
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    },
}
# A server that vanished without a word is noticed within 20 s; whoever waits for it then tries again.
DATABASE_PATIENCE: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "tcp_user_timeout": 20_000,
}
DATABASES["default"]["OPTIONS"] = DATABASE_PATIENCE | DATABASES["default"].get("OPTIONS", {})
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTHENTICATION_BACKENDS = ["config.login.PatientBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
# In each process. A full one forgets whom it was asked about longest ago: invented names would push out the wrong
# passwords of a real one. Trying 20 000 takes twenty cores longer than these are remembered.
LOCAL = "django.core.cache.backends.locmem.LocMemCache"
CACHES = {
    "default": {"BACKEND": LOCAL},
    "logins": {"BACKEND": LOCAL, "LOCATION": "logins", "OPTIONS": {"MAX_ENTRIES": 20_000}},
}
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")
LANGUAGE_CODE = "en"
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(BASE_DIR / "var/static")))
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576  # a webhook over 1 MB is answered 413
FILE_UPLOAD_HANDLERS = [
    "config.uploads.FilesOfStaff",
    *(f"django.core.files.uploadhandler.{name}FileUploadHandler" for name in ("Memory", "Temporary")),
]

# ---------------------------------------------------------------- queue (django-q2)
# Two clusters: a hung vendor must not starve assembly and upload. One job in hand a worker: nothing is prefetched.
# `retry` is far above `timeout`: the stock broker hands a job out again `retry` seconds after it was taken; ours does
# as soon as its worker is gone.
JOB_SECONDS = env.int("JOB_SECONDS", default=600)
QUEUE_BROKER = env.str("QUEUE_BROKER", default="postgres")
LISTEN_DATABASE_URL = env.str("LISTEN_DATABASE_URL", default="")
if QUEUE_BROKER not in ("postgres", "orm"):
    raise ImproperlyConfigured(f"Not starting: QUEUE_BROKER is {QUEUE_BROKER}, neither postgres nor orm")
Q_CLUSTER: dict[str, Any] = {
    "name": "calls",
    "workers": env.int("WORKERS", default=3),
    "queue_limit": 1,
    "timeout": JOB_SECONDS + 60,
    "retry": JOB_SECONDS * 2,
    "max_attempts": 3,
    "ack_failures": True,
    "save_limit": 0,
    "poll": 0.1,
    "orm": "default",
    "broker_class": "production.broker.PostgresBroker" if QUEUE_BROKER == "postgres" else None,
    "scheduler": False,
    "daemonize_workers": True,
    "ALT_CLUSTERS": {"cpu": {"workers": env.int("CPU_WORKERS", default=3)}},
}
CLUSTERS = (Q_CLUSTER["name"], *Q_CLUSTER["ALT_CLUSTERS"])

# ---------------------------------------------------------------- production
WORKSPACE_ROOT = Path(env.str("WORKSPACE_ROOT", default=str(BASE_DIR / "var/workspaces")))
WORKSPACE_KEEP = dt.timedelta(days=env.int("WORKSPACE_KEEP_DAYS", default=7))
DISK_RESERVE = env.int("DISK_RESERVE_MB", default=2000) * 1_000_000
CHANNELS_DIR = Path(env.str("CHANNELS_DIR", default=str(BASE_DIR / "channels")))
OWN_SCRIPTS_DIR = BASE_DIR / "scripts"
SCRIPTS_DIR = Path(env.str("SCRIPTS_DIR", default=str(OWN_SCRIPTS_DIR)))
SCRIPTS_PYTHON = env.str("SCRIPTS_PYTHON", default="")
LEASE = seconds("LEASE_SECONDS", default=30)
SWEEP_SECONDS = env.float("SWEEP_SECONDS", default=2.0)
ASK_EVERY = seconds("ASK_SECONDS", default=10)
RENDER_LIMIT = seconds("RENDER_LIMIT_SECONDS", default=2000)
UNKNOWN_LIMIT = seconds("UNKNOWN_LIMIT_SECONDS", default=1200)
RETRY_MINUTES = tuple(env.list("RETRY_MINUTES", cast=float, default=[1, 5, 15, 60]))
ACCEL_PREFIX = env.str("ACCEL_PREFIX", default="")
BATCH = env.int("BATCH", default=16)
UNDO = seconds("UNDO_SECONDS", default=10)
ALERT_GATHER = seconds("ALERT_GATHER_SECONDS", default=10)
SHOW_EVERY = seconds("SHOW_SECONDS", default=30)
NOTION_POLL = seconds("NOTION_POLL_SECONDS", default=60)

# ---------------------------------------------------------------- vendors
NOTION_API_KEY = env.str("NOTION_API_KEY", default="")
GEMINI_API_KEY = env.str("GEMINI_API_KEY", default="")
KIE_API_KEY = env.str("KIE_API_KEY", default="")
KIE_WEBHOOK_KEY = env.str("KIE_WEBHOOK_KEY", default="")
ELEVENLABS_API_KEY = env.str("ELEVENLABS_API_KEY", default="")
ELEVENLABS_VOICE_ID = env.str("ELEVENLABS_VOICE_ID", default="")
GOOGLE_CLIENT_ID = env.str("GOOGLE_CLIENT_ID", default="")
GOOGLE_CLIENT_SECRET = env.str("GOOGLE_CLIENT_SECRET", default="")
API_TOKEN = env.str("API_TOKEN", default="")
SLACK_WEBHOOK_URL = env.str("SLACK_WEBHOOK_URL", default="")
DISCORD_WEBHOOK_URL = env.str("DISCORD_WEBHOOK_URL", default="")
ALERT_EMAIL = env.list("ALERT_EMAIL", default=[])
globals().update(env.email_url("EMAIL_URL", default="dummymail://"))
EMAIL_TIMEOUT = 10

# Where channels with the storage S3 put what their Notion rows show. An address is signed for a week at most.
S3_BUCKET = env.str("S3_BUCKET", default="")
S3_ENDPOINT_URL = env.str("S3_ENDPOINT_URL", default="")
S3_REGION = env.str("S3_REGION", default="auto")
S3_ACCESS_KEY_ID = env.str("S3_ACCESS_KEY_ID", default="")
S3_SECRET_ACCESS_KEY = env.str("S3_SECRET_ACCESS_KEY", default="")
S3_LINK = dt.timedelta(days=min(max(env.int("S3_LINK_DAYS", default=7), 2), 7))

# Each vendor's own address. Whatever came from another one is marked as simulated and never published for real.
OWN_ADDRESSES = {name: address for vendor in VENDORS for name, address in vendor.addresses.items()}
ADDRESSES = {name: env.str(name, default=own) for name, own in OWN_ADDRESSES.items()}

# Model ids churn and prices with them: settings, never code. Handed to the scripts under the same names; an empty one
# leaves the choice to the script.
MODELS = {
    "GEMINI_TEXT_MODEL": env.str("GEMINI_TEXT_MODEL", default="gemini-3.5-flash"),
    "GEMINI_IMAGE_MODEL": env.str("GEMINI_IMAGE_MODEL", default="gemini-nano-banana-2.1"),
    "KIE_VIDEO_MODEL": env.str("KIE_VIDEO_MODEL", default="kling/v2-5-turbo-image-to-video-pro"),
    "ELEVENLABS_MODEL": env.str("ELEVENLABS_MODEL", default="eleven_multilingual_v2"),
    "ELEVENLABS_SOUND_MODEL": env.str("ELEVENLABS_SOUND_MODEL", default="eleven_text_to_sound_v2"),
    "SEED_UPLOAD": env.str("SEED_UPLOAD", default="kie"),
    "GEMINI_IMAGE_USD_PER_MILLION": env.str("GEMINI_IMAGE_USD_PER_MILLION", default=""),
    "GEMINI_PROMPT_USD_PER_MILLION": env.str("GEMINI_PROMPT_USD_PER_MILLION", default=""),
    "KIE_CREDIT_USD": env.str("KIE_CREDIT_USD", default=""),
    "KIE_VIDEO_CREDITS": env.str("KIE_VIDEO_CREDITS", default=""),
    "ELEVENLABS_CREDIT_USD": env.str("ELEVENLABS_CREDIT_USD", default=""),
    "FILM_PRESET": env.str("FILM_PRESET", default=""),
    "FILM_CRF": env.str("FILM_CRF", default=""),
    "FFMPEG": env.str("FFMPEG", default=""),
}
# Who writes the plan (a function of `production.gemini.ask`'s shape), and the folder of SOPs it is told.
TEXT_WRITER = env.str("TEXT_WRITER", default="production.gemini.ask")
PROMPTS_DIR = Path(env.str("PROMPTS_DIR", default=str(BASE_DIR / "prompts")))
# USD for a million tokens of the text model: read, written.
TEXT_USD_PER_MILLION = tuple(
    env.list("GEMINI_TEXT_USD_PER_MILLION", cast=Decimal, default=[Decimal("0.50"), Decimal("3.00")])
)

# ---------------------------------------------------------------- logs
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
SHARED_PROCESSORS: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    hide_opening,
]
structlog.configure(
    processors=[*SHARED_PROCESSORS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
            "foreign_pre_chain": SHARED_PROCESSORS,
        },
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "django-q": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},  # its INFO line is a whole request a line
        "notion_client": {"level": "WARNING"},
        "googleapiclient.discovery_cache": {"level": "ERROR"},
    },
}

# ---------------------------------------------------------------- admin
UNFOLD = {
    "SITE_TITLE": "Content operations",
    "SITE_HEADER": "Content operations",
    "SITE_SYMBOL": "movie",
    "SITE_URL": None,
    "SITE_FAVICONS": [{"rel": "icon", "href": lambda request: static("icon.svg"), "type": "image/svg+xml"}],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": [lambda request: static("house.css")],
    "SCRIPTS": [lambda request: static("times.js")],
    "DASHBOARD_CALLBACK": "production.admin.dashboard.context",
    "SIDEBAR": {"show_search": False, "navigation": "production.admin.navigation.groups"},
    "COLORS": {
        "primary": {
            "50": "oklch(97.1% .012 263)",
            "100": "oklch(94% .026 263)",
            "200": "oklch(89% .05 263)",
            "300": "oklch(81% .085 263)",
            "400": "oklch(70% .125 263)",
            "500": "oklch(61% .155 263)",
            "600": "oklch(52% .165 263)",
            "700": "oklch(45% .15 263)",
            "800": "oklch(38% .12 263)",
            "900": "oklch(32% .09 263)",
            "950": "oklch(24% .06 263)",
        }
    },
}
