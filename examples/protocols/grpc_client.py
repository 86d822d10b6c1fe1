"""gRPC: python grpc_client.py PORT CONTEXT"""

import sys

import grpc

from handsel import tls

if __name__ == "__main__":
    port, name = int(sys.argv[1]), sys.argv[2]
    found = tls.context(name).pem()
    credentials = grpc.ssl_channel_credentials(
        found.roots, found.key.reveal() if found.key else None, found.chain or None
    )
    with grpc.secure_channel(f"localhost:{port}", credentials) as channel:
        print(channel.unary_unary("/hello.Hello/Say")(b"hello", timeout=10).decode())
