"""What a declared context adds to a handshake: its client beside a bare `ssl.SSLContext` with the same settings.

Both shake hands, two-way, with the same bare server, in memory, so that nothing else is measured; the client's context
looks at its files once a second, as it always does.
"""

from __future__ import annotations

import ssl
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from report import Report, interleave, run

ROUNDS, HANDSHAKES = 10, 400
DECLARED, NAMED, BARE = "declared context", "declared, with peers", "bare ssl"
_HOST = "orders.internal"


def bench(report: Report, _options: object) -> None:
    report.conditions |= {"rounds": ROUNDS, "handshakes": HANDSHAKES, "keys": "ECDSA P-256", "tls": "1.3, two-way"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder)
        server = _bare(folder, "server", ssl.PROTOCOL_TLS_SERVER)
        clients = {
            DECLARED: _declared(folder, "orders"),
            NAMED: _declared(folder, "named"),
            BARE: _bare(folder, "client", ssl.PROTOCOL_TLS_CLIENT),
        }
        for number, side in interleave((DECLARED, NAMED, BARE), ROUNDS):
            report.add(number, side, _measure(clients[side], server))
    report.compare("cpu_us", DECLARED, BARE)
    report.compare("cpu_us", NAMED, BARE)


def _measure(client: ssl.SSLContext, server: ssl.SSLContext) -> dict[str, float]:
    began = time.process_time()
    for _ in range(HANDSHAKES):
        _shake_hands(client, server)
    return {"cpu_us": (time.process_time() - began) / HANDSHAKES * 1e6}


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname=_HOST),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    while sides:
        for side in list(sides):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            sides.remove(side)


def _declared(folder: Path, name: str) -> ssl.SSLContext:
    from handsel import tls

    return tls.context(name, folder / "handsel.yaml").client()


def _bare(folder: Path, name: str, protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.load_cert_chain(folder / f"{name}.pem")
    context.load_verify_locations(folder / "roots.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    if protocol == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0
    return context


def _write(folder: Path) -> None:
    from handsel.authority import ca
    from handsel.authority.model import Approval, CheckedDraft, Issuer
    from handsel.model.authority import Profile
    from handsel.pki.certificate import to_pem
    from handsel.pki.keys import PrivateKey
    from handsel.pki.names import Names, TrustDomain

    now, domain, profile = datetime.now(UTC), TrustDomain("bench.internal"), Profile("bench", timedelta(days=1))
    root_key, issuing_key = PrivateKey.generate(), PrivateKey.generate()
    root = ca.make_root(domain, root_key, serial=1, now=now)
    issuing = ca.make_issuing(domain, issuing_key, root, root_key, serial=2, now=now)
    for serial, name in enumerate(("server", "client"), 3):
        key = PrivateKey.generate()
        approval = Approval(
            Names(dns=(_HOST,)), None, key.handle.public_key(), profile, profile.lifetime, requested_by="bench"
        )
        draft = ca.prepare(approval, Issuer(issuing_key, issuing, root), serial=serial, now=now)
        leaf = ca.sign(CheckedDraft(draft))
        (folder / f"{name}.pem").write_bytes(key.pem().reveal() + to_pem(leaf.chain))
    (folder / "roots.pem").write_bytes(to_pem((root,)))
    stores = "key_store: {path: client.pem}, trust_store: {path: roots.pem}"
    (folder / "handsel.yaml").write_text(
        f"contexts:\n  orders: {{{stores}}}\n  named: {{{stores}, peers: [{_HOST}]}}\n"
    )


if __name__ == "__main__":
    run(Report("contexts", "a declared context adds next to nothing to a handshake"), bench, seconds=180)
