"""`spiffe:` and `federation:` in the mesh file: what is said becomes values, what makes no sense has its place."""

from __future__ import annotations

from datetime import timedelta

import pytest

from handsel.errors import InvalidFile
from handsel.model.federation import EndpointProfile, Federated, SpiffeSettings
from handsel.pki.names import TrustDomain
from tests.support import read_mesh

OTHER = TrustDomain("other.example")
WEB = "{url: 'https://other.example/bundle', profile: https_web}"
SPIFFE = "{url: 'https://10.0.0.7:8443/b', profile: https_spiffe, endpoint_id: 'spiffe://other.example/server', bundle: b.json}"


def _faults(text: str) -> list[str]:
    with pytest.raises(InvalidFile) as caught:
        read_mesh(text)
    return [f"{fault.path}: {fault.message}" for fault in caught.value.faults]


def test_nothing_said_is_five_minutes_and_nobody():
    mesh = read_mesh("services: {web: {}}")
    assert mesh.federation == {}
    assert mesh.spiffe == SpiffeSettings(timedelta(minutes=5), timedelta(days=1), timedelta(minutes=5))


def test_what_is_said_becomes_values():
    mesh = read_mesh(
        f"federation: {{other.example: {WEB}}}\nspiffe: {{jwt_lifetime: 1m, jwt_key_lifetime: 2h, refresh_hint: 30s}}"
    )
    assert mesh.federation == {
        "other.example": Federated(OTHER, "https://other.example/bundle", EndpointProfile.WEB)
    }  # fmt: skip
    assert mesh.spiffe == SpiffeSettings(timedelta(minutes=1), timedelta(hours=2), timedelta(seconds=30))
    (other,) = read_mesh(f"federation: {{other.example: {SPIFFE}}}").federation.values()
    assert (str(other.endpoint_id), other.bundle) == ("spiffe://other.example/server", "/etc/shop/b.json")
    with_roots = f"federation: {{other.example: {WEB[:-1]}, roots: r.pem}}}}"
    assert read_mesh(with_roots).federation["other.example"].roots == "/etc/shop/r.pem"


def test_a_service_federates_with_all_unless_it_says_with_whom():
    mesh = read_mesh(
        f"""
federation: {{other.example: {WEB}, third.example: {{url: 'https://third.example/', profile: https_web}}}}
services: {{web: {{}}, emoji: {{federates_with: [third.example]}}, bank: {{federates_with: []}}, away: {{sidecar: false}}}}
"""
    )
    assert mesh.federating_with("other.example") == ("web",)
    assert mesh.federating_with("third.example") == ("web", "emoji")


@pytest.mark.parametrize(
    ("good", "bad", "fault"),
    [
        (WEB, WEB.replace("https:", "http:"), "no https address"),
        (WEB, WEB.replace("other.example/", "me:secret@other.example/"), "no https address"),
        (WEB, WEB.replace("other.example/", ":443/"), "no https address"),
        (WEB, WEB.replace("other.example/", "other.example:0x1/"), "no https address"),
        (WEB, WEB.replace("https_web", "https"), "must be"),
        (WEB, "{profile: https_web}", "'url' is missing"),
        (WEB, f"{WEB[:-1]}, bundle: b.json}}", "belongs to https_spiffe"),
        (WEB, f"{WEB[:-1]}, endpoint_id: 'spiffe://other.example/s'}}", "belongs to https_spiffe"),
        (SPIFFE, f"{SPIFFE[:-1]}, roots: r.pem}}", "belongs to https_web"),
        (SPIFFE, SPIFFE.replace(", bundle: b.json", ""), "needs endpoint_id, and bundle"),
        (SPIFFE, SPIFFE.replace("'spiffe://other.example/server'", "server"), "no SPIFFE ID"),
        (SPIFFE, SPIFFE.replace("//other.example/server", "//third.example/server"), "somebody of other.example"),
        (SPIFFE, SPIFFE.replace("other.example/server", "other.example"), "somebody of other.example"),
    ],
)
def test_a_trust_domain_that_cannot_be_federated_with_is_refused(good, bad, fault):
    assert read_mesh(f"federation: {{other.example: {good}}}")
    (found,) = _faults(f"federation: {{other.example: {bad}}}")
    assert fault in found


@pytest.mark.parametrize(
    ("good", "bad", "fault"),
    [
        (f"federation: {{other.example: {WEB}}}", f"federation: {{mesh.internal: {WEB}}}", "this trust domain itself"),
        (f"federation: {{other.example: {WEB}}}", f"federation: {{Other: {WEB}}}", "is no trust domain"),
        ("spiffe: {jwt_lifetime: 1h}", "spiffe: {jwt_lifetime: 61m}", "between 2s and 1h"),
        ("spiffe: {jwt_lifetime: 2s}", "spiffe: {jwt_lifetime: 1s}", "between 2s and 1h"),
        ("spiffe: {refresh_hint: 1s}", "spiffe: {refresh_hint: 500ms}", "between 1s and 1d"),
        ("spiffe: {jwt_key_lifetime: 50m}", "spiffe: {jwt_key_lifetime: 49m}", "between 10 times refresh_hint"),
        (
            f"federation: {{other.example: {WEB}}}\nservices: {{web: {{federates_with: [other.example]}}}}",
            f"federation: {{other.example: {WEB}}}\nservices: {{web: {{federates_with: [other.exampel]}}}}",
            'did you mean "other.example"?',
        ),
    ],
)
def test_what_makes_no_sense_is_refused(good, bad, fault):
    assert read_mesh(good)
    (found,) = _faults(bad)
    assert fault in found
