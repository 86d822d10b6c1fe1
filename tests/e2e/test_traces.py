"""Traces: both proxies of a request send their spans, of one trace, to a collector (a real gRPC server here)."""

from __future__ import annotations

import contextlib
import urllib.request
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from tests.e2e.mesh_process import HTTP_PROGRAM, fetch, mesh, wait_for

pytestmark = pytest.mark.e2e
_EXPORT = "opentelemetry.proto.collector.trace.v1.TraceService"


@contextlib.contextmanager
def _collector() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """The port of a collector, and the spans that it was sent."""
    spans: list[dict[str, Any]] = []

    def export(request: Any, _context: grpc.ServicerContext) -> Any:
        for resource in request.resource_spans:
            service = {each.key: each.value.string_value for each in resource.resource.attributes}["service.name"]
            # Field 2, which newer protocols call scope_spans.
            for scope in resource.instrumentation_library_spans:
                for span in scope.spans:
                    tags = {each.key: each.value.string_value for each in span.attributes}
                    spans.append(
                        {
                            "service": service, "name": span.name, "kind": span.kind, "trace": span.trace_id,
                            "span": span.span_id, "parent": span.parent_span_id, "tags": tags,
                        }
                    )  # fmt: skip
        return trace_service_pb2.ExportTraceServiceResponse()

    handler = grpc.unary_unary_rpc_method_handler(
        export,
        request_deserializer=trace_service_pb2.ExportTraceServiceRequest.FromString,
        response_serializer=trace_service_pb2.ExportTraceServiceResponse.SerializeToString,
    )
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_EXPORT, {"Export": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port, spans
    finally:
        server.stop(0).wait()


def _text(port: int, sampling: str) -> str:
    """A mesh whose proxies tell the collector at this port of so many of their requests."""
    return f"""
trust_domain: traced.internal
services:
  web: {{command: "{HTTP_PROGRAM}", calls: [emoji]}}
  emoji: {{command: "{HTTP_PROGRAM}"}}
telemetry: {{tracing: {{endpoint: "127.0.0.1:{port}", sampling: {sampling}}}}}
"""


def _ask(url: str, **headers: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers=headers)
    with opener.open(request, timeout=5) as response:
        assert response.status == 200


def test_the_spans_of_both_proxies_are_of_one_trace() -> None:
    with _collector() as (port, spans), mesh(_text(port, "100%")) as running:
        url = running.url("web", "emoji")
        assert fetch(f"{url}/hello")[0] == 200
        web, emoji = wait_for(lambda: _pair(spans, "/hello"), 15, "both spans")
        assert web["trace"] == emoji["trace"]
        assert emoji["parent"] == web["span"]
        assert (web["kind"], emoji["kind"]) == (3, 2)  # client and server
        assert web["tags"]["handsel.upstream_peer"] == "spiffe://traced.internal/ns/default/sa/emoji"
        assert emoji["tags"]["handsel.peer"] == "spiffe://traced.internal/ns/default/sa/web"
        # A trace that a program has begun goes on.
        _ask(f"{url}/mine", traceparent=f"00-{'ab' * 16}-{'cd' * 8}-01")
        web, emoji = wait_for(lambda: _pair(spans, "/mine"), 15, "both spans")
        assert {web["trace"], emoji["trace"]} == {bytes.fromhex("ab" * 16)}
        assert web["parent"] == bytes.fromhex("cd" * 8)
        # The access logs name the trace, so that a line leads to its spans.
        lines = wait_for(lambda: [e for e in running.access_log("emoji") if e.get("path") == "/mine"], 5)
        assert lines[0]["trace_id"] == "ab" * 16
        assert lines[0]["request_id"]


def test_without_a_share_nothing_is_sent_and_requests_go_on_without_a_collector() -> None:
    with _collector() as (port, spans), mesh(_text(port, "0%")) as running:
        url = running.url("web", "emoji")
        assert fetch(f"{url}/unseen")[0] == 200
        _ask(f"{url}/seen", traceparent=f"00-{'ab' * 16}-{'cd' * 8}-01")  # the control: it was decided elsewhere
        wait_for(lambda: _pair(spans, "/seen"), 15, "both spans")
        assert not [span for span in spans if span["tags"].get("http.url", "").endswith("/unseen")]


def _pair(spans: list[dict[str, Any]], path: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    found = {each["service"]: each for each in spans if each["tags"].get("http.url", "").endswith(path)}
    return (found["web"], found["emoji"]) if len(found) == 2 else None
