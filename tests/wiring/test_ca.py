"""What `handsel ca show` tells of the CAs in a folder, and what it costs to find out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from handsel.authority.adapters.signers import KeyFolder
from handsel.authority.adapters.signers.files import FileKeys
from handsel.authority.hierarchy import plans
from handsel.model.authority import Authority, IssuingCa, Keys, NameSet
from handsel.pki.keys import KeyType
from handsel.pki.secret import Secret
from handsel.wiring import ca
from handsel.wiring.ca import Place
from tests.authority.signers.token import soft_token
from tests.support import TRUST_DOMAIN

SETTINGS = Authority(issuing={"partners": IssuingCa("partners", KeyType.P384, excluded=NameSet(dns=("a.internal",)))})


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path, TRUST_DOMAIN, SETTINGS, None)


def _make(place, *, days_ago=0, password=None):
    keys = KeyFolder(place.server.authority, FileKeys(place.server.authority, password))
    now = datetime.now(UTC) - timedelta(days=days_ago)
    keys.make(TRUST_DOMAIN, plans(SETTINGS.issuing), now=now)
    return keys


@pytest.mark.parametrize(
    ("days_ago", "said"),
    [
        (200, None),
        (260, "has less than a third of its life left"),
        (300, "has less than a fifth of its life left"),
        (366, "has ended"),
    ],
)
def test_the_end_of_an_issuing_ca_is_warned_of_at_a_third_and_a_fifth_of_its_year(place, days_ago, said):
    _make(place, days_ago=days_ago)
    warnings = ca.show(place)["warnings"]
    assert len(warnings) == (2 if said else 0)  # of two CAs; their root lives on
    assert all(said in warning for warning in warnings)


def test_what_is_shown_needs_no_password_and_nothing_secret_is_shown(place):
    keys = _make(place, password=Secret(b"a password of a test"))
    shown = ca.show(place)
    assert "encrypted with a password" in shown["custody"]
    assert shown["pins"] == list(keys.roots.pins())
    assert [(each["name"], each["key"], each["excluded"]) for each in shown["authorities"]] == [
        ("root", "p256", []), ("issuing", "p256", []), ("partners", "p384", ["dns:a.internal"]),
    ]  # fmt: skip
    assert "PRIVATE" not in str(shown)


def test_a_token_holds_the_issuing_keys_and_a_folder_elsewhere_the_roots(place, tmp_path):
    with soft_token(tmp_path / "token") as uri:
        held = Place(tmp_path, TRUST_DOMAIN, replace(SETTINGS, keys=Keys(token=uri)), None)
        away = tmp_path / "away"
        assert ca.init(held, KeyType.P256, offline=away) == ["root", "partners", "issuing"]
        assert not list(held.server.authority.glob("*.key"))
        assert sorted(path.name for path in away.glob("*.key")) == ["root.2.key", "root.key"]
        keys = held.open()
        assert [name for name in ("root", "issuing", "partners") if keys.keys.exists(name)] == ["issuing", "partners"]
        assert keys.load("partners", TRUST_DOMAIN).key.remote
        shown = ca.show(held)
        assert (shown["rootIsHere"], shown["warnings"]) == (False, [])
        assert shown["pins"] == list(KeyFolder(away).roots.pins())
