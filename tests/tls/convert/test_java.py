"""The system properties of a JVM, from files and from command lines."""

from __future__ import annotations

from datetime import timedelta

import pytest

from handsel.model.context import KeyStore, Password, Revocation, TlsContext, TrustStore
from handsel.tls.convert import java
from handsel.tls.convert.model import Imported

FILE = """\
# a JVM
javax.net.ssl.keyStore=/etc/orders.p12
javax.net.ssl.keyStorePassword=changeit
javax.net.ssl.keyStoreType=PKCS12
javax.net.ssl.trustStore=/etc/roots.jks
javax.net.ssl.trustStorePassword=${TRUST}
javax.net.ssl.trustStoreProvider=SUN
jdk.tls.client.protocols=TLSv1,TLSv1.2
com.sun.net.ssl.checkRevocation=true
ocsp.enable=true
com.sun.security.ocsp.timeout=5
jdk.internal.httpclient.disableHostnameVerification=true
javax.net.debug=all
jdk.tls.namedGroups=secp256r1
other=1
"""


def _read(text: str) -> Imported:
    return java.read({"jvm": text.encode()})


def _notes(found: Imported) -> list[str]:
    return [f"{note.line} {note.kind}: {note.message}" for note in sorted(found.notes)]


def test_a_properties_file() -> None:
    found = _read(FILE)
    assert found.contexts == {
        "java": TlsContext(
            "java",
            KeyStore("/etc/orders.p12", "pkcs12", Password(variable="JAVA_KEY_STORE_PASSWORD")),
            TrustStore("/etc/roots.jks", "", Password(variable="TRUST")),
            ("TLSv1.2",),
            revocation=Revocation(ocsp=True, whole_chain=True, timeout=timedelta(seconds=5)),
        )
    }
    assert _notes(found) == [
        (
            "3 decide: the password of the key store stands in the file: change it, keep it in a file or a secret, or give "
            "it as JAVA_KEY_STORE_PASSWORD, as is written now"
        ),
        "5 decide: whether a server asks its clients for certificates is in the program: here it does",
        "7 lost: javax.net.ssl.trustStoreProvider has no counterpart",
        "8 lost: TLSv1 is dropped: it cannot be made safe",
        "8 note: the protocols are said for a client only: here they hold for both sides",
        "12 lost: jdk.internal.httpclient.disableHostnameVerification: host names are not checked: handsel always checks them",
        "13 note: javax.net.debug writes what is secret to a log: take it out",
        "14 lost: jdk.tls.namedGroups has no counterpart",
    ]
    assert "changeit" not in repr(found)


def test_a_command_line() -> None:
    found = _read(
        "java -Djavax.net.ssl.trustStore=/etc/r.p12 '-Djavax.net.ssl.trustStorePassword=a b' "
        '-Dhttps.protocols="TLSv1.3" -Xmx1g -jar a.jar\n'
    )
    (context,) = found.contexts.values()
    trust = TrustStore("/etc/r.p12", "", Password(variable="JAVA_TRUST_STORE_PASSWORD"))
    assert context == TlsContext("java", trust_store=trust, protocols=("TLSv1.3",))
    assert "a b" not in repr(found)


def test_a_wrapper_conf() -> None:
    found = _read(
        "# -Djavax.net.ssl.keyStore=/no\nwrapper.java.additional.4=-Djavax.net.ssl.keyStore=/etc/k.p12\n"
        "wrapper.java.additional.5=-Djavax.net.ssl.keyStorePassword=x\n"
    )
    assert found.contexts["java"].key_store == KeyStore("/etc/k.p12", "", Password(variable="JAVA_KEY_STORE_PASSWORD"))
    assert [note.line for note in found.notes] == [3]


def test_where_client_and_server_differ_there_are_two() -> None:
    found = _read("jdk.tls.client.protocols=TLSv1.3\njdk.tls.server.protocols=TLSv1.2\njavax.net.ssl.keyStore=k")
    key = KeyStore("k")
    assert found.contexts == {
        "java-client": TlsContext("java-client", key, protocols=("TLSv1.3",)),
        "java-server": TlsContext("java-server", key, protocols=("TLSv1.2",)),
    }


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("javax.net.ssl.keyStore=a\njavax.net.ssl.keyStore=b", "1 note: javax.net.ssl.keyStore is said again: the last counts"),
        ("javax.net.ssl.keyStore=NONE", "1 lost: a key store that is no file (keyStore=NONE) is not known here"),
        ("javax.net.ssl.trustStore=NONE", "1 lost: a trust store that is no file (trustStore=NONE): the machine's roots are believed"),
        ("javax.net.ssl.keyStore=k\njavax.net.ssl.keyStoreType=PKCS11", "2 lost: the key store's type PKCS11 is not known here: files are told by their bytes"),
        ("com.sun.net.ssl.checkRevocation=true", "1 lost: without ocsp.enable Java asks the lists that a certificate names: name them as crl"),
        ("com.sun.net.ssl.checkRevocation=true\nocsp.enable=true\nocsp.responderURL=ldap://x", "3 decide: the responder is ldap://x: write its http address"),
        ("com.sun.net.ssl.checkRevocation=true\nocsp.enable=true\ncom.sun.security.ocsp.timeout=x", "3 lost: the timeout x is not known here: it is 3s"),
    ],
)  # fmt: skip
def test_what_is_lost(text: str, note: str) -> None:
    assert _notes(_read(text)) == [note]


def test_a_file_about_other_things_has_no_context() -> None:
    assert _read("a=b\n-Dx=y").contexts == {}
