"""HTTPS by httpx2: python http_client.py PORT CONTEXT"""

import sys

import httpx2

from handsel import tls

if __name__ == "__main__":
    port, name = int(sys.argv[1]), sys.argv[2]
    with httpx2.Client(verify=tls.context(name).client(), trust_env=False) as client:
        print(client.get(f"https://localhost:{port}/").text, end="")
