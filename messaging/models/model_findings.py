"""Differences between the table of models and Google's list, for staff and metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from django.db import models, transaction
from django.db.models import Count, Exists, OuterRef, Q
from django.utils import timezone

from gemchat.stores.locks import Lock, advisory_lock
from messaging.models.gemini_models import GeminiModel, ModelPrice


@dataclass(frozen=True, slots=True)
class Findings:
    """Sorted names of models: unknown to the table, unknown to Google, without a price."""

    new: list[str]
    gone: list[str]
    unpriced: list[str]


class ModelFindingQuerySet(models.QuerySet["ModelFinding"]):
    def replace(self, findings: Findings) -> None:
        """Replace all rows by these findings."""
        rows = [
            self.model(kind=kind, name=name)
            for kind in ModelFinding.Kind.values
            for name in getattr(findings, kind)
        ]
        with transaction.atomic():
            # A task may run twice, also beside the command.
            advisory_lock(Lock.MODEL_FINDINGS, "all")
            self.all().delete()
            self.bulk_create(rows)

    def counts(self) -> dict[str, int]:
        """Count the findings of each kind, 0 included."""
        counted = dict(self.values_list("kind").annotate(Count("pk")))
        return {kind: counted.get(kind, 0) for kind in ModelFinding.Kind.values}


class ModelFinding(models.Model):
    """A finding of the latest comparison with Google's list."""

    class Kind(models.TextChoices):
        NEW = "new", "New at Google"
        GONE = "gone", "Not in Google's list"
        UNPRICED = "unpriced", "Without a price"

    kind = models.CharField(max_length=8, choices=Kind)
    name = models.CharField(max_length=64)
    found_at = models.DateTimeField(default=timezone.now)

    objects = ModelFindingQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "name"], name="model_finding_is_unique")
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.get_kind_display()}"


def compare(listed: Mapping[str, bool], *, on: date) -> Findings:
    """Compare the table with Google's list on a day; no model changes.

    `listed` maps names to whether the model generates content. A disabled model of the table is
    known, so staff disable a new model to ignore the model.
    """
    in_service = GeminiModel.objects.filter(is_enabled=True).filter(
        Q(retires_on=None) | Q(retires_on__gt=on)
    )
    prices = ModelPrice.objects.filter(model=OuterRef("pk"), from_day__lte=on)
    known = set(GeminiModel.objects.values_list("name", flat=True))
    return Findings(
        new=sorted(name for name, generates in listed.items() if generates and name not in known),
        gone=sorted(set(in_service.values_list("name", flat=True)) - listed.keys()),
        unpriced=sorted(in_service.filter(~Exists(prices)).values_list("name", flat=True)),
    )
