"""A folder on the class path of a wrapper.conf: undone, the file is what it was, byte for byte."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.agent.externalize import put, take_out
from handsel.errors import UsageError

FOLDER = "/opt/app-certs"
ENTRY = re.compile(rb"[ \t]*wrapper\.java\.classpath\.(\d+)[ \t]*=[ \t]*(.*?)[ \t]*")
MULE = b"""#encoding=UTF-8
#********************************************************************
# Java Application
wrapper.java.command=java
wrapper.java.classpath.1=%MULE_LIB%
wrapper.java.classpath.2=%MULE_BASE%/conf
#wrapper.java.classpath.3=not/this
wrapper.java.classpath.3=%MULE_HOME%/lib/boot/*.jar

wrapper.java.additional.1=-Dmule.home=%MULE_HOME%
"""

line = st.one_of(
    st.sampled_from([b"", b"# comment", b"wrapper.java.command=java", b"wrapper.java.classpath=x", b"\xff\xfe latin"]),
    st.builds(
        lambda space, number, path: b"%swrapper.java.classpath.%d%s=%s%s" % (space, number, space, space, path),
        st.sampled_from([b"", b" ", b"\t"]), st.integers(1, 6), st.sampled_from([b"lib", b"%MULE%/conf", b""]),
    ),
    st.binary(max_size=12).map(lambda text: text.replace(b"\0", b"").replace(b"\r", b"").replace(b"\n", b"")),
)  # fmt: skip
ending = st.sampled_from([b"\n", b"\r\n", b"\r"])
files = st.builds(
    lambda lines, last: b"".join(text + end for text, end in lines) + last,
    st.lists(st.tuples(line, ending), max_size=8),
    line,
)


def _entries(content: bytes) -> dict[int, bytes]:
    """What the Wrapper reads: up to the first number that is missing."""
    found = [ENTRY.fullmatch(each) for each in re.split(rb"\r\n|\r|\n", content)]
    numbered = {int(each[1]): each[2] for each in found if each}
    return {
        number: numbered[number]
        for number in range(1, len(numbered) + 1)
        if set(range(1, number + 1)) <= numbered.keys()
    }


def test_the_line_comes_after_the_others_with_the_next_number():
    done = put(MULE, FOLDER)
    added = b"# handsel put this folder on the class path: /opt/app-certs\nwrapper.java.classpath.4=/opt/app-certs\n"
    before, after = MULE.split(b"boot/*.jar\n")
    assert done.content == before + b"boot/*.jar\n" + added + after
    assert done.notes == ()
    assert take_out(done.content, FOLDER).content == MULE


@given(files)
def test_undone_the_file_is_as_it_was(content):
    done = put(content, FOLDER)
    assert take_out(done.content, FOLDER).content == content


@given(files)
def test_the_wrapper_reads_the_folder_and_all_that_it_read_before(content):
    before, after = _entries(content), _entries(put(content, FOLDER).content)
    assert FOLDER.encode() in after.values()
    assert before.items() <= after.items()


@given(files)
def test_again_changes_nothing_and_a_second_folder_is_another_line(content):
    once = put(content, FOLDER).content
    assert put(once, FOLDER).content == once
    both = put(once, "/opt/other").content
    assert {FOLDER.encode(), b"/opt/other"} <= set(_entries(both).values())
    assert take_out(take_out(both, FOLDER).content, "/opt/other").content == content
    assert take_out(take_out(both, "/opt/other").content, FOLDER).content == content


def test_what_a_person_has_written_stays():
    theirs = b"wrapper.java.classpath.1=/opt/app-certs\n"
    assert put(theirs, FOLDER).content == theirs
    assert "was on the class path before" in put(theirs, FOLDER).notes[0]
    assert take_out(theirs, FOLDER).content == theirs
    assert "nothing in it was put there" in take_out(theirs, FOLDER).notes[0]


def test_a_number_that_was_missing_is_said():
    done = put(b"wrapper.java.classpath.1=a\nwrapper.java.classpath.3=b\n", FOLDER)
    assert b"wrapper.java.classpath.2=/opt/app-certs\n" in done.content
    assert "wrapper.java.classpath.3 is read from now on too" in done.notes[0]


def test_it_is_taken_out_after_others_have_edited_around_it():
    content = put(MULE, FOLDER).content.replace(b"classpath.4=", b"classpath.9=").replace(b"# Java Application\n", b"")
    assert take_out(content, FOLDER).content == MULE.replace(b"# Java Application\n", b"")


@pytest.mark.parametrize("folder", ["opt/certs", "/opt/%HOME%/certs", "/opt/a\nb", "/opt/certs "])
def test_a_folder_that_such_a_file_cannot_say_is_refused(folder):
    put(MULE, "/opt/ce rts/ü")
    with pytest.raises(UsageError, match="cannot be written into"):
        put(MULE, folder)


def test_a_file_that_is_none_is_refused():
    with pytest.raises(UsageError, match="no text"):
        put("wrapper.java.command=java\n".encode("utf-16"), FOLDER)
    with pytest.raises(UsageError, match="larger than"):
        put(b"#" * (1 << 21), FOLDER)
