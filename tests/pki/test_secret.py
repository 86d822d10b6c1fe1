"""A secret is not seen by accident."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
from dataclasses import dataclass

import pytest

from handsel.pki.secret import Secret

HIDDEN = b"correct horse battery staple"


@dataclass(frozen=True)
class Holder:
    password: Secret


@pytest.mark.parametrize(
    "show",
    [repr, str, "{}".format, "%s".__mod__, lambda secret: repr(Holder(secret)), lambda secret: repr([secret])],
)
def test_a_secret_hides_itself_however_it_is_printed(show):
    assert HIDDEN.decode() not in show(Secret(HIDDEN))
    assert HIDDEN.decode() in show(HIDDEN)


def test_a_secret_hides_itself_in_an_error():
    assert HIDDEN.decode() not in "".join(traceback.format_exception(ValueError(Secret(HIDDEN))))
    assert HIDDEN.decode() in "".join(traceback.format_exception(ValueError(HIDDEN)))


@pytest.mark.parametrize("dump", [pickle.dumps, copy.deepcopy, json.dumps])
def test_a_secret_is_not_dumped(dump):
    with pytest.raises(TypeError):
        dump(Secret(HIDDEN))


def test_a_secret_can_be_compared_and_revealed():
    assert Secret(HIDDEN) == Secret(bytes(HIDDEN))
    assert hash(Secret(HIDDEN)) == hash(Secret(bytes(HIDDEN)))
    assert Secret(HIDDEN) != Secret(HIDDEN + b"!")
    assert Secret(HIDDEN) != HIDDEN
    assert Secret(HIDDEN).reveal() == HIDDEN
