"""What all operators' pages share: rows to read, and acts on one row, each a page of its own with a form."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from tokenhub.errors import TokenHubError
from tokenhub.money import usd_string


class ReasonForm(forms.Form):
    reason = forms.CharField(label=gettext_lazy("reason"), max_length=200)


class Refused(Exception):
    """An act that is not done, with the sentence that says why."""


@dataclass(frozen=True, slots=True)
class Act:
    """``does(row, operator, cleaned data)`` returns what is said afterwards; it raises ``Refused`` or ``TokenHubError``."""

    name: str  # in the address
    label: Any
    does: Callable[[Any, User, dict[str, Any]], str]
    form: type[forms.Form] = ReasonForm
    is_offered: Callable[[Any], bool] = lambda row: True


class ShortPaginator(Paginator):
    """Counts no further than an operator pages: counting all calls' rows would take minutes."""

    MOST_ROWS = 2_000

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows[: self.MOST_ROWS].count())


def dollars(field: str, label: Any) -> Callable[[Any], str]:
    """A column that shows a ``…_nanos`` field in dollars."""

    @admin.display(description=label)
    def shown(row: Any) -> str:
        nanos = getattr(row, field)
        return "–" if nanos is None else f"${usd_string(nanos)}"

    shown.__name__ = f"{field}_in_dollars"
    return shown


class ReadOnly:
    """For pages and inlines: everything can be seen, nothing edited. Who may come in at all is the site's question."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_module_permission(self, request: HttpRequest) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class RowsPage(ReadOnly, admin.ModelAdmin):
    """A list and a page for each row, with the acts that are offered on it."""

    acts: tuple[Act, ...] = ()
    actions = None
    show_full_result_count = False
    paginator = ShortPaginator
    list_per_page = 50
    change_form_template = "admin/row.html"

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields or [*_shown_fields(self.model)]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.get_fields(request, obj)

    def get_urls(self) -> list[URLPattern]:
        """Without Django's history: what operators do is in the audit."""
        acts = [
            path(
                f"<path:object_id>/act/{act.name}/",
                self._page_of(act),
                name=f"{self.model._meta.model_name}_{act.name}",
            )
            for act in self.acts
        ]
        return acts + [url for url in super().get_urls() if not (url.name or "").endswith("_history")]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))
        offered = [
            (act.label, self._address(object_id, act)) for act in self.acts if row is not None and act.is_offered(row)
        ]
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "acts": offered})

    def _address(self, object_id: str, act: Act) -> str:
        return reverse(f"admin:{self.model._meta.model_name}_{act.name}", args=[object_id])

    def _page_of(self, act: Act) -> Callable[..., HttpResponse]:
        def page(request: HttpRequest, object_id: str) -> HttpResponse:
            return self._act(request, object_id, act)

        return self.admin_site.admin_view(page)

    def _act(self, request: HttpRequest, object_id: str, act: Act) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))
        if row is None or not act.is_offered(row):
            raise Http404
        if not isinstance(request.user, User):
            raise PermissionDenied
        form = act.form(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            try:
                done = act.does(row, request.user, form.cleaned_data)
            except Refused as e:
                form.add_error(None, str(e))
            except TokenHubError as e:
                form.add_error(None, e.message)
            else:
                messages.success(request, done)
                return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": _("%(act)s: %(row)s") % {"act": act.label, "row": row},
            "act": act,
            "row": row,
            "form": form,
            "opts": self.opts,
            "object_id": object_id,
        }
        return TemplateResponse(request, "admin/act.html", context, status=400 if form.errors else 200)


def _shown_fields(model: type[models.Model]) -> Iterator[Any]:
    for field in model._meta.concrete_fields:
        if field.name.endswith("_nanos"):
            label = field.name.removesuffix("_nanos").replace("_", " ")
            yield dollars(field.name, label)
        else:
            yield field.name
