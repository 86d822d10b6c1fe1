"""`traffic:` in the mesh file: how callers speak to a callee."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from handsel.documents.yaml import Path
from handsel.model.faults import NAME, did_you_mean
from handsel.model.graph import Callee, Protocol
from handsel.model.origin import Origin
from handsel.model.traffic import Subset, Traffic
from handsel.model.traffic_parts_file import PolicyFile

NAMESPACE = "default"


class SubsetFile(PolicyFile):
    """A part of a callee's workloads. What it says goes before what holds for all."""

    labels: dict[str, str] = Field({}, description="The labels that its workloads have.")


def _labels_alone(value: Any) -> Any:
    """Labels written without more: `{version: v1}`."""
    keys = {*SubsetFile.model_fields}
    return {"labels": value} if isinstance(value, dict) and value and not keys & value.keys() else value


def _port(text: str) -> str:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535):
        raise ValueError(f"a port is a number from 1 to 65535, not {text[:40]}")
    return text


def _subset_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError("a name has lower-case letters, digits and dashes, at most 63")
    return name


class TrafficFile(PolicyFile):
    """How callers speak to one callee."""

    ports: dict[Annotated[str, AfterValidator(_port)], PolicyFile] = Field(
        {}, description="In place of all this for one port that programs write."
    )
    subsets: dict[
        Annotated[str, AfterValidator(_subset_name)],
        Annotated[SubsetFile, BeforeValidator(_labels_alone, json_schema_input_type=dict[str, str] | SubsetFile)],
    ] = Field({}, description="Parts of the callee by labels, to which routes lead as `callee.subset`.")


def traffic_faults(
    content: Mapping[str, TrafficFile], callees: Mapping[str, Callee], *, all_known: bool = True
) -> Iterator[tuple[Path, str]]:
    """What only the whole can tell, each with its path below `traffic`. `callees`: what a call may name."""
    for name, each in content.items():
        callee = callees.get(name)
        if callee is None:
            if all_known:
                hint = did_you_mean(name, callees)
                yield (name,), f"there is no service or external {name!r}{hint and ', '}{hint}"
            continue
        parts: list[tuple[Path, PolicyFile]] = [((), each)]
        parts += [(("ports", port), policy) for port, policy in each.ports.items()]
        parts += [(("subsets", key), policy) for key, policy in each.subsets.items()]
        for path, policy in parts:
            if callee.protocol is Protocol.TCP and (keys := policy.only_for_requests):
                yield (name, *path, *keys[0].split(".")), "a callee that speaks tcp has connections, not requests"


def read_traffic(
    content: Mapping[str, TrafficFile],
    callees: Mapping[str, Callee],
    behind: Mapping[str, Sequence[str]],
    origin: Callable[[Path], Origin],
    absolute: Callable[[str], str],
) -> tuple[Traffic, ...]:
    """The rules, in the order of the file.

    `behind`: the targets of a name that `routes` makes, of which the same holds unless they have a rule of their own.
    """

    def one(name: str, each: TrafficFile) -> Traffic:
        tcp = callees[name].protocol is Protocol.TCP

        def policy(said: PolicyFile, *below: str) -> Any:
            return said.policy(origin((name, *below)), absolute, tcp=tcp)

        return Traffic(
            name,
            NAMESPACE,
            (name, *(target for target in behind.get(name, ()) if target not in content)),
            policy(each),
            tuple((int(port), policy(said, "ports", port)) for port, said in each.ports.items()),
            tuple(
                Subset(key, tuple(sorted(said.labels.items())), policy(said, "subsets", key))
                for key, said in each.subsets.items()
            ),
            origin=origin((name,)),
        )

    return tuple(one(name, each) for name, each in content.items())
