"""The catalogue of TLS errors: what each runtime prints for a fault, what it means, what to do.

One fault has another face in every runtime, and another one at the other end of the wire. An entry gathers them under a
code that never changes. Its examples, here with … for what varies, were printed by Python 3.11, curl 7.88 with OpenSSL
3.0, Node 20, Java 17, Go 1.26 and Envoy 1.40; `tests/diagnose/texts.yaml` has them whole, and each must lead to its
entry and to no other.

`find` reads the texts in one plain form (`_plain`), so that `TLSV1_ALERT_UNKNOWN_CA`, `tlsv1 alert unknown ca` and
`Received fatal alert: unknown_ca` are one pattern.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from handsel.errors import Fault


class Side(StrEnum):
    """Who found the fault, seen from whoever prints the text."""

    HERE = "here"
    THERE = "there"


@dataclass(frozen=True)
class Face:
    """How a fault looks from one side. `pattern` is for the plain form; an example is (runtime, text as printed)."""

    side: Side
    meaning: str
    pattern: re.Pattern[str]
    examples: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Entry:
    """One cause. `also` says what else produces the same text; `test` is the test that produces the fault for real.

    `check` and `fix` may hold {caller}, {callee}, {address} and {name} (see `filled`). `vague` entries are those whose
    text does not tell the cause: they count only where no other entry matches.
    """

    code: str
    name: str
    cause: str
    fault: Fault
    versions: str
    faces: tuple[Face, ...]
    also: tuple[str, ...]
    check: str
    fix: str
    test: str = ""
    vague: bool = False


@dataclass(frozen=True)
class Found:
    """An entry that a text leads to, by this face."""

    entry: Entry
    face: Face


ALERTS = {
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow", 40: "handshake_failure",
    42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired",
    46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error",
    51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
    86: "inappropriate_fallback", 90: "user_canceled", 109: "missing_extension", 110: "unsupported_extension",
    112: "unrecognized_name", 113: "bad_certificate_status_response", 115: "unknown_psk_identity",
    116: "certificate_required", 120: "no_application_protocol",
}  # fmt: skip
"""The alerts of TLS by number (RFC 8446, section 6; 44 and 112 also in RFC 5246 and RFC 6066)."""

_BOTH = "TLS 1.2 and 1.3"
_ANY = "any"
_LIVE = "openssl s_client -connect {address} -servername {name} -showcerts </dev/null | handsel cert inspect"
_EDGE = "handsel explain {caller} {callee}"


def _face(side: Side, meaning: str, pattern: str, *examples: tuple[str, str]) -> Face:
    return Face(side, meaning, re.compile(pattern), examples)


ENTRIES: tuple[Entry, ...] = (
    Entry(
        "HS-E001",
        "certificate expired",
        "A certificate's validity has ended, so the side that checks it refuses it.",
        Fault.PEER,
        _BOTH,
        (
            _face(
                Side.THERE,
                "the other side refuses this side's certificate, which has ended",
                r"alert:? certificate expired|tls: expired certificate",
                ("Python", "[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED] sslv3 alert certificate expired (_ssl.c:2580)"),
                ("Node", "Error: … sslv3 alert certificate expired:../deps/openssl/…SSL alert number 45"),
                ("Go", 'Get "https://localhost:33945/": remote error: tls: expired certificate'),
            ),
            _face(
                Side.HERE,
                "this side refuses the other's certificate, which has ended",
                r"certificate has expired(?! or)|cert has expired|expired or is not yet valid: .{0,80}is after"
                r"|certificateexpiredexception|validity check failed(?!.{0,600}notyetvalid)",
                ("Python", "[SSL: CERTIFICATE_VERIFY_FAILED] …: certificate has expired"),
                ("curl", "curl: (60) SSL certificate problem: certificate has expired"),
                ("OpenSSL", "verify error:num=10:certificate has expired"),
                ("Node", "Error: certificate has expired CERT_HAS_EXPIRED"),
                ("Java", "javax.net.ssl.SSLHandshakeException: …: CertificateExpiredException: NotAfter: Tue Nov 24 …"),
                ("Go", "x509: certificate has expired or is not yet valid: … is after 2026-…"),
                ("Envoy", "TLS_error:|268435581:…:_certificate_has_expired:TLS_error_end"),
            ),
        ),
        (
            "The clock of the side that checks is ahead.",
            "Envoy sends the alert certificate_expired for a certificate that is not valid yet, too (HS-E013).",
            "curl prints only `SSL certificate verification failed` for this alert (HS-E010).",
        ),
        _LIVE,
        "Renew the certificate on the side that shows it; until then compare the clocks of both hosts.",
        "test_expired",
    ),
    Entry(
        "HS-E002",
        "unknown CA",
        "A certificate was signed by a CA that the side which checks it does not trust.",
        Fault.OPERATOR,
        _BOTH,
        (
            _face(
                Side.THERE,
                "the other side does not trust the CA of this side's certificate",
                r"alert:? unknown ca\b|tls: unknown certificate authority",
                ("Python", "[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca (_ssl.c:2580)"),
                ("curl", "curl: (56) … error:0A000418:SSL routines::tlsv1 alert unknown ca"),
                ("Node", "Error: … tlsv1 alert unknown ca:../deps/openssl/… ERR_SSL_TLSV1_ALERT_UNKNOWN_CA"),
                ("Java", "javax.net.ssl.SSLHandshakeException: Received fatal alert: unknown_ca"),
                ("Go", 'Get "https://localhost:40903/": remote error: tls: unknown certificate authority'),
                ("Envoy", "TLS_error:|268436504:…:TLSV1_ALERT_UNKNOWN_CA:TLS_error_end"),
            ),
            _face(
                Side.HERE,
                "this side does not trust the CA of the other's certificate",
                r"unable to get (local )?issuer( certificate)?|unable to verify (the first certificate|leaf signature)"
                r"|self[- ]signed cert|pkix path building failed|unable to find valid certification path"
                r"|signed by unknown authority",
                ("Python", "[SSL: CERTIFICATE_VERIFY_FAILED] …: unable to get local issuer certificate"),
                ("Python", "[SSL: CERTIFICATE_VERIFY_FAILED] …: self-signed certificate"),
                ("curl", "curl: (60) SSL certificate problem: unable to get local issuer certificate"),
                ("curl", "curl: (60) SSL certificate problem: self-signed certificate in certificate chain"),
                ("OpenSSL", "verify error:num=20:unable to get local issuer certificate"),
                ("Node", "Error: unable to verify the first certificate UNABLE_TO_VERIFY_LEAF_SIGNATURE"),
                ("Node", "Error: self-signed certificate DEPTH_ZERO_SELF_SIGNED_CERT"),
                ("Java", "javax.net.ssl.SSLHandshakeException: PKIX path building failed: …"),
                ("Go", "x509: certificate signed by unknown authority"),
                ("Envoy", "TLS_error:|268435581:…:_unable_to_get_local_issuer_certificate:TLS_error_end"),
            ),
        ),
        (
            "The other side sends its certificate without the intermediate CA that signed it.",
            "A self-signed certificate, which Java reports with the same words.",
            "Something between the two ends that opens TLS and signs anew.",
        ),
        _LIVE,
        "Give the side that checks the right root (ca_certificates in the mesh file), or send the whole chain.",
        "test_unknown_ca",
    ),
    Entry(
        "HS-E003",
        "TLS to a plaintext port",
        "One side began with TLS, and the other answered in plain text.",
        Fault.OPERATOR,
        _BOTH,
        (
            _face(
                Side.HERE,
                "what came back is no TLS",
                r"wrong version number|unrecognized ssl message|server gave http response to https client"
                r"|does not look like a tls handshake|packet length too long",
                ("Python", "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"),
                ("curl", "curl: (35) OpenSSL/3.0.19: error:0A00010B:SSL routines::wrong version number"),
                ("OpenSSL", "error:0A00010B:SSL routines:ssl3_get_record:wrong version number:../ssl/…"),
                ("Node", "Error: … wrong version number:../deps/openssl/… EPROTO"),
                ("Java", "javax.net.ssl.SSLException: Unsupported or unrecognized SSL message"),
                ("Java", "javax.net.ssl.SSLException: Unrecognized SSL message, plaintext connection?"),
                ("Go", 'Get "https://localhost:44265/": http: server gave HTTP response to HTTPS client'),
                ("Envoy", "TLS_error:|268435703:…:WRONG_VERSION_NUMBER:TLS_error_end"),
            ),
        ),
        (
            "In a server's log: the client speaks plain text, and not HTTP (HS-E006); Java says so of HTTP, too.",
            "The port belongs to a proxy that answers in its own plain HTTP.",
        ),
        "curl -sv http://{address}/",
        "Let the other side speak TLS (a sidecar, or its TLS port), or say tls: {{mode: disable}} for this external.",
        "test_tls_to_a_plaintext_port",
    ),
    Entry(
        "HS-E004",
        "wrong name",
        "A certificate is good, but carries none of the names that the side which checks it expects.",
        Fault.OPERATOR,
        _BOTH,
        (
            _face(
                Side.THERE,
                "the other side has no certificate for the name that this side asked for (SNI)",
                r"unrecognized name",
                ("Go", "remote error: tls: unrecognized name"),
            ),
            _face(
                Side.HERE,
                "this side expects another name than those of the other's certificate",
                r"hostname mismatch|ip address mismatch|no alternative certificate subject name matches"
                r"|certificate subject name .{0,300} does not match|altname invalid"
                r"|does not match certificate's altnames|no subject alternative (dns )?names? (matching|present)"
                r"|no name matching .{0,300} found|certificate is valid for .{0,600}, not "
                r"|certificate is not valid for any names|relies on legacy common name|doesn't contain any ip sans"
                r"|san matcher",
                ("Python", "[SSL: CERTIFICATE_VERIFY_FAILED] …: Hostname mismatch, certificate is not valid …"),
                ("curl", "curl: (60) SSL: no alternative certificate subject name matches target host name 'shop'"),
                ("curl", "curl: (60) SSL: certificate subject name 'nosan' does not match target host name 'shop'"),
                ("OpenSSL", "verify error:num=62:hostname mismatch"),
                ("Node", "Error [ERR_TLS_CERT_ALTNAME_INVALID]: Hostname/IP does not match certificate's …"),
                ("Java", "javax.net.ssl…: No subject alternative DNS name matching shop found."),
                ("Java", "javax.net.ssl.SSLHandshakeException: No name matching localhost found"),
                ("Go", "x509: certificate is valid for else.example, not shop"),
                ("Go", "x509: certificate relies on legacy Common Name field, …"),
                ("Envoy", "TLS_error:|268435581:…:_SAN_matcher,_certificate_SANs_are_[else.example]:TLS_error_end"),
            ),
        ),
        (
            "SAN_matcher in a callee's log: its caller is none of those that may call it (HS-E007).",
            "The certificate names only a common name, which nobody reads any more.",
        ),
        _LIVE,
        "Call by a name of the certificate (host or server_name in the mesh file), or have the name put into it.",
        "test_wrong_name",
    ),
    Entry(
        "HS-E005",
        "no client certificate",
        "The server demands a client certificate, and the client showed none.",
        Fault.OPERATOR,
        _BOTH,
        (
            _face(
                Side.THERE,
                "the other side demands a certificate, and this side showed none",
                r"certificate required|no required ssl certificate was sent",
                ("Python", "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required (_ssl.c:2580)"),
                ("curl", "curl: (56) … error:0A00045C:SSL routines::tlsv13 alert certificate required, errno 0"),
                ("Node", "Error: … tlsv13 alert certificate required:../deps/openssl/…SSL alert number 116"),
                ("Java", "javax.net.ssl.SSLHandshakeException: Received fatal alert: certificate_required"),
                ("Go", 'Get "https://localhost:45383/": remote error: tls: certificate required'),
            ),
            _face(
                Side.HERE,
                "this side demands a certificate, and the client showed none",
                r"peer did not return a certificate|client didn't provide a certificate"
                r"|empty client certificate chain|did not provide required client certificate"
                r"|client sent no required ssl certificate",
                ("Python", "[SSL: PEER_DID_NOT_RETURN_A_CERTIFICATE] peer did not return a certificate (_ssl.c:1006)"),
                ("Node", "Error: … peer did not return a certificate:../deps/openssl/…"),
                ("Java", "javax.net.ssl.SSLHandshakeException: Empty client certificate chain"),
                ("Go", "http: TLS handshake error from 127.0.0.1:41024: tls: client didn't provide a certificate"),
                ("Envoy", "TLS_error:|268435648:…:PEER_DID_NOT_RETURN_A_CERTIFICATE:…:TLS_error_end"),
            ),
        ),
        (
            "A Java client keeps its certificate back when the server names other CAs than the one that signed it.",
            "Under TLS 1.2 the client sees handshake_failure (HS-E011), from Java servers bad_certificate (HS-E010).",
            "Under TLS 1.3 the refusal comes late: a client that writes first may see only an end (HS-E012).",
        ),
        "openssl s_client -connect {address} -servername {name} </dev/null | grep -A3 'client certificate'",
        "Show a certificate: tls: {{mode: mutual, client_certificate: …, private_key: …}} in the mesh file.",
        "test_no_client_certificate",
    ),
    Entry(
        "HS-E006",
        "plaintext to a TLS port",
        "A client spoke plain text to a port that speaks TLS only.",
        Fault.OPERATOR,
        _BOTH,
        (
            _face(
                Side.HERE,
                "what came in is plain HTTP, no TLS",
                r"(ssl: |get record:|openssl internal:|ssl routines::|err ssl )https? (proxy )?request"
                r"|tls handshake error from .{0,80}client sent an http request",
                ("Python", "[SSL: HTTP_REQUEST] http request (_ssl.c:1006)"),
                ("Node", "Error: … http request:../deps/openssl/… ERR_SSL_HTTP_REQUEST"),
                ("Go", "http: TLS handshake error from …: client sent an HTTP request to an HTTPS server"),
                ("Envoy", "TLS_error:|268435612:SSL_routines:OPENSSL_internal:HTTP_REQUEST:TLS_error_end"),
            ),
            _face(
                Side.THERE,
                "the other side speaks TLS, and was spoken to without",
                r"client sent an http request to an https server|plain http request was sent to https port"
                r"|speaking plain http to an ssl|received http/0\.9 when not allowed",
                ("Go", "Client sent an HTTP request to an HTTPS server."),
                ("curl", "curl: (1) Received HTTP/0.9 when not allowed"),
            ),
        ),
        (
            "A health check or a scanner, when it is in a server's log now and then.",
            "A plain client usually sees no TLS word at all, only that the connection was reset (HS-E012).",
        ),
        "openssl s_client -connect {address} -servername {name} </dev/null",
        "Speak TLS: call through the sidecar, or say tls: {{mode: simple}} or mutual for this external.",
        "test_plaintext_to_a_tls_port",
    ),
    Entry(
        "HS-E007",
        "denied by policy",
        "The caller is who it says it is, but this call is not allowed.",
        Fault.OPERATOR,
        _ANY,
        (
            _face(
                Side.HERE,
                "this side's policy refuses the caller",
                r"rbac access denied",
                ("Envoy", "rbac_access_denied_matched_policy[none]"),
            ),
            _face(
                Side.THERE,
                "a sidecar refuses the call",
                r"rbac: access denied|not among the service's calls",
                ("Envoy", "RBAC: access denied"),
                ("Envoy", "handsel: this destination is not among the service's calls"),
            ),
        ),
        ("The host name in the request is none that the mesh file declares.",),
        _EDGE,
        "Add {callee} to the calls of {caller} in the mesh file, if it should be allowed, and start the mesh anew.",
        "test_denied_by_policy",
    ),
    Entry(
        "HS-E008",
        "nothing listening",
        "Nobody accepts connections at the address that was called.",
        Fault.OPERATOR,
        _ANY,
        (
            _face(
                Side.HERE,
                "the connection was refused before a byte was sent",
                r"connection refused|couldn't connect to server|econnrefused|closedchannelexception"
                r"|no healthy upstream",
                ("Python", "<urlopen error [Errno 111] Connection refused>"),
                ("curl", "curl: (7) Failed to connect to shop port 443 after 0 ms: Couldn't connect to server"),
                ("OpenSSL", "…:error:8000006F:system library:BIO_connect:Connection refused"),
                ("Node", "Error: connect ECONNREFUSED 127.0.0.1:40257 ECONNREFUSED"),
                ("Java", "java.net.ConnectException: Connection refused"),
                ("Java", "java.net.ConnectException Caused by: java.nio.channels.ClosedChannelException"),
                ("Go", 'Get "https://localhost:40257/": dial tcp 127.0.0.1:40257: connect: connection refused'),
                ("Envoy", "upstream_reset_before_response_started{…|delayed_connect_error:_Connection_refused}"),
                ("Envoy", "no healthy upstream"),
            ),
        ),
        (
            "A firewall that rejects looks the same.",
            "Envoy says `no healthy upstream` also when the name of an external is not found (HS-E016).",
        ),
        "handsel status",
        "Start the program on the port of the mesh file (PORT in its environment), or correct the address.",
        "test_nothing_listening",
    ),
    Entry(
        "HS-E009",
        "TLS versions do not meet",
        "The two sides have no version of TLS in common.",
        Fault.PEER,
        "TLS 1.0 to 1.3",
        (
            _face(
                Side.THERE,
                "the other side refuses the version that this side offers",
                r"alert:? protocol version|tls: protocol version not supported",
                ("Python", "[SSL: TLSV1_ALERT_PROTOCOL_VERSION] tlsv1 alert protocol version (_ssl.c:1006)"),
                ("Node", "Error: … tlsv1 alert protocol version:../deps/openssl/…SSL alert number 70"),
                ("Java", "javax.net.ssl.SSLHandshakeException: Received fatal alert: protocol_version"),
                ("Go", 'Get "https://localhost:43959/": remote error: tls: protocol version not supported'),
                ("Envoy", "TLS_error:|268436526:…:TLSV1_ALERT_PROTOCOL_VERSION:TLS_error_end"),
            ),
            _face(
                Side.HERE,
                "this side refuses the version that the other offers",
                r"unsupported protocol|offered only unsupported versions|no supported versions satisfy"
                r"|protocol .{0,40}is not enabled or supported|no appropriate protocol",
                ("Python", "[SSL: UNSUPPORTED_PROTOCOL] unsupported protocol (_ssl.c:1006)"),
                ("Node", "Error: … unsupported protocol:../deps/openssl/…"),
                (
                    "Java",
                    "javax.net.ssl…: Client requested protocol TLSv1.1 is not enabled or supported in server context",
                ),
                (
                    "Go",
                    "http: TLS handshake error from 127.0.0.1:34650: … offered only unsupported versions: [302 301]",
                ),
                ("Envoy", "TLS_error:|268435696:…:UNSUPPORTED_PROTOCOL:TLS_error_end"),
            ),
        ),
        ("OpenSSL 3 names the old signature first: `legacy sigalg disallowed` (HS-E018).",),
        "openssl s_client -connect {address} -servername {name} -tls1_2 </dev/null",
        "Let the older side speak TLS 1.2 or newer; between sidecars it is TLS 1.3 only.",
        "test_versions_that_do_not_meet",
    ),
    Entry(
        "HS-E010",
        "certificate refused without a reason",
        "A certificate was refused, and the text does not say why: the log of the side that refused it does.",
        Fault.PEER,
        _BOTH,
        (
            _face(
                Side.THERE,
                "the other side refuses this side's certificate",
                r"(alert:?|tls:) bad certificate|alert:? certificate unknown|tls: unknown certificate(?! auth)"
                r"|alert:? access denied|ssl certificate verification failed",
                ("Python", "[SSL: SSLV3_ALERT_BAD_CERTIFICATE] sslv3 alert bad certificate (_ssl.c:1006)"),
                ("Python", "[SSL: SSLV3_ALERT_CERTIFICATE_UNKNOWN] sslv3 alert certificate unknown (_ssl.c:1006)"),
                ("curl", "curl: (60) SSL certificate verification failed"),
                ("Node", "Error: … sslv3 alert bad certificate:… ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE"),
                ("Java", "javax.net.ssl.SSLHandshakeException: Received fatal alert: bad_certificate"),
                ("Java", "javax.net.ssl.SSLHandshakeException: Received fatal alert: certificate_unknown"),
                ("Go", "http: TLS handshake error from 127.0.0.1:34618: remote error: tls: bad certificate"),
                ("Go", 'Get "https://localhost:44495/": remote error: tls: unknown certificate'),
            ),
            _face(
                Side.HERE,
                "a client refused this server's certificate, in an alert that it did not encrypt (OpenSSL, TLS 1.3)",
                r"bad record mac|insufficient buffer remaining for aead",
                ("Go", "http: TLS handshake error from 127.0.0.1:45468: local error: tls: bad record MAC"),
                ("Java", "javax.net.ssl.SSLException: Insufficient buffer remaining for AEAD cipher fragment"),
            ),
            _face(
                Side.HERE,
                "this side refuses the other's certificate; the reason was cut off",
                r"certificate verify failed",
                ("OpenSSL", "error:0A000086:SSL routines:certificate verify failed"),
            ),
        ),
        (
            "Envoy sends certificate_unknown when the name is not allowed (HS-E004, HS-E007).",
            "Go sends bad_certificate, and Java certificate_unknown, for an unknown CA and an ended certificate alike.",
            "A Java server sends bad_certificate when no certificate came (HS-E005).",
        ),
        _EDGE,
        "Read the log of the side that refused at the same second; paste its line here.",
        "test_denied_by_policy",
        vague=True,
    ),
    Entry(
        "HS-E011",
        "nothing in common",
        "The two sides have no cipher suite, group or signature in common (or, in TLS 1.2, a certificate was missing).",
        Fault.PEER,
        _BOTH,
        (
            _face(
                Side.THERE,
                "the other side ended the handshake with handshake_failure",
                r"(alert:?|tls:) handshake failure|alert:? insufficient security",
                ("Python", "[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] sslv3 alert handshake failure (_ssl.c:1006)"),
                ("curl", "curl: (35) OpenSSL/3.0.19: error:0A000410:SSL routines::sslv3 alert handshake failure"),
                ("Java", "javax.net.ssl.SSLHandshakeException: Received fatal alert: handshake_failure"),
                ("Go", 'Get "https://localhost:38565/": remote error: tls: handshake failure'),
                ("Envoy", "TLS_error:|268436496:…:SSLV3_ALERT_HANDSHAKE_FAILURE:TLS_error_end"),
            ),
            _face(
                Side.HERE,
                "this side found nothing in common with the other",
                r"no shared cipher|no cipher suites? (in common|supported by both)|no (common|suitable) "
                r"(signature|key share|cipher)|wrong curve",
                ("Python", "[SSL: NO_SHARED_CIPHER] no shared cipher (_ssl.c:1006)"),
            ),
        ),
        (
            "Under TLS 1.2 a server that demands a client certificate and gets none says handshake_failure (HS-E005).",
            "A server without a certificate for the name that was asked for.",
        ),
        "openssl s_client -connect {address} -servername {name} </dev/null",
        "Compare cipher suites, groups and key types of both sides; show a client certificate if one is demanded.",
        "test_no_client_certificate_under_tls12",
        vague=True,
    ),
    Entry(
        "HS-E012",
        "closed without a word",
        "The other side ended the connection and did not say why.",
        Fault.PEER,
        _BOTH,
        (
            _face(
                Side.THERE,
                "the connection ended before an answer came",
                r"connection reset|econnreset|socket hang up|unexpected eof|eof occurred in violation"
                r"|broken pipe|\bepipe\b|empty reply from server|remote host terminated the handshake"
                r"|ssl peer shut down incorrectly|error writing to server|header parser received no bytes"
                r"|getpeername\(\) failed|ssl error syscall|(handshake error from .{0,60}|get \".{0,300}\"): eof"
                r"|remote end closed connection|unexpected end of file|eof reached while reading"
                r"|response started\{connection termination",
                ("Python", "<urlopen error EOF occurred in violation of protocol (_ssl.c:2427)>"),
                ("Python", "ConnectionResetError: [Errno 104] Connection reset by peer"),
                ("curl", "curl: (35) Recv failure: Connection reset by peer"),
                ("curl", "curl: (52) Empty reply from server"),
                ("curl", "curl: (55) getpeername() failed with errno 107: Transport endpoint is not connected"),
                ("Node", "Error: read ECONNRESET ECONNRESET"),
                ("Node", "Error: socket hang up ECONNRESET"),
                ("Java", "java.io.IOException: Error writing to server"),
                ("Java", "java.net.SocketException: Broken pipe"),
                ("Java", "javax.net.ssl.SSLHandshakeException: Remote host terminated the handshake"),
                ("Java", "java.io.IOException: HTTP/1.1 header parser received no bytes"),
                ("Go", 'Get "https://localhost:43863/": EOF'),
                ("Go", "http: TLS handshake error from 127.0.0.1:45484: EOF"),
                ("Go", "read tcp 127.0.0.1:59208->127.0.0.1:38357: read: connection reset by peer"),
                ("Envoy", "upstream_reset_before_response_started{connection_termination}"),
            ),
        ),
        (
            "A refused client certificate under TLS 1.3: Java, Python and curl may lose the alert (HS-E005, HS-E002).",
            "Plain text to a TLS port (HS-E006).",
            "A proxy or firewall between the two ends.",
        ),
        _EDGE,
        "Read the log of the other side at the same second; paste its line here.",
        "test_closed_without_a_word",
        vague=True,
    ),
    Entry(
        "HS-E013",
        "certificate not yet valid",
        "A certificate's validity has not begun, by the clock of the side that checks it.",
        Fault.PEER,
        _BOTH,
        (
            _face(
                Side.HERE,
                "this side refuses the other's certificate, which is not valid yet",
                r"certificate is not yet valid|cert not yet valid|certificatenotyetvalid"
                r"|expired or is not yet valid: .{0,80}is before",
                ("Python", "[SSL: CERTIFICATE_VERIFY_FAILED] …: certificate is not yet valid"),
                ("curl", "curl: (60) SSL certificate problem: certificate is not yet valid"),
                ("Node", "Error: certificate is not yet valid CERT_NOT_YET_VALID"),
                (
                    "Java",
                    "javax.net.ssl.SSLHandshakeException: …: CertificateNotYetValidException: NotBefore: Thu Nov 26 …",
                ),
                ("Go", "x509: certificate has expired or is not yet valid: … is before 2026-…"),
                ("Envoy", "TLS_error:|268435581:…:_certificate_is_not_yet_valid"),
            ),
        ),
        ("The clock of the side that checks is behind.",),
        "date -u",
        "Set the clocks of both hosts (NTP), or wait until the certificate begins.",
        "test_not_yet_valid",
    ),
    Entry(
        "HS-E014",
        "certificate revoked",
        "A certificate was revoked by the CA that signed it.",
        Fault.OPERATOR,
        _BOTH,
        (
            _face(
                Side.THERE,
                "the other side refuses this side's certificate, which is revoked",
                r"alert:? certificate revoked|tls: revoked certificate",
                ("Python", "[SSL: SSLV3_ALERT_CERTIFICATE_REVOKED] sslv3 alert certificate revoked (_ssl.c:2580)"),
                ("Go", "remote error: tls: revoked certificate"),
            ),
            _face(
                Side.HERE,
                "this side refuses the other's certificate, which is revoked",
                r"certificate revoked|cert revoked|certificaterevokedexception|certificate has been revoked",
                ("Python", "[SSL: CERTIFICATE_VERIFY_FAILED] …: certificate revoked"),
            ),
        ),
        ("A CRL that has ended makes OpenSSL refuse every certificate, with other words (`CRL has expired`).",),
        _LIVE,
        "Issue a new certificate to whoever should still have one.",
    ),
    Entry(
        "HS-E015",
        "no answer in time",
        "The other side, or something on the way, stayed silent.",
        Fault.NETWORK,
        _ANY,
        (
            _face(
                Side.HERE,
                "this side waited and gave up",
                r"timed out|etimedout|deadline exceeded|transport socket timeout was reached|upstream request timeout",
                ("Python", "<urlopen error _ssl.c:989: The handshake operation timed out>"),
                ("curl", "curl: (28) Connection timed out after 2500 milliseconds"),
                ("Java", "java.net.SocketTimeoutException: Read timed out"),
                ("Java", "java.net.http.HttpConnectTimeoutException: HTTP connect timed out"),
                ("Go", 'Get "https://localhost:41717/": context deadline exceeded (Client.Timeout exceeded)'),
                ("Envoy", "transport socket timeout was reached"),
            ),
        ),
        (
            "A firewall that drops packets.",
            "A server that waits for the client to speak first in plain text.",
            "A program that is busy or stopped.",
        ),
        _EDGE,
        "Find out whether the other side got the connection: its log, or a capture on its host.",
        "test_silent",
        vague=True,
    ),
    Entry(
        "HS-E016",
        "name not found",
        "DNS has no address for the name that was called.",
        Fault.OPERATOR,
        _ANY,
        (
            _face(
                Side.HERE,
                "the name was not resolved, so nothing was sent",
                r"could not resolve host|name or service not known|\benotfound\b|\beai again\b|unknownhostexception"
                r"|no such host|unresolvedaddressexception|name resolution",
                ("Python", "<urlopen error [Errno -2] Name or service not known>"),
                ("curl", "curl: (6) Could not resolve host: no-such-host.invalid"),
                ("Node", "Error: getaddrinfo ENOTFOUND no-such-host.invalid ENOTFOUND"),
                ("Java", "java.net.UnknownHostException: no-such-host.invalid"),
                ("Java", "java.net.ConnectException Caused by: java.nio.channels.UnresolvedAddressException"),
                ("Go", "dial tcp: lookup no-such-host.invalid on 10.255.255.53:53: no such host"),
            ),
        ),
        ("The program does not use http_proxy, so it asks DNS for a name that only its sidecar knows.",),
        "getent hosts {name}",
        "Correct the name, give its endpoints in the mesh file, or call NAME_URL from the environment.",
        "test_name_not_found",
    ),
    Entry(
        "HS-E017",
        "key and certificate do not belong together",
        "The private key is not the one whose public half is in the certificate.",
        Fault.OPERATOR,
        _ANY,
        (
            _face(
                Side.HERE,
                "this side cannot use its own certificate",
                r"key values mismatch|private key does not (match|belong)",
                ("Python", "[X509: KEY_VALUES_MISMATCH] key values mismatch (_ssl.c:3926)"),
                ("Node", "Error: error:05800074:x509 certificate routines::key values mismatch (node:internal/tls)"),
                ("Go", "tls: private key does not match public key"),
                ("handsel", "certs/cert.pem, certs/key.pem: the private key does not belong to the certificate"),
            ),
        ),
        ("The chain file begins with another certificate than the leaf.",),
        "handsel cert inspect CHAIN.pem",
        "Put the leaf first in the chain file, or take the key that it was made with.",
    ),
    Entry(
        "HS-E018",
        "certificate not acceptable",
        "A certificate is of the wrong kind: its usage, its key or its signature is not accepted.",
        Fault.PEER,
        _BOTH,
        (
            _face(
                Side.HERE,
                "this side does not accept that kind of certificate",
                r"(unsuitable|unsupported) certificate purpose|invalid purpose|extended key usage does not permit"
                r"|incompatible key usage|key too (weak|small)|md too weak|algorithm constraints check failed"
                r"|legacy sigalg disallowed|insecure algorithm|invalid ca certificate",
                ("Python", "[SSL: CERTIFICATE_VERIFY_FAILED] …: unsuitable certificate purpose"),
                ("Python", "[SSL: CERTIFICATE_VERIFY_FAILED] …: EE certificate key too weak"),
                ("curl", "curl: (60) SSL certificate problem: unsuitable certificate purpose"),
                ("curl", "curl: (35) OpenSSL/3.0.19: error:0A00014D:SSL routines::legacy sigalg disallowed"),
                ("Node", "Error: unsuitable certificate purpose INVALID_PURPOSE"),
                ("Java", "javax.net.ssl.SSLHandshakeException: Extended key usage does not permit use …"),
                ("Go", "x509: certificate specifies an incompatible key usage"),
            ),
            _face(
                Side.THERE,
                "the other side does not accept this kind of certificate",
                r"(alert:?|tls:) unsupported certificate",
                ("Python", "[SSL: SSLV3_ALERT_UNSUPPORTED_CERTIFICATE] sslv3 alert unsupported certificate"),
                ("Java", "javax.net.ssl.SSLHandshakeException: Received fatal alert: unsupported_certificate"),
                ("Go", 'Get "https://localhost:43545/": remote error: tls: unsupported certificate'),
            ),
        ),
        ("Node, Java and Go take weak keys that OpenSSL's security level refuses.",),
        _LIVE,
        "Issue it anew with the usage serverAuth or clientAuth, a key of P-256 or RSA 2048, and SHA-256.",
        "test_certificate_of_the_wrong_kind",
    ),
    Entry(
        "HS-E019",
        "sidecar not ready",
        "The caller's sidecar has no way to the callee yet, so nothing was sent.",
        Fault.OPERATOR,
        _ANY,
        (
            _face(
                Side.HERE,
                "the sidecar does not have this callee",
                r"cluster not found|waits for a file",
                ("Envoy", "cluster_not_found"),
            ),
        ),
        ("A file that the mesh file names is not there yet.", "The mesh file was changed after the mesh was started."),
        "handsel status",
        "Put the missing file there; after a change of the mesh file, start the mesh anew.",
        "test_a_call_that_the_running_mesh_does_not_know",
    ),
    Entry(
        "HS-E020",
        "no application protocol in common",
        "The two sides speak TLS to each other, but not the same protocol inside (ALPN).",
        Fault.OPERATOR,
        _BOTH,
        (
            _face(
                Side.THERE,
                "the other side knows none of the protocols that this side offers",
                r"no application protocol",
                ("Python", "[SSL] tlsv1 alert no application protocol (_ssl.c:1006)"),
                ("curl", "curl: (35) … SSL routines::tlsv1 alert no application protocol"),
                ("Node", "Error: … tlsv1 alert no application protocol:../deps/openssl/…SSL alert number 120"),
                ("Go", "remote error: tls: no application protocol"),
            ),
        ),
        ("In a server's log: the client offers only protocols that this server does not have.",),
        "openssl s_client -connect {address} -servername {name} -alpn h2,http/1.1 </dev/null | grep ALPN",
        "Correct protocol (http, http2, grpc, tcp) in the mesh file.",
    ),
    Entry(
        "HS-E021",
        "sidecar could not deliver",
        "A sidecar answered 503 in place of the callee; the reason is in the sidecar's log, never in the answer.",
        Fault.NETWORK,
        _ANY,
        (
            _face(
                Side.THERE,
                "a sidecar answers, not the callee",
                r"upstream connect error or disconnect/reset before headers",
                ("Envoy", "upstream connect error or disconnect/reset before headers. reset reason: …"),
            ),
        ),
        ("Any fault between the sidecar and the callee: an ended certificate, an unknown CA, nothing listening.",),
        _EDGE,
        "Ask for the edge by its two names: that reads the logs of both sidecars.",
        "test_a_pasted_503_leads_to_the_edge",
        vague=True,
    ),
)

BY_CODE = {entry.code: entry for entry in ENTRIES}

# What gives a runtime away, in the order of asking: the later ones are parts of the earlier ones' texts.
_RUNTIMES: dict[str, str] = {
    "Envoy": r"TLS_error:|OPENSSL_internal|upstream (connect error|request timeout)|upstream_reset|rbac_access|RBAC:"
    r"|cluster_not_found|no healthy upstream|transport socket timeout|among the service's calls",
    "curl": r"curl: \(",
    "Java": r"java\.|javax\.|sun\.security",
    "Node": r"deps/openssl|node:|ERR_(SSL|TLS)|EPROTO|ECONN|ETIMEDOUT|ENOTFOUND|socket hang up|[A-Z]_SELF_SIGNED_CERT"
    r"|SELF_SIGNED_CERT_|UNABLE_TO_VERIFY|CERT_(HAS|NOT|REV)|INVALID_PURPOSE",
    "Python": r"_ssl\.c|\[SSL|\[X509|urlopen error|\[Errno|ssl\.SSL",
    "Go": r"x509: |tls: |http: |(dial|read|write) tcp|Get \"|an HTTPS server",
    "OpenSSL": r"SSL routines|system library:|verify error:num|SSL alert number",
}


def find(text: str) -> list[Found]:
    """The entries that a text leads to, the most telling first; empty when there is none."""
    plain = _plain(text)
    found = [match for entry in ENTRIES if (match := _match(entry, plain))]
    telling = [each for each in found if not each.entry.vague]
    return telling or found


def runtime_of(text: str) -> str:
    """Which runtime printed it, or an empty string."""
    return next((name for name, marks in _RUNTIMES.items() if re.search(marks, text)), "")


def alert_of(text: str) -> str:
    """The name of the TLS alert that a text gives by its number, or an empty string."""
    number = re.search(r"alert(?: number)?[ (\[]{1,2}(\d{1,3})\b", text.lower())
    return ALERTS.get(int(number[1]), "") if number else ""


def filled(text: str, **known: str) -> str:
    """The text of `check` or `fix` with what is known in place of its names, and words in capitals for the rest."""
    return text.format(**{"caller": "CALLER", "callee": "CALLEE", "address": "HOST:PORT", "name": "HOST", **known})


def _match(entry: Entry, plain: str) -> Found | None:
    return next((Found(entry, face) for face in entry.faces if face.pattern.search(plain)), None)


def _plain(text: str) -> str:
    """Lower case, words apart by one space; with the name of an alert that comes as a number."""
    alert = alert_of(text)
    named = f"{text} alert {alert}" if alert else text
    return " ".join(named.lower().replace("_", " ").split())
