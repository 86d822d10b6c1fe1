"""What the reader of DER makes of identifiers and times."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.pki import der


@given(st.sampled_from([0, 1, 2]), st.integers(0, 39), st.lists(st.integers(0, 1 << 40), max_size=8))
def test_an_identifier_is_read_as_it_was_written(first: int, second: int, others: list[int]) -> None:
    dotted = ".".join(str(each) for each in (first, second, *others))
    assert der.Reader(der.oid(dotted)).read_oid() == dotted


@pytest.mark.parametrize("content", [b"", b"\x86", b"\x2a\x86", b"\x2a" * 65])
def test_an_identifier_that_is_none(content: bytes) -> None:
    with pytest.raises(ValueError, match="an object identifier is empty, too long or cut off"):
        der.Reader(der.element(der.OID, content)).read_oid()


@given(st.datetimes(datetime(1000, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_time_is_read_as_it_was_written(moment: datetime) -> None:
    assert der.Reader(der.generalized_time(moment)).read_generalized_time() == moment.replace(microsecond=0)


@pytest.mark.parametrize("text", [b"", b"Z", b"20300101120000", b"20301301120000Z", b"2030010112Z", b"\xff" * 15])
def test_a_time_that_is_none(text: bytes) -> None:
    with pytest.raises(ValueError):
        der.Reader(der.element(der.GENERALIZED_TIME, text)).read_generalized_time()


def test_fractions_of_a_second_are_passed_over() -> None:
    read = der.Reader(der.element(der.GENERALIZED_TIME, b"20300101120000.123Z")).read_generalized_time()
    assert read == datetime(2030, 1, 1, 12, tzinfo=UTC)
