"""From Istio's words for a traffic policy to the graph's."""

from __future__ import annotations

from handsel.documents.yaml import Path
from handsel.mesh.istio.credentials import check_credential
from handsel.mesh.istio.findings import NOT_VERIFIED
from handsel.mesh.istio.reading import Found, Reading
from handsel.mesh.istio.resources import destination_rule as written
from handsel.mesh.istio.resources.client_tls import ClientTls as WrittenTls
from handsel.mesh.istio.resources.common import Percent
from handsel.mesh.istio.resources.destination_rule import DestinationRule
from handsel.model.traffic import (
    ClientTls,
    HashOn,
    KeepAlive,
    Outliers,
    Pool,
    RetryBudget,
    Sticky,
    TrafficPolicy,
)

_USUAL = Outliers()
_USUAL_BUDGET = RetryBudget()


def to_policy(reading: Reading, found: Found[DestinationRule], said: written.PolicyPart, path: Path) -> TrafficPolicy:
    """The policy."""
    balancer = said.load_balancer
    budget = said.retry_budget if isinstance(said, written.TrafficPolicy) else None
    return TrafficPolicy(
        tls=to_tls(reading, found, said.tls, (*path, "tls")) if said.tls else None,
        balance=balancer.simple.balance if balancer and balancer.simple else None,
        sticky=_sticky(balancer.consistent_hash) if balancer and balancer.consistent_hash else None,
        pool=_pool(said.connection_pool) if said.connection_pool else None,
        outliers=_outliers(said.outlier_detection) if said.outlier_detection else None,
        retry_budget=_budget(budget) if budget else None,
    )


def to_tls(reading: Reading, found: Found[DestinationRule], said: WrittenTls, path: Path) -> ClientTls:
    """The TLS that callers speak. `system` is Istio's word for the roots that are also taken without a word."""
    check_credential(reading, found, said.credential_name, (*path, "credentialName"))
    if said.insecure_skip_verify:
        text = f"the certificate of {found.resource.spec.host} is not checked: whoever answers is believed"
        reading.findings.add(found, (*path, "insecureSkipVerify"), NOT_VERIFIED, text)
    return ClientTls(
        mode=said.mode,
        client_certificate=reading.path(said.client_certificate),
        private_key=reading.path(said.private_key),
        ca_certificates="" if said.ca_certificates == "system" else reading.path(said.ca_certificates),
        crl=reading.path(said.ca_crl),
        credential=said.credential_name,
        server_name=said.sni,
        names=tuple(said.subject_alt_names),
        insecure=said.insecure_skip_verify,
        origin=found.at(path),
    )


def _sticky(said: written.ConsistentHash) -> Sticky:
    ring = said.ring_hash.minimum_ring_size if said.ring_hash else said.minimum_ring_size or 1024
    table = said.maglev.table_size if said.maglev else 0
    if said.http_header_name:
        return Sticky(HashOn.HEADER, said.http_header_name.lower(), ring=ring, table=table)
    if said.http_query_parameter_name:
        return Sticky(HashOn.QUERY, said.http_query_parameter_name, ring=ring, table=table)
    if said.http_cookie:
        cookie = said.http_cookie
        return Sticky(HashOn.COOKIE, cookie.name, cookie.path, cookie.ttl, ring, table)
    return Sticky(HashOn.SOURCE_ADDRESS, ring=ring, table=table)


def _pool(said: written.ConnectionPool) -> Pool:
    tcp, http = said.tcp or written.TcpPool(), said.http or written.HttpPool()
    keep, ping = tcp.tcp_keepalive, http.http2_keep_alive
    return Pool(
        connections=tcp.max_connections,
        connect_timeout=tcp.connect_timeout,
        keep_alive=KeepAlive(keep.probes, keep.time, keep.interval) if keep else None,
        maximum_age=tcp.max_connection_duration,
        tcp_idle_timeout=tcp.idle_timeout,
        pending_requests=http.http1_max_pending_requests,
        requests=http.http2_max_requests,
        requests_per_connection=http.max_requests_per_connection or None,  # Istio: 0 is no limit
        retries=http.max_retries,
        idle_timeout=http.idle_timeout,
        upgrade_to_http2=http.h2_upgrade_policy,
        use_client_protocol=http.use_client_protocol,
        concurrent_streams=http.max_concurrent_streams,
        http2_ping_interval=ping.interval if ping else None,
        http2_ping_timeout=ping.timeout if ping else None,
    )


def _outliers(said: written.OutlierDetection) -> Outliers:
    gateway = (
        said.consecutive_gateway_errors if said.consecutive_gateway_errors is not None else said.consecutive_errors
    )
    return Outliers(
        server_errors=said.consecutive5xx_errors or None,  # Istio: 0 does not look at them
        gateway_errors=gateway or None,
        local_failures=said.consecutive_local_origin_failures or None,
        split_local=said.split_external_local_origin_errors,
        interval=said.interval or _USUAL.interval,
        ejection_time=said.base_ejection_time or _USUAL.ejection_time,
        most_ejected_percent=said.max_ejection_percent,
        healthy_percent=said.min_health_percent,
        error_codes=tuple(said.outlier_detection_http_error_codes),
    )


def _budget(said: written.RetryBudget) -> RetryBudget:
    percent = said.percent.value if isinstance(said.percent, Percent) else said.percent
    return RetryBudget(
        _USUAL_BUDGET.percent if percent is None else float(percent),
        _USUAL_BUDGET.minimum if said.min_retry_concurrency is None else said.min_retry_concurrency,
        said.budget_interval,
    )
