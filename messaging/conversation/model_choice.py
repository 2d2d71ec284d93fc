"""The choice of a model and a thinking level for a reply, before the quota."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings

from accounts.models import User
from chatrooms.models import Chatroom
from gemchat.api.errors import DomainError
from messaging.gemini import get_backend
from messaging.models import GeminiModel
from messaging.models.gemini_models import ModelNotInPlan, UnknownModel

NOUNS = {"image": "pictures", "pdf": "PDF files", "audio": "audio"}
# A request with this level names no level to Gemini.
AUTO = "auto"


class UnsupportedByModel(DomainError):
    code = "unsupported_by_model"
    message = "The model cannot do this. `GET /model/` lists the capabilities of each model."
    status = 422


class UnsupportedByBackend(DomainError):
    code = "unsupported_by_backend"
    message = "This server's connection to Gemini cannot do this."
    status = 422


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """The fields `model` and `thinking` of a request; empty for a field left out."""

    model: str = ""
    thinking: str = ""


NO_CHOICE = ModelChoice()


def require_model(user: User, name: str) -> GeminiModel:
    """Return a model that a request names.

    Raises UnknownModel, ModelNotInPlan, and UnsupportedByBackend for the offline backend.
    """
    model = GeminiModel.objects.get_for_user(user, name)
    if "models" not in get_backend().capabilities:
        raise UnsupportedByBackend("This server has no Gemini API key. Leave `model` out.")
    return model


def require_thinking(model: GeminiModel | None, level: str) -> str:
    """Return the level of a request as a level for Gemini; empty for AUTO.

    Raises UnsupportedByBackend and UnsupportedByModel. None is a model outside the table.
    """
    if level in ("", AUTO):
        return ""
    if "thinking" not in get_backend().capabilities:
        raise UnsupportedByBackend(
            "This server's connection to Gemini takes no thinking level. Leave `thinking` out."
        )
    levels = model.thinking_levels if model else []
    if level not in levels:
        offered = f"Choose one of {', '.join(levels)}." if levels else "Leave `thinking` out."
        raise UnsupportedByModel(f"The model does not have the thinking level {level}. {offered}")
    return level


def require_kinds(name: str, kinds: Iterable[str]) -> None:
    """Check that a model and the backend read kinds of files.

    An empty name is the server's default. Raises UnsupportedByModel and UnsupportedByBackend.
    """
    binary = sorted(set(kinds) - {GeminiModel.Modality.TEXT})
    if not binary:
        return
    model = GeminiModel.objects.filter(name=name or settings.GEMINI_MODEL).first()
    for kind in binary:
        if kind not in get_backend().capabilities:
            raise UnsupportedByBackend(
                f"This server's connection to Gemini reads no {NOUNS[kind]}."
            )
        if model is None or kind not in model.modalities:
            raise UnsupportedByModel(
                f"The model reads no {NOUNS[kind]}. Remove the file, or choose another model."
            )


def choose(
    *, user: User, chatroom_id: uuid.UUID, wanted: ModelChoice, has_files: bool = False
) -> ModelChoice:
    """Check the choice of a send.

    A level or files without a model are for the room's model. Otherwise there is no query: the send
    itself takes the room's model.
    """
    model = require_model(user, wanted.model) if wanted.model else None
    if wanted.thinking in ("", AUTO) and not has_files:
        return ModelChoice(model=wanted.model)
    if model is None:
        model = default_model(user=user, chatroom_id=chatroom_id)
    return ModelChoice(
        model=model.name if model else "", thinking=require_thinking(model, wanted.thinking)
    )


def choose_again(*, user: User, wanted: ModelChoice, former: ModelChoice) -> ModelChoice:
    """Check the choice of a variant.

    A field left out is as in the former reply. A former model that the plan or the table no longer
    offers becomes the server's default. A former level that the model lacks is dropped.
    """
    model = require_model(user, wanted.model) if wanted.model else _offered(user, former.model)
    name, model = model.name if model else "", model or _server_default()
    if wanted.thinking:
        return ModelChoice(model=name, thinking=require_thinking(model, wanted.thinking))
    is_offered = model is not None and former.thinking in model.thinking_levels
    return ModelChoice(model=name, thinking=former.thinking if is_offered else "")


def default_model(*, user: User, chatroom_id: uuid.UUID) -> GeminiModel | None:
    """Return the model of a send without a model, as `accept_prompt` chooses."""
    rooms = Chatroom.objects.owned_by(user).filter(pk=chatroom_id)
    name = rooms.values_list("model", flat=True).first()
    return (_offered(user, name) if name else None) or _server_default()


def _offered(user: User, name: str) -> GeminiModel | None:
    try:
        return GeminiModel.objects.get_for_user(user, name)
    except (UnknownModel, ModelNotInPlan):
        return None


def _server_default() -> GeminiModel | None:
    """Return GEMINI_MODEL, for every plan; None outside the table."""
    return GeminiModel.objects.filter(name=settings.GEMINI_MODEL).first()
