"""A conversation with an ACME CA (RFC 8555), by certbot's library. It blocks, and so has a thread of its own."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import requests
from acme import challenges, errors, messages
from acme.client import ClientNetwork, ClientV2
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from josepy import b64, json_util, jwa, jwk
from josepy.errors import Error as JoseError

from handsel.acme.certid import CertificateId
from handsel.agent.acme import RenewalInfo, read_renewal_info, shown
from handsel.agent.adapters.acme.challenges import Answer, Challenges
from handsel.agent.adapters.acme.transport import Transport, retry_after, tls_context
from handsel.errors import HandselError, ProtocolError, Refused, StateError, Unreachable
from handsel.model.acme_client import AcmeClient, ExternalAccount
from handsel.pki import csr
from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey
from handsel.pki.names import Names
from handsel.pki.secret import Secret

_NETWORK_SECONDS = 10
_ORDER_SECONDS = 120.0
_POLL_SECONDS, _SLICE_SECONDS = 1.0, 3.0
_MOST_ALTERNATES = 5
_PASSING = ("badNonce", "serverInternal")
"""Problems that say nothing about what was asked for."""


class _NewOrder(messages.NewOrder):
    """An order that says what it replaces (RFC 9773, section 5)."""

    replaces: str | None = json_util.field("replaces", omitempty=True)


class CaSession:
    """One conversation, from the directory on. Every method raises `HandselError`."""

    def __init__(
        self, directory: str, roots_pem: str, key: PrivateKey, stop: threading.Event, *, server_name: str = ""
    ) -> None:
        """`key`: the account's. `stop`: set, it ends soon. `server_name`: see `Transport`."""
        self._url, self._stop = directory, stop
        self._key = jwk.JWKEC(key=key.handle)
        self._net = ClientNetwork(self._key, alg=jwa.ES256, user_agent="handsel", timeout=_NETWORK_SECONDS)
        try:
            self._transport = Transport(tls_context(roots_pem), server_name)
        except (ssl.SSLError, ValueError) as error:
            raise StateError(f"the roots for the ACME CA cannot be used: {error}") from error
        session = self._net.session
        session.trust_env = False  # neither proxies nor bundles of the environment
        session.adapters.clear()
        session.mount("https://", self._transport)
        self._deadline = time.monotonic() + _ORDER_SECONDS
        self.account_is_gone = False
        try:
            with self._translated():
                self._client = ClientV2(ClientV2.get_directory(directory, self._net), self._net)
        except HandselError:
            self.close()
            raise

    @property
    def retry_after(self) -> timedelta | None:
        """What the CA asked for when it refused."""
        return self._transport.retry_after

    @property
    def has_renewal_info(self) -> bool:
        """Whether this CA says when to renew."""
        return "renewalInfo" in self._client.directory.to_partial_json()

    def close(self) -> None:
        self._net.session.close()

    def use_account(self, wish: AcmeClient, known: str, external_key: Secret | None) -> str:
        """The address of the account of this key: the `known` one, or a new one, with the CA's terms agreed to."""
        self._net.account, self.account_is_gone = None, False
        if not known:
            with self._translated():
                known = self._register(wish, external_key)
        self._net.account = messages.RegistrationResource(uri=known, body=messages.Registration())
        return known

    def _register(self, wish: AcmeClient, external_key: Secret | None) -> str:
        wanted: dict[str, Any] = {"terms_of_service_agreed": True, "contact": wish.contact}
        if wish.external_account is not None and external_key is not None:
            wanted["external_account_binding"] = self._binding(wish.external_account, external_key)
        try:
            made = self._client.new_account(messages.NewRegistration(**wanted))
        except errors.ConflictError as there:  # this key has an account already
            return str(there.location)
        return str(made.uri)

    def _binding(self, external: ExternalAccount, key: Secret) -> dict[str, Any]:
        public, directory = self._key.public_key(), self._client.directory
        try:
            said = key.reveal().decode("ascii")
            return messages.ExternalAccountBinding.from_data(public, external.key_id, said, directory)
        except ValueError as error:
            raise StateError(f"the key in {external.key_file} is not base64url, as a CA gives it") from error

    def order(
        self, wish: AcmeClient, key: PrivateKey, replaces: Certificate | None, answering: Challenges
    ) -> list[bytes]:
        """The chains of a certificate for this key: the CA's first, then the others. PEM."""
        with self._translated():
            request = csr.build_for(key, _names(wish))
            pem = x509.load_der_x509_csr(request).public_bytes(serialization.Encoding.PEM)
            uri, body = self._new_order(wish, replaces)
            order = messages.OrderResource(uri=uri, body=body, csr_pem=pem, authorizations=())
            self._authorize(wish, order, answering)
            with contextlib.suppress(messages.Error):  # not ready yet, maybe: asked again below
                self._client.begin_finalization(order)
            return self._collect(order)

    def renewal_info(self, leaf: Certificate) -> RenewalInfo:
        """When the CA wants this certificate to be renewed (RFC 9773)."""
        with self._translated():
            answer = self._net.get(f"{self._client.directory['renewalInfo']}/{_named(leaf)}")
        return read_renewal_info(answer.content, retry_after(answer))

    def _new_order(self, wish: AcmeClient, replaces: Certificate | None) -> tuple[str, messages.Order]:
        names = _names(wish)
        identifiers = [messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=each) for each in names.dns]
        identifiers += [messages.Identifier(typ=messages.IDENTIFIER_IP, value=each) for each in names.ip]
        replaced = str(_named(replaces)) if replaces is not None and self.has_renewal_info else None
        wanted = _NewOrder(identifiers=identifiers, profile=wish.profile or None, replaces=replaced)
        directory = self._client.directory
        try:
            answer = self._net.post(directory["newOrder"], wanted, new_nonce_url=directory["newNonce"])
        except (errors.ConflictError, messages.Error) as error:
            # Replaced already, or not known to this CA (any more): then it is an order like any other.
            if replaced is None or (isinstance(error, messages.Error) and error.code == "rateLimited"):
                raise
            return self._new_order(wish, None)
        return answer.headers["Location"], messages.Order.from_json(answer.json())

    def _authorize(self, wish: AcmeClient, order: messages.OrderResource, answering: Challenges) -> None:
        """Show control of every name that the CA does not know to be ours."""
        pending = [each for each in map(self._authorization, order.body.authorizations) if not _is_valid(each)]
        found = {each.uri: _challenge(each, wish.challenge) for each in pending}
        answers = [Answer(each.body.identifier.value, *self._token(found[each.uri])) for each in pending]
        with answering.answered(wish.challenge, (wish.listen_address, wish.listen_port), answers):
            for each in pending:
                self._client.answer_challenge(found[each.uri], challenges.HTTP01Response())  # of any kind: `{}`
            for each in pending:
                self._until_valid(each)

    def _authorization(self, url: str) -> messages.AuthorizationResource:
        asked = messages.AuthorizationResource(uri=url, body=messages.Authorization())
        found, _ = self._client.poll(asked)
        return messages.AuthorizationResource(uri=url, body=found.body)

    def _token(self, challenge: messages.ChallengeBody) -> tuple[str, str]:
        """The token, and the key authorization (RFC 8555, section 8.1)."""
        token = challenge.chall.to_json()["token"]
        thumbprint = b64.b64encode(self._key.thumbprint()).decode()
        return token, f"{token}.{thumbprint}"

    def _until_valid(self, authorization: messages.AuthorizationResource) -> None:
        while not _is_valid(authorization):
            if authorization.body.status != messages.STATUS_PENDING:
                raise errors.ValidationError([authorization])
            self._pause()
            authorization = self._authorization(authorization.uri)

    def _collect(self, order: messages.OrderResource) -> list[bytes]:
        while True:
            # In slices, so that the end of the agent is not waited for.
            until = datetime.now() + timedelta(seconds=_SLICE_SECONDS)  # noqa: DTZ005  # as the library has it
            try:
                done = self._client.poll_finalization(order, until, fetch_alternative_chains=True)
            except errors.TimeoutError:
                self._pause()
                continue
            others = (done.alternative_fullchains_pem or ())[:_MOST_ALTERNATES]
            return [each.encode() for each in (done.fullchain_pem, *others)]

    def _pause(self) -> None:
        if self._stop.wait(_POLL_SECONDS):
            raise Unreachable("the agent ends")
        if time.monotonic() > self._deadline:
            raise Unreachable(f"the ACME CA {self._url} was not done within {_ORDER_SECONDS:.0f} s")

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except HandselError:
            raise
        except requests.RequestException as error:
            raise Unreachable(f"the ACME CA {self._url} does not answer: {_innermost(error)}") from error
        except (messages.Error, errors.ValidationError, errors.IssuanceError, errors.ConflictError) as error:
            self.account_is_gone = isinstance(error, messages.Error) and error.code == "accountDoesNotExist"
            if isinstance(error, messages.Error) and error.code in _PASSING:
                raise Unreachable(f"the ACME CA {self._url} is not well: {_reason(error)}") from error
            raise Refused(f"the ACME CA refuses: {_reason(error)}") from error
        except (errors.Error, JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
            said = shown(str(error) or type(error).__name__)
            raise ProtocolError(f"the ACME CA {self._url} answers what is no ACME: {said}") from error


def _names(wish: AcmeClient) -> Names:
    addresses = tuple(each for each in wish.names if ":" in each or each.rpartition(".")[2].isdecimal())
    return Names(dns=tuple(each for each in wish.names if each not in addresses), ip=addresses)


def _named(leaf: Certificate) -> CertificateId:
    return CertificateId(leaf.authority_key_id or b"", leaf.parsed.serial_number)


def _is_valid(authorization: messages.AuthorizationResource) -> bool:
    return bool(authorization.body.status == messages.STATUS_VALID)


def _challenge(authorization: messages.AuthorizationResource, kind: str) -> messages.ChallengeBody:
    found = {each.chall.to_json()["type"]: each for each in authorization.body.challenges}
    if kind not in found:
        offered = shown(", ".join(found)) or "none"
        raise Refused(f"the ACME CA takes {offered} for {authorization.body.identifier.value}, not {kind}")
    return found[kind]


def _reason(error: Exception) -> str:
    """The CA's own words."""
    if isinstance(error, errors.ValidationError):
        failed = [
            f"{each.body.identifier.value}: {_words(challenge.error)}"
            for each in error.failed_authzrs
            for challenge in each.body.challenges
            if challenge.error is not None
        ]
        return shown("; ".join(failed)) or "control of a name was not seen"
    if isinstance(error, errors.IssuanceError):
        return _words(error.error)
    if isinstance(error, errors.ConflictError):
        return "there is a conflict with an earlier request"
    return _words(error)


def _words(error: object) -> str:
    if not isinstance(error, messages.Error):
        return shown(error)
    below = [_words(each) for each in error.subproblems or ()]
    said = "; ".join([each for each in (error.detail or error.title, *below) if each])
    return shown(f"{said} ({error.code or error.typ})" if said else error.code or error.typ)


def _innermost(error: BaseException) -> str:
    """Why there was no connection, without the wrappings of three libraries."""
    for _ in range(10):
        found = (getattr(error, "reason", None), *error.args, error.__cause__)
        inner = next((each for each in found if isinstance(each, BaseException)), None)
        if inner is None:
            break
        error = inner
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return shown(said or type(error).__name__)
