"""The keys that sign JWT-SVIDs as time goes by, and who may have a token."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt as jose
from joserfc.jwk import ECKey

from handsel.authority import jwt
from handsel.authority.jwt import JwtKey, KeysEnded, KeyShown, Token
from handsel.authority.model import Domain, Host, Standing
from handsel.authority.profile import Lifetimes, profiles
from handsel.errors import NotAuthorised, Refused, StateError
from handsel.model.federation import SpiffeSettings
from handsel.pki.keys import PrivateKey
from handsel.store.journal import JournalEntry
from tests.authority.world import EMOJI, WEB
from tests.support import NOW, TRUST_DOMAIN

DOMAIN = Domain(TRUST_DOMAIN, {"web": WEB, "emoji": EMOJI}, profiles(Lifetimes()))
HOST = Host("a1", "host.example", ("web",), NOW)
SETTINGS = SpiffeSettings()
KEY = PrivateKey.generate()


def _first(settings: SpiffeSettings = SETTINGS, now: datetime = NOW) -> JwtKey:
    return jwt.show_key(KEY, [], server="one", stored="jwt-1", settings=settings, now=now).answer


def _approve(service: str = "web", *audiences: str, host: Host = HOST, now: datetime = NOW, **changes):
    wanted = {"keys": [_first()], "server": "one", "domain": DOMAIN, "settings": SETTINGS, "token_id": "t1", "now": now}
    return jwt.approve(host, service, audiences or ("bank",), **{**wanted, **changes})


def test_a_token_says_who_for_whom_and_until_when():
    outcome = _approve("web", "bank", "shop", "bank")
    text = jwt.sign(outcome.answer, KEY)
    token = jose.decode(text, ECKey.import_key(KEY.handle.public_key()), algorithms=["ES256"])
    assert token.header == {"alg": "ES256", "kid": _first().kid, "typ": "JWT"}
    moment = int(NOW.timestamp())
    assert token.claims == {"sub": str(WEB), "aud": ["bank", "shop"], "iat": moment, "exp": moment + 300, "jti": "t1"}
    (line,) = outcome.writes
    assert isinstance(line, JournalEntry)
    said = dict(line.fields)
    assert line.kind == "jwt"
    assert said["identity"] == str(WEB)
    assert (said["jti"], said["audience"], said["by"]) == ("t1", "bank shop", "agent/a1")
    assert text not in json.dumps(said)  # whoever reads the journal cannot use it


def test_only_a_service_of_the_host_gets_one():
    assert _approve().answer.identity == WEB  # the control
    with pytest.raises(Refused, match="not registered"):
        _approve("emoji")
    with pytest.raises(Refused, match="no service"):
        _approve("bank")
    with pytest.raises(Refused, match="quarantine"):
        _approve(host=Host("a1", "host.example", ("web",), NOW, Standing.QUARANTINED, "why"))
    with pytest.raises(NotAuthorised, match="banned"):
        _approve(host=Host("a1", "host.example", ("web",), NOW, Standing.BANNED, "why"))


BAD_AUDIENCES = {
    "none": (),
    "empty": ("",),
    "many": tuple(map(str, range(17))),
    "long": ("x" * 2049,),
    "lines": ("a\nb",),
}


@pytest.mark.parametrize("audiences", BAD_AUDIENCES.values(), ids=BAD_AUDIENCES.keys())
def test_an_audience_is_said_and_has_bounds(audiences):
    with pytest.raises(Refused, match="audience"):
        jwt.approve(
            HOST,
            "web",
            audiences,
            keys=[_first()],
            server="one",
            domain=DOMAIN,
            settings=SETTINGS,
            token_id="t",
            now=NOW,
        )
    assert _approve("web", *map(str, range(16))).answer


def test_without_a_key_that_may_sign_there_is_no_token():
    with pytest.raises(StateError, match="no key"):
        _approve(server="two")
    with pytest.raises(StateError, match="no key"):
        _approve(now=_first().retires)


def test_a_key_is_called_by_its_thumbprint_and_shows_nothing_private():
    shown = _first()
    assert shown.kid == ECKey.import_key(KEY.handle).thumbprint()
    assert set(json.loads(shown.public)) == {"kty", "crv", "x", "y", "kid"}


settings = st.builds(
    lambda hint, hints, life: SpiffeSettings(
        timedelta(seconds=life), timedelta(seconds=hint * hints), timedelta(seconds=hint)
    ),
    st.integers(1, 600),
    st.integers(10, 60),
    st.integers(2, 3600),
)


class Servers:
    """Servers of one trust domain, as they keep their keys; and all that was ever shown or signed."""

    def __init__(self, settings: SpiffeSettings) -> None:
        self.settings = settings
        self.keys: list[JwtKey] = []
        self.ever: list[JwtKey] = []
        self.tokens: list[Token] = []
        self.shown_until: dict[str, datetime] = {}

    def step(self, server: str, now: datetime) -> None:
        outcome = jwt.end_keys(self.keys, now)
        ended = {kid for write in outcome.writes if isinstance(write, KeysEnded) for kid in write.kids}
        assert ended == {each.kid for each in self.keys} - {each.kid for each in outcome.answer}
        self.shown_until.update(dict.fromkeys(ended, now))
        self.keys = list(outcome.answer)
        if jwt.needs_key(self.keys, server, self.settings, now):
            made = jwt.show_key(
                PrivateKey.generate(), self.keys, server=server, stored="x", settings=self.settings, now=now
            )
            assert any(isinstance(write, KeyShown) for write in made.writes)
            others_sign = any(each.active <= now < each.retires for each in self.keys)
            notice = made.answer.active - made.answer.published
            # SPIFFE Federation, section 4.1; nobody can know the first key before it is there.
            assert 3 * self.settings.refresh_hint <= notice <= 5 * self.settings.refresh_hint or not others_sign
            self.keys.append(made.answer)
            self.ever.append(made.answer)

    def sign(self, server: str, now: datetime) -> bool:
        try:
            found = jwt.approve(
                HOST, "web", ["bank"], keys=self.keys, server=server, domain=DOMAIN, settings=self.settings, token_id="t",
                now=now,
            )  # fmt: skip
        except StateError:
            return False
        self.tokens.append(found.answer)
        return True


@given(settings, st.lists(st.sampled_from(["one", "two"]), min_size=1, max_size=3, unique=True), st.data())
def test_a_server_that_lives_always_has_a_key_and_every_token_can_be_checked_to_its_end(settings, names, data):
    servers, now = Servers(settings), NOW
    signed_once: set[str] = set()
    for _ in range(60):
        now += settings.refresh_hint * data.draw(st.sampled_from([0.1, 0.5, 0.9]))
        for name in names:
            servers.step(name, now)
            signs = servers.sign(name, now)
            assert signs or name not in signed_once  # once it can, it always can
            if signs:
                signed_once.add(name)
        due = jwt.next_moment(servers.keys, names[0], settings, now)
        assert due >= now
    assert names[0] in signed_once
    for token in servers.tokens:
        assert token.key.published <= token.issued + timedelta(seconds=1)
        assert token.issued < token.expires <= token.key.ends
        assert servers.shown_until.get(token.key.kid, token.expires) >= token.expires


def test_a_server_that_was_away_for_long_signs_at_once_when_no_other_does():
    servers = Servers(SETTINGS)
    servers.step("one", NOW)
    later = NOW + timedelta(days=30)
    servers.step("one", later)
    assert servers.sign("one", later)
    servers.step("two", later)  # a newcomer beside it lets others see its key first
    assert not servers.sign("two", later)
    assert servers.sign("two", later + jwt.SHOWN_HINTS * SETTINGS.refresh_hint)
