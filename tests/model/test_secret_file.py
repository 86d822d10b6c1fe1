"""The part `secrets:` of the mesh file: what it may say, and where a fault is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from handsel.errors import InvalidFile
from handsel.model.secret import DeliveredFile, group_of, unit_of
from tests.support import read_mesh

MESH = """
trust_domain: shop.internal
services:
  web: {{}}
  alone: {{sidecar: false}}
secrets:
  {0}
"""


def test_everything_that_may_be_said_is_read():
    mesh = read_mesh(
        MESH.format(
            "store: {group: orders, grant: [web], file: {name: store.p12, owner: 'web:tls', mode: '0440'}, expires: 90d}"
        )
    )
    (declared,) = mesh.secrets.values()
    assert declared.name == "orders/store"
    assert declared.unit == "orders"
    assert dict(declared.grant) == {"web": "handsel.yaml:7"}
    assert declared.file == DeliveredFile("store.p12", "web:tls", 0o440)
    assert declared.expires == timedelta(days=90)
    assert read_mesh(MESH.format("a/b: {grant: ['spiffe://shop.internal/ns/x/sa/y']}")).secrets["a/b"].unit == "a"


@pytest.mark.parametrize(
    ("written", "path", "said"),
    [
        ("db: {grant: [wep]}", "secrets.db.grant[0]", 'did you mean "web"'),
        ("db: {grant: [alone]}", "secrets.db.grant[0]", "no service 'alone'"),
        ("db: {grant: ['spiffe://else.internal/ns/a/sa/b']}", "secrets.db.grant[0]", "is not of shop.internal"),
        ("db: {grant: ['spiffe://shop.internal/handsel/server']}", "secrets.db.grant[0]", "part of handsel"),
        ("db: {grant: ['spiffe:nonsense']}", "secrets.db.grant[0]", ""),
        ("'../db': {}", "secrets.../db", "a name has"),
        ("a/b: {group: c}", "secrets.a/b", "a name has"),
        ("db: {group: a/b}", "secrets.db.group", "is no name"),
        ("db: {file: {mode: '0644'}}", "secrets.db.file.mode", "nobody else's"),
        ("db: {file: {mode: 600}}", "secrets.db.file.mode", "as text, in octal"),
        ("db: {file: {owner: 'a b'}}", "secrets.db.file.owner", "no user"),
        ("db: {file: {name: ../x}}", "secrets.db.file.name", "is no name"),
        ("db: {expires: 90}", "secrets.db.expires", "with a unit"),
        ("db: {expires: 0s}", "secrets.db.expires", "at least a second"),
        ("db: {value: hunter2}", "secrets.db.value", "unknown key"),
        (
            "{a: {grant: [web], file: {name: x}}, b: {grant: [web], file: {name: x}}}",
            "secrets.b.file",
            "of 'a' already",
        ),
    ],
    ids=lambda each: each if isinstance(each, str) and each.startswith("secrets") else "",
)
def test_a_fault_has_its_place(written, path, said):
    with pytest.raises(InvalidFile) as caught:
        read_mesh(MESH.format(written))
    (fault,) = caught.value.faults
    assert (fault.path, fault.line) == (path, 7)
    assert said in fault.message


def test_a_context_may_name_a_secret_of_a_group():
    def read(name: str):
        return read_mesh(MESH.format(f"db: {{}}\ncontexts:\n  shop: {{trust_store: {{secret: {name}}}}}"))

    trust_store = read("orders/roots.pem").contexts["shop"].trust_store
    assert trust_store is not None
    assert trust_store.secret == "orders/roots.pem"
    with pytest.raises(InvalidFile, match="no name of a secret"):
        read("a/b/c")


def test_a_unit_is_the_group_or_the_secret_itself():
    assert (unit_of("g/a"), group_of("g/a")) == ("g", "g")
    assert (unit_of("a"), group_of("a")) == ("a", "")
