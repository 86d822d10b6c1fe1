"""Java's properties, as Java itself reads them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handsel.documents import properties
from handsel.errors import InvalidFile


def _read(content: bytes | str) -> dict[str, str]:
    content = content if isinstance(content, bytes) else content.encode()
    return {key: each.value for key, each in properties.parse(content, "f").by_key.items()}


CASES = [
    "a=b", "a = b ", "a:b", "a b", "a", "a=", "=b", "  a\t:\f b", "a  =  b = c", "a:=b", "a=b\\\n   c", "a=b\\\\\nc=d",
    "# c\n! d\n  # e\na=#1", "a\\ b=c", "a\\:b\\=c=d", "a\\u0041=\\u00e4\\t\\n\\q", "a=\\\n\nb=c", "\\\n# x\n=v", "a=1\na=2",
    "a=b\\", "a\\\nb=c", "a\r\nb\rc\n\n\nd", "a\\\r\n  b=1", "a= \\\n\\\n  b", "a=b\\\\\\\n c", " \\\n a=1", "\\=\\:=x",
    "k=\\ x", "a=\\uD83D\\uDE00", "\\u0023a=1", "a=b\\\n#c\nd=e", "a\\\n   \nb=1",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a = b ", {"a": "b "}), ("a\\ b:c", {"a b": "c"}), ("a=b\\\n  c", {"a": "bc"}), ("a=1\na=2", {"a": "2"}),
        ("a\\u0041=\\t", {"aA": "\t"}), ("# x\n\n!y\nz", {"z": ""}), ("k=${secure::a}", {"k": "${secure::a}"}),
    ],
)  # fmt: skip
def test_the_format(text: str, value: dict[str, str]) -> None:
    assert _read(text) == value


def test_places_and_the_entries_that_do_not_count() -> None:
    found = properties.parse(b"# x\r\n  a = 1\\\r\n   2\rb=\n\n a:3", "f")
    assert [(each.key, each.value, each.line, each.column) for each in found.entries] == [
        ("a", "12", 2, 3), ("b", "", 4, 1), ("a", "3", 6, 2),
    ]  # fmt: skip
    assert found.by_key["a"].line == 6
    assert [each.line for each in found.shadowed] == [2]
    assert "12" not in repr(found)  # it may be a password


def test_text_that_is_not_utf_8_is_latin_1() -> None:
    assert _read("a=ü".encode("latin-1")) == _read("a=ü") == _read("\ufeffa=ü".encode()) == {"a": "ü"}


def test_every_fault_is_told() -> None:
    with pytest.raises(InvalidFile) as caught:
        properties.parse(b"a=\\u12\nb=1\n c=\\ud83d\n\\uXYZA=1", "f")
    assert [(each.line, each.column) for each in caught.value.faults] == [(1, 1), (3, 2), (4, 1)]
    with pytest.raises(InvalidFile, match="1 MiB"):
        properties.parse(b"#" * ((1 << 20) + 1), "f")
    assert len(properties.parse(b"a\n" * 100_000, "f").entries) == 100_000
    with pytest.raises(InvalidFile, match="100000 entries"):
        properties.parse(b"a\n" * 100_001, "f")


_JAVA = """
import java.io.*; import java.nio.charset.StandardCharsets; import java.util.*;
class Read { public static void main(String[] files) throws Exception {
  for (String file : files) {
    Properties found = new Properties();
    found.load(new InputStreamReader(new FileInputStream(file), StandardCharsets.UTF_8));
    StringBuilder line = new StringBuilder();
    for (Map.Entry<Object, Object> each : new TreeMap<>(found).entrySet())
      for (Object part : List.of(each.getKey(), each.getValue())) {
        for (char unit : part.toString().toCharArray()) line.append(String.format("%04x", (int) unit));
        line.append(',');
      }
    System.out.println(line);
  }
} }
"""


def _as_java(folder: Path, texts: list[str]) -> list[dict[str, str]]:
    """What Java reads out of each text."""
    (folder / "Read.java").write_text(_JAVA)
    for number, text in enumerate(texts):
        (folder / str(number)).write_bytes(text.encode())
    command = ["java", "-Xshare:auto", "Read.java", *(str(number) for number in range(len(texts)))]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    found = []
    for line in done.stdout.splitlines():
        parts = [bytes.fromhex(part).decode("utf-16-be") for part in line.split(",")[:-1]]
        found.append(dict(zip(parts[::2], parts[1::2], strict=True)))
    return found


def test_java_reads_the_same(tmp_path: Path) -> None:
    if not (shutil.which("java") and shutil.which("javac")):
        pytest.skip("needs javac")
    texts = [*CASES]

    @settings(max_examples=300, database=None, suppress_health_check=list(HealthCheck))
    @given(st.text(st.sampled_from("ab \t\f=:#!\\\n\r"), max_size=12))
    def gather(text: str) -> None:
        texts.append(f"{text}\nz=1")  # a lone backslash at the end is an entry for Java, or none, as it happens

    gather()
    for text, found in zip(texts, _as_java(tmp_path, texts), strict=True):
        assert _read(text) == found, json.dumps(text)
