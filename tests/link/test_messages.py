"""The messages of the link: what is encoded is decoded, and other bytes are refused in order."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.errors import ProtocolError
from handsel.link import joining, jwt, report, secrets
from handsel.link import messages as m
from handsel.link import wire_pb2 as wire
from handsel.model.acme_client import AcmeClient, ExternalAccount
from handsel.model.delivery import Content, Delivery, Reload
from handsel.pki.secret import Secret
from tests.support import TRUST_DOMAIN, TestAuthority, mutations

AUTHORITY = TestAuthority.make()
CERTIFICATES = [*AUTHORITY.pair(TRUST_DOMAIN.workload("default", "web")).chain, AUTHORITY.issuer.root]

text = st.text(max_size=12)
body = st.binary(max_size=24)
ports = st.integers(0, 65535)
numbers = st.integers(0, 2**64 - 1)
chains = st.lists(st.sampled_from(CERTIFICATES), max_size=3).map(tuple)
names = st.lists(text, max_size=3).map(tuple)
identities = st.sampled_from([TRUST_DOMAIN.workload("default", "web"), TRUST_DOMAIN.server])
# Zero stands for "none" on the wire.
times = st.integers(1, 253402300799).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
moments = st.none() | times
spans = st.none() | st.integers(1, 2**32 - 1).map(lambda milliseconds: timedelta(milliseconds=milliseconds))

evidence = st.builds(joining.Evidence, st.lists(body, max_size=3).map(tuple), body, body, text)
rejections = st.builds(report.Rejection, text, names, text)
reports = st.builds(
    report.WorkloadReport,
    service=text, address=text, application_port=ports, mesh_port=ports, proxy_port=ports,
    callee_ports=st.dictionaries(text, ports, max_size=3), access_log=text, certificate_serial=text,
    certificate_not_after=moments, in_sync=st.booleans(), rejections=st.lists(rejections, max_size=2).map(tuple),
    revocation_lists=names, callee_addresses=st.dictionaries(text, text, max_size=3),
)  # fmt: skip
services = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
reloads = st.builds(Reload, st.sampled_from(["", "HUP"]), text, names, text, st.just("PUT"), spans.filter(bool))
contents = st.builds(Content, st.sampled_from(["key.pem", "a"]), text, text, text, st.integers(0, 0o777), text)
deliveries = st.builds(
    Delivery, services, st.sampled_from(["/etc/tls", "/a/b"]), st.lists(contents, max_size=1).map(tuple), text,
    reloads.filter(lambda reload: reload.is_wanted) | st.just(Reload()), text,
)  # fmt: skip
acme = st.builds(
    AcmeClient, st.sampled_from(["mesh", "https://ca.test/dir"]), st.just(("a.test", "10.0.0.1")),
    st.sampled_from(["", "/etc/ca.pem"]), names, st.none() | st.builds(ExternalAccount, text, text), text, text,
    st.integers(1, 65535), text, text, text,
)  # fmt: skip
assigned = st.builds(
    m.AssignedWorkload, services, identities, ports, names, spans, stores=names, user=text,
    hosts=st.dictionaries(text, text, max_size=3), deliveries=st.lists(deliveries, max_size=2).map(tuple),
    acme=st.none() | acme,
)  # fmt: skip
published = st.builds(m.PublishedResource, text, text, text, body, names)
federated = st.builds(m.FederatedBundle, st.just(TRUST_DOMAIN), chains, body, names)
secret_keys = st.tuples(text, text, st.text("abc", max_size=3))
secret_refs = st.builds(
    secrets.SecretRef,
    st.sampled_from(["g/a", "g/store.p12"]), text, st.sampled_from(["web", "a-1"]), st.sampled_from(["a", "b.c"]),
    st.sampled_from(["", "web", "web:tls"]), st.sampled_from([0o400, 0o440, 0o600, 0o640]), st.just("g"),
    st.none() | times,
)  # fmt: skip
counts = st.integers(0, 2**64 - 1)
edges = st.builds(
    report.Edge, text, text, counts, counts, counts, counts, counts, st.dictionaries(text, counts, max_size=2),
    st.dictionaries(text, counts, max_size=2),
)  # fmt: skip
MESSAGES = {
    "Challenge": st.builds(joining.Challenge, text),
    "JoinRequest": st.builds(joining.JoinRequest, text, body, body, text, text, evidence, text, body, body),
    "JoinResponse": st.builds(joining.JoinResponse, text, st.just(TRUST_DOMAIN), chains, chains, body),
    "RecoverRequest": st.builds(joining.RecoverRequest, text, body, text, body, body),
    "RenewRequest": st.builds(m.RenewRequest, body),
    "SignBatchRequest": st.builds(m.SignBatchRequest, st.lists(st.tuples(text, body), max_size=3).map(tuple)),
    "SignBatchResponse": st.builds(m.SignBatchResponse, st.lists(chains, max_size=3).map(tuple)),
    "Chain": st.builds(m.Chain, chains),
    "Report": st.builds(
        report.Report, st.lists(reports, max_size=2).map(tuple), st.lists(edges, max_size=2).map(tuple)
    ),
    "Index": st.builds(m.Index, st.dictionaries(st.tuples(text, text), body, max_size=3)),
    "Assignment": st.builds(m.Assignment, st.lists(assigned, max_size=2).map(tuple)),
    "Bundle": st.builds(
        m.Bundle,
        chains,
        signing=st.none() | st.builds(m.Signing, st.binary(min_size=1), times),
        jwks=body,
        federated=st.lists(federated, max_size=2).map(tuple),
    ),
    "JwtRequest": st.builds(jwt.JwtRequest, text, names),
    "JwtResponse": st.builds(jwt.JwtResponse, text, times),
    "Resources": st.builds(m.Resources, st.lists(published, max_size=2).map(tuple), names),
    "SecretRefs": st.builds(secrets.SecretRefs, st.lists(secret_refs, max_size=2).map(tuple)),
    "SecretsRequest": st.builds(
        secrets.SecretsRequest, st.lists(secret_keys, max_size=secrets.MOST_AT_ONCE).map(tuple)
    ),
    "SecretsResponse": st.builds(
        secrets.SecretsResponse,
        st.dictionaries(secret_keys, body.map(Secret), max_size=2),
        st.dictionaries(secret_keys.map(lambda key: (*key[:2], f"{key[2]}?")), st.text("abc", min_size=1), max_size=2),
    ),
}
every_message = pytest.mark.parametrize("name", MESSAGES)


def test_every_message_of_the_format_is_tried_here():
    parts = {"AcmeClient", "Delivery", "Edge", "Evidence", "FederatedBundle", "Frame", "Rejection", "WorkloadReport"}
    assert set(MESSAGES) == set(wire.DESCRIPTOR.message_types_by_name) - parts


@every_message
@given(data=st.data())
def test_a_message_is_decoded_as_it_was_encoded(name, data):
    message = data.draw(MESSAGES[name])
    assert type(message).decode(message.encode()) == message


@every_message
@given(data=st.data())
@pytest.mark.filterwarnings("ignore::UserWarning")  # cryptography warns of odd certificates that it takes
def test_damaged_bytes_raise_a_protocol_error_or_are_another_message(name, data):
    whole = data.draw(MESSAGES[name])
    damaged = data.draw(mutations(whole.encode()) | st.binary(max_size=60))
    try:
        decoded = type(whole).decode(damaged)
    except ProtocolError:
        return
    assert type(decoded) is type(whole)


WORKLOAD = wire.WorkloadReport


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (report.Report, wire.Report(workloads=[WORKLOAD(certificate_not_after=2**62)])),
        (report.Report, wire.Report(workloads=[WORKLOAD(certificate_not_after=-(2**63))])),
        (report.Report, wire.Report(workloads=[WORKLOAD(certificate_not_after=253402300800)])),
        (m.Assignment, wire.Assignment(workloads=[wire.Assignment.Workload(identity="web")])),
        (joining.JoinResponse, wire.JoinResponse(trust_domain="Not A Domain")),
        (m.Bundle, wire.Bundle(roots=[b"no certificate"])),
        (m.Chain, wire.Chain(chain=[CERTIFICATES[0].der, b""])),
    ],
)
def test_a_value_that_makes_no_sense_is_a_protocol_error(kind, message):
    with pytest.raises(ProtocolError, match="malformed"):
        kind.decode(message.SerializeToString())


@every_message
def test_fields_that_a_newer_side_adds_are_ignored(name):
    message = {"JoinResponse": joining.JoinResponse("a", TRUST_DOMAIN, (), ())}.get(name) or _smallest(name)
    unknown_field = b"\xfa\x3e\x03new"  # field 1007, bytes
    assert type(message).decode(message.encode() + unknown_field) == message


def _smallest(name: str):
    kind = next(each for module in (joining, jwt, report, secrets, m) if (each := getattr(module, name, None)))
    return kind.decode(b"")


@given(numbers, text, text, body)
def test_a_frame_says_its_length_and_is_decoded_as_it_was_encoded(sequence, kind, key, content):
    frame = m.Frame(sequence, kind, key, content)
    encoded = frame.encode()
    assert int.from_bytes(encoded[:4], "big") == len(encoded) - 4
    assert m.Frame.decode(encoded[4:]) == frame


@given(mutations(m.Frame(7, "bundle", "web", b"body").encode()[4:]))
def test_a_damaged_frame_raises_a_protocol_error_or_is_another_frame(damaged):
    with contextlib.suppress(ProtocolError):
        assert isinstance(m.Frame.decode(damaged), m.Frame)


def test_a_ping_is_told_from_every_publication():
    assert m.Frame.decode(m.ping(datetime(2026, 1, 1, tzinfo=UTC)).encode()[4:]).sequence == 0


@given(MESSAGES["Resources"])
def test_equal_resources_have_equal_bytes(resources):
    again = m.Resources.decode(resources.encode())
    assert again.encode() == resources.encode()


def test_resources_do_not_print_their_bodies():
    resource = m.PublishedResource("type", "name", "1", b"a body that may be large")
    assert "large" not in repr(resource)


@pytest.mark.parametrize("name", ["..", "a/b", "", "/etc", "A"])
def test_a_service_that_could_leave_its_folder_is_refused(name):
    workload = m.AssignedWorkload(name, TRUST_DOMAIN.workload("default", "web"), 0, ())
    with pytest.raises(ProtocolError, match="no service's name"):
        m.Assignment.decode(m.Assignment((workload,)).encode())
