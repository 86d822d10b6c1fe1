"""The part `contexts:` as it is written: what is read of it is the same again."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from handsel.model.context import KeyStore, Password, Revocation, TlsContext, TrustStore
from handsel.tls.convert import handsel_yaml
from handsel.tls.convert.model import BOTH
from handsel.tls.convert.write import export
from tests.tls.convert.contexts import contexts, golden, read


@given(st.lists(contexts, max_size=3))
def test_what_is_written_is_read_back(some: list[TlsContext]) -> None:
    by_name = {each.name: each for each in some}
    assert list(handsel_yaml.faults(by_name)) == []
    assert read(handsel_yaml.write(by_name)) == by_name


def test_the_golden_contexts_are_read_back() -> None:
    assert read(handsel_yaml.write(golden())) == golden()


def test_only_what_is_said_is_written() -> None:
    context = TlsContext("orders", KeyStore("/etc/a.p12", password=Password(variable="P")), TrustStore(authority=True))
    assert handsel_yaml.write({"orders": context}) == (
        "contexts:\n  orders:\n    key_store:\n      path: /etc/a.p12\n      password:\n        env: P\n"
        "    trust_store:\n      authority: true\n"
    )


def test_a_time_that_is_no_round_number() -> None:
    for timeout in (
        timedelta(milliseconds=1234567),
        timedelta(seconds=90),
        timedelta(days=2),
        timedelta(milliseconds=1),
    ):
        made = TlsContext("a", revocation=Revocation(ocsp=True, timeout=timeout))
        assert read(handsel_yaml.write({"a": made})) == {"a": made}


def test_what_a_mesh_file_does_not_take_is_noted() -> None:
    (note,) = handsel_yaml.faults({"a": TlsContext("a", KeyStore("~/a.p12"))})
    assert note.context == "a"
    assert "without ~" in note.message


def test_a_store_that_is_a_secret_comes_back_and_is_exported_to_where_containers_have_it() -> None:
    context = TlsContext("orders", KeyStore(secret="orders-key"), TrustStore(secret="roots"))
    assert read(handsel_yaml.write({"orders": context}))["orders"] == context
    exported = export("nginx", context, BOTH)
    assert "/run/secrets/roots" in "".join(exported.files.values())
    assert [each.message for each in exported.notes][:2] == [
        "the secret orders-key must be at /run/secrets/orders-key", "the secret roots must be at /run/secrets/roots",
    ]  # fmt: skip
