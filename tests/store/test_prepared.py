"""Prepared queries find what SQLAlchemy finds, and say when they cannot be prepared."""

from __future__ import annotations

import sqlite3

import pytest
import sqlalchemy as sa

from handsel.store.adapters.prepared import Prepared

_metadata = sa.MetaData()
_words = sa.Table(
    "words", _metadata, sa.Column("id", sa.Text), sa.Column("kind", sa.Text), sa.Column("size", sa.Integer)
)
_ID = _words.c.id == sa.bindparam("id")


@pytest.fixture
def connection():
    opened = sqlite3.connect(":memory:")
    opened.execute("CREATE TABLE words (id TEXT, kind TEXT, size INTEGER)")
    opened.executemany("INSERT INTO words VALUES (?, ?, ?)", [("a", "x", 1), ("a", "y", 2), ("b", "x", 3)])
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        pytest.param(sa.select(_words).where(_ID), {"id": "a"}, id="by key"),
        pytest.param(sa.select(_words.c.size).where(_ID, _words.c.kind == "x"), {"id": "a"}, id="with a constant"),
        pytest.param(sa.select(sa.func.max(_words.c.size)).where(_ID), {"id": "a"}, id="an expression"),
        pytest.param(
            sa.select(_words.c.id).order_by(_words.c.size.desc()).limit(sa.bindparam("most")), {"most": 2}, id="a limit"
        ),
        pytest.param(sa.select(_words).where(_ID), {"id": "nobody"}, id="nothing"),
    ],
)
def test_a_prepared_query_finds_the_same(connection, statement, parameters):
    engine = sa.create_engine("sqlite://", creator=lambda: connection, poolclass=sa.pool.StaticPool)
    with engine.connect() as usual:
        expected = usual.execute(statement, parameters).fetchall()
    prepared = Prepared(connection)
    for _ in range(2):
        found = prepared.rows(statement, parameters)
        assert found is not None
        assert [tuple(row) for row in found] == [tuple(row) for row in expected]
    name = str(statement.selected_columns[0].key)
    if name in _words.c:
        assert [getattr(row, name) for row in found] == [getattr(row, name) for row in expected]


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        pytest.param(
            sa.select(_words).where(_words.c.id.in_(sa.bindparam("ids", expanding=True))), {"ids": ["a"]}, id="a list"
        ),
        pytest.param(sa.select(_words).where(_words.c.kind.in_(["x", "y"]), _ID), {"id": "a"}, id="a constant list"),
        pytest.param(sa.select(_words).where(_ID), {"id": "a", "more": 1}, id="a parameter too many"),
        pytest.param(sa.text("SELECT id FROM words WHERE id = :id"), {"id": "a"}, id="text"),
    ],
)
def test_what_cannot_be_prepared_is_left_to_others(connection, statement, parameters):
    assert Prepared(connection).rows(statement, parameters) is None


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        pytest.param(sa.insert(_words), {"id": "c", "kind": "z", "size": 4}, id="insert"),
        pytest.param(sa.insert(_words).values(kind="z"), {"id": "c", "size": 4}, id="insert with a constant"),
        pytest.param(sa.insert(_words), {"id": "c"}, id="insert of some columns"),
        pytest.param(sa.update(_words).where(_words.c.id == sa.bindparam("of")), {"of": "a", "size": 9}, id="update"),
        pytest.param(
            sa.update(_words).where(_words.c.id == sa.bindparam("of")).values(size=_words.c.size + 1), {"of": "a"},
            id="update by an expression",
        ),
        pytest.param(sa.delete(_words).where(_ID), {"id": "a"}, id="delete"),
        pytest.param(sa.delete(_words).where(_ID), {"id": "nobody"}, id="nothing"),
    ],
)  # fmt: skip
def test_a_prepared_change_does_the_same(statement, parameters):
    def opened() -> sqlite3.Connection:
        fresh = sqlite3.connect(":memory:", isolation_level=None)
        fresh.execute("CREATE TABLE words (id TEXT, kind TEXT, size INTEGER)")
        fresh.executemany("INSERT INTO words VALUES (?, ?, ?)", [("a", "x", 1), ("a", "y", 2), ("b", "x", 3)])
        return fresh

    def content(of: sqlite3.Connection) -> list[tuple[object, ...]]:
        return of.execute("SELECT * FROM words ORDER BY id, kind, size").fetchall()

    usual, other = opened(), opened()
    engine = sa.create_engine("sqlite://", creator=lambda: usual, poolclass=sa.pool.StaticPool)
    prepared = Prepared(other)
    with engine.connect() as connection:
        for _ in range(2):
            count = connection.execute(statement, parameters).rowcount
            connection.commit()
            assert prepared.run(statement, parameters) == count
            assert content(other) == content(usual)
    other.close()
    usual.close()


def test_a_prepared_statement_fails_as_sqlalchemys_do(connection):
    connection.execute("CREATE UNIQUE INDEX by_kind ON words (id, kind)")
    prepared = Prepared(connection)
    with pytest.raises(sa.exc.IntegrityError):
        prepared.run(sa.insert(_words), {"id": "a", "kind": "x", "size": 1})
    connection.execute("DROP TABLE words")
    with pytest.raises(sa.exc.OperationalError):
        prepared.rows(sa.select(_words).where(_ID), {"id": "a"})
    with pytest.raises(sa.exc.OperationalError):
        prepared.say("BEGIN SOMETHING")
