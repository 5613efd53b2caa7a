"""The whole site. Every page's pattern ends in ``/?$``: it answers with and without the slash, and is linked without."""

from django.urls import include, path, re_path

from tokenhub import views
from tokenhub.operator_site import operator_site

urlpatterns = [
    path("", views.landing, name="landing"),
    re_path(r"^palette/?$", views.palette, name="palette"),
    re_path(r"^theme/?$", views.theme, name="theme"),
    re_path(r"^style/?$", views.style, name="style"),
    path("", include("gateway.urls")),
    path("", include("gateway.pages")),
    path("", include("accounts.urls")),
    path("", include("billing.urls")),
    path("operator", operator_site.admin_view(operator_site.index)),
    path("operator/", operator_site.urls),
]

handler500 = views.server_error

#: allauth asks for it; Django knows no such handler
handler429 = "accounts.views.too_many_requests"
