"""HTTPS by uvicorn: python http_server.py PORT CONTEXT"""

import sys

import uvicorn

from handsel import tls


async def application(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello\n"})


if __name__ == "__main__":
    port, name = int(sys.argv[1]), sys.argv[2]
    context = tls.context(name)
    uvicorn.run(
        application, port=port, lifespan="off", log_level="warning",
        ssl_context_factory=lambda _config, _default: context.server(),
    )  # fmt: skip
