"""The on-premises end of the network: its ranges, its database's port, its name servers, the routes to them."""

from __future__ import annotations

from troposphere import Ref

from builders import parameters
from builders.layers._network import connectivity, name_servers, ranges
from builders.stack import Stack, Value


class OnPremises(Value):
    """The other end of the Direct Connect, as parameters and conditions."""

    gateways: connectivity.Gateways
    ranges: tuple[ranges.Range, ...]
    source_port: Ref
    names: name_servers.Names


def declare(stack: Stack) -> OnPremises:
    """Declare the parameters, conditions and rules that say where on-premises is and how it is reached."""
    gateways = connectivity.declare(stack)
    source_port = stack.parameter(
        parameters.integer(
            "SourcePort", "Port that the on-premises PostgreSQL listens on", minimum=1, maximum=65535, default=5432
        )
    )
    names = name_servers.declare(stack)
    connectivity.add_rules(stack, gateways, names.domain_name)
    return OnPremises(gateways, ranges.declare(stack), source_port.ref(), names)
