"""A listener without those of its filter chains whose secrets are not there.

Envoy would hold the whole listener back for one of them: a certificate that is missing must not close the other doors.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2

from handsel.xds.resources import Resource, resource


def without_chains(each: Resource, there: Collection[str]) -> Resource | None:
    """The listener with the chains whose secrets are among `there`; None when none is left."""
    message = listener_pb2.Listener.FromString(each.body)
    kept = [chain for chain in message.filter_chains if set(_secrets(chain)) <= set(there)]
    if not kept:
        return None
    if len(kept) == len(message.filter_chains):
        return each
    del message.filter_chains[:]
    message.filter_chains.extend(kept)
    return resource(each.type_url, each.name, message.SerializeToString(deterministic=True))


def _secrets(chain: listener_components_pb2.FilterChain) -> Iterator[str]:
    context = tls_pb2.DownstreamTlsContext()
    if not chain.transport_socket.typed_config.Unpack(context):
        return
    common = context.common_tls_context
    yield from (each.name for each in common.tls_certificate_sds_secret_configs)
    combined = common.combined_validation_context.validation_context_sds_secret_config.name
    yield from (name for name in (combined, common.validation_context_sds_secret_config.name) if name)
