"""How ACME's objects are shown (RFC 8555, section 7.1)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from handsel.acme.lifecycle import Status
from handsel.acme.problems import CONTENT_TYPE, Problem
from handsel.authority.acme.model import (
    Authorization,
    Challenge,
    Order,
    authorization_status,
    order_error,
    order_status,
)
from handsel.authority.adapters.acme_http.calls import Call, text_of
from handsel.door.asgi import Response
from handsel.model.authority import Acme, Profile

JSON = "application/json"
_POLL_SECONDS = "1"


def json_answer(content: Mapping[str, Any], status: int = 200, *headers: tuple[str, str]) -> Response:
    return Response(status, json.dumps(content).encode(), JSON, headers)


def refusal(problem: Problem) -> Response:
    return Response(problem.status, problem.encode(), CONTENT_TYPE, problem.headers)


def show_directory(call: Call, settings: Acme, offered: Sequence[Profile]) -> Response:
    """The directory (section 7.1.1), with the profiles that are offered and where renewal information is."""
    meta: dict[str, Any] = {
        "profiles": {each.name: each.description or f"lives {each.lifetime}" for each in offered},
        "externalAccountRequired": settings.external_account_required,
    }
    if settings.terms_of_service:
        meta["termsOfService"] = settings.terms_of_service
    return json_answer({
        "newNonce": call.at("new-nonce"),
        "newAccount": call.at("new-account"),
        "newOrder": call.base + call.scope + "new-order",
        "newAuthz": call.at("new-authz"),
        "revokeCert": call.at("revoke-cert"),
        "keyChange": call.at("key-change"),
        "renewalInfo": call.at("renewal-info"),
        "meta": meta,
    })  # fmt: skip


def show_order(
    call: Call, order: Order, authorizations: Sequence[Authorization], now: datetime, status: int
) -> Response:
    state = order_status(order, authorizations, now)
    url = call.at("order", order.order_id)
    content: dict[str, Any] = {
        "status": state,
        "expires": text_of(order.expires),
        "identifiers": [each.to_json() for each in order.identifiers],
        "authorizations": [call.at("authz", each.authorization_id) for each in authorizations],  # that are still there
        "finalize": f"{url}/finalize",
        "profile": order.profile,
    }
    if order.not_after:
        content["notAfter"] = text_of(order.not_after)
    if order.replaces:
        content["replaces"] = order.replaces
    error = order_error(order, authorizations, now)
    if error:
        content["error"] = error
    if state is Status.VALID and order.serial:
        content["certificate"] = call.at("cert", order.serial)
    waiting = [("Retry-After", _POLL_SECONDS)] if state is Status.PROCESSING else []
    return json_answer(content, status, ("Location", url), *waiting)


def show_authorization(call: Call, authorization: Authorization, now: datetime, status: int) -> Response:
    state = authorization_status(authorization, now)
    shown = authorization.challenges
    if state is Status.VALID:  # section 7.1.4: then only the one that succeeded
        shown = tuple(each for each in shown if each.status is Status.VALID)
    content: dict[str, Any] = {
        "status": state,
        "identifier": authorization.identifier.to_json(),
        "expires": text_of(authorization.expires),
        "challenges": [_challenge(call, authorization, each) for each in shown],
    }
    if authorization.wildcard:
        content["wildcard"] = True
    headers = [("Location", call.at("authz", authorization.authorization_id))]
    if state is Status.PENDING and any(each.status is Status.PROCESSING for each in shown):
        headers.append(("Retry-After", _POLL_SECONDS))
    return json_answer(content, status, *headers)


def show_challenge(call: Call, authorization: Authorization, challenge: Challenge) -> Response:
    up = ("Link", f'<{call.at("authz", authorization.authorization_id)}>;rel="up"')
    waiting = [("Retry-After", _POLL_SECONDS)] if challenge.status is Status.PROCESSING else []
    return json_answer(_challenge(call, authorization, challenge), 200, up, *waiting)


def _challenge(call: Call, authorization: Authorization, challenge: Challenge) -> dict[str, Any]:
    content: dict[str, Any] = {
        "type": challenge.kind,
        "url": call.at("challenge", authorization.authorization_id, challenge.kind),
        "token": challenge.token,
        "status": challenge.status,
    }
    if challenge.validated:
        content["validated"] = text_of(challenge.validated)
    if challenge.error:
        content["error"] = challenge.error
    return content
