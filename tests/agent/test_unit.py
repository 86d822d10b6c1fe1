"""The unit of the agent: what it says for which host, and that every word survives systemd's quoting."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.agent import unit
from handsel.agent.unit import AgentUnit

UNIT = AgentUnit(("/opt/handsel/bin/python3", "-m", "handsel"), "/var/lib/handsel", "10.0.0.7")
_WORDS = st.text(st.characters(min_codepoint=0x20, blacklist_categories=("Cs",)), min_size=1, max_size=20)


def lines(made: AgentUnit) -> list[str]:
    return unit.render(made).splitlines()


@given(_WORDS, _WORDS)
def test_every_word_comes_back(first: str, second: str) -> None:
    text = f"{unit.quote(first, command=True)} {unit.quote(second, command=True)}"
    assert unit.unquote(text, command=True) == [first, second]


@given(_WORDS, _WORDS, _WORDS)
def test_a_unit_is_read_back_and_written_the_same(state: str, address: str, value: str) -> None:
    made = AgentUnit(UNIT.program, f"/{state}", address, "handsel", ("/usr/bin/envoy",), (("NAME", value),))
    assert unit.parse(unit.render(made), made.needs) == made


def test_a_program_that_systemd_would_not_run_is_refused() -> None:
    with pytest.raises(ValueError, match="systemd runs no program"):
        unit.render(AgentUnit(('/opt/"x"/python3',), "/s", "::1"))


@pytest.mark.parametrize("word", ["a\nb", "a\0b"])
def test_a_line_in_a_word_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in a unit"):
        unit.render(AgentUnit(UNIT.program, word, "10.0.0.7"))


def test_another_unit_is_none_of_ours() -> None:
    assert unit.parse("[Service]\nExecStart=/usr/sbin/nginx -g daemon\n") is None
    assert unit.parse("") is None


@pytest.mark.parametrize(
    ("state", "line"),
    [
        ("/var/lib/handsel", "StateDirectory=handsel"),
        ("/var/lib/handsel/one", "StateDirectory=handsel/one"),
        ("/srv/handsel", "ReadWritePaths=/srv/handsel"),
        ("/var/lib", "ReadWritePaths=/var/lib"),
        ("/srv/50% of it", 'ReadWritePaths="/srv/50%% of it"'),
    ],
)
def test_the_state_folder_can_be_written(state: str, line: str) -> None:
    assert line in lines(AgentUnit(UNIT.program, state, "::1"))


def test_what_the_agent_needs_is_not_hidden_from_it() -> None:
    hidden = {"ProtectHome=yes", "PrivateTmp=yes"}
    assert hidden <= set(lines(UNIT))
    in_home = set(lines(AgentUnit(UNIT.program, "/var/lib/handsel", "::1", needs=("/home/ann/venv/bin/python",))))
    assert "ProtectHome=read-only" in in_home
    assert "PrivateTmp=yes" in in_home
    in_tmp = set(lines(AgentUnit(UNIT.program, "/tmp/state", "::1")))
    assert in_tmp & hidden == {"ProtectHome=yes"}


def test_only_a_user_without_rights_is_given_one() -> None:
    root, user = lines(UNIT), lines(AgentUnit(UNIT.program, UNIT.state, UNIT.address, "handsel"))
    assert not any(line.startswith(("User=", "AmbientCapabilities=")) for line in root)
    assert {"User=handsel", "AmbientCapabilities=CAP_NET_BIND_SERVICE"} <= set(user)


def test_systemd_reads_the_words_as_they_were_meant(tmp_path) -> None:
    """Hard words in a path: systemd names the program that it does not find as we named it."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    program = tmp_path / "50% of $it"
    file = tmp_path / unit.NAME
    file.write_text(unit.render(AgentUnit((str(program),), "/srv/a b", "::1")))

    def told() -> str:
        return subprocess.run(
            ["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False, timeout=60
        ).stderr  # fmt: skip

    assert "is not executable" in told()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert told() == ""
