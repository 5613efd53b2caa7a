"""The catalogue (who offers what, reached how) and the record of every call."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Provider(models.Model):
    """A group of the catalogue, as the models page shows it."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=64)
    description = models.TextField()
    position = models.IntegerField()

    class Meta:
        db_table = "provider"
        ordering = ["position"]

    def __str__(self) -> str:
        return self.name


class Model(models.Model):
    """What clients name. ``slug`` is the public id, such as ``openai/gpt-4.1``."""

    class Kind(models.TextChoices):
        CHAT = "chat", _("chat")
        IMAGE = "image", _("image")
        VIDEO = "video", _("video")

    id = models.AutoField(primary_key=True)
    slug = models.TextField(unique=True, db_collation="C")
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="models")
    name = models.TextField()
    description = models.TextField()
    kind = models.CharField(max_length=8, choices=Kind)
    context_window = models.IntegerField(null=True)  # tokens
    max_output_tokens = models.IntegerField(null=True)
    input_modalities = ArrayField(models.TextField())
    output_modalities = ArrayField(models.TextField())
    supports = models.JSONField(default=dict)
    retires_on = models.DateField(null=True)
    successor = models.TextField(blank=True)  # slug
    price_ids = ArrayField(
        models.IntegerField(), default=list
    )  # billing.Price: the schedule in force, dated changes included
    position = models.IntegerField()
    is_listed = models.BooleanField(default=True)  # False once it left the files: old calls still refer to it

    class Meta:
        db_table = "model"
        ordering = ["position"]

    def __str__(self) -> str:
        return self.slug


class Route(models.Model):
    """One way to reach a model: an upstream and the name it knows the model by. Lower priority is tried first."""

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="routes")
    upstream = models.TextField()
    upstream_model = models.TextField()
    priority = models.IntegerField(default=0)
    weight = models.IntegerField(default=1)  # share of the calls among routes of the same priority

    class Meta:
        db_table = "route"
        ordering = ["priority", "id"]
        constraints = [
            models.UniqueConstraint(fields=["model", "upstream", "upstream_model"], name="one_route_per_target"),
            models.CheckConstraint(condition=Q(weight__gt=0), name="route_weight_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.model} via {self.upstream}"


class Outcome(models.IntegerChoices):
    """How a call ended. Which outcome is charged for what is the table of docs/billing-policy.md."""

    COMPLETED = 1, _("completed")
    CLIENT_CLOSED = 2, _("client hung up")
    UPSTREAM_LOST = 3, _("upstream broke off")
    UPSTREAM_REFUSED = 4, _("upstream refused")
    UPSTREAM_TIMEOUT = 5, _("upstream too slow")
    PROCESS_LOST = 6, _("gateway process lost")
    CANCELLED = 7, _("cancelled before it began")


class Endpoint(models.IntegerChoices):
    """The dialect that a call came in by."""

    CHAT = 0, _("chat completions")
    MESSAGES = 1, _("messages")
    RESPONSES = 2, _("responses")
    IMAGES = 3, _("images")
    VIDEOS = 4, _("videos")


class CallRecord(models.Model):
    """One admitted call, settled. Written with its capture in one statement; ``cost_nanos`` equals the capture."""

    id = models.UUIDField(primary_key=True)  # the hold's
    account_id = models.BigIntegerField()
    key_id = models.BigIntegerField()
    model_id = models.IntegerField()  # that answered
    price_id = models.IntegerField()
    endpoint = models.SmallIntegerField(choices=Endpoint, db_default=Endpoint.CHAT)
    app = models.CharField(max_length=40, db_default="")  # what the client calls itself
    status = models.IntegerField()  # HTTP, as sent; 499 the client had gone, 598 the process was lost
    outcome = models.IntegerField(choices=Outcome)
    input_tokens = models.IntegerField()  # all of the prompt, cached and cache-written tokens included
    cached_input_tokens = models.IntegerField()
    cache_write_tokens = models.IntegerField()
    output_tokens = models.IntegerField()  # reasoning included
    reasoning_tokens = models.IntegerField()
    duration_ms = models.IntegerField()
    first_byte_ms = models.IntegerField()  # −1: there was none
    streamed = models.BooleanField()
    sandbox = models.BooleanField()
    estimated = models.BooleanField()  # counted here, because no usage arrived
    held_nanos = models.BigIntegerField()
    cost_nanos = models.BigIntegerField()
    detail = models.JSONField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "call_record"
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    input_tokens__gte=0,
                    cached_input_tokens__gte=0,
                    cache_write_tokens__gte=0,
                    output_tokens__gte=0,
                    reasoning_tokens__gte=0,
                ),
                name="call_counts_not_negative",
            ),
            models.CheckConstraint(condition=Q(cost_nanos__gte=0), name="call_cost_not_negative"),
        ]
        indexes = [models.Index(fields=["account_id", "created_at"], name="call_by_account")]

    def __str__(self) -> str:
        return str(self.id)


class UsageHour(models.Model):
    """Sums of call records by hour (UTC), kept by the settling statement itself."""

    pk = models.CompositePrimaryKey("account_id", "hour", "key_id", "model_id", "endpoint", "app")
    account_id = models.BigIntegerField()
    key_id = models.BigIntegerField()
    model_id = models.IntegerField()
    hour = models.DateTimeField()
    endpoint = models.SmallIntegerField(choices=Endpoint, db_default=Endpoint.CHAT)
    app = models.CharField(max_length=40, db_default="")
    calls = models.BigIntegerField()
    errors = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    cached_input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField(db_default=0)
    duration_ms = models.BigIntegerField(db_default=0)
    # of the calls that had a first byte
    first_byte_calls = models.BigIntegerField(db_default=0)
    first_byte_ms = models.BigIntegerField(db_default=0)
    cost_nanos = models.BigIntegerField()

    class Meta:
        db_table = "usage_hour"
        # a model's page shows all accounts together; rows are updated in place, so the hot path does not pay for it
        indexes = [models.Index(fields=["model_id", "hour"], name="usage_by_model")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.hour:%Y-%m-%d %H}"
