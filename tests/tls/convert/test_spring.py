"""Spring Boot's settings, in properties and YAML."""

from __future__ import annotations

import pytest

from handsel.errors import InvalidFile
from handsel.model.context import ClientCertificate, KeyStore, Password, TlsContext, TrustStore
from handsel.tls.convert import spring
from handsel.tls.convert.model import Imported

PROPERTIES = """\
server.port=8443
server.ssl.key-store=classpath:orders.p12
server.ssl.keyStorePassword=changeit
server.ssl.key_alias=orders
server.ssl.trust-store=file:/etc/roots.p12
server.ssl.trust-store-password=${TRUST:letmein}
server.ssl.client-auth=want
server.ssl.enabled-protocols=TLSv1.3
server.ssl.key-store-provider=SUN
management.server.ssl.enabled=false
spring.ssl.bundle.jks.Partner_A.truststore.location=/etc/partner.jks
spring.ssl.bundle.jks.Partner_A.truststore.type=JKS
spring.ssl.bundle.jks.Partner_A.options.ciphers[0]=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
spring.ssl.bundle.jks.Partner_A.options.ciphers[1]=TLS_AES_256_GCM_SHA384
"""

YAML = """\
spring:
  ssl:
    bundle:
      pem:
        web:
          keystore:
            certificate: /etc/web.crt
            private-key: /etc/web.key
            private-key-password: 123456
          truststore:
            certificate: |
              -----BEGIN CERTIFICATE-----
              AAAA
              -----END CERTIFICATE-----
          options:
            enabled-protocols: [TLSv1.2, TLSv1.3]
          reload-on-update: true
server:
  ssl:
    bundle: web
    client-auth: need
---
spring:
  config:
    activate:
      on-profile: prod
  ssl.bundle.pem.web.keystore.private-key: /prod/web.key
"""


def _read(text: str, file: str = "application.yaml") -> Imported:
    return spring.read({file: text.encode()})


def _notes(found: Imported) -> list[str]:
    return [f"{note.line} {note.kind}: {note.context}: {note.message}" for note in sorted(found.notes)]


def test_properties() -> None:
    found = _read(PROPERTIES, "application.properties")
    assert found.contexts == {
        "server": TlsContext(
            "server",
            KeyStore("orders.p12", "", Password(variable="SERVER_KEY_STORE_PASSWORD"), alias="orders"),
            TrustStore("/etc/roots.p12", "", Password(variable="TRUST")),
            ("TLSv1.3",),
            client_certificate=ClientCertificate.OPTIONAL,
        ),
        "partner-a": TlsContext(
            "partner-a", trust_store=TrustStore("/etc/partner.jks", "jks"), ciphers=("ECDHE-RSA-AES256-GCM-SHA384",)
        ),
    }
    assert _notes(found) == [
        "2 decide: server: the key store orders.p12 is looked for on the classpath: say where the file is",
        (
            "3 decide: server: the password of the key store stands in the file: change it, keep it in a file or a secret, "
            "or give it as SERVER_KEY_STORE_PASSWORD, as is written now"
        ),
        "6 decide: server: a default for the password of the trust store stands in the file: change it, take it out",
        "9 lost: server: server.ssl.key-store-provider has no counterpart",
        "10 note: management: TLS is off here (enabled=false): nothing is taken over",
        "14 lost: partner-a: which suites TLS 1.3 may use is not said here: it uses all three of its own",
    ]
    assert "changeit" not in repr(found)
    assert "letmein" not in repr(found)


def test_yaml_with_a_profile() -> None:
    found = _read(YAML)
    web = TlsContext(
        "web",
        KeyStore("/etc/web.key", "pem", Password(variable="WEB_KEY_PASSWORD"), chain="/etc/web.crt"),
        TrustStore("web-roots.crt", "pem"),
    )
    assert found.contexts["web"] == web
    prod = found.contexts["web-prod"]
    assert prod.key_store == KeyStore(
        "/prod/web.key", "pem", Password(variable="WEB_PROD_KEY_PASSWORD"), chain="/etc/web.crt"
    )
    assert [each for each in _notes(found) if ": web: " in each] == [
        (
            "9 decide: web: the password of the key stands in the file: change it, keep it in a file or a secret, or give "
            "it as WEB_KEY_PASSWORD, as is written now"
        ),
        "11 decide: web: PEM text stands where the path of the trusted certificates should: move it to web-roots.crt, as is written now",
    ]
    assert "123456" not in repr(found)


def test_what_a_server_asks_of_its_clients() -> None:
    def asked(line: str) -> ClientCertificate:
        text = f"server.ssl.key-store=k\nserver.ssl.trust-store=t\n{line}"
        return _read(text, "a.properties").contexts["server"].client_certificate

    assert asked("") is ClientCertificate.NONE
    assert asked("server.ssl.client-auth=NEED") is ClientCertificate.REQUIRED
    assert asked("server.ssl.client-auth=none") is ClientCertificate.NONE
    assert asked("server.ssl.clientAuth=${who}") is ClientCertificate.REQUIRED


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("server.ssl.key-store=a\nserver.ssl.key-store=b", "1 note: : server.ssl.key-store is said again: the last counts"),
        ("server.ssl.bundle=gone", "1 decide: server: the bundle gone is not in this file: nothing is taken over"),
        ("server.ssl.key-store=k\nserver.ssl.client-auth=x", "2 decide: server: client-auth is x: here clients need a certificate"),
        ("server.ssl.key-store=k\nserver.ssl.protocol=SSL", "2 lost: server: protocol SSL: say enabled protocols, which are what counts"),
        ("server.ssl.certificate=c", "1 lost: server: a certificate without private-key is no key store"),
        ("server.ssl.certificate-private-key=k\nserver.ssl.key-alias=a", "2 lost: server: a PEM file has no aliases"),
    ],
)  # fmt: skip
def test_what_is_noted(text: str, note: str) -> None:
    assert _notes(_read(text, "a.properties")) == [note]


def test_a_file_that_is_none() -> None:
    with pytest.raises(InvalidFile):
        _read("server: [")
    assert _read("server:\n  port: 1\n").contexts == {}
