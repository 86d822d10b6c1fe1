"""The part `authority: policy:` of the mesh file."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from handsel.documents.yaml import Path
from handsel.model.faults import Strict, did_you_mean
from handsel.model.name_patterns import KINDS, Kind, Pattern, patterns_of
from handsel.model.policy import Policy, Rule


def _pattern_of(kind: Kind) -> AfterValidator:
    def check(text: str) -> str:
        return str(Pattern(kind, text))

    return AfterValidator(check)


Dns = Annotated[str, _pattern_of("dns")]
Ip = Annotated[str, _pattern_of("ip")]
Uri = Annotated[str, _pattern_of("uri")]
Mail = Annotated[str, _pattern_of("mail")]


class NamesFile(Strict):
    """Names, as patterns."""

    dns: list[Dns] = Field([], description="Exact, `*.x` for one label more, `**.x` or `.x` for one or more.")
    ip: list[Ip] = Field([], description="Addresses and networks, such as 10.0.0.0/8.")
    uri: list[Uri] = Field([], description="Exact, or a beginning up to `/*`. SPIFFE IDs are given by the mesh alone.")
    mail: list[Mail] = Field([], description="A mailbox, or the host of all its mailboxes.")

    @model_validator(mode="after")
    def _has_one(self) -> NamesFile:
        if not any(getattr(self, kind) for kind in KINDS):
            raise ValueError("a rule has at least one pattern under dns, ip, uri or mail")
        return self

    def patterns(self) -> tuple[Pattern, ...]:
        return tuple(each for kind in KINDS for each in patterns_of(kind, getattr(self, kind)))


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Words = Annotated[list[str], BeforeValidator(_as_list, json_schema_input_type=str | list[str])]
Attestor = Literal["ticket", "x509pop", "kubernetes", "oidc", "ssh_host", "tpm"]
Attestors = Annotated[list[Attestor], BeforeValidator(_as_list, json_schema_input_type=Attestor | list[Attestor])]


class ForFile(Strict):
    """For whom a rule is. What is left out does not matter; all that is said must hold."""

    profile: Words = Field([], description="Profiles: one, or a list.")
    account: Words = Field([], description="ACME accounts, by id.")
    eab: Words = Field([], description="Keys of external account binding, by id.")
    attestor: Attestors = Field([], description="Attestors by which the requester proved who it is.")

    @model_validator(mode="after")
    def _is_not_empty(self) -> ForFile:
        # An empty list would read as nobody, and count as everybody.
        if empty := [word for word in sorted(self.model_fields_set) if not getattr(self, word)]:
            raise ValueError(f"{empty[0]} is empty: leave it out when it does not matter")
        return self


class RuleFile(Strict):
    """One rule: names that are allowed or denied. A denial wins, wherever it stands."""

    allow: NamesFile | None = Field(None, description="Names that may be had.")
    deny: NamesFile | None = Field(None, description="Names that may not be had, whatever allows them.")
    for_: ForFile = Field(ForFile(), alias="for", description="For whom. Everybody when left out.")

    @model_validator(mode="after")
    def _is_one(self) -> RuleFile:
        if (self.allow is None) == (self.deny is None):
            raise ValueError("a rule has either allow or deny")
        return self


def read_policy(rules: Sequence[RuleFile] | None, where: Callable[[Path], str]) -> Policy:
    """The rules of a valid file. `where` gives the place of a path below `authority`."""
    if rules is None:
        return None
    return tuple(_rule(each, where(("policy", index))) for index, each in enumerate(rules))


def _rule(content: RuleFile, where: str) -> Rule:
    names = content.allow or content.deny
    assert names is not None  # noqa: S101  # see `RuleFile`
    who = content.for_
    return Rule(
        content.allow is not None, names.patterns(), where, profiles=tuple(who.profile), accounts=tuple(who.account),
        external_keys=tuple(who.eab), attestors=tuple(who.attestor),
    )  # fmt: skip


def policy_faults(
    rules: Sequence[RuleFile] | None, profiles: Iterable[str], own: Container[str]
) -> Iterator[tuple[Path, str]]:
    """What only the whole file shows: a rule for a profile that is not there would deny nothing.

    `own` are handsel's own profiles, which no rule decides about. Each fault with its path below `authority`.
    """
    known = list(profiles)
    for index, rule in enumerate(rules or ()):
        for number, name in enumerate(rule.for_.profile):
            path: Path = ("policy", index, "for", "profile", number)
            if name in own:
                yield path, f"who has a certificate of the profile {name!r} is not for the policy to say"
            elif name not in known:
                hint = did_you_mean(name, known, known_here=True)
                yield path, f"there is no profile {name!r}, {hint}"
