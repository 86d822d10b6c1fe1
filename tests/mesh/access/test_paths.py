"""No spelling of a path gets around a rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.mesh.access.paths import normalised

pieces = st.sampled_from(["/", "//", ".", "..", "a", "%2e", "%61", "%2F", "%5c", "\\", "b", "%20"])


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a/b", "/a/b"), ("/a/../b", "/b"), ("/a/./b", "/a/b"), ("//a///b", "/a/b"), ("/%61/b", "/a/b"), ("/a/%2e%2e/b", "/b"),
        ("/../a", "/a"), ("/a/..", "/"), ("/a/b/.", "/a/b/"), ("/a\\b", "/a/b"), ("/a%20b", "/a%20b"), ("/a?b/../c", "/a"),
        ("/a%2Fb", None), ("/a%5cb", None), ("/a?b%2fc", "/a"),
    ],
)  # fmt: skip
def test_a_path_is_written_in_one_way(target, path):
    assert normalised(target) == path


@given(st.lists(pieces, max_size=8).map(lambda found: "/" + "".join(found)))
def test_what_is_compared_has_no_dots_no_double_slashes_and_stays_as_it_is(target):
    path = normalised(target)
    if path is not None:
        assert "//" not in path
        assert not {".", ".."} & set(path.split("/"))
        assert normalised(path) == path
