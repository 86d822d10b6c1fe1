"""Rules, policies and requests drawn at random: few words, so that they often meet."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import strategies as st

from handsel.mesh.ir import Mirrored, Route, Weighted
from handsel.mesh.router import Request
from handsel.model.routing import (
    Compare,
    Cors,
    Fault,
    HeaderChange,
    Headers,
    Redirect,
    RequestMatch,
    Response,
    Retry,
    Rewrite,
    Text,
)
from handsel.model.traffic import (
    Balance,
    HashOn,
    KeepAlive,
    Outliers,
    Pool,
    RetryBudget,
    Sticky,
    TrafficPolicy,
)

PATHS = ["/", "/v1", "/v10", "/v1/x", "/V1", "/v2/", "/v1/x/y"]
VALUES = ["1", "2", "12", "a", "A", "a-b"]
PATTERNS = ["[0-9]+", "a.*", "1|2", r"[[:alpha:]]+", "", "(?i)a", r"\d\d?"]
NAMES = ["x-a", "x-b"]
METHODS = ["GET", "POST"]
UPSTREAMS = ["one", "two", "three"]


def texts(values: list[str], patterns: list[str]) -> st.SearchStrategy[Text]:
    plain = st.builds(Text, st.sampled_from([Compare.EXACT, Compare.PREFIX]), st.sampled_from(values), st.booleans())
    pattern = st.builds(Text, st.just(Compare.REGEX), st.sampled_from([each for each in patterns if each]))
    return st.one_of(plain, pattern, st.just(Text(Compare.PRESENT)))


paths = st.one_of(
    st.builds(Text, st.sampled_from([Compare.EXACT, Compare.PREFIX]), st.sampled_from(PATHS), st.booleans()),
    st.builds(
        Text, st.just(Compare.SUBPATH), st.sampled_from([each.rstrip("/") or "/" for each in PATHS]), st.booleans()
    ),
    st.builds(Text, st.just(Compare.REGEX), st.sampled_from(["/v[0-9]+", "/v1.*", "/.", "(?i)/V1/.*"])),
)
named = st.dictionaries(st.sampled_from(NAMES), texts(VALUES, PATTERNS), max_size=2).map(
    lambda d: tuple(sorted(d.items()))
)
maybe = st.none
methods = st.builds(Text, st.just(Compare.EXACT), st.sampled_from(METHODS))
# Often of one condition only, since of several one is enough to hide what another does.
matches = st.one_of(
    st.builds(RequestMatch, path=paths),
    st.builds(RequestMatch, headers=named),
    st.builds(RequestMatch, without_headers=named),
    st.builds(RequestMatch, query=named),
    st.builds(
        RequestMatch, path=maybe() | paths, method=maybe() | methods, headers=named, without_headers=named, query=named
    ),
)
conditions = st.lists(matches, max_size=2).map(tuple)
rules = st.lists(conditions, min_size=1, max_size=4)

requests = st.builds(
    Request,
    path=st.builds(
        lambda path, query: path + ("?" + "&".join(query) if query else ""),
        st.sampled_from([*PATHS, "/other", "/v1x"]),
        st.lists(
            st.sampled_from([*(f"{name}={value}" for name in NAMES for value in VALUES), "x-a", "x-b="]), max_size=2
        ),
    ),
    method=st.sampled_from(METHODS),
    headers=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES), max_size=2),
)

times = st.sampled_from([timedelta(milliseconds=1), timedelta(seconds=1.5), timedelta(hours=1)])
percents = st.sampled_from([0.1, 33.3333, 50, 100])
changes = st.builds(
    HeaderChange,
    set=st.just(()) | st.just((("x-set", "100%%"), ("x-other", "b"))),
    add=st.just(()) | st.just((("x-add", "a"),)),
    remove=st.just(()) | st.just(("x-gone",)),
)
headers = st.builds(Headers, changes, changes)
retries = st.builds(
    Retry,
    attempts=st.integers(0, 100),
    on=st.lists(
        st.sampled_from(["5xx", "reset", "unavailable", "429", "connect-failure"]), min_size=1, unique=True
    ).map(tuple),
    per_try_timeout=maybe() | times,
    backoff=maybe() | times,
    other_hosts=st.booleans(),
)
shares = st.lists(
    st.builds(Weighted, st.sampled_from(UPSTREAMS), st.integers(1, 1000), headers, st.sampled_from(["", "other.example"])),
    min_size=1, max_size=3, unique_by=lambda each: each.upstream,
).map(tuple)  # fmt: skip
rewrites = st.one_of(
    st.builds(
        Rewrite, path=st.sampled_from(["/", "/new", "/new/", r"/a\b"]), authority=st.sampled_from(["", "a.example"])
    ),
    st.just(Rewrite(pattern="^/v(.)", substitution=r"/\1")),
)
redirects = st.builds(
    Redirect,
    path=st.sampled_from(["", "/", "/new", "/new/"]),
    authority=st.sampled_from(["", "a.example"]),
    scheme=st.sampled_from(["", "https"]),
    port=st.sampled_from([0, 8443]),
    code=st.sampled_from([301, 302, 303, 307, 308]),
    prefix_only=st.booleans(),
)
faults = st.builds(
    Fault, maybe() | times, percents, st.sampled_from([0, 503]), st.sampled_from(["", "UNAVAILABLE", "4"]), percents
)
cors = st.builds(
    Cors,
    st.lists(
        texts(["https://a.example"], [r"https://.*\.example"]).filter(lambda t: t.compare is not Compare.PRESENT)
    ).map(tuple),
    st.just(("GET", "PUT")) | st.just(()),
    st.just(("x-a",)),
    st.just(("x-b",)) | st.just(()),
    maybe() | times,
    st.sampled_from([None, True, False]),
    st.booleans(),
)
stickies = st.one_of(
    st.builds(
        Sticky,
        st.just(HashOn.COOKIE),
        st.just("sid"),
        st.sampled_from(["", "/"]),
        maybe() | times | st.just(timedelta()),
    ),
    st.builds(
        Sticky, st.sampled_from([HashOn.HEADER, HashOn.QUERY]), st.just("x-a"), ring=st.sampled_from([1, 1024, 4096])
    ),
    st.just(Sticky(HashOn.SOURCE_ADDRESS, table=65537)),
)
common = {
    "matches": conditions,
    "headers": headers,
    "fault": maybe() | faults,
    "cors": maybe() | cors,
    "name": st.sampled_from(["", "r"]),
}
routes = st.one_of(
    st.builds(
        Route, to=shares, timeout=maybe() | times | st.just(timedelta()), retry=maybe() | retries, rewrite=maybe() | rewrites,
        host=st.sampled_from(["", "h.example"]), sticky=maybe() | stickies,
        mirrors=st.lists(st.builds(Mirrored, st.sampled_from(UPSTREAMS), percents), max_size=2).map(tuple), **common,
    ),
    st.builds(Route, redirect=redirects, **common),
    st.builds(Route, response=st.builds(Response, st.sampled_from([200, 404, 599]), st.sampled_from(["", "no\n", "x" * 5000])), **common),
)  # fmt: skip

counts = maybe() | st.sampled_from([1, 10, 0x7FFFFFFF])
whole = maybe() | st.sampled_from([timedelta(seconds=1), timedelta(hours=2)])
pools = st.builds(
    Pool, counts, maybe() | times, maybe() | st.builds(KeepAlive, counts, whole, whole), maybe() | times, maybe() | times,
    counts, counts, counts, counts, maybe() | times, st.sampled_from([None, True]), st.booleans(), counts, maybe() | times,
    maybe() | times,
)  # fmt: skip
outliers = st.builds(
    Outliers, counts, counts, counts, st.booleans(), times, times, st.integers(0, 100), st.integers(0, 100),
    st.sampled_from([(), (429,), (429, 500)]),
)  # fmt: skip
policies = st.builds(
    TrafficPolicy,
    balance=st.sampled_from([None, *Balance]),
    sticky=maybe() | stickies,
    pool=maybe() | pools,
    outliers=maybe() | outliers,
    retry_budget=maybe() | st.builds(RetryBudget, percents, st.integers(0, 100)),
)
