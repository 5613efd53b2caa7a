"""The operators' site: Django's admin behind our own log-in and second factor.

A stranger is asked to log in, as on every page behind the log-in and whatever the address, so nothing is learnt from it.
Whoever is no operator sees the page that any unknown address shows.
"""

from functools import wraps
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

from accounts.access import lacks_second_factor
from billing.admin.pages import PAGES

#: of Django's admin: people log in, log out and change passwords where everybody does
LEFT_OUT = {"login", "logout", "password_change", "password_change_done"}


class OperatorSite(AdminSite):
    site_header = site_title = _("TokenHub operators")
    index_title = _("Money")
    enable_nav_sidebar = False  # it would list everything once more beside each page

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        shown = super().admin_view(view, cacheable)

        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not self.has_permission(request):
                raise Http404
            if lacks_second_factor(request):
                return redirect("settings_security")
            answer: HttpResponse = shown(request, *args, **kwargs)
            return answer

        return guarded

    def get_urls(self) -> list[Any]:
        return [url for url in super().get_urls() if getattr(url, "name", None) not in LEFT_OUT]


operator_site = OperatorSite()
for _model, _page in PAGES.items():
    operator_site.register(_model, _page)
