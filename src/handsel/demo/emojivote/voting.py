"""The service voting: counts the votes, in memory. One emoji always fails, so that errors can be seen."""

from __future__ import annotations

import threading
from collections import Counter

import grpc

from handsel.demo.emojivote import emojivote_pb2 as pb
from handsel.demo.emojivote import rpc

_FAILS = ":doughnut:"

_votes: Counter[str] = Counter()
_lock = threading.Lock()  # calls come in on many threads


def vote(question: pb.VoteRequest, context: grpc.ServicerContext) -> pb.VoteResponse:
    if question.shortcode == _FAILS:
        context.abort(grpc.StatusCode.INTERNAL, "a vote for the doughnut always fails, so that errors can be seen")
    with _lock:
        _votes[question.shortcode] += 1
        return pb.VoteResponse(votes=_votes[question.shortcode])


def results(_question: pb.ResultsRequest, _context: grpc.ServicerContext) -> pb.ResultsResponse:
    with _lock:
        ranking = _votes.most_common()
    return pb.ResultsResponse(
        results=[pb.ResultsResponse.Result(shortcode=shortcode, votes=votes) for shortcode, votes in ranking]
    )


if __name__ == "__main__":
    rpc.serve({rpc.VOTE: vote, rpc.RESULTS: results})
