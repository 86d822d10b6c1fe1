"""The annotation `proxy.istio.io/config`: Istio's ProxyConfig, of which the sidecar has a part."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from handsel.mesh.inject import commands, values
from handsel.model.faults import did_you_mean, short
from handsel.model.pod import Interception

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOST_WORKERS = 1024
_DNS = "ISTIO_META_DNS_CAPTURE"
_HONOURED = ("holdApplicationUntilProxyStarts", "concurrency", "proxyMetadata", "interceptionMode")
_NOT_HONOURED = (
    "binaryPath", "caCertificatesPem", "configPath", "controlPlaneAuthPolicy", "customConfigFile",
    "discoveryAddress", "discoveryRefreshDelay", "drainDuration", "envoyAccessLogService", "envoyMetricsService",
    "extraStatTags", "fileFlushInterval", "fileFlushMinSizeKb", "gatewayTopology", "image", "meshId",
    "privateKeyProvider", "proxyAdminPort", "proxyBootstrapTemplatePath", "proxyHeaders", "proxyStatsMatcher",
    "readinessProbe", "runtimeValues", "serviceCluster", "statNameLength", "statsCompression",
    "statsdUdpAddress", "statusPort", "terminationDrainDuration", "tracing", "zipkinAddress",
)  # fmt: skip


@dataclass(frozen=True)
class ProxyConfig:
    """`hold`: the application waits for the sidecar; `concurrency`: worker threads, 0 is one a CPU."""

    hold: bool | None = None
    concurrency: int | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    interception: Interception | None = None
    ignored: tuple[str, ...] = ()
    """Fields of Istio's that have no meaning here."""

    @property
    def dns(self) -> bool:
        """Whether names are looked up by way of the sidecar, as calls by name need it."""
        return self.metadata.get(_DNS, "true") == "true"


def read(text: str) -> ProxyConfig:
    """Raises `ValueError`."""
    value = values.json_or_yaml(text)
    if not isinstance(value, dict):
        raise ValueError(f"must be a ProxyConfig, such as {{concurrency: 2}}, not {short(value)}")
    for key in value:
        if key not in _HONOURED and key not in _NOT_HONOURED:
            hint = did_you_mean(key, (*_HONOURED, *_NOT_HONOURED))
            raise ValueError(f"ProxyConfig has no field {key!r}{hint and ', '}{hint}")
    mode = value.get("interceptionMode")
    return ProxyConfig(
        _boolean(value, "holdApplicationUntilProxyStarts"),
        _workers(value.get("concurrency")),
        _metadata(value.get("proxyMetadata")),
        None if mode is None else Interception(values.one_of(tuple(Interception))(str(mode))),
        tuple(key for key in value if key in _NOT_HONOURED),
    )


def _boolean(value: Mapping[str, Any], key: str) -> bool | None:
    found = value.get(key)
    if found is not None and not isinstance(found, bool):
        raise ValueError(f"{key} must be true or false, not {short(found)}")
    return found


def _workers(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_WORKERS:
        raise ValueError(f"concurrency is a number from 0 to {_MOST_WORKERS}, not {short(value)}")
    return value


def _metadata(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"proxyMetadata must be a mapping, not {short(value)}")
    for name, each in value.items():
        if not _VARIABLE.fullmatch(name) or name.startswith("HANDSEL_") or name in commands.VARIABLES:
            raise ValueError(f"proxyMetadata: {short(name)} cannot be a variable of the sidecar")
        if not isinstance(each, str):
            raise ValueError(f"proxyMetadata: {name} must be text, in quotes, not {short(each)}")
    return value
