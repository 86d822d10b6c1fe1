"""Certificates, asked over HTTP: fetched, revoked, renewed (RFC 8555, 7.4.2 and 7.6; RFC 9773)."""

from __future__ import annotations

from handsel.acme import jws as signatures
from handsel.acme.certid import CertificateId
from handsel.acme.problems import Problem, malformed
from handsel.authority.acme import renewal, revoking
from handsel.authority.adapters.acme_http.answers import json_answer
from handsel.authority.adapters.acme_http.calls import Call, Means, Signed, text_of
from handsel.authority.adapters.issuing import now
from handsel.authority.directory import Record
from handsel.door.asgi import Response
from handsel.pki.certificate import Certificate, to_pem

_PEM = "application/pem-certificate-chain"


async def certificate(means: Means, signed: Signed) -> Response:
    """A certificate with its chain; a number after it asks for another chain."""
    serial = signed.call.parts[1]
    record = await means.directory.record(serial)
    if record is None or not revoking.is_issued_to(record, signed.owner):
        raise Problem("malformed", "there is no such certificate", status=404)
    chains = means.chains(record.certificate) or ((),)
    urls = [signed.call.at("cert", serial, *([str(each)] if each else [])) for each in range(len(chains))]
    here = signed.call.at(*signed.call.parts)
    if here not in urls:
        raise Problem("malformed", "there is no such chain", status=404)
    await means.commit(signed)
    others = tuple(("Link", f'<{url}>;rel="alternate"') for url in urls if url != here)
    return Response(200, to_pem((record.certificate, *chains[urls.index(here)])), _PEM, others)


async def revoke(means: Means, signed: Signed) -> Response:
    """Revoke: by the account that ordered it, one that controls its names, or the certificate's own key."""
    wish = signed.wish
    encoded = wish.get("certificate")
    if not isinstance(encoded, str):
        raise malformed("revocation has a certificate")
    record = await _recorded(means, signatures.decode(encoded, "certificate"))
    if not await _may_revoke(means, signed, record):
        raise Problem("unauthorized", "neither the certificate's key nor an account with its names has signed this")
    by = f"account/{signed.owner.account_id}" if signed.account else f"key/{signed.key.thumbprint}"
    outcome = revoking.revoke(record, revoking.read_reason(wish), by=by, now=now())
    await means.commit(signed, outcome.writes)
    return Response(200)


async def renewal_info(means: Means, call: Call) -> Response:
    """When to renew (RFC 9773, section 4.1). Nobody has to sign for this."""
    named = CertificateId.parse(call.parts[1])
    record = await means.directory.record(named.serial_hex)
    if record is None or not renewal.is_named(record, named):
        raise Problem("malformed", "this certificate is not of this authority", status=404)
    window = renewal.window(record, means.issuing.issuers())
    again = str(int(renewal.look_again(record).total_seconds()))
    content = {"suggestedWindow": {"start": text_of(window.start), "end": text_of(window.end)}}
    return json_answer(content, 200, ("Retry-After", again))


async def _recorded(means: Means, der: bytes) -> Record:
    try:
        sent = Certificate(der)
    except ValueError as error:
        raise malformed(f"this is no certificate: {error}") from error
    record = await means.directory.record(sent.serial)
    if record is None or record.certificate.der != der:
        raise Problem("malformed", "this certificate is not of this authority", status=404)
    return record


async def _may_revoke(means: Means, signed: Signed, record: Record) -> bool:
    if signed.account is None:
        return revoking.is_key_of(record, signed.key)
    if revoking.is_issued_to(record, signed.owner):
        return True
    names = [identifier.value for identifier, _ in revoking.names_of(record.certificate) or ()]
    proven = await means.objects.valid_authorizations(signed.owner.account_id, names)
    return revoking.is_authorized(record.certificate, proven, now())
