"""The list of Gemini's models over HTTP."""

from typing import Any

from django.conf import settings
from django.utils import timezone
from rest_framework import serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.authentication import authenticated_user
from accounts.models import User
from billing.plans import includes
from messaging.gemini import get_backend
from messaging.models import GeminiModel
from messaging.models.gemini_models import model_in_service, priced_models


class ModelSerializer(serializers.ModelSerializer[GeminiModel]):
    """A model, with the capabilities of both the model and the server's backend."""

    available = serializers.BooleanField(help_text="Whether the caller may name the model.")
    default = serializers.BooleanField(help_text="The model of a request without a model.")
    context_window = serializers.IntegerField(help_text="Tokens.")
    max_output_tokens = serializers.IntegerField(help_text="Tokens.")

    class Meta:
        model = GeminiModel
        fields = [
            "name",
            "label",
            "tier",
            "available",
            "default",
            "context_window",
            "max_output_tokens",
            "modalities",
            "tools",
            "thinking_levels",
            "default_thinking",
        ]


class ModelViewSet(viewsets.GenericViewSet[GeminiModel]):
    serializer_class = ModelSerializer

    def list(self, request: Request) -> Response:
        """Return a bare array, in the order of the staff's choice."""
        today = timezone.now().date()
        priced = priced_models(on=today)
        default = model_in_service(priced, settings.GEMINI_MODEL, on=today)
        listed = [
            each.model
            for each in priced
            if each.model.is_enabled and each.model.is_listed and not each.model.has_retired(today)
        ]
        user = authenticated_user(request)
        return Response(
            [
                as_json(model, user=user, is_default=bool(default and default.model is model))
                for model in sorted(listed, key=lambda model: (model.sort, model.name))
            ]
        )


def as_json(model: GeminiModel, *, user: User, is_default: bool) -> dict[str, Any]:
    capabilities = get_backend().capabilities
    levels = model.thinking_levels if "thinking" in capabilities else []
    return {
        "name": model.name,
        "label": model.label or model.name,
        "tier": model.tier,
        "available": includes(user.tier, model.tier) and "models" in capabilities,
        "default": is_default,
        "context_window": model.input_limit,
        "max_output_tokens": model.output_limit,
        # A text needs no capability of the backend.
        "modalities": [kind for kind in model.modalities if kind in {"text", *capabilities}],
        "tools": [tool for tool in model.tools if tool in capabilities],
        "thinking_levels": levels,
        "default_thinking": model.default_thinking if levels else "",
    }
