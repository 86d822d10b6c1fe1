"""The SPIFFE Workload API of a running mesh, as the SPIFFE library of PyPI and plain gRPC see it."""

from __future__ import annotations

import base64
import itertools
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store

from handsel import settings
from handsel.agent.layout import Layout
from tests.e2e.mesh_process import environment, mesh, wait_for

pytestmark = pytest.mark.e2e

CLIENT = Path(__file__).parent / "programs" / "spiffe_client.py"
WATCH = f"{sys.executable} {CLIENT} watch"
MESH = f"""
trust_domain: spiffe.internal
services:
  web: {{command: "{WATCH}"}}
  emoji: {{}}
authority: {{leaf_lifetime: 8s}}
spiffe: {{jwt_lifetime: 30s, jwt_key_lifetime: 12s, refresh_hint: 1s}}
"""
_EITHER = Criticality.AGNOSTIC
WEB = "spiffe://spiffe.internal/ns/default/sa/web"


def socket_of(state: Path, service: str) -> Path:
    return Layout(state / "agent", settings.runtime_folder(state)).of(service).sockets.ads


def client(state: Path, service: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What the library of PyPI does on the socket of a workload."""
    variables = {**environment(), "SPIFFE_ENDPOINT_SOCKET": f"unix://{socket_of(state, service)}"}
    return subprocess.run(
        [sys.executable, str(CLIENT), *arguments], capture_output=True, text=True, timeout=30, check=False, env=variables
    )  # fmt: skip


def token_of(state: Path, service: str, *audience: str) -> str:
    done = client(state, service, "token", *audience)
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["token"])


def part_of(token: str, index: int) -> dict[str, Any]:
    part = token.split(".")[index]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def lines(log: Path, kind: str) -> list[dict[str, Any]]:
    """What a program that watches has said."""
    text = log.read_text() if log.exists() else ""
    read = [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]
    return [each for each in read if each["kind"] == kind]


def check(told: dict[str, Any], identity: str) -> None:
    """Key, leaf, chain and bundle of an X.509 context fit together."""
    leaf, *others = (x509.load_pem_x509_certificate(each.encode()) for each in told["chain"])
    domain = identity.removeprefix("spiffe://").partition("/")[0]
    roots = [x509.load_pem_x509_certificate(each.encode()) for each in told["bundles"][domain]]
    assert told["id"] == identity
    assert not set(told["bundles"][domain]) & set(told["chain"])  # no root in the chain
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [identity]
    assert told["key"] == _public_pem(leaf)
    with_names = ExtensionPolicy.permit_all().require_present(x509.SubjectAlternativeName, _EITHER, None)
    of_cas = ExtensionPolicy.permit_all().require_present(x509.BasicConstraints, Criticality.CRITICAL, None)
    builder = PolicyBuilder().store(Store(roots)).time(leaf.not_valid_before_utc)
    builder = builder.extension_policies(ca_policy=of_cas, ee_policy=with_names)
    assert builder.build_client_verifier().verify(leaf, others).chain[-1] in roots


def _public_pem(leaf: x509.Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return leaf.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _issued(state: Path) -> list[dict[str, str]]:
    """The tokens in the journal."""
    with sqlite3.connect(f"file:{state}/server/handsel.db?mode=ro", uri=True) as database:
        entries = [json.loads(row[0]) for row in database.execute("SELECT entry FROM journal ORDER BY number")]
    return [each["fields"] for each in entries if each["kind"] == "jwt"]


def test_a_program_gets_its_identity_tokens_and_every_rotation_of_them() -> None:
    with mesh(MESH) as running:
        log = running.state / "programs" / "web.log"
        seen = wait_for(lambda: (found := lines(log, "x509")) and len(found) >= 3 and found, 30, "three identities")
        for each in seen:
            check(each, WEB)
        assert len({each["chain"][0] for each in seen}) == len(seen)  # nothing is sent when nothing changed
        assert len({each["key"] for each in seen}) == len(seen)
        _tokens(running.state)
        bundles = wait_for(lambda: (found := lines(log, "jwt")) and len(found) >= 3 and found, 20, "other JWT keys")
        kids = [set(each["bundles"]["spiffe.internal"]) for each in bundles]
        assert all(before & after for before, after in itertools.pairwise(kids))  # they overlap
        assert len(set().union(*kids)) >= 2
        assert not lines(log, "error")


def _tokens(state: Path) -> None:
    token = token_of(state, "web", "bank", "shop")
    assert token_of(state, "web", "shop", "bank") == token  # half of its life is not over
    assert {part_of(token, 0)[name] for name in ("alg", "typ")} == {"ES256", "JWT"}
    claims = part_of(token, 1)
    assert claims["sub"] == WEB
    assert sorted(claims["aud"]) == ["bank", "shop"]
    assert claims["exp"] - claims["iat"] == 30
    (line,) = [each for each in _issued(state) if each["jti"] == claims["jti"]]
    assert line["identity"] == WEB
    assert line["kid"] == part_of(token, 0)["kid"]

    fresh = token_of(state, "web", "bank")
    told = client(state, "emoji", "validate", fresh, "bank")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == {"id": WEB, "library": WEB}
    fresh = token_of(state, "web", "bank")
    elsewhere = client(state, "emoji", "validate", fresh, "another")
    assert elsewhere.returncode != 0
    assert "INVALID_ARGUMENT" in elsewhere.stderr or "not for 'another'" in elsewhere.stderr


def test_the_sockets_of_a_mesh_answer_only_who_sends_the_metadata() -> None:
    with (
        mesh("trust_domain: spiffe.internal\nservices: {web: {}}\n") as running,
        grpc.insecure_channel(f"unix:{socket_of(running.state, 'web')}") as channel,
    ):
        fetch = channel.unary_stream("/SpiffeWorkloadAPI/FetchX509SVID")
        with pytest.raises(grpc.RpcError) as refused:
            next(fetch(b"", timeout=5))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert WEB.encode() in next(fetch(b"", timeout=5, metadata=(("workload.spiffe.io", "true"),)))
