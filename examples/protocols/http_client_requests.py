"""HTTPS by requests: python http_client_requests.py PORT CONTEXT"""

import sys

import requests
from requests.adapters import HTTPAdapter

from handsel import tls


class Adapter(HTTPAdapter):
    """How `requests` is given a context."""

    def __init__(self, context):
        self.context = context
        super().__init__()

    def init_poolmanager(self, *arguments, **named):
        super().init_poolmanager(*arguments, ssl_context=self.context, **named)


if __name__ == "__main__":
    port, name = int(sys.argv[1]), sys.argv[2]
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", Adapter(tls.context(name).client()))
    print(session.get(f"https://localhost:{port}/", timeout=10).text, end="")
