"""An issuer of tokens, with keys of its own and, where asked for, a door over TLS."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from handsel.door.asgi import Request, Response, Routes

NAME = "https://token.example"
AUDIENCE = "handsel"


@dataclass
class Issuer:
    """Signs what a test wants."""

    name: str = NAME
    keys: dict[str, Any] = field(
        default_factory=lambda: {"k1": ECKey.generate_key("P-256", {"kid": "k1", "use": "sig"})}
    )
    asked: list[str] = field(default_factory=list)

    def add(self, kid: str, key: Any | None = None) -> None:
        self.keys[kid] = key or RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})

    def jwks(self) -> bytes:
        return json.dumps({"keys": [key.as_dict(private=False) for key in self.keys.values()]}).encode()

    def token(self, kid: str = "k1", header: dict[str, Any] | None = None, **claims: Any) -> bytes:
        """A token that is good, with these claims changed; None takes one out."""
        now = int(time.time())
        usual = {"iss": self.name, "aud": AUDIENCE, "sub": "somebody", "iat": now, "exp": now + 300}
        content = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        key = self.keys[kid]
        algorithm = "RS256" if isinstance(key, RSAKey) else "ES256"
        return jwt.encode({"alg": algorithm, "kid": kid, **(header or {})}, content, key).encode()

    def routes(self, port: int) -> Routes:
        """Its door: discovery and keys (OpenID Connect Discovery 1.0, section 4)."""
        base = f"https://127.0.0.1:{port}"
        self.name = base

        async def configuration(request: Request) -> Response:
            self.asked.append(request.path)
            return Response(200, json.dumps({"issuer": self.name, "jwks_uri": f"{base}/keys"}).encode())

        async def keys(request: Request) -> Response:
            self.asked.append(request.path)
            return Response(200, self.jwks())

        return {("GET", "/.well-known/openid-configuration"): configuration, ("GET", "/keys"): keys}
