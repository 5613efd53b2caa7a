"""People, the accounts (customers) they belong to, and the keys those accounts call with."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower, Now
from django.utils.translation import gettext_lazy as _

from tokenhub.ids import random_base62

#: before every window: a key that was never used
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser, PermissionsMixin):
    class Theme(models.TextChoices):
        SYSTEM = "", _("as the system")
        LIGHT = "light", _("light")
        DARK = "dark", _("dark")

    email = models.EmailField(_("e-mail"), unique=True, max_length=254)
    name = models.CharField(_("name"), max_length=120, blank=True)
    is_staff = models.BooleanField(_("operator"), default=False)
    is_active = models.BooleanField(_("active"), default=True)
    date_joined = models.DateTimeField(_("joined"), db_default=Now())
    # how pages are shown to this person
    time_zone = models.CharField(_("time zone"), max_length=64, blank=True)  # IANA name; empty: UTC
    theme = models.CharField(_("theme"), max_length=8, choices=Theme, default=Theme.SYSTEM, blank=True)
    uses_shortcuts = models.BooleanField(_("single-key shortcuts"), default=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"

    class Meta:
        db_table = "user_account"
        constraints = [models.UniqueConstraint(Lower("email"), name="one_user_per_email")]

    def __str__(self) -> str:
        return self.email


def new_slug() -> str:
    return random_base62(8).lower()


class Account(models.Model):
    """A customer: a person or a team. Every account has a wallet, opened by a trigger in the same transaction."""

    slug = models.SlugField(max_length=40, unique=True, default=new_slug)  # names the team in addresses
    name = models.CharField(_("name"), max_length=120)
    created_at = models.DateTimeField(db_default=Now())
    keeps_history = models.BooleanField(_("keep playground conversations"), default=True)
    low_balance_nanos = models.BigIntegerField(null=True)  # members are told once the balance falls below; None: never
    low_balance_told_at = models.DateTimeField(null=True, editable=False)
    members = models.ManyToManyField(User, through="Membership", related_name="accounts")

    class Meta:
        db_table = "account"

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    class Role(models.TextChoices):
        OWNER = "owner", _("Owner")
        ADMIN = "admin", _("Admin")
        DEVELOPER = "developer", _("Developer")
        BILLING = "billing", _("Billing")
        VIEWER = "viewer", _("Viewer")

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role, default=Role.OWNER)
    monthly_limit_nanos = models.BigIntegerField(null=True)
    notifies_balance = models.BooleanField(_("low balance"), default=True)
    notifies_keys = models.BooleanField(_("keys made, rotated and revoked"), default=False)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "membership"
        constraints = [models.UniqueConstraint(fields=["account", "user"], name="one_membership_per_user")]

    def __str__(self) -> str:
        return f"{self.user} in {self.account} ({self.role})"


class Invitation(models.Model):
    """An open door to a team: a link whose token is stored as a hash. With an address only its owner may use it."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField(_("e-mail"), max_length=254, blank=True)
    role = models.CharField(max_length=16, choices=Membership.Role)
    token_hash = models.BinaryField(unique=True)  # SHA-256
    invited_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "invitation"

    def __str__(self) -> str:
        return f"{self.email or 'link'} to {self.account} as {self.role}"


class ApiKey(models.Model):
    """A key as stored: its hash, never the key. Counters are moved by the ledger's triggers alone."""

    class Window(models.TextChoices):
        TOTAL = "total", _("in total")
        DAY = "day", _("per day")
        WEEK = "week", _("per week")
        MONTH = "month", _("per month")

    public_id = models.CharField(max_length=10, unique=True, db_collation="C")
    hash = models.BinaryField(unique=True)
    last4 = models.CharField(max_length=4)
    name = models.CharField(_("name"), max_length=64)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="api_keys")
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    revoked_at = models.DateTimeField(null=True)  # for good
    disabled_at = models.DateTimeField(null=True)  # until it is enabled again
    disabled_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    expires_at = models.DateTimeField(null=True)
    replaces = models.OneToOneField("self", on_delete=models.SET_NULL, null=True, related_name="successor")
    tool = models.SlugField(
        max_length=32, blank=True, db_default="", db_index=False
    )  # what it was made for on a connect page
    allowed_model_ids = ArrayField(models.IntegerField(), null=True)  # gateway.Model; None: all
    ip_ranges = ArrayField(models.CharField(max_length=43), null=True)  # networks in CIDR notation; None: all
    limit_nanos = models.BigIntegerField(null=True)
    limit_window = models.CharField(max_length=8, choices=Window, default=Window.TOTAL, db_collation="C")
    rpm_limit = models.IntegerField(null=True)
    # the ledger's: captured in the window, held by open calls, and the request bucket (GCRA: one timestamp)
    window_start = models.DateTimeField(default=EPOCH, editable=False)
    spent_nanos = models.BigIntegerField(default=0, editable=False)
    held_nanos = models.BigIntegerField(default=0, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    rpm_tat = models.DateTimeField(default=EPOCH, editable=False)

    class Meta:
        db_table = "api_key"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(limit_nanos__isnull=True) | models.Q(limit_nanos__gte=0),
                name="key_limit_not_negative",
            ),
            models.CheckConstraint(
                condition=models.Q(rpm_limit__isnull=True) | models.Q(rpm_limit__gt=0), name="key_rpm_positive"
            ),
            models.CheckConstraint(
                condition=models.Q(limit_window__in=["total", "day", "week", "month"]), name="key_window_known"
            ),
            models.CheckConstraint(
                condition=models.Q(spent_nanos__gte=0) & models.Q(held_nanos__gte=0), name="key_counters_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.masked})"

    @property
    def key_id(self) -> str:
        """What people and commands name the key by; it is no secret."""
        return f"key-{self.public_id}"

    @property
    def masked(self) -> str:
        return f"th-{self.public_id[:4]}…{self.last4}"


class AuditEvent(models.Model):
    """Who did what to an account. Append-only: the application's role can neither change nor remove a row."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, null=True, related_name="+")
    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    action = models.CharField(max_length=48)
    subject = models.CharField(max_length=64, blank=True)
    detail = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "audit_event"
        indexes = [models.Index(fields=["account", "-created_at"], name="audit_by_account")]

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"
