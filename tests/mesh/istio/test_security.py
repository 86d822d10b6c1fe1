"""PeerAuthentication, AuthorizationPolicy, RequestAuthentication: as Istio means them, and as the mesh file says it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence

import pytest

from handsel.documents import yaml
from handsel.errors import InvalidFile
from handsel.link.report import WorkloadReport
from handsel.mesh.access_findings import access_findings
from handsel.mesh.authorize import Call, authorize
from handsel.mesh.istio.read import read
from handsel.mesh.stages import Stage, show
from handsel.mesh.translate import translate
from handsel.model.access import Mode
from handsel.model.graph import Mesh
from tests.support import read_mesh

SERVICES = """
trust_domain: shop.internal
services:
  web: {calls: [emoji, store]}
  bot: {calls: [emoji, store]}
  emoji: {port: 8081}
  store: {port: 8082, protocol: tcp}
"""
PLACES = {
    "host": {
        name: WorkloadReport(name, "10.0.0.1", 8080 + number, 15001 + number, 15101 + number, {}, f"/{name}")
        for number, name in enumerate(["web", "emoji", "store"])
    }
}


def mesh(resources: str = "", text: str = SERVICES) -> Mesh:
    """A mesh file with Istio's resources beside it."""
    documents = yaml.parse(textwrap.dedent(resources).encode(), "istio.yaml")

    def include(_pattern: str) -> Sequence[yaml.Document]:
        return documents

    return read_mesh(
        f"{text}\ninclude: [istio.yaml]\n",
        include=include,
        read_resources=lambda found, around: read(found, around, lambda path: path),
    )


def inbound(found: Mesh, service: str) -> object:
    return translate(found, PLACES)["host", service].inbounds


def policy(spec: str, name: str = "emoji-allow", app: str = "emoji", more: str = "") -> str:
    return f"""
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: {name}, namespace: default{more}}}
spec: {{selector: {{matchLabels: {{app: {app}}}}}, {spec}}}
---"""


def peer(mode: str, name: str = "default", namespace: str = "default", selector: str = "", more: str = "") -> str:
    chosen = f"selector: {{matchLabels: {{{selector}}}}}, " if selector else ""
    return f"""
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: {name}, namespace: {namespace}{more}}}
spec: {{{chosen}mtls: {{mode: {mode}}}}}
---"""


WEB, BOT = "shop.internal/ns/default/sa/web", "shop.internal/ns/default/sa/bot"
# What the mesh file says of emoji, and what Istio's resources say. A service with `allow` of its own lets nobody in
# for being a caller, which a policy of Istio's does not change: so callers are named there too.
PAIRS = {
    "deny by name": (
        "deny: [{from: [bot]}]",
        policy(f"action: DENY, rules: [{{from: [{{source: {{principals: [{BOT}]}}}}]}}]", "emoji-deny"),
    ),
    "deny paths": (
        "deny: [{paths: [/admin*], not_from: [web]}, {methods: [DELETE]}]",
        policy(
            f"action: DENY, rules: [{{from: [{{source: {{notPrincipals: [{WEB}]}}}}], "
            "to: [{operation: {paths: [/admin*]}}]}, {to: [{operation: {methods: [DELETE]}}]}]",
            "emoji-deny",
        ),
    ),
    "conditions": (
        "deny: [{headers: {x-a: [b]}, claims: {role: [r]}, when: [{key: source.ip, not_values: [10.0.0.0/8]}]}]",
        policy(
            "action: DENY, rules: [{when: [{key: 'request.auth.claims[role]', values: [r]}, "
            "{key: 'request.headers[x-a]', values: [b]}, {key: source.ip, notValues: [10.0.0.0/8]}]}]",
            "emoji-deny",
        ),
    ),
    "tokens": (
        "tokens: [{issuer: i, jwks_uri: 'https://i.example/k', audiences: [a], forward: true, headers: {x-t: 'T '}}]",
        """
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: emoji-tokens}
spec:
  selector: {matchLabels: {app: emoji}}
  jwtRules:
  - {issuer: i, jwksUri: 'https://i.example/k', audiences: [a], forwardOriginalToken: true,
     fromHeaders: [{name: x-t, prefix: 'T '}]}
""",
    ),
    "mode": ("mode: permissive", peer("PERMISSIVE", selector="app: emoji")),
}


@pytest.mark.parametrize("name", PAIRS)
def test_both_ways_of_saying_it_make_the_same_plan(name: str) -> None:
    native, istio = PAIRS[name]
    said = mesh(text=SERVICES.replace("emoji: {port: 8081}", f"emoji: {{port: 8081, {native}}}"))
    assert inbound(said, "emoji") == inbound(mesh(istio), "emoji")
    assert inbound(said, "emoji") != inbound(mesh(), "emoji")


def test_allow_beside_calls_admits_more_and_in_the_mesh_file_it_takes_their_place() -> None:
    text = SERVICES.replace("web: {calls: [emoji, store]}", "web: {calls: [emoji, store]}\n  ops: {calls: []}")
    rules = "rules: [{to: [{operation: {methods: [GET]}}]}]"
    beside = mesh(policy(rules), text)
    assert authorize(beside, Call("web", "emoji", method="PUT")).rule == "calls"
    own = mesh(text=text.replace("emoji: {port: 8081}", "emoji: {port: 8081, allow: [{methods: [GET]}]}"))
    assert authorize(own, Call("web", "emoji")).allowed
    assert not authorize(own, Call("web", "emoji", method="PUT")).allowed


# Modes


@pytest.mark.parametrize(
    ("resources", "mode"),
    [
        pytest.param("", Mode.STRICT, id="nothing"),
        pytest.param(peer("PERMISSIVE", namespace="istio-system"), Mode.PERMISSIVE, id="mesh"),
        pytest.param(peer("PERMISSIVE", namespace="istio-system") + peer("DISABLE"), Mode.DISABLE, id="namespace"),
        pytest.param(
            peer("DISABLE") + peer("PERMISSIVE", "one", selector="app: emoji"), Mode.PERMISSIVE, id="workload"
        ),
        pytest.param(peer("DISABLE") + peer("UNSET", "one", selector="app: emoji"), Mode.DISABLE, id="unset inherits"),
        pytest.param(
            peer("DISABLE", "young", more=", creationTimestamp: '2026-02-01T00:00:00Z'")
            + peer("PERMISSIVE", "old", more=", creationTimestamp: '2026-01-01T00:00:00Z'"),
            Mode.PERMISSIVE,
            id="the oldest",
        ),
        pytest.param(peer("DISABLE", namespace="istio-system", selector="app: emoji"), Mode.STRICT, id="root selector"),
        pytest.param(peer("DISABLE", namespace="other"), Mode.STRICT, id="another namespace"),
    ],
)
def test_the_nearest_scope_says_the_mode(resources: str, mode: Mode) -> None:
    (port,) = inbound(mesh(resources), "emoji")
    assert port.mode is mode


def test_a_port_has_a_mode_of_its_own() -> None:
    text = SERVICES.replace("emoji: {port: 8081}", "emoji: {port: 8081, ports: {admin: {port: 8099}}}")
    found = mesh(
        """
        apiVersion: security.istio.io/v1
        kind: PeerAuthentication
        metadata: {name: emoji}
        spec: {selector: {matchLabels: {app: emoji}}, mtls: {mode: PERMISSIVE}, portLevelMtls: {8099: {mode: DISABLE}}}
        """,
        text,
    )
    places = {"host": {"emoji": WorkloadReport("emoji", "10.0.0.1", 8081, 1, 2, {}, "/l", more_ports={8099: 3})}}
    ports = translate(found, places)["host", "emoji"].inbounds
    assert [each.mode for each in ports] == [Mode.PERMISSIVE, Mode.DISABLE]


# AuthorizationPolicy


def _allowed(found: Mesh, *callers: str, callee: str = "emoji", **call: object) -> list[bool]:
    return [authorize(found, Call(each, callee, **call)).allowed for each in callers]  # type: ignore[arg-type]


def unguarded(resources: str) -> Mesh:
    """As of Istio alone: nobody is refused for not being named."""
    found = mesh(resources)
    from dataclasses import replace

    return replace(found, services={name: replace(each, guarded=False) for name, each in found.services.items()})


def test_without_a_policy_everybody_may_and_allow_without_rules_lets_nobody() -> None:
    assert _allowed(unguarded(""), "web", "bot") == [True, True]
    assert _allowed(unguarded(policy("action: ALLOW")), "web", "bot") == [False, False]
    assert _allowed(unguarded(policy("rules: [{}]")), "web", "bot") == [True, True]


def test_deny_is_asked_before_allow_and_one_allow_is_enough() -> None:
    both = policy("rules: [{}]") + policy(
        f"action: DENY, rules: [{{from: [{{source: {{principals: [{BOT}]}}}}]}}]", "emoji-deny"
    )
    assert _allowed(unguarded(both), "web", "bot") == [True, False]
    two = policy(f"rules: [{{from: [{{source: {{principals: [{WEB}]}}}}]}}]", "one") + policy(
        "rules: [{from: [{source: {serviceAccounts: [bot]}}]}]", "two"
    )
    assert _allowed(unguarded(two), "web", "bot") == [True, True]


def test_what_requests_alone_have_never_fits_allow_at_tcp_and_is_dropped_of_deny() -> None:
    allow = policy("rules: [{to: [{operation: {methods: [GET]}}]}]", app="store")
    assert _allowed(unguarded(allow), "web", callee="store") == [False]
    deny = policy(
        f"action: DENY, rules: [{{from: [{{source: {{principals: [{BOT}]}}}}], to: [{{operation: {{methods: [GET]}}}}]}}]",
        app="store",
    )
    assert _allowed(unguarded(deny), "web", "bot", callee="store") == [True, False]
    for resources in (allow, deny):
        assert "HM-211" in {each.code for each in access_findings(unguarded(resources))}


def test_a_tcp_port_stays_closed_for_what_neither_names_nor_addresses_say() -> None:
    closed = unguarded(policy("rules: [{when: [{key: connection.sni, values: [a]}]}]", app="store"))
    assert authorize(closed, Call("web", "store")).rule == "closed"
    assert "HM-212" in {each.code for each in access_findings(closed)}
    (port,) = inbound(closed, "store")
    assert [str(each) for each in port.tls.peer.allowed] == ["spiffe://shop.internal/handsel/nobody"]


def test_audit_is_noted_and_decides_nothing() -> None:
    audited = unguarded(policy("action: AUDIT, rules: [{to: [{operation: {methods: [GET]}}]}]"))
    assert _allowed(audited, "web") == [True]
    rendered = json.dumps(show(audited, PLACES, Stage.XDS)["host/emoji"])
    assert "audit_" in rendered
    assert "default/emoji-allow#0" in rendered


def test_custom_refuses_what_it_fits_and_says_so() -> None:
    custom = unguarded(policy("action: CUSTOM, provider: {name: x}, rules: [{to: [{operation: {paths: [/a]}}]}]"))
    assert _allowed(custom, "web", path="/a") == [False]
    assert _allowed(custom, "web", path="/b") == [True]
    assert {"HM-204"} <= {each.code for each in custom.findings}


def test_a_policy_of_the_root_namespace_is_for_all_of_its_labels() -> None:
    everywhere = policy("action: DENY, rules: [{}]").replace("namespace: default", "namespace: istio-system")
    found = unguarded(everywhere)
    assert authorize(found, Call("web", "emoji")).rule == "istio-system/emoji-allow#0"
    assert _allowed(found, "web", callee="store") == [True]


# What is found


@pytest.mark.parametrize(
    ("resources", "code"),
    [
        pytest.param(peer("PERMISSIVE"), "HM-200", id="permissive"),
        pytest.param(peer("DISABLE"), "HM-201", id="disable"),
        pytest.param("", "HM-202", id="nothing said"),
        pytest.param(peer("STRICT", selector="app: emojj"), "HM-207", id="mode for nobody"),
        pytest.param(policy("rules: [{}]", app="emojj"), "HM-207", id="policy for nobody"),
        pytest.param(policy("action: ALLOW"), "HM-208", id="allows nothing"),
        pytest.param(policy("rules: [{to: [{operation: {ports: ['99']}}]}]"), "HM-209", id="no such port"),
        pytest.param(
            policy("rules: [{from: [{source: {principals: [cluster.local/ns/default/sa/web]}}]}]"),
            "HM-210",
            id="identity",
        ),
        pytest.param(policy("rules: [{from: [{source: {namespaces: [defualt]}}]}]"), "HM-210", id="namespace"),
        pytest.param(policy("rules: [{to: [{operation: {paths: ['/a*b']}}]}]"), "HM-214", id="a plain star"),
    ],
)
def test_what_a_person_should_know_is_found(resources: str, code: str) -> None:
    found = unguarded(resources)
    assert code in {each.code for each in access_findings(found)}
    harmless = unguarded(peer("STRICT", namespace="istio-system") + policy("rules: [{}]"))
    assert access_findings(harmless) == []


def test_a_selector_in_the_root_namespace_is_said_to_be_ignored() -> None:
    found = mesh(peer("DISABLE", namespace="istio-system", selector="app: emoji"))
    assert [each.code for each in found.findings if each.code.startswith("HM-2")] == ["HM-203"]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        pytest.param("rules: [{from: []}]", "from", id="from nobody"),
        pytest.param("rules: [{from: [{source: {}}]}]", "must say something", id="an empty source"),
        pytest.param(
            "rules: [{when: [{key: request.headerz, values: [a]}]}]", "did you mean", id="an unknown attribute"
        ),
        pytest.param("rules: [{when: [{key: source.ip, values: [a]}]}]", "no IP address", id="no address"),
        pytest.param("action: REFUSE", "ALLOW or DENY", id="an unknown action"),
        pytest.param("rules: [{to: [{operation: {ports: ['0']}}]}]", "a port is", id="no port"),
    ],
)
def test_what_has_no_form_is_refused_with_its_place(spec: str, said: str) -> None:
    with pytest.raises(InvalidFile) as caught:
        mesh(policy(spec))
    (fault,) = caught.value.faults
    assert said in f"{fault.path} {fault.message}"
    assert fault.file == "istio.yaml"
