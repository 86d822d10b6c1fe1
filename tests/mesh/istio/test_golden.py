"""Resources as the graph has them: `tests/golden/istio/in` read, and written down in `out`."""

from __future__ import annotations

from pathlib import Path

import pytest

from handsel.documents import yaml_text
from handsel.mesh.stages import plain
from tests.mesh.istio.resources import EVERYTHING, read_files

GOLDEN = Path(__file__).parents[2] / "golden" / "istio"
CASES = sorted(path.stem for path in (GOLDEN / "in").glob("*.yaml"))


@pytest.mark.parametrize("case", CASES)
def test_the_graph_of(case, request):
    included = read_files({f"{case}.yaml": (GOLDEN / "in" / f"{case}.yaml").read_text()})
    text = yaml_text.write(plain(included))
    path = GOLDEN / "out" / f"{case}.yaml"
    if request.config.getoption("--golden"):
        path.write_text(text)
    assert text == path.read_text()


def test_good_resources_are_read_without_an_error():
    included = read_files({"bookinfo.yaml": (GOLDEN / "in" / "bookinfo.yaml").read_text()})
    assert [str(each) for each in included.findings] == []
    assert len(EVERYTHING) > 15
