"""dj-stripe's one migration is what upstream's history ends in."""

from dev.squash_djstripe import OURS, UPSTREAM, final_state, names, squashed
from gemchat.settings import BASE_DIR


def test_squashed_migration_ends_where_upstream_ends():
    ours, upstream = final_state(OURS), final_state(UPSTREAM)

    assert list(ours.models) == list(upstream.models)
    for key, model in upstream.models.items():
        assert deconstructed(ours.models[key]) == deconstructed(model)


def test_squashed_migration_is_what_the_script_writes():
    written = (
        BASE_DIR / "billing" / "stripe" / "djstripe_migrations" / "0001_initial.py"
    ).read_text()

    assert squashed() == written


def test_migration_names_are_upstreams():
    assert names(OURS) == names(UPSTREAM)


def deconstructed(model):
    """All of a model's state as values that can be compared."""
    fields = {name: field.deconstruct()[1:] for name, field in model.fields.items()}
    return fields, model.options, model.bases, model.managers
