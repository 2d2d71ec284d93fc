"""Two actions under an Idempotency-Key: each makes a row and may wait."""

import threading

from django.utils import timezone
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.viewsets import ViewSet

from accounts.api.idempotency import idempotent, idempotent_over_network
from accounts.models import LimitHit

reached, gate = threading.Event(), threading.Event()
gate.set()


def make_row(request):
    row = LimitHit.objects.create(subject=request.data["name"], created_at=timezone.now())
    reached.set()
    assert gate.wait(10), "the gate stayed shut"
    if request.data.get("fail"):
        raise ValidationError("It failed after it had written.")
    status = request.data.get("status", 201)
    answer = Response({"id": row.pk, "name": row.subject}, status=status)
    answer["Location"] = f"/rows/{row.pk}"
    return answer


class RowViewSet(ViewSet):
    @action(detail=False, methods=["post"])
    @idempotent
    def local(self, request):
        return make_row(request)

    @action(detail=False, methods=["post"])
    @idempotent_over_network
    def network(self, request):
        return make_row(request)


router = SimpleRouter()
router.trailing_slash = "/?"
router.register("rows", RowViewSet, basename="row")
urlpatterns = router.urls
