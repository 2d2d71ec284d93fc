"""Lookups of addresses in PostgreSQL; Django has no such lookups."""

from typing import Any

from django.db.models import GenericIPAddressField, Lookup


@GenericIPAddressField.register_lookup
class Within(Lookup):
    """`ip__within="2001:db8::/64"`: the address is in the network, or equals the network."""

    lookup_name = "within"
    prepare_rhs = False

    def get_db_prep_lookup(self, value: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return "%s::inet", (value,)

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        address, address_params = self.process_lhs(compiler, connection)
        network, network_params = self.process_rhs(compiler, connection)
        return f"{address} <<= {network}", (*address_params, *network_params)
