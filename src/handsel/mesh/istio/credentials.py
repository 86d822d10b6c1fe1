"""Kubernetes Secrets: keys and certificates under the names that rules use.

A Secret has `tls.crt`, `tls.key`, `ca.crt`, `ca.crl`, `tls.ocsp-staple`, or `cert`, `key`, `cacert`, `crl`. What a
`NAME-cacert` beside `NAME` holds are the roots of `NAME` (Istio's "Key Formats").
"""

from __future__ import annotations

import base64
from dataclasses import replace

from handsel.documents.yaml import Path
from handsel.mesh.istio.findings import BAD_SECRET, UNKNOWN_SECRET
from handsel.mesh.istio.reading import AnyFound, Found, Reading
from handsel.mesh.istio.resources import kubernetes
from handsel.model.credential import Credential
from handsel.pki.secret import Secret

_KEYS = {
    "certificate": ("tls.crt", "cert"),
    "private_key": ("tls.key", "key"),
    "ca": ("ca.crt", "cacert"),
    "crl": ("ca.crl", "crl"),
    "staple": ("tls.ocsp-staple",),
}
_ROOTS = "-cacert"
_ELSEWHERE = ("configmap://", "file-cert:", "file-root:", "sds://", "invalid://")
_KUBERNETES = "kubernetes://"


def read_credentials(reading: Reading) -> tuple[Credential, ...]:
    """The credentials; a Secret with other keys is none."""
    found: dict[tuple[str, str], Credential] = {}
    for secret in reading.resources.of(kubernetes.Secret):
        credential = _credential(reading, secret)
        if credential is not None:
            found.setdefault((credential.namespace, credential.name), credential)
    for (namespace, name), credential in found.items():
        roots = found.get((namespace, name + _ROOTS))
        if roots and not credential.ca:
            found[namespace, name] = replace(
                credential, ca=roots.ca or roots.certificate, crl=credential.crl or roots.crl
            )
    return tuple(found.values())


def check_credential(reading: Reading, found: AnyFound, name: str, path: Path, namespace: str = "") -> None:
    """Says it when no Secret has this name: then one of `handsel secret` must."""
    if not name or name.startswith(_ELSEWHERE):
        return
    bare = name.removeprefix(_KUBERNETES)
    said, slash, last = bare.rpartition("/")
    places = (said,) if slash else (namespace or found.namespace, reading.root_namespace)
    secrets = reading.resources.of(kubernetes.Secret)
    if not any(each.name in (last, last + _ROOTS) and each.namespace in places for each in secrets):
        text = f"no Secret {bare!r} in the namespace {places[0]}: a secret of handsel by this name is waited for"
        reading.findings.add(found, path, UNKNOWN_SECRET, text)


def _value(secret: kubernetes.Secret, key: str) -> bytes:
    """What a Secret has under a key. Raises `ValueError`."""
    if key in (secret.string_data or {}):
        return (secret.string_data or {})[key].encode()
    return base64.b64decode("".join((secret.data or {}).get(key, "").split()), validate=True)


def _credential(reading: Reading, found: Found[kubernetes.Secret]) -> Credential | None:
    values: dict[str, bytes] = {}
    for part, keys in _KEYS.items():
        for key in keys:
            try:
                value = _value(found.resource, key)
            except ValueError:
                reading.findings.add(found, ("data", key), BAD_SECRET, f"{key} is not base64")
                return None
            values |= {part: value} if value else {}
    if not values:
        return None
    if ("certificate" in values) != ("private_key" in values):
        reading.findings.add(found, ("data",), BAD_SECRET, "a certificate and its private key stand together")
        return None
    private_key = values.get("private_key")
    return Credential(
        found.name,
        found.namespace,
        values.get("certificate", b""),
        Secret(private_key) if private_key else None,
        values.get("ca", b""),
        values.get("crl", b""),
        values.get("staple", b""),
        found.origin,
    )
