"""The error tree keeps what it promises to the people who read its codes."""

from __future__ import annotations

import inspect

from handsel import errors
from handsel.errors import HandselError


def _tree(root: type[HandselError]) -> list[type[HandselError]]:
    return [root, *(each for child in root.__subclasses__() for each in _tree(child))]


ALL = [each for each in _tree(HandselError) if each.__module__ == errors.__name__]


def test_every_error_has_a_code_of_its_own():
    codes = [error.code for error in ALL]
    assert len(codes) == len(set(codes))


def test_the_drawing_of_the_tree_is_the_tree():
    lines = (errors.__doc__ or "").splitlines()
    drawn = {tuple(line.split()[1:4]) for line in lines if line.startswith(("├", "└"))}
    assert drawn == {(each.__name__, each.code, str(each.fault)) for each in ALL if each is not HandselError}


def test_every_error_says_what_it_means():
    assert all(inspect.getdoc(error) for error in ALL)
