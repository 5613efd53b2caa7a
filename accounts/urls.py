from importlib import import_module

from allauth.account import views as allauth
from allauth.mfa.base import views as mfa
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as webauthn
from allauth.socialaccount import views as socialaccount
from django.conf import settings
from django.urls import URLPattern, re_path
from django.views.generic import RedirectView

from accounts import settings_views, team_views, views

urlpatterns = [
    re_path(r"^settings/?$", RedirectView.as_view(pattern_name="settings_profile"), name="settings"),
    re_path(r"^settings/profile/?$", settings_views.profile, name="settings_profile"),
    re_path(r"^settings/security/?$", settings_views.security, name="settings_security"),
    re_path(
        r"^settings/security/sessions/(?P<session_id>\d{1,18})/end/?$", settings_views.session_end, name="session_end"
    ),
    re_path(
        r"^settings/security/sessions/end-others/?$", settings_views.sessions_end_others, name="sessions_end_others"
    ),
    re_path(r"^settings/team/?$", team_views.team, name="settings_team"),
    re_path(r"^settings/team/new/?$", team_views.new, name="team_new"),
    re_path(r"^settings/team/name/?$", team_views.rename, name="team_rename"),
    re_path(r"^settings/team/members/(?P<member_id>\d{1,18})/role/?$", team_views.member_role, name="member_role"),
    re_path(
        r"^settings/team/members/(?P<member_id>\d{1,18})/budget/?$", team_views.member_budget, name="member_budget"
    ),
    re_path(
        r"^settings/team/members/(?P<member_id>\d{1,18})/remove/?$", team_views.member_remove, name="member_remove"
    ),
    re_path(r"^settings/team/leave/?$", team_views.leave, name="team_leave"),
    re_path(r"^settings/team/transfer/?$", team_views.transfer, name="team_transfer"),
    re_path(r"^settings/team/invitations/?$", team_views.invite, name="team_invite"),
    re_path(
        r"^settings/team/invitations/(?P<invitation_id>\d{1,18})/withdraw/?$",
        team_views.invitation_withdraw,
        name="invitation_withdraw",
    ),
    re_path(r"^settings/notifications/?$", settings_views.notifications, name="settings_notifications"),
    re_path(r"^settings/privacy/?$", settings_views.privacy, name="settings_privacy"),
    re_path(r"^settings/privacy/history/?$", settings_views.history, name="settings_history"),
    re_path(r"^settings/privacy/export/?$", settings_views.export, name="settings_export"),
    re_path(r"^settings/privacy/delete/?$", settings_views.delete_me, name="settings_delete"),
    re_path(r"^settings/appearance/?$", settings_views.appearance, name="settings_appearance"),
    re_path(r"^invite/(?P<token>[-\w]{1,64})/?$", team_views.invited, name="invite"),
    re_path(r"^accounts/unsent/?$", views.unsent_form, name="unsent"),
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
    # second factors; their overview is the security page
    re_path(r"^accounts/2fa/?$", RedirectView.as_view(pattern_name="settings_security"), name="mfa_index"),
    re_path(r"^accounts/2fa/authenticate/?$", mfa.authenticate, name="mfa_authenticate"),
    re_path(r"^accounts/2fa/reauthenticate/?$", mfa.reauthenticate, name="mfa_reauthenticate"),
    re_path(r"^accounts/2fa/totp/activate/?$", totp.activate_totp, name="mfa_activate_totp"),
    re_path(r"^accounts/2fa/totp/deactivate/?$", totp.deactivate_totp, name="mfa_deactivate_totp"),
    re_path(r"^accounts/2fa/recovery-codes/?$", recovery_codes.view_recovery_codes, name="mfa_view_recovery_codes"),
    re_path(
        r"^accounts/2fa/recovery-codes/generate/?$",
        recovery_codes.generate_recovery_codes,
        name="mfa_generate_recovery_codes",
    ),
    re_path(
        r"^accounts/2fa/recovery-codes/download/?$",
        recovery_codes.download_recovery_codes,
        name="mfa_download_recovery_codes",
    ),
    re_path(
        r"^accounts/2fa/webauthn/?$", RedirectView.as_view(pattern_name="settings_security"), name="mfa_list_webauthn"
    ),
    re_path(r"^accounts/2fa/webauthn/add/?$", webauthn.add_webauthn, name="mfa_add_webauthn"),
    re_path(r"^accounts/2fa/webauthn/login/?$", webauthn.login_webauthn, name="mfa_login_webauthn"),
    re_path(
        r"^accounts/2fa/webauthn/reauthenticate/?$",
        webauthn.reauthenticate_webauthn,
        name="mfa_reauthenticate_webauthn",
    ),
    re_path(
        r"^accounts/2fa/webauthn/keys/(?P<pk>\d{1,18})/remove/?$", webauthn.remove_webauthn, name="mfa_remove_webauthn"
    ),
    re_path(r"^accounts/2fa/webauthn/keys/(?P<pk>\d{1,18})/edit/?$", webauthn.edit_webauthn, name="mfa_edit_webauthn"),
]

# a code cannot be mailed where no mail is configured
urlpatterns += (
    [
        re_path(r"^accounts/login/code/?$", views.request_login_code, name="account_request_login_code"),
        re_path(r"^accounts/login/code/confirm/?$", allauth.confirm_login_code, name="account_confirm_login_code"),
    ]
    if settings.ACCOUNT_LOGIN_BY_CODE_ENABLED
    else []
)


def provider_patterns(name: str) -> list[URLPattern]:
    """Where a provider's log-in begins and where it returns to."""
    views = import_module(f"allauth.socialaccount.providers.{name}.views")
    if name == "openid_connect":
        begin, end, path = views.login, views.callback, "(?P<provider_id>oidc)"
    else:
        begin, end, path = views.oauth2_login, views.oauth2_callback, name
    return [
        re_path(rf"^accounts/{path}/login/?$", begin, name=f"{name}_login"),
        re_path(rf"^accounts/{path}/login/callback/?$", end, name=f"{name}_callback"),
    ]


if settings.LOGIN_PROVIDERS:
    urlpatterns += [
        re_path(r"^accounts/3rdparty/?$", views.connections, name="socialaccount_connections"),
        re_path(r"^accounts/3rdparty/signup/?$", socialaccount.signup, name="socialaccount_signup"),
        re_path(
            r"^accounts/3rdparty/login/cancelled/?$",
            socialaccount.login_cancelled,
            name="socialaccount_login_cancelled",
        ),
        re_path(r"^accounts/3rdparty/login/error/?$", socialaccount.login_error, name="socialaccount_login_error"),
        *(pattern for name in settings.LOGIN_PROVIDERS for pattern in provider_patterns(name)),
    ]
