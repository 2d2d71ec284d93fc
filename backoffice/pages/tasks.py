"""Admin page of failed tasks, without texts of exceptions: they may hold personal data."""

import json
import re
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_celery_results.admin import GroupResult, TaskResult

from backoffice.pages.base import ReadOnlyAdmin

# The pages of django-celery-results count and sort all rows, and display texts of exceptions.
admin.site.unregister(TaskResult)
admin.site.unregister(GroupResult)

FRAME = re.compile(r'^  File ".*", line \d+, in \S+$', re.MULTILINE)


@admin.register(TaskResult)
class TaskResultAdmin(ReadOnlyAdmin):
    """Failed tasks; a successful task leaves no row."""

    columns = ("task_id", "task_name", "status", "exception", "worker", "date_done")
    list_display = columns
    fields = (*columns, "date_created", "where")
    readonly_fields = ["exception", "where"]
    search_help_text = "The whole id of a task."

    def search_query(self, term: str) -> Q:
        return Q(task_id=term)

    @admin.display(description="Exception")
    def exception(self, task: TaskResult) -> str:
        try:
            result: Any = json.loads(task.result or "null")
        except ValueError:
            return ""
        return str(result.get("exc_type", "")) if isinstance(result, dict) else ""

    @admin.display(description="Where")
    def where(self, task: TaskResult) -> SafeString:
        frames = "\n".join(FRAME.findall(task.traceback or ""))
        return format_html('<pre class="frames">{}</pre>', frames)
