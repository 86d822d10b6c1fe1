"""Who speaks: the signature, the nonce, the address and the account of a request (RFC 8555, sections 6.2 to 6.5)."""

from __future__ import annotations

from handsel.acme import jws as signatures
from handsel.acme.jws import Jwk, Jws
from handsel.acme.lifecycle import Status
from handsel.acme.problems import Problem, malformed
from handsel.authority.acme.model import Account
from handsel.authority.adapters.acme_http.calls import Call, Resource, Signed
from handsel.authority.adapters.acme_tables import AcmeObjects
from handsel.authority.adapters.nonces import Nonces, bad_nonce

JOSE = "application/jose+json"
_MAXIMUM_BODY = 64 << 10
_MOST_KEYS = 4096


class Speakers:
    """Finds out who signed. Keys of accounts are kept decoded: reading one costs as much as a signature's check."""

    def __init__(self, objects: AcmeObjects, nonces: Nonces) -> None:
        self._objects = objects
        self._nonces = nonces
        self._keys: dict[str, Jwk] = {}

    async def authenticate(self, call: Call, resource: Resource) -> Signed:
        """The call, when all that it says of itself holds. Raises `Problem`."""
        if call.request.headers.get("content-type", "").partition(";")[0].strip().lower() != JOSE:
            raise Problem("malformed", f"the content type of a request is {JOSE}", status=415)
        if len(call.request.body) > _MAXIMUM_BODY:
            raise Problem("malformed", f"a request has at most {_MAXIMUM_BODY} bytes", status=413)
        jws = signatures.parse(call.request.body)
        key, account = await self._speaker(call, jws, resource)
        signatures.verify(jws, key.key)
        if jws.protected.get("url") != call.url:
            raise Problem("unauthorized", f"the url of the protected header is not {call.url}")
        nonce = jws.protected.get("nonce")
        if not isinstance(nonce, str):
            raise bad_nonce()
        writes = self._nonces.spend(nonce)
        if resource.by_get is not None and resource.by_get != (jws.payload == b""):
            raise malformed("a fetch has an empty payload (section 6.3), everything else a JSON object")
        return Signed(call, jws, key, account, writes)

    async def _speaker(self, call: Call, jws: Jws, resource: Resource) -> tuple[Jwk, Account | None]:
        """The key to verify with. Exactly one of `jwk` and `kid`, and the right one for the resource (section 6.2)."""
        has_kid, has_jwk = "kid" in jws.protected, "jwk" in jws.protected
        if has_kid == has_jwk:
            raise malformed("the protected header has exactly one of jwk and kid")
        if has_jwk:
            if not resource.by_key:
                raise malformed("this resource is asked with a kid, not with a jwk")
            return signatures.read_key(jws.protected["jwk"]), None
        if not resource.by_account:
            raise malformed("this resource is asked with a jwk, not with a kid")
        kid, prefix = str(jws.protected["kid"]), call.at("account", "")
        account = await self._objects.account(kid.removeprefix(prefix)) if kid.startswith(prefix) else None
        if account is None:
            raise Problem("accountDoesNotExist", "the kid names no account of this server")
        if account.status is not Status.VALID:
            raise Problem("unauthorized", f"the account is {account.status}")
        return self._key_of(account), account

    def _key_of(self, account: Account) -> Jwk:
        key = self._keys.get(account.thumbprint)
        if key is None:
            if len(self._keys) >= _MOST_KEYS:
                self._keys.clear()
            key = self._keys[account.thumbprint] = signatures.read_key(account.jwk)
        return key
