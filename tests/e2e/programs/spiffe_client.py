"""A workload that knows nothing of handsel: the SPIFFE library of PyPI, and SPIFFE_ENDPOINT_SOCKET in its environment.

spiffe_client.py watch                   every X.509 context and every set of JWT bundles, a JSON line each
spiffe_client.py token AUDIENCE...       a JWT-SVID
spiffe_client.py validate TOKEN AUDIENCE whether the Workload API believes it, then whether the library does
"""

import json
import os
import sys
import threading

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from spiffe import JwtSvid, WorkloadApiClient


def say(**what: object) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")  # whole, though two threads speak


def on_x509(context) -> None:
    svid = context.default_svid
    bundles = {
        str(each.trust_domain): sorted(ca.public_bytes(Encoding.PEM).decode() for ca in each.x509_authorities)
        for each in context.x509_bundle_set.bundles
    }
    say(
        kind="x509",
        id=str(svid.spiffe_id),
        chain=[each.public_bytes(Encoding.PEM).decode() for each in svid.cert_chain],
        key=svid.private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        bundles=bundles,
    )


def on_jwt(bundles) -> None:
    say(kind="jwt", bundles={str(each.trust_domain): sorted(each.jwt_authorities) for each in bundles.bundles})


def main(verb: str, *arguments: str) -> None:
    with WorkloadApiClient() as client:
        if verb == "watch":
            client.stream_x509_contexts(on_x509, lambda error: say(kind="error", error=str(error)))
            client.stream_jwt_bundles(on_jwt, lambda error: say(kind="error", error=str(error)))
            threading.Event().wait()
        elif verb == "token":
            say(token=client.fetch_jwt_svid(set(arguments)).token)
        else:
            token, audience = arguments
            told = client.validate_jwt_svid(token, audience)
            bundle = client.fetch_jwt_bundles().get_bundle_for_trust_domain(told.spiffe_id.trust_domain)
            read = JwtSvid.parse_and_validate(token, bundle, {audience})
            say(id=str(told.spiffe_id), library=str(read.spiffe_id))


main(*sys.argv[1:])
