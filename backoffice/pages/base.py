"""The base of every admin page.

A list costs the same at any length. Rows are counted up to a bound, an index serves each order and
filter, and a search compares whole values. Changes go to the audit log. Django's log of the admin
would retain mobile numbers after an erasure, so nothing writes it.
"""

import uuid
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import label_for_field, lookup_field, unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied, SuspiciousOperation, ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join, strip_tags
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from accounts.models import User
from accounts.phone_numbers import InvalidPhoneNumber, to_e164
from backoffice.actions.base import ReasonForm, StaffAction, record
from backoffice.models import BackofficeAction
from backoffice.pages.audited_forms import AuditedForm, changed_values, formset_changes
from backoffice.pages.csv_export import csv_download
from backoffice.pages.paginator import EstimatingPaginator
from gemchat.stores.uuid7 import uuid7_at

EXPORTED_ROWS = 50_000
MAY_EXPORT = "accounts.export_rows"
# No row at all: a comparison with None would find rows without a value.
NONE = Q(pk__in=[])


class BackOfficeList(ChangeList):
    """A list in the only indexed order; the URL cannot change the order."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet) -> list[Any]:
        return list(self.model_admin.get_ordering(request))

    def get_ordering_field_columns(self) -> dict[int, Any]:
        return {}


class ChoiceFilter(admin.SimpleListFilter):
    """A filter with fixed choices, without a query for values."""

    # The value in the URL, with label and condition.
    options: dict[str, tuple[str, Q]] = {}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, label) for value, (label, _) in self.options.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        option = self.options.get(self.value() or "")
        return queryset.filter(option[1]) if option else queryset


class AgeFilter(admin.SimpleListFilter):
    """A filter by age, for rows with ids in order of time."""

    title = "age"
    parameter_name = "since"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "Past 24 hours"), ("7", "Past 7 days"), ("30", "Past 30 days")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        days = self.value()
        if days not in ("1", "7", "30"):
            return queryset
        return queryset.filter(pk__gte=uuid7_at(timezone.now() - timedelta(days=int(days))))


class BackOfficeAdmin(admin.ModelAdmin):
    paginator = EstimatingPaginator
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    ordering: ClassVar[list[Any]] = ["-pk"]
    # Django displays the search box if this is not empty; `search_query` makes the query.
    search_fields: ClassVar[list[Any]] = ["pk"]
    search_help_text = "A whole id, or the whole mobile number of the user."
    change_list_template = "admin/back_office_list.html"
    change_form_template = "admin/back_office_form.html"
    form = AuditedForm
    # Fields with content of users: the audit has their names, not their values.
    unaudited_fields: ClassVar[frozenset[str]] = frozenset()
    staff_actions: ClassVar[Sequence[StaffAction]] = ()
    # Columns of the CSV file; the columns of the list by default.
    export_columns: ClassVar[Sequence[Any]] = ()

    def search_query(self, term: str) -> Q:
        """Find a row by id, or rows by id or number of the user."""
        key = as_id(self.model, term)
        if key is not None and self.model._default_manager.filter(pk=key).exists():
            return Q(pk=key)
        return user_query(term)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        term = search_term.replace("\0", "").strip()
        return (queryset.filter(self.search_query(term)) if term else queryset), False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        # Otherwise `?content__contains=` would reveal hidden columns.
        return lookup in {choice.parameter_name for choice in self.list_filter}  # type: ignore[union-attr]  # no filter is a field name

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return BackOfficeList

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        if "_popup" in request.GET:
            return {}
        return {
            action.name: (action, action.name, action.label)
            for action in self.staff_actions
            if action.is_allowed(request)
        }

    def permitted_rows(self, request: HttpRequest, rows: QuerySet) -> QuerySet:
        """Return the rows open to changes by this member of staff."""
        return rows

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method == "POST":
            self._check_post(request)
        may_export = request.user.has_perm(MAY_EXPORT)
        form = ReasonForm(auto_id="export-%s")
        extra = {"may_export": may_export, "export_form": form, **(extra_context or {})}
        return super().changelist_view(request, extra)

    def _check_post(self, request: HttpRequest) -> None:
        """Refuse actions and ids from outside the page."""
        names = set(request.POST.getlist("action")) - {""}
        if not names <= set(self.get_actions(request)):
            raise PermissionDenied
        for key in request.POST.getlist(helpers.ACTION_CHECKBOX_NAME):
            try:
                self.opts.pk.to_python(key)
            except ValidationError as error:
                raise SuspiciousOperation("Not an id.") from error

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        actions = [action for action, _, _ in self.get_actions(request).values()]
        extra = {"staff_actions": actions, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, extra)

    def get_urls(self) -> list[Any]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        view = self.admin_site.admin_view(require_POST(self.export_view))
        return [path("export/", view, name=name), *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Stream the filtered list as a CSV file."""
        if not (self.has_view_permission(request) and request.user.has_perm(MAY_EXPORT)):
            raise PermissionDenied
        form = ReasonForm(request.POST)
        if not form.is_valid():
            self.message_user(request, "Give a reason for the export.", messages.ERROR)
            return HttpResponseRedirect(f"../?{request.GET.urlencode()}")
        try:
            changelist = self.get_changelist_instance(request)
        except IncorrectLookupParameters as error:
            raise SuspiciousOperation("There is no such list.") from error
        # The names of parameters without the values: the audit names no person.
        record(
            request,
            BackofficeAction.ROWS_EXPORTED,
            rows=self.opts.label,
            reason=form.cleaned_data["reason"],
            narrowed_by=sorted(name for name, value in request.GET.items() if value),
        )
        columns = self.export_columns or self.list_display
        heads = [str(label_for_field(name, self.model, self)) for name in columns]
        rows = changelist.queryset[:EXPORTED_ROWS].iterator(chunk_size=1_000)
        return csv_download(str(self.opts.model_name), heads, self._cells(columns, rows))

    def _cells(self, columns: Sequence[Any], rows: Iterator[Model]) -> Iterator[list[Any]]:
        for row in rows:
            values = [lookup_field(name, row, self)[2] for name in columns]
            # Links are for pages alone.
            yield [strip_tags(cell) if isinstance(cell, SafeString) else cell for cell in values]

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Redirect to the audit events of the row."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        query = urlencode({"q": unquote(object_id)})
        return HttpResponseRedirect(f"{reverse('admin:accounts_auditevent_changelist')}?{query}")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Extend Django's fieldsets by the reason where the row can be changed."""
        fieldsets = [
            (title, {**options, "fields": [name for name in options["fields"] if name != "reason"]})
            for title, options in super().get_fieldsets(request, obj)
        ]
        may_save = (
            self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        )
        return [*fieldsets, (None, {"fields": ["reason"]})] if may_save else fieldsets

    def construct_change_message(  # type: ignore[override]
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> dict[str, Any]:
        """Return the details of `log_addition` and `log_change` for the audit."""
        values = changed_values(form, hidden=self.unaudited_fields)
        for formset in formsets:
            values |= formset_changes(formset)
        return {"reason": form.cleaned_data["reason"], "changes": values}

    # Django ignores the return values of the next three methods.
    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:  # type: ignore[override]
        record(request, BackofficeAction.ROW_ADDED, obj, **message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:  # type: ignore[override]
        record(request, BackofficeAction.ROW_CHANGED, obj, **message)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet) -> None:  # type: ignore[override]
        for row in queryset:
            record(request, BackofficeAction.ROW_DELETED, row)


class ReadOnlyAdmin(BackOfficeAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def as_id(model: type[Model], term: str) -> Any:
    """Convert the term to a key of the model, else to None."""
    try:
        return model._meta.pk.to_python(term)
    except ValidationError:
        return None


def as_uuid(term: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(term)
    except ValueError:
        return None


def as_mobile(term: str) -> str:
    """Return the number in E.164, or ""; no user has the number ""."""
    try:
        return to_e164(term)
    except InvalidPhoneNumber:
        return ""


def user_query(term: str) -> Q:
    """Find rows of the user with this number, in any notation, or with this id."""
    mobile = as_mobile(term)
    owner_id = User.objects.filter(mobile=mobile).values_list("pk", flat=True).first()
    user_id = owner_id or as_uuid(term)
    return Q(user_id=user_id) if user_id else NONE


def admin_link(row: Model, text: str = "") -> SafeString:
    """Return a link to the row's page."""
    return change_link(type(row), row.pk, text or str(row))


def change_link(model: type[Model], key: Any, text: str) -> SafeString:
    options = model._meta
    url = reverse(f"admin:{options.app_label}_{options.model_name}_change", args=[key])
    return format_html('<a href="{}">{}</a>', url, text)


def html_table(heads: list[str], rows: Any) -> SafeString | str:
    """Return an HTML table, or "" without rows."""
    cells = [[("" if cell is None else format_datetime(cell),) for cell in row] for row in rows]
    if not cells:
        return ""
    lines = [(format_html_join("", "<td>{}</td>", row),) for row in cells]
    return format_html(
        '<table class="inner"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>',
        format_html_join("", '<th scope="col">{}</th>', [(head,) for head in heads]),
        format_html_join("", "<tr>{}</tr>", lines),
    )


def format_datetime(cell: Any) -> Any:
    return f"{cell:%Y-%m-%d %H:%M:%S}" if hasattr(cell, "hour") else cell
