"""The gateway's pages, with and without the trailing slash. What machines call is in ``urls.py``."""

from django.urls import URLPattern, re_path

from gateway.views import connect, dashboard, keys, ledger, models, usage, welcome

KEY_ID = r"(?P<key_id>key-[0-9A-Za-z]{10})"

urlpatterns: list[URLPattern] = [
    re_path(r"^welcome/?$", welcome.welcome, name="welcome"),
    re_path(r"^keys/?$", keys.index, name="keys"),
    re_path(r"^keys/new/?$", keys.new, name="key_new"),
    re_path(rf"^keys/{KEY_ID}/?$", keys.show, name="key"),
    re_path(rf"^keys/{KEY_ID}/edit/?$", keys.edit, name="key_edit"),
    re_path(rf"^keys/{KEY_ID}/rotate/?$", keys.rotate, name="key_rotate"),
    re_path(rf"^keys/{KEY_ID}/disable/?$", keys.disable, name="key_disable"),
    re_path(rf"^keys/{KEY_ID}/enable/?$", keys.enable, name="key_enable"),
    re_path(rf"^keys/{KEY_ID}/delete/?$", keys.delete, name="key_delete"),
    re_path(rf"^keys/{KEY_ID}/latest/?$", keys.latest, name="key_latest"),
    re_path(r"^connect/?$", connect.index, name="connect"),
    re_path(r"^connect/(?P<slug>[a-z-]+)/?$", connect.tool, name="connect_tool"),
    re_path(r"^dashboard/?$", dashboard.dashboard, name="dashboard"),
    re_path(r"^usage/?$", usage.index, name="usage"),
    re_path(r"^usage/requests/?$", usage.log, name="usage_requests"),
    re_path(r"^usage/requests/(?P<generation_id>gen-[0-9a-f]{32})/?$", usage.call, name="usage_request"),
    re_path(r"^usage/export/?$", usage.export, name="usage_export"),
    re_path(r"^billing/ledger/?$", ledger.index, name="ledger"),
    re_path(r"^billing/ledger\.csv$", ledger.export, name="ledger_csv"),
    re_path(r"^models/?$", models.index, name="models"),
    re_path(r"^models/compare/?$", models.compare, name="models_compare"),
    re_path(r"^models/choose/?$", models.choose, name="models_choose"),
    re_path(r"^models/(?P<slug>[^/]+)/?$", models.group, name="models_group"),
    re_path(r"^models/(?P<slug>[^/]+/[^/]+)/?$", models.model, name="model_page"),
]
