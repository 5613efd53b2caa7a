from django.urls import re_path

from billing import views

urlpatterns = [
    re_path(r"^billing/?$", views.billing, name="billing"),
]
