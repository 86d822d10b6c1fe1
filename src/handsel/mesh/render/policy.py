"""How a cluster is spread over, limited and watched: a policy in Envoy's words."""

from __future__ import annotations

from typing import Any

from handsel.mesh.render import words
from handsel.model.traffic import Balance, KeepAlive, Outliers, Pool, RetryBudget, Sticky, TrafficPolicy

# Envoy's own limits (1024, of retries 3) would cut a busy service; none at all would end in file descriptors.
_MOST = 10_000
_BALANCES = {Balance.ROUND_ROBIN: "ROUND_ROBIN", Balance.RANDOM: "RANDOM"}
_NO_LIMITS = Pool()


def policy(said: TrafficPolicy) -> dict[str, Any]:
    """What a Cluster says of it."""
    made = {**_balance(said), "circuitBreakers": limits(said.pool, said.retry_budget)}
    if said.outliers is not None:
        made |= _outliers(said.outliers)
    return made


def limits(pool: Pool | None = None, budget: RetryBudget | None = None) -> dict[str, Any]:
    """The most that there may be at a time (circuit breakers)."""
    pool = pool or _NO_LIMITS
    made: dict[str, Any] = {
        "maxConnections": pool.connections or _MOST,
        "maxPendingRequests": pool.pending_requests or _MOST,
        "maxRequests": pool.requests or _MOST,
        "maxRetries": pool.retries or _MOST,
    }
    if budget is not None:
        made["retryBudget"] = {"budgetPercent": {"value": budget.percent}, "minRetryConcurrency": budget.minimum}
    return {"thresholds": [made]}


def keep_alive(said: KeepAlive | None, usual: dict[str, int]) -> dict[str, int]:
    """TCP keep-alive; what is not said is as usual."""
    if said is None:
        return usual
    time, interval = said.time, said.interval
    mine = {
        "keepaliveProbes": said.probes,
        "keepaliveTime": int(time.total_seconds()) if time else None,
        "keepaliveInterval": int(interval.total_seconds()) if interval else None,
    }
    return {**usual, **{key: value for key, value in mine.items() if value is not None}}


def http2(pool: Pool | None, usual: dict[str, Any]) -> dict[str, Any]:
    """The options of HTTP/2; what is not said is as usual."""
    if pool is None:
        return usual
    ping = dict(usual["connectionKeepalive"])
    if pool.http2_ping_interval is not None:
        ping["interval"] = words.seconds(pool.http2_ping_interval)
    if pool.http2_ping_timeout is not None:
        ping["timeout"] = words.seconds(pool.http2_ping_timeout)
    streams = pool.concurrent_streams or usual["maxConcurrentStreams"]
    return {**usual, "maxConcurrentStreams": streams, "connectionKeepalive": ping}


def error_codes(outliers: Outliers | None) -> dict[str, Any]:
    """Which answers count as failures, in place of 5xx."""
    if outliers is None or not outliers.error_codes:
        return {}
    fits = [
        {"httpResponseHeadersMatch": {"headers": [{"name": ":status", "stringMatch": {"exact": str(code)}}]}}
        for code in outliers.error_codes
    ]
    return {"outlierDetection": {"errorMatcher": fits[0] if len(fits) == 1 else {"orMatch": {"rules": fits}}}}


def _balance(said: TrafficPolicy) -> dict[str, Any]:
    if said.sticky is not None:
        return _consistent(said.sticky)
    return {"lbPolicy": _BALANCES.get(said.balance or Balance.LEAST_REQUEST, "LEAST_REQUEST")}


def _consistent(sticky: Sticky) -> dict[str, Any]:
    if sticky.table:
        return {"lbPolicy": "MAGLEV", "maglevLbConfig": {"tableSize": sticky.table}}
    largest = max(sticky.ring, 8 << 20)  # Envoy's own, which a smallest one must not exceed
    return {"lbPolicy": "RING_HASH", "ringHashLbConfig": {"minimumRingSize": sticky.ring, "maximumRingSize": largest}}


def _outliers(said: Outliers) -> dict[str, Any]:
    made: dict[str, Any] = {
        "interval": words.seconds(said.interval),
        "baseEjectionTime": words.seconds(said.ejection_time),
        "maxEjectionPercent": said.most_ejected_percent,
        # Statistics over all endpoints say something only for large numbers of them.
        "enforcingSuccessRate": 0,
        "enforcingConsecutive5xx": 0,
    }
    if said.server_errors:
        made |= {"consecutive5xx": said.server_errors, "enforcingConsecutive5xx": 100}
    if said.gateway_errors:
        made |= {"consecutiveGatewayFailure": said.gateway_errors, "enforcingConsecutiveGatewayFailure": 100}
    if said.split_local:
        made |= {"splitExternalLocalOriginErrors": True, "enforcingLocalOriginSuccessRate": 0}
    if said.local_failures:
        made |= {"consecutiveLocalOriginFailure": said.local_failures, "enforcingConsecutiveLocalOriginFailure": 100}
    # Below this share of healthy endpoints Envoy asks all of them again: by default half.
    return {"outlierDetection": made, "commonLbConfig": {"healthyPanicThreshold": {"value": said.healthy_percent}}}
