"""Where a program's TLS context looks for a secret: what the agent delivered comes first."""

from __future__ import annotations

from pathlib import Path

import pytest

from handsel.errors import ContextRefused
from handsel.model.context import TlsContext, TrustStore
from handsel.pki.certificate import to_pem
from handsel.tls.adapters.files import Reader
from tests.support import TestAuthority

CONTEXT = TlsContext("shop", trust_store=TrustStore(secret="shop/roots.pem"))


def _put(folder: Path, authority: TestAuthority) -> None:
    (folder / "shop").mkdir(parents=True, exist_ok=True)
    (folder / "shop" / "roots.pem").write_bytes(to_pem((authority.issuer.root,)))


def test_what_the_agent_delivered_comes_before_what_the_platform_gives(tmp_path):
    ours, platforms = tmp_path / "ours", tmp_path / "platform"
    one, other = TestAuthority.make(), TestAuthority.make()
    reader = Reader({"HANDSEL_SECRETS": str(ours), "CREDENTIALS_DIRECTORY": str(platforms)})
    with pytest.raises(ContextRefused, match=str(ours)):
        reader.recipe(CONTEXT)
    _put(platforms, one)
    assert reader.recipe(CONTEXT).roots == (one.issuer.root,)
    assert not reader.changed()
    _put(ours, other)
    assert reader.changed()
    assert reader.recipe(CONTEXT).roots == (other.issuer.root,)


def test_without_an_agent_the_platform_alone_is_asked(tmp_path):
    _put(tmp_path, authority := TestAuthority.make())
    assert Reader({"CREDENTIALS_DIRECTORY": str(tmp_path)}).recipe(CONTEXT).roots == (authority.issuer.root,)
    with pytest.raises(ContextRefused, match=r"/run/secrets/shop/roots\.pem"):
        Reader({}).recipe(CONTEXT)
