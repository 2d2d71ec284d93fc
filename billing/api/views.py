from django.conf import settings
from django.urls import reverse
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from accounts.api.authentication import authenticated_user
from accounts.api.idempotency import idempotent_over_network
from accounts.models import AuditEvent
from billing.models import BillingAction, UsageRecord, totals
from billing.stripe import checkout, subscriptions
from gemchat.api.client_address import client_from_request
from gemchat.api.pagination import positive_int_param

MOST_DAYS = 366


class UsageView(APIView):
    """The usage of the user's replies, by day (UTC)."""

    def get(self, request: Request) -> Response:
        days = positive_int_param(request, "days", default=30, most=MOST_DAYS)
        rows = UsageRecord.objects.daily(user_id=authenticated_user(request).pk, days=days)
        return Response({"results": rows, "totals": totals(rows)})


class SubscriptionViewSet(ViewSet):
    @action(detail=False, methods=["post"], url_path="subscribe/pro")
    @idempotent_over_network
    def subscribe(self, request: Request) -> Response:
        session = checkout.start_checkout(
            user=authenticated_user(request),
            success_url=settings.STRIPE_SUCCESS_URL or _page(request, "billing-success"),
            cancel_url=settings.STRIPE_CANCEL_URL or _page(request, "billing-cancel"),
        )
        _record(request, BillingAction.CHECKOUT_STARTED)
        return Response({"checkout_url": session.url, "session_id": session.id})

    @action(detail=False, methods=["post"])
    def portal(self, request: Request) -> Response:
        return_url = _page(request, "billing-success")
        portal_url = checkout.open_portal(user=authenticated_user(request), return_url=return_url)
        _record(request, BillingAction.PORTAL_OPENED)
        return Response({"portal_url": portal_url})

    @action(detail=False, methods=["post"])
    def cancel(self, request: Request) -> Response:
        subscriptions.cancel_at_period_end(user=authenticated_user(request))
        _record(request, BillingAction.CANCELLATION_ORDERED)
        return Response(subscriptions.billing_status(authenticated_user(request)))

    @action(detail=False, methods=["post"])
    def resume(self, request: Request) -> Response:
        subscriptions.resume(user=authenticated_user(request))
        _record(request, BillingAction.RESUMPTION_ORDERED)
        return Response(subscriptions.billing_status(authenticated_user(request)))

    # The longer path is the path of the first GemChatRoom.
    @action(detail=False, methods=["get"], url_path="(?:subscription/)?status")
    def status(self, request: Request) -> Response:
        return Response(subscriptions.billing_status(authenticated_user(request)))


def _record(request: Request, action: str) -> None:
    AuditEvent.objects.record(
        action, user_id=authenticated_user(request).pk, client=client_from_request(request)
    )


def _page(request: Request, name: str) -> str:
    return request.build_absolute_uri(reverse(name))
