"""The whole site. Every page's pattern ends in ``/?$``: it answers with and without the slash, and is linked without."""

from django.urls import include, path

from tokenhub import views

urlpatterns = [
    path("", views.landing, name="landing"),
    path("", include("gateway.urls")),
    path("", include("accounts.urls")),
    path("", include("billing.urls")),
]
