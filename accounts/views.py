"""Sign-up and log-in. Everything of a tenant is fetched through ``access``."""

from http import HTTPStatus
from typing import Any

from allauth.account import views as allauth
from allauth.socialaccount import views as socialaccount
from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from accounts import access, limits, providers, unsent
from accounts.forms import LoginForm, SignupForm


class SignupView(allauth.SignupView):
    form_class = SignupForm

    def form_valid(self, form: SignupForm) -> HttpResponse:
        try:
            return super().form_valid(form)
        except ValidationError as e:
            form.add_error("email", e)
            return self.form_invalid(form)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {"providers": providers.offered()}


class GuessesLimited:
    """allauth counts some attempts inside the form and tells in words alone; programs are told by the status."""

    limit: str  # of ACCOUNT_RATE_LIMITS
    limited_field: str

    def form_invalid(self, form: BaseForm) -> HttpResponse:
        response: HttpResponse = super().form_invalid(form)  # type: ignore[misc]
        if form.has_error(self.limited_field, "too_many_login_attempts"):
            response.status_code = HTTPStatus.TOO_MANY_REQUESTS
            response["Retry-After"] = str(limits.wait_seconds(self.limit))
        return response


class LoginView(GuessesLimited, allauth.LoginView):
    form_class = LoginForm
    limit, limited_field = "login_failed", NON_FIELD_ERRORS

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {"providers": providers.offered()}


class ConnectionsView(socialaccount.ConnectionsView):
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {"providers": providers.offered()}


class RequestLoginCodeView(GuessesLimited, allauth.RequestLoginCodeView):
    limit, limited_field = "request_login_code", "email"


signup = SignupView.as_view()
login = LoginView.as_view()
request_login_code = RequestLoginCodeView.as_view()
connections = ConnectionsView.as_view()


@require_safe
@access.signed_in
def unsent_form(request: HttpRequest) -> HttpResponse:
    """What was typed into a form before its session had ended, to look at and to send."""
    form = unsent.kept(request)
    if form is None:
        return redirect(settings.LOGIN_REDIRECT_URL)
    typed = [(name.replace("_", " "), value) for name, value in form.fields if name != "team"]
    return render(request, "account/unsent.html", {"form": form, "typed": typed})


def too_many_requests(request: HttpRequest) -> HttpResponse:
    """Whoever waits as long as the longest window of the limit that was met is surely let in again."""
    response = render(request, "429.html", status=HTTPStatus.TOO_MANY_REQUESTS)
    name = request.resolver_match.url_name if request.resolver_match else None
    response["Retry-After"] = str(limits.wait_seconds(limits.ACTIONS.get(name or "", "login")))
    return response
