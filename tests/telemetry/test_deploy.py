"""What Prometheus and Grafana are given has their form. That it names only what our doors export: `e2e/test_seeing`."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from handsel import settings
from handsel.telemetry.layout import Box

DEPLOY = Path(__file__).parents[2] / "deploy"
BOARD = json.loads((DEPLOY / "grafana" / "handsel.json").read_text())
RULES = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_is_whole(rule: dict) -> None:
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Handsel\w+", rule["alert"])
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert rule["annotations"]["summary"]
    assert rule["expr"].count("(") == rule["expr"].count(")")
    labels = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    assert labels <= {"service", "callee", "reason", "role", "trust_domain", "instance"}


def test_rules_have_names_of_their_own() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)


def test_the_two_jobs_ask_our_usual_ports() -> None:
    jobs = yaml.safe_load((DEPLOY / "prometheus" / "scrape.yaml").read_text())["scrape_configs"]
    targets = [target for job in jobs for each in job["static_configs"] for target in each["targets"]]
    assert targets == [f"127.0.0.1:{settings.METRICS_PORT}", f"127.0.0.1:{settings.AGENT_METRICS_PORT}"]


def test_panels_have_a_place_and_a_question_of_their_own() -> None:
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [Box(*(panel["gridPos"][each] for each in "xywh")) for panel in panels]
    assert all(place.x + place.width <= 24 for place in places)
    assert not [1 for one, other in combinations(places, 2) if one.overlaps(other)]
    variables = {each["name"] for each in BOARD["templating"]["list"]}
    for panel in panels:
        assert panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= {*variables, "__rate_interval"}
