"""Contexts of Mule as they are found: what each becomes, and every note about what does not go over."""

from __future__ import annotations

import pytest

from handsel.errors import InvalidFile
from handsel.model.context import ClientCertificate, Failure, KeyStore, Password, Revocation, TlsContext, TrustStore
from handsel.tls.convert import mule
from handsel.tls.convert.model import Imported

_HEAD = """<mule xmlns="http://www.mulesoft.org/schema/mule/core" xmlns:m="http://www.mulesoft.org/schema/mule/tls"
 xmlns:http="http://www.mulesoft.org/schema/mule/http" xmlns:https="http://www.mulesoft.org/schema/mule/https">
"""

APP = f"""{_HEAD}<m:context name="Partner_TLS" enabledProtocols="TLSv1.1,TLSv1.2"
    enabledCipherSuites="TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_RSA_WITH_AES_128_CBC_SHA">
  <m:trust-store path="tls/partners.jks" password="changeit" type="jks" algorithm="PKIX"/>
  <m:key-store path="${{tls.keystore}}" password="${{secure::tls.pass}}" keyPassword="${{KEY_PASS}}" alias="Orders" algorithm="IbmX509"/>
  <m:revocation-check>
    <m:standard-revocation-check softFail="true" onlyEndEntities="true"/>
  </m:revocation-check>
</m:context>
<http:listener-config name="api">
  <http:listener-connection protocol="HTTPS" host="0.0.0.0" port="8443" tlsContext="Partner_TLS"/>
</http:listener-config>
<http:request-config name="Legacy">
  <http:request-connection protocol="HTTPS" host="old">
    <m:context><m:trust-store insecure="true"/></m:context>
  </http:request-connection>
</http:request-config>
<http:listener-config name="front">
  <http:listener-connection protocol="HTTPS">
    <m:context>
      <m:trust-store/>
      <m:key-store path="front.p12" password="s3cret" keyPassword="s3cret" type="PKCS12"/>
    </m:context>
  </http:listener-connection>
</http:listener-config>
<http:listener-config name="shared"><http:listener-connection protocol="HTTPS" tlsContext="domainTls"/></http:listener-config>
</mule>"""


def _read(text: str) -> Imported:
    return mule.read({"app.xml": text.encode()})


def _one(inner: str, attributes: str = "") -> tuple[TlsContext, list[str]]:
    """The context of this inside, and its notes without their place."""
    found = _read(f'{_HEAD}<m:context name="a"{attributes}>{inner}</m:context></mule>')
    (context,) = found.contexts.values()
    return context, [f"{note.kind}: {note.message}" for note in found.notes]


def test_an_application_of_mule_4() -> None:
    found = _read(APP)
    assert found.contexts == {
        "partner-tls": TlsContext(
            "partner-tls",
            KeyStore("${tls.keystore}", "", Password(variable="TLS_PASS"), Password(variable="KEY_PASS"), "Orders"),
            TrustStore("tls/partners.jks", "jks", Password(variable="PARTNER_TLS_TRUST_STORE_PASSWORD")),
            ("TLSv1.2",),
            ("ECDHE-RSA-AES128-GCM-SHA256",),
            revocation=Revocation(ocsp=True, failure=Failure.SOFT),
        ),
        "legacy": TlsContext("legacy", insecure=True),
        "front": TlsContext("front", KeyStore("front.p12", "pkcs12", Password(variable="FRONT_KEY_STORE_PASSWORD"))),
    }
    assert [str(note) for note in sorted(found.notes)] == [
        "app.xml:3: lost: partner-tls: TLSv1.1 is dropped: it cannot be made safe",
        "app.xml:3: note: partner-tls: Partner_TLS is called partner-tls here",
        "app.xml:4: lost: partner-tls: the suite TLS_RSA_WITH_AES_128_CBC_SHA is dropped: it is weak, or not known here",
        (
            "app.xml:5: decide: partner-tls: the password of the trust store stands in the file: change it, keep it in a "
            "file or a secret, or give it as PARTNER_TLS_TRUST_STORE_PASSWORD, as is written now"
        ),
        "app.xml:6: decide: partner-tls: the password of the key store is in the secure properties: give it as TLS_PASS",
        "app.xml:6: decide: partner-tls: the path of the key store is ${tls.keystore}: write the path itself",
        "app.xml:6: lost: partner-tls: the algorithm IbmX509 of the key store is not known here",
        "app.xml:8: lost: partner-tls: the lists that a certificate names are not asked: name them as crl",
        'app.xml:8: note: partner-tls: softFail="true": who cannot be asked about is let through',
        (
            'app.xml:16: decide: legacy: insecure="true": as a client every server is believed, as a server no client is '
            "asked. Name whom to believe as trust_store and take insecure out"
        ),
        "app.xml:16: note: legacy: the context of Legacy, nested there: it is called legacy here",
        "app.xml:21: note: front: the context of front, nested there: it is called front here",
        "app.xml:22: note: front: a trust store without path asks clients for nothing: it looks two-way, and is one-way",
        (
            "app.xml:23: decide: front: the password of the key store stands in the file: change it, keep it in a file or "
            "a secret, or give it as FRONT_KEY_STORE_PASSWORD, as is written now"
        ),
        "app.xml:23: note: front: no alias: Mule takes the first key of the store, handsel the only one",
        (
            "app.xml:27: decide: domainTls: the context domainTls is used here and is in none of these files: it may be in "
            "the domain"
        ),
    ]


def test_no_password_of_the_file_is_in_what_comes_out() -> None:
    found = _read(APP)
    assert "changeit" in APP
    said = repr(found)
    assert "changeit" not in said
    assert "s3cret" not in said


def test_a_context_of_a_domain_is_found_when_its_file_is_there() -> None:
    domain = f'{_HEAD}<m:context name="domainTls"><m:trust-store path="t"/></m:context></mule>'
    found = mule.read({"app.xml": APP.encode(), "domain.xml": domain.encode()})
    assert "domaintls" in found.contexts
    assert not any("may be in the domain" in note.message for note in found.notes)


def test_connectors_of_mule_3() -> None:
    found = _read(f"""{_HEAD}<https:connector name="Two_Way">
  <https:tls-key-store path="k.jks" keyPassword="x" storePassword="${{store.pass}}" keyAlias="orders"/>
  <https:tls-server path="t.jks" storePassword="y" requireClientAuthentication="true"/>
</https:connector>
<https:connector name="oneway"><https:tls-key-store path="k" keyPassword="z" storePassword="z"/>
  <https:tls-server path="t" storePassword="${{T}}"/></https:connector>
<https:connector name="old"><https:tls-client path="c.jks" storePassword="${{C}}"/></https:connector>
<https:connector name="plain"/>
</mule>""")
    assert found.contexts == {
        "two-way": TlsContext(
            "two-way",
            KeyStore("k.jks", "", Password(variable="STORE_PASS"), Password(variable="TWO_WAY_KEY_PASSWORD"), "orders"),
            TrustStore("t.jks", "", Password(variable="TWO_WAY_TRUST_STORE_PASSWORD")),
        ),
        "oneway": TlsContext(
            "oneway", KeyStore("k", "", Password(variable="ONEWAY_KEY_STORE_PASSWORD")),
            TrustStore("t", "", Password(variable="T")), client_certificate=ClientCertificate.NONE,
        ),
        "old": TlsContext(
            "old", KeyStore("c.jks", "", Password(variable="C")), TrustStore("c.jks", "", Password(variable="C")),
            client_certificate=ClientCertificate.NONE,
        ),
    }  # fmt: skip
    said = [f"{note.line} {note.context}: {note.message}" for note in found.notes]
    assert "9 old: tls-client is taken as the key store: see that its own key is in it" in said
    assert "9 old: without tls-server, tls-client is the trust store too: see whom it has in it" in said
    assert (
        "4 two-way: the password of the key stands in the file: change it, keep it in a file or a secret, or give it as TWO_WAY_KEY_PASSWORD, as is written now"
        in said
    )
    assert len([each for each in said if "a connector of Mule 3" in each]) == 3


@pytest.mark.parametrize(
    ("inner", "revocation", "notes"),
    [
        ('<m:crl-file path="a.crl"/>', Revocation(crl=("a.crl",), whole_chain=True), []),
        (
            '<m:custom-ocsp-responder url="http://o/" certAlias="r"/>',
            Revocation(ocsp=True, responder="http://o/", whole_chain=True),
            ["lost: certAlias is not known here: the responder signs as its issuer says"],
        ),
        (
            '<m:custom-ocsp-responder url="${o}"/>',
            Revocation(ocsp=True, whole_chain=True),
            ["decide: the responder is ${o}: write its http address"],
        ),
        ('<m:standard-revocation-check noFallback="true"/>', Revocation(ocsp=True, whole_chain=True), []),
        (
            '<m:standard-revocation-check preferCrls="true" softFail="${soft}"/>',
            Revocation(ocsp=True, whole_chain=True),
            [
                "decide: softFail is ${soft}: it is read as false",
                "lost: lists come first (preferCrls): here only the responder is asked",
            ],
        ),
        (
            "<m:else/>", None,
            ["lost: the revocation check else is not known here", "lost: the revocation check says nothing that can be carried out"],
        ),
    ],
)  # fmt: skip
def test_revocation(inner: str, revocation: Revocation | None, notes: list[str]) -> None:
    context, said = _one(f'<m:trust-store path="t"/><m:revocation-check>{inner}</m:revocation-check>')
    assert context.revocation == revocation
    assert said == notes


@pytest.mark.parametrize(
    ("attributes", "protocols", "ciphers", "notes"),
    [
        ("", ("TLSv1.2", "TLSv1.3"), (), []),
        (' enabledProtocols="default" enabledCipherSuites="default"', ("TLSv1.2", "TLSv1.3"), (), []),
        (' enabledProtocols="${p}"', ("TLSv1.2", "TLSv1.3"), (), ["decide: the protocols are ${p}: write them out; now it is TLSv1.2 and TLSv1.3"]),
        (' enabledProtocols="TLSv1"', ("TLSv1.2", "TLSv1.3"), (), ["lost: TLSv1 is dropped: it cannot be made safe", "lost: no protocol of these is left: now it is TLSv1.2 and TLSv1.3"]),
        (' enabledCipherSuites="TLS_AES_128_GCM_SHA256"', ("TLSv1.3",), (), ["note: the suites are of TLS 1.3 only: so are the protocols", "lost: which suites TLS 1.3 may use is not said here: it uses all three of its own"]),
        (' enabledProtocols="TLSv1.3" enabledCipherSuites="TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"', ("TLSv1.3",), (), ["lost: suites of TLS 1.2 are dropped: the context does not speak it"]),
        (' enabledCipherSuites="${c}"', ("TLSv1.2", "TLSv1.3"), (), ["decide: the cipher suites are ${c}: write them out; now it is the good ones", "lost: which suites TLS 1.3 may use is not said here: it uses all three of its own"]),
    ],
)  # fmt: skip
def test_protocols_and_suites(
    attributes: str, protocols: tuple[str, ...], ciphers: tuple[str, ...], notes: list[str]
) -> None:
    context, said = _one('<m:trust-store path="t"/>', attributes)
    assert (context.protocols, context.ciphers) == (protocols, ciphers)
    assert said == notes


def test_insecure_counts_where_it_is_true_and_nowhere_else() -> None:
    assert _one('<m:trust-store path="t" insecure="true"/>')[0].insecure
    assert not _one('<m:trust-store path="t" insecure="false"/>')[0].insecure
    context, notes = _one('<m:trust-store path="t" insecure="${insecure}"/>')
    assert not context.insecure
    assert notes == ["decide: insecure is ${insecure}: it is read as false"]
    context, notes = _one(
        '<m:trust-store insecure="TRUE"/><m:revocation-check><m:crl-file path="c"/></m:revocation-check>'
    )
    assert context == TlsContext("a", insecure=True)
    assert notes[-1] == "lost: an insecure context looks at no revocation, in Mule neither"
    spring = f'{_HEAD}<context xmlns="http://www.springframework.org/schema/context" insecure="true"/></mule>'
    assert _read(spring).contexts == {}


def test_a_document_type_is_refused() -> None:
    """Nothing is fetched and nothing expanded on the way; without it the same file is read."""
    bomb = '<!DOCTYPE mule [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'
    with pytest.raises(InvalidFile, match="document type"):
        _read(bomb + APP)
    with pytest.raises(InvalidFile, match="document type"):
        _read('<!DOCTYPE mule [<!ENTITY x SYSTEM "file:///etc/hostname">]>' + APP)
    assert _read(APP).contexts
