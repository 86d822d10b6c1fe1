"""`handsel cert inspect`: what is in a file and what is wrong with it, never a key, never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from handsel.cli.cert import command
from handsel.errors import UsageError
from handsel.pki.inspect import MAXIMUM_BYTES, Inspection, in_words, inspect, printable
from tests.support import mutations

NOW = datetime.now(UTC).replace(microsecond=0)
_DAY = timedelta(days=1)

Certificate = x509.Certificate
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | dsa.DSAPrivateKey | ed25519.Ed25519PrivateKey


@cache
def p256(name: str = "") -> ec.EllipticCurvePrivateKey:
    """A key; another one for each name."""
    return ec.generate_private_key(ec.SECP256R1())


def certificate(
    subject: str,
    issuer: str = "",
    *,
    names: tuple[x509.GeneralName, ...] = (x509.DNSName("shop.example"),),
    ca: bool = False,
    start: timedelta = -_DAY,
    end: timedelta = 9 * _DAY,
    key: Key | None = None,
    signer: rsa.RSAPrivateKey | None = None,
    serial: int = 7,
    extensions: tuple[x509.ExtensionType, ...] = (),
) -> Certificate:
    """A certificate; without issuer it signs itself. Keys go by the names of their owners."""
    own = key or p256(subject)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer or subject))
        .public_key(own.public_key())
        .serial_number(serial)
        .not_valid_before(NOW + start)
        .not_valid_after(NOW + end)
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
    )
    if names and not ca:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(signer or (p256(issuer) if issuer else own), hashes.SHA256())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])


def pem(*certificates: Certificate) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


ROOT = certificate("root", ca=True)
MIDDLE = certificate("middle", "root", ca=True)
LEAF = certificate("leaf", "middle")
KEY = p256("leaf").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def problems(*certificates: Certificate) -> list[str]:
    """Everything that is wrong with a file of these."""
    inspection = inspect(pem(*certificates), NOW)
    return [*inspection.problems, *(problem for each in inspection.certificates for problem in each.problems)]


# What it says


def test_a_certificate_is_shown_with_everything_that_counts() -> None:
    names = (
        x509.DNSName("shop.example"),
        x509.UniformResourceIdentifier("spiffe://shop.internal/ns/default/sa/web"),
        x509.IPAddress(ip_address("10.0.0.7")),
        x509.RFC822Name("a@shop.example"),
        x509.DirectoryName(_name("old")),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
        x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x05\x00"),
    )
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=False, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    extended = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, x509.ObjectIdentifier("1.2.3.4")])
    shown = inspect(pem(certificate("web", "middle", names=names, extensions=(usage, extended))), NOW).certificates[0]
    assert (shown.subject, shown.issuer, shown.key, shown.serial) == ("CN=web", "CN=middle", "ECDSA P-256", "7")
    assert shown.names == (
        "DNS:shop.example", "URI:spiffe://shop.internal/ns/default/sa/web", "IP:10.0.0.7", "email:a@shop.example",
        "name:CN=old", "id:1.2.3", "another kind of name",
    )  # fmt: skip
    assert shown.usages == ("digitalSignature", "cRLSign", "serverAuth", "1.2.3.4")
    assert shown.signature == "ecdsa-with-SHA256"
    assert len(shown.fingerprint) == 64
    assert shown.problems == ()


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (rsa.generate_private_key(65537, 2048), "RSA 2048"),
        (ec.generate_private_key(ec.SECP384R1()), "ECDSA P-384"),
        (ed25519.Ed25519PrivateKey.generate(), "Ed25519"),
    ],
)
def test_good_keys_are_named(key: Key, expected: str) -> None:
    (shown,) = inspect(pem(certificate("web", "middle", key=key)), NOW).certificates
    assert (shown.key, shown.problems) == (expected, ())


# What is wrong, said plainly


def _signed_with_sha1() -> Certificate:
    """No library signs so any more: the last byte of the algorithm's name is changed in one signed with SHA-256."""
    good = certificate("web", "middle", signer=rsa.generate_private_key(65537, 2048)).public_bytes(Encoding.DER)
    name = bytes.fromhex("2a864886f70d0101")  # RFC 8017, appendix A.2.4
    assert good.count(name + b"\x0b") == 2
    return x509.load_der_x509_certificate(good.replace(name + b"\x0b", name + b"\x05"))


WRONG: list[tuple[str, Callable[[], Certificate]]] = [
    ("expired 3 days ago", lambda: certificate("web", "middle", start=-9 * _DAY, end=-3 * _DAY)),
    ("not valid for another 5 days", lambda: certificate("web", "middle", start=5 * _DAY)),
    ("no subject alternative name", lambda: certificate("web", "middle", names=())),
    ("RSA key of 1024 bits: too short", lambda: certificate("web", "m", key=rsa.generate_private_key(65537, 1024))),
    ("ECDSA key of 192 bits: too short", lambda: certificate("w", "m", key=ec.generate_private_key(ec.SECP192R1()))),
    ("a DSA key", lambda: certificate("web", "middle", key=dsa.generate_private_key(2048))),
    ("signed with SHA1", _signed_with_sha1),
]


@pytest.mark.parametrize(("expected", "make"), WRONG, ids=[expected for expected, _ in WRONG])
def test_what_is_wrong_with_a_certificate_is_said(expected: str, make: Callable[[], Certificate]) -> None:
    (problem,) = problems(make())
    assert problem.startswith(expected)


def test_a_root_needs_no_name_and_nobody_checks_its_signature() -> None:
    assert problems(ROOT) == []


CHAINS: list[tuple[tuple[Certificate, ...], str, list[str]]] = [
    ((LEAF,), "its issuer 'middle' is not in the file", []),
    ((LEAF, MIDDLE), "2 certificates, each signed by the next; its issuer 'root' is not in the file", []),
    ((LEAF, MIDDLE, ROOT), "3 certificates, each signed by the next; up to its root 'root'", []),
    ((MIDDLE, LEAF), "2 certificates, each signed by the next; its issuer 'root' is not in the file",
     ["out of order: the right one is 2, 1"]),
    ((LEAF, ROOT, MIDDLE), "3 certificates, each signed by the next; up to its root 'root'",
     ["out of order: the right one is 1, 3, 2"]),
    ((LEAF, ROOT), "its issuer 'middle' is not in the file",
     ["incomplete: nothing here signed 'leaf'; its issuer is 'middle'", "certificate 2 does not belong to the chain"]),
    ((LEAF, MIDDLE, certificate("other", ca=True), certificate("more", ca=True)),
     "2 certificates, each signed by the next; its issuer 'root' is not in the file",
     ["incomplete: nothing here signed 'middle'; its issuer is 'root'",
      "certificates 3, 4 do not belong to the chain"]),
    ((ROOT, certificate("other", ca=True)), "2 roots, each for itself", []),
    ((ROOT,), "it is self-signed", []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("certificates", "chain", "wrong"), CHAINS, ids=[f"{len(c)}-{chain}" for c, chain, _ in CHAINS]
)
def test_how_certificates_hang_together(certificates: tuple[Certificate, ...], chain: str, wrong: list[str]) -> None:
    inspection = inspect(pem(*certificates), NOW)
    assert (inspection.chain, list(inspection.problems)) == (chain, wrong)
    assert inspection.ok == (not wrong)


def test_the_same_name_with_another_key_is_another_ca() -> None:
    impostor = certificate("middle", ca=True, key=p256("impostor"))
    inspection = inspect(pem(LEAF, impostor), NOW)
    assert "incomplete: nothing here signed 'leaf'; its issuer is 'middle'" in inspection.problems


# Keys


@pytest.mark.parametrize("encryption", [NoEncryption(), BestAvailableEncryption(b"secret")])
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_a_key_is_mentioned_and_never_shown(encryption: NoEncryption, form: PrivateFormat, tmp_path: Path) -> None:
    key = p256("leaf").private_bytes(Encoding.PEM, form, encryption)
    file = tmp_path / "both.pem"
    file.write_bytes(pem(LEAF) + key)
    file.chmod(0o600)
    lines = [
        line for line in key.decode().splitlines() if len(line) > 20 and not line.startswith(("-----", "Proc", "DEK"))
    ]
    for output in ("table", "json", "yaml"):
        result = run(str(file), "-o", output)
        assert result.exit_code == 0
        assert "PRIVATE KEY" in result.output
        assert not any(line in result.output for line in lines)


@pytest.mark.parametrize(("mode", "told"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_key_that_others_may_read_is_a_problem(tmp_path: Path, mode: int, told: bool) -> None:
    file = tmp_path / "both.pem"
    file.write_bytes(pem(LEAF) + KEY)
    file.chmod(mode)
    assert ("others may read it" in run(str(file)).output) == told
    assert json.loads(run(str(file), "-o", "json").output)["ok"] != told


def test_a_certificate_that_others_may_read_is_none(tmp_path: Path) -> None:
    file = tmp_path / "leaf.pem"
    file.write_bytes(pem(LEAF))
    file.chmod(0o644)
    assert "others may read" not in run(str(file)).output


# Forms


def test_der_and_pem_and_text_around_say_the_same() -> None:
    der = LEAF.public_bytes(Encoding.DER)
    expected = inspect(pem(LEAF), NOW)
    assert inspect(der, NOW) == expected
    assert inspect(b"subject=CN = leaf\n" + pem(LEAF) + b"---\nServer certificate\n", NOW) == expected
    assert len(inspect(der + MIDDLE.public_bytes(Encoding.DER), NOW).certificates) == 2


def test_other_blocks_are_mentioned() -> None:
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    assert inspect(parameters + pem(LEAF), NOW).others == ("a block 'EC PARAMETERS'",)


BAD: list[tuple[str, bytes]] = [
    ("it is empty", b" \n"),
    ("neither PEM nor DER", b"hello"),
    ("neither PEM nor DER", b"\x30\x03\x02\x01\x01"),
    ("neither PEM nor DER", b"\x30"),
    ("does not end", pem(LEAF)[:300]),
    ("does not end", b"-----BEGIN "),
    ("certificate 2 is malformed", pem(LEAF) + b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"),
    ("there is no certificate in it, only a private key", KEY),
    ("larger than 1 MiB", b"x" * (MAXIMUM_BYTES + 1)),
]


@pytest.mark.parametrize(("expected", "content"), BAD, ids=[f"{number} {bad[0]}" for number, bad in enumerate(BAD)])
def test_bad_input_is_one_clear_line(expected: str, content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "bad"
    file.write_bytes(content)
    for result in (run(str(file)), run(text=content)):
        assert isinstance(result.exception, UsageError)
        assert result.exception.exit_code == 2
        assert expected in str(result.exception)
        assert "\n" not in str(result.exception)
        assert result.output == ""


def test_what_cannot_be_opened_is_one_line_too(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.pem", tmp_path):
        error = run(str(path)).exception
        assert isinstance(error, UsageError)
        assert str(path) in str(error)


# The command line


def run(*arguments: str, text: bytes = b"", columns: int = 80) -> Result:
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(command, ["inspect", *arguments], input=text)


def test_a_file_and_standard_input_are_the_same(tmp_path: Path) -> None:
    file = tmp_path / "chain.pem"
    file.write_bytes(pem(LEAF, MIDDLE))
    outputs = {run(str(file)).output, run(text=pem(LEAF, MIDDLE)).output, run("-", text=pem(LEAF, MIDDLE)).output}
    assert len(outputs) == 1
    assert "✓ shop.example   leaf   (1 of 2)\n" in outputs.pop()


def test_short_is_a_line_each() -> None:
    lines = run("--short", text=pem(LEAF, certificate("old", "middle", end=timedelta(hours=-3)))).output.splitlines()
    assert lines == [
        "✓ shop.example   ECDSA P-256   serial 7   9 days of 10 days left   by CN=middle",
        "✗ shop.example   ECDSA P-256   serial 7   ended   by CN=middle   WRONG: expired 3 h ago",
    ]


def test_json_and_yaml_say_the_same_and_keep_their_keys() -> None:
    content = pem(LEAF, MIDDLE)
    report = json.loads(run("-o", "json", text=content).output)
    assert report == yaml.safe_load(run("-o", "yaml", text=content).output)
    assert list(report) == ["apiVersion", "kind", "ok", "certificates", "chain", "others", "problems"]
    assert list(report["certificates"][0]) == [
        "subject", "issuer", "names", "key", "signature", "serial", "not_before", "not_after", "is_ca", "usages",
        "fingerprint", "problems",
    ]  # fmt: skip


def test_names_that_steer_a_terminal_are_shown_as_harmless() -> None:
    evil = certificate("a\x1b[2Jb\u202ec", "middle", names=(x509.UniformResourceIdentifier("x:\x1b]0;y\x07"),))
    for arguments in ((), ("--short",)):
        output = run(*arguments, text=pem(evil)).output
        assert "\x1b]0" not in output
        assert "\x1b[2J" not in output
        assert "\u202e" not in output
    assert printable("a\x00\nb é") == "a\ufffd\ufffdb é"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3540, "59 min"), (7200, "2 h"), (172799, "48 h"), (-172800, "2 days")],
)
def test_times_are_said_in_words(seconds: int, expected: str) -> None:
    assert in_words(timedelta(seconds=seconds)) == expected


# Fuzzing


def _inspected(content: bytes) -> Inspection | None:
    """The result, or None when it was refused by the one error that is promised, in one line."""
    try:
        return inspect(content, NOW, read_by_others=True)
    except ValueError as error:
        message = str(error)
    assert "\n" not in message
    assert len(message) < 400
    return None


@given(mutations(LEAF.public_bytes(Encoding.DER)))
def test_der_that_is_nearly_a_certificate_breaks_nothing(content: bytes) -> None:
    _inspected(content)


@given(mutations(pem(LEAF, MIDDLE) + KEY))
def test_pem_that_is_nearly_a_chain_breaks_nothing_and_tells_no_key(content: bytes) -> None:
    inspection = _inspected(content)
    secret = KEY.splitlines()[2].decode()
    assert inspection is None or secret not in repr(inspection)


@given(st.binary(max_size=300))
def test_any_bytes_break_nothing(content: bytes) -> None:
    _inspected(content)
    _inspected(b"\x30" + content)
    _inspected(b"-----BEGIN CERTIFICATE-----\n" + content + b"\n-----END CERTIFICATE-----\n")


def test_a_file_made_to_keep_it_busy_does_not() -> None:
    """Neither many beginnings without an end, nor many certificates of one name."""
    assert _inspected((b"-----BEGIN A-----" * 70_000)[:MAXIMUM_BYTES]) is None
    same = pem(*(certificate("middle", "middle2", ca=True, serial=number) for number in range(1, 200)))
    assert _inspected(pem(LEAF) + same) is not None
