from allauth.account import views as allauth
from django.urls import re_path

from accounts import views

KEY_ID = r"(?P<key_id>key-[0-9A-Za-z]{10})"

urlpatterns = [
    re_path(r"^keys/?$", views.keys, name="keys"),
    re_path(r"^keys/new/?$", views.key_new, name="key_new"),
    re_path(rf"^keys/{KEY_ID}/?$", views.key, name="key"),
    re_path(rf"^keys/{KEY_ID}/revoke/?$", views.key_revoke, name="key_revoke"),
    re_path(r"^accounts/signup/?$", views.signup, name="account_signup"),
    re_path(r"^accounts/login/?$", views.login, name="account_login"),
    # the rest is allauth's own; listed one by one because its patterns insist on the slash, and we serve both
    re_path(r"^accounts/logout/?$", allauth.logout, name="account_logout"),
    re_path(r"^accounts/inactive/?$", allauth.account_inactive, name="account_inactive"),
    re_path(r"^accounts/reauthenticate/?$", allauth.reauthenticate, name="account_reauthenticate"),
    re_path(r"^accounts/email/?$", allauth.email, name="account_email"),
    re_path(r"^accounts/confirm-email/?$", allauth.email_verification_sent, name="account_email_verification_sent"),
    re_path(r"^accounts/confirm-email/(?P<key>[-:\w]+)/?$", allauth.confirm_email, name="account_confirm_email"),
    re_path(r"^accounts/password/change/?$", allauth.password_change, name="account_change_password"),
    re_path(r"^accounts/password/set/?$", allauth.password_set, name="account_set_password"),
    re_path(r"^accounts/password/reset/?$", allauth.password_reset, name="account_reset_password"),
    re_path(r"^accounts/password/reset/done/?$", allauth.password_reset_done, name="account_reset_password_done"),
    re_path(
        r"^accounts/password/reset/key/done/?$",
        allauth.password_reset_from_key_done,
        name="account_reset_password_from_key_done",
    ),
    re_path(
        r"^accounts/password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>[^/]+)/?$",
        allauth.password_reset_from_key,
        name="account_reset_password_from_key",
    ),
]
