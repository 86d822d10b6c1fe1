"""MeshConfig: what the ConfigMap `istio` says of the whole mesh."""

from __future__ import annotations

from collections.abc import Sequence

from handsel.documents import yaml
from handsel.documents.yaml import Document, Path
from handsel.errors import InvalidFile
from handsel.mesh.istio.findings import CURVES_HONOURED, MEANS_NOTHING, NOT_CARRIED_OUT
from handsel.mesh.istio.reading import AnyFound, Found, Reading
from handsel.mesh.istio.resources.kubernetes import ConfigMap, MeshConfig, TlsConfig
from handsel.model.faults import validate
from handsel.model.tls_settings import TlsSettings

_NAME = "istio"
_TEXT: Path = ("data", "mesh")


def read_mesh_config(found: Sequence[AnyFound]) -> MeshConfig:
    """The configuration of the mesh, Istio's own where nothing says one. Raises `InvalidFile`."""
    for each in found:
        document = _document(each)
        if document is not None:
            return validate(document, MeshConfig)
    return MeshConfig()


def _document(found: AnyFound) -> Document | None:
    resource = found.resource
    if not isinstance(resource, ConfigMap) or found.name != _NAME or not (resource.data or {}).get("mesh"):
        return None
    place = found.document.place(_TEXT)
    text = (resource.data or {})["mesh"]
    try:
        documents = yaml.parse(text.encode(), found.document.file)
    except InvalidFile as error:
        reasons = "; ".join(each.message for each in error.faults)
        raise InvalidFile([found.document.fault(_TEXT, f"mesh: {reasons}")]) from error
    value = documents[0].value if documents else None
    return Document(found.document.file, value, {(): place}) if isinstance(value, dict) else None


def note_mesh_config(reading: Reading) -> None:
    """What it says and handsel does otherwise."""
    for found in reading.resources.of(ConfigMap):
        if found.name == _NAME:
            _note(reading, found)


def _note(reading: Reading, found: Found[ConfigMap]) -> None:
    config = reading.config
    trust_domain = str(reading.around.trust_domain)
    if config.trust_domain not in (None, trust_domain):
        text = f"the trust domain is {trust_domain}, as the mesh file has it, not {config.trust_domain}"
        reading.findings.add(found, _TEXT, NOT_CARRIED_OUT, text)
    if config.outbound_traffic_policy and config.outbound_traffic_policy.mode == "ALLOW_ANY":
        text = "outboundTrafficPolicy ALLOW_ANY: what nobody declares stays out of reach"
        reading.findings.add(found, _TEXT, NOT_CARRIED_OUT, text)
    mesh = config.mesh_mtls
    if mesh and (mesh.min_protocol_version not in ("", "TLSv1.3") or mesh.cipher_suites):
        text = "meshMTLS: between proxies it is always TLS 1.3, which has cipher suites of its own"
        reading.findings.add(found, _TEXT, MEANS_NOTHING, text)
    if mesh and mesh.ecdh_curves:
        text = "meshMTLS.ecdhCurves are those of all proxies (Istio does not look at them)"
        reading.findings.add(found, _TEXT, CURVES_HONOURED, text)


def tls_settings(config: MeshConfig) -> TlsSettings:
    """The TLS of the whole mesh."""
    within, others = config.mesh_mtls or TlsConfig(), config.tls_defaults or TlsConfig()
    return TlsSettings(
        tuple(within.ecdh_curves or ()),
        others.min_protocol_version,
        tuple(others.cipher_suites or ()),
        tuple(others.ecdh_curves or ()),
    )
