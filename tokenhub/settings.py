"""The one settings file. Differences between environments are values, read here; ``checks.py`` refuses dangerous mixes."""

import os
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.csp import CSP
from django.utils.translation import gettext_lazy as _

from tokenhub import environment as env
from tokenhub.money import usd_to_nanos

BASE_DIR = env.ROOT
DATA_DIR = env.data_dir()

_embedded = env.embedded_servers() if not env.text("DATABASE_URL") else {}
#: development: chosen by `make run`; a management command beside a running `make run` joins it
DEV = env.flag("TOKENHUB_DEV", bool(_embedded))
DEBUG = False

# ---------------------------------------------------------------- the address
HOST = env.text("HOST", "127.0.0.1")
PORT = env.number("PORT", 8000, least=1)
WEB_CONCURRENCY = env.number("WEB_CONCURRENCY", 1 if DEV else (os.cpu_count() or 1), least=1)
PUBLIC_URL = env.text("TOKENHUB_PUBLIC_URL", f"http://localhost:{PORT}" if DEV else "").rstrip("/")
TRUSTED_PROXIES = env.networks("TOKENHUB_TRUSTED_PROXIES")
SUPPORT_URL = env.text("TOKENHUB_SUPPORT_URL")

_public_host = PUBLIC_URL.partition("://")[2].partition("/")[0].rpartition("@")[2]
_public_name = _public_host.rsplit(":", 1)[0] if not _public_host.endswith("]") else _public_host
ALLOWED_HOSTS = [name for name in {_public_name, "localhost", "127.0.0.1", "[::1]"} if name]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []

# ---------------------------------------------------------------- secrets
SECRET_KEY = env.text("TOKENHUB_SECRET_KEY")
if not SECRET_KEY and DEV:
    try:
        SECRET_KEY = (DATA_DIR / env.SECRET_KEY_FILE).read_text().strip()
    except OSError:
        SECRET_KEY = "development-key-until-the-data-dir-exists"  # noqa: S105
if not SECRET_KEY:
    raise ImproperlyConfigured("TOKENHUB_SECRET_KEY is not set: give the server a secret of its own")

# ---------------------------------------------------------------- data
DATABASE_URL = env.text("DATABASE_URL") or _embedded.get("database_url", "")
DATABASE_OWNER_URL = env.text("DATABASE_OWNER_URL") or _embedded.get("database_owner_url", "") or DATABASE_URL
REDIS_URL = env.text("REDIS_URL") or _embedded.get("redis_url", "")
if not DATABASE_URL:
    if not DEV:
        raise ImproperlyConfigured("DATABASE_URL is not set: give a postgresql:// address, or use `make run`")
    DATABASE_URL = DATABASE_OWNER_URL = "postgresql://nobody@127.0.0.1:1/not-running"
if not REDIS_URL:
    if not DEV:
        raise ImproperlyConfigured("REDIS_URL is not set: give a redis:// address, or use `make run`")
    REDIS_URL = "redis://127.0.0.1:1/0"

# the application's role cannot touch the ledger's guards; the owner's role is for migrations alone (`migrate` uses it)
DATABASES = {"default": env.database(DATABASE_URL), "owner": env.database(DATABASE_OWNER_URL)}
for _database in DATABASES.values():
    _database |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    _database.setdefault("OPTIONS", {}).setdefault("connect_timeout", 5)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {"default": {"BACKEND": "tokenhub.cache.ForgetfulRedisCache", "LOCATION": REDIS_URL}}

# ---------------------------------------------------------------- money
STARTER_CREDIT_NANOS = usd_to_nanos(env.text("TOKENHUB_STARTER_CREDIT_USD", "1.00" if DEV else "0"))
STRIPE_SECRET_KEY = env.text("STRIPE_SECRET_KEY")
STRIPE_PUBLISHABLE_KEY = env.text("STRIPE_PUBLISHABLE_KEY")
STRIPE_WEBHOOK_SECRET = env.text("STRIPE_WEBHOOK_SECRET")
#: added to every top-up, in percent of the credit (two decimals at most)
TOPUP_FEE_BASIS_POINTS = env.basis_points("TOKENHUB_TOPUP_FEE_PERCENT")
#: unused paid credit can be had back by its owner for so long after the payment; 0: never by oneself
REFUND_DAYS = env.number("TOKENHUB_REFUND_DAYS", 14)
#: Stripe Tax: reckons the tax at the checkout, and asks companies for their tax id
STRIPE_TAX = env.flag("TOKENHUB_STRIPE_TAX", False)
#: who sells: printed on receipts
SELLER = {
    "name": env.text("TOKENHUB_SELLER_NAME", "TokenHub"),
    "address": env.text("TOKENHUB_SELLER_ADDRESS"),
    "tax_id": env.text("TOKENHUB_SELLER_TAX_ID"),
}

# ---------------------------------------------------------------- upstreams
SANDBOX = env.flag("TOKENHUB_SANDBOX", DEV)
#: where the supervisor started the stand-in vendor; empty where there is none
SANDBOX_URL = env.text("TOKENHUB_SANDBOX_URL")

# ---------------------------------------------------------------- payments
#: without a key of Stripe's, the sandbox also takes the payments: a stand-in that speaks Stripe's API, marked as a test
STRIPE_SANDBOX_URL = env.text("TOKENHUB_STRIPE_SANDBOX_URL") or _embedded.get("stripe_sandbox_url", "")
TEST_CHECKOUT = SANDBOX and not STRIPE_SECRET_KEY and bool(STRIPE_SANDBOX_URL)
if TEST_CHECKOUT:
    STRIPE = {
        "api_key": "sk_test_sandbox",
        "api_base": STRIPE_SANDBOX_URL,
        "webhook_secrets": env.words("TOKENHUB_STRIPE_SANDBOX_SECRET"),
    }
else:
    STRIPE = {
        "api_key": STRIPE_SECRET_KEY,
        "api_base": env.text("STRIPE_API_BASE").rstrip("/"),
        # several while a secret is rolled, separated by commas
        "webhook_secrets": env.words("STRIPE_WEBHOOK_SECRET"),
    }
STRIPE_LIVEMODE = STRIPE_SECRET_KEY.startswith(("sk_live_", "rk_live_"))
#: where a form may send the browser to pay
if STRIPE["api_base"] and not TEST_CHECKOUT:
    PAYMENT_ORIGINS = ["/".join(str(STRIPE["api_base"]).split("/")[:3])]
elif STRIPE["api_key"] and not TEST_CHECKOUT:
    PAYMENT_ORIGINS = ["https://checkout.stripe.com", "https://billing.stripe.com"]
else:
    PAYMENT_ORIGINS = []
#: `<UPSTREAM>_API_KEY`, `<UPSTREAM>_BASE_URL` by the upstream's name in capitals; Kling has a key pair
UPSTREAM_NAMES = (
    "OPENAI", "ANTHROPIC", "GOOGLE", "XAI", "DASHSCOPE", "ZHIPU", "MINIMAX", "MIMO", "MOONSHOT", "DEEPSEEK", "ARK", "KLING",
)  # fmt: skip
UPSTREAMS: dict[str, dict[str, Any]] = {
    name.lower(): {
        "api_key": env.text(f"{name}_API_KEY") or env.text(f"{name}_ACCESS_KEY"),
        "secret_key": env.text(f"{name}_SECRET_KEY"),
        "base_url": env.text(f"{name}_BASE_URL").rstrip("/"),
        # the operator's contract with the vendor may differ from what the registry knows
        "bills_after_hang_up": env.flag(f"{name}_BILLS_AFTER_HANG_UP", False),
    }
    for name in UPSTREAM_NAMES
}

#: silence of an upstream (before its first byte, or between two) after which it is given up
UPSTREAM_TIMEOUT_SECONDS = env.number("TOKENHUB_UPSTREAM_TIMEOUT_SECONDS", 120, least=1)

# ---------------------------------------------------------------- log-in with another site's account
#: allauth's names of the providers whose id and secret are given; no other shows a button or has an address
LOGIN_PROVIDERS: dict[str, dict[str, Any]] = {
    name: {
        "client_id": env.text(f"TOKENHUB_{prefix}_CLIENT_ID"),
        "secret": env.text(f"TOKENHUB_{prefix}_CLIENT_SECRET"),
    }
    for name, prefix in {"google": "GOOGLE", "github": "GITHUB", "openid_connect": "OIDC"}.items()
    if env.text(f"TOKENHUB_{prefix}_CLIENT_ID") and env.text(f"TOKENHUB_{prefix}_CLIENT_SECRET")
}
LOGIN_ORIGINS = {"google": "https://accounts.google.com", "github": "https://github.com"}
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = {name: {"APPS": [app]} for name, app in LOGIN_PROVIDERS.items()}
if "openid_connect" in LOGIN_PROVIDERS:
    _issuer = env.text("TOKENHUB_OIDC_ISSUER_URL").rstrip("/")
    if not _issuer.startswith(("https://", "http://")):
        raise ImproperlyConfigured(
            "TOKENHUB_OIDC_ISSUER_URL is not set: give the address that the provider is found at"
        )
    LOGIN_ORIGINS["openid_connect"] = "/".join(_issuer.split("/")[:3])
    LOGIN_PROVIDERS["openid_connect"] |= {
        "provider_id": "oidc",
        "name": env.text("TOKENHUB_OIDC_NAME", "Single sign-on"),
        "settings": {"server_url": _issuer},
    }

# ---------------------------------------------------------------- Django
INSTALLED_APPS = [
    "tokenhub.apps.TokenHubConfig",
    "accounts.apps.AccountsConfig",
    "billing.apps.BillingConfig",
    "gateway.apps.GatewayConfig",
    "media_jobs.apps.MediaJobsConfig",
    "django.contrib.admin.apps.SimpleAdminConfig",  # the operators' site (tokenhub/operator_site.py), without autodiscovery
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",
    *(f"allauth.socialaccount.providers.{name}" for name in LOGIN_PROVIDERS),
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "tokenhub.middleware.CompressionMiddleware",
    "tokenhub.static_files.StaticFilesMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tokenhub.middleware.person_time_zone",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
ROOT_URLCONF = "tokenhub.urls"
ASGI_APPLICATION = "tokenhub.asgi.application"
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
                "tokenhub.context.shell",
            ],
            "builtins": ["tokenhub.templatetags.ui", "django.templatetags.i18n", "django.templatetags.static"],
        },
    },
]
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True  # served from the source folders, in every environment: there is no build step
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True

# ---------------------------------------------------------------- accounts
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/dashboard"
ACCOUNT_SIGNUP_REDIRECT_URL = "/welcome"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_UNIQUE_EMAIL = True
ACCOUNT_LOGOUT_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_SIGNUP_FORM_HONEYPOT_FIELD = "website"
ACCOUNT_FORMS = {
    "add_email": "accounts.forms.AddEmailForm",
    "reset_password": "accounts.forms.ResetPasswordForm",
    "request_login_code": "accounts.forms.RequestLoginCodeForm",
}
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_MAX_EMAIL_ADDRESSES = 10
#: allauth's notation, such as 5/h/ip; "key" is the address that is tried
ACCOUNT_RATE_LIMITS = {
    action: env.text(f"TOKENHUB_RATE_{action.upper()}", in_dev if DEV else in_production)
    for action, in_dev, in_production in [
        ("signup", "1000/h/ip", "5/h/ip"),
        ("login", "1000/m/ip", "10/m/ip"),
        ("login_failed", "100/m/ip,50/5m/key", "10/m/ip,5/5m/key"),
        ("request_login_code", "1000/m/ip,50/m/key", "10/m/ip,3/5m/key"),
        ("reset_password", "1000/m/ip,50/m/key", "10/m/ip,3/5m/key"),
        ("confirm_email", "50/m/key", "1/3m/key"),
        ("reauthenticate", "1000/m/user", "10/m/user"),
        ("change_password", "1000/m/user", "5/m/user"),
        ("manage_email", "1000/m/user", "10/m/user"),
        ("invite", "1000/h/user", "30/h/user"),
        ("checkout", "1000/h/user", "5/h/user,10/h/ip"),
        ("promo_code", "1000/h/user", "10/h/user,20/h/ip"),
    ]
}
EMAIL_URL = env.text("EMAIL_URL", "consolemail://" if DEV else "")
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", f"TokenHub <no-reply@{_public_name or 'localhost'}>")
if EMAIL_URL:
    _mail = env._env.email_url_config(EMAIL_URL)
    MAILERS = {
        "default": {
            "BACKEND": _mail["EMAIL_BACKEND"],
            "OPTIONS": {}
            if "console" in _mail["EMAIL_BACKEND"]
            else {
                "host": _mail["EMAIL_HOST"],
                "port": _mail["EMAIL_PORT"],
                "username": _mail["EMAIL_HOST_USER"] or "",
                "password": _mail["EMAIL_HOST_PASSWORD"] or "",
                "use_tls": _mail.get("EMAIL_USE_TLS", False),
                "use_ssl": _mail.get("EMAIL_USE_SSL", False),
            },
        }
    }
if DEV and not env.text("EMAIL_URL"):
    MAILERS = {"default": {"BACKEND": "accounts.mailbox.ConsoleAndFileBackend"}}
# what a mail must carry exists only where mail does
ACCOUNT_EMAIL_VERIFICATION = "optional" if EMAIL_URL else "none"
ACCOUNT_LOGIN_BY_CODE_ENABLED = bool(EMAIL_URL)
# card testers use addresses that are not theirs
PAYING_NEEDS_VERIFIED_EMAIL = bool(EMAIL_URL) and not DEV

STAFF_NEEDS_SECOND_FACTOR = not DEV
MFA_ADAPTER = "accounts.adapter.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_ISSUER = "TokenHub"
MFA_TOTP_TOLERANCE = 1  # clocks differ by some seconds
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = DEV  # browsers offer passkeys on http://localhost
# an unconfirmed address could lock its true owner out; without mail nobody can confirm
MFA_ALLOW_UNVERIFIED_EMAIL = DEV or not EMAIL_URL

SOCIALACCOUNT_ADAPTER = "accounts.adapter.SocialAccountAdapter"
SOCIALACCOUNT_EMAIL_VERIFICATION = ACCOUNT_EMAIL_VERIFICATION

# ---------------------------------------------------------------- browser security
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    # a browser applies it to the redirect that follows a form, too
    "form-action": [CSP.SELF, *(LOGIN_ORIGINS[name] for name in LOGIN_PROVIDERS), *PAYMENT_ORIGINS],
    "base-uri": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
    "manifest-src": [CSP.SELF],
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_HSTS_SECONDS = 31_536_000 if PUBLIC_URL.startswith("https://") else 0
SILENCED_SYSTEM_CHECKS = ["security.W008"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 25 * 1024 * 1024  # the API's bound; relays have their own reader
APPEND_SLASH = False  # pages answer with and without the slash (urls.py); a redirect would lose a POST's body

# ---------------------------------------------------------------- jobs
CELERY = {
    "broker_url": REDIS_URL,
    "broker_connection_retry_on_startup": True,
    # a killed worker's tasks come back after this; rows carry the facts, tasks are hints (docs/operations.md)
    "broker_transport_options": {
        "visibility_timeout": 600,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
    },
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_ignore_result": True,
    "task_time_limit": 90,
    "worker_prefetch_multiplier": 1,
    "worker_hijack_root_logger": False,
    "timezone": "UTC",
}

# ---------------------------------------------------------------- logs: one line an event
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "tokenhub.logs.LineFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django.server": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
        "celery": {"level": "WARNING"},
        "kombu": {"level": "WARNING"},
        "uvicorn": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        "stripe": {"level": "WARNING"},
    },
}
