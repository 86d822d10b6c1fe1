"""gRPC, which takes bytes and no context, and reads them for each connection: python grpc_server.py PORT CONTEXT"""

import sys
from concurrent import futures

import grpc

from handsel import tls


def hello(_request, call):
    return call.auth_context().get("transport_security_type", [b""])[0]


class Hello(grpc.GenericRpcHandler):
    def service(self, call):
        if call.method == "/hello.Hello/Say":
            return grpc.unary_unary_rpc_method_handler(hello)
        return None


def configuration(context):
    found = context.pem()
    return grpc.ssl_server_certificate_configuration([(found.key.reveal(), found.chain)], found.roots or None)


if __name__ == "__main__":
    port, name = int(sys.argv[1]), sys.argv[2]
    context = tls.context(name)
    credentials = grpc.dynamic_ssl_server_credentials(
        configuration(context), lambda: configuration(context), require_client_authentication="one-way" not in name
    )
    server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[Hello()])
    server.add_secure_port(f"127.0.0.1:{port}", credentials)
    server.start()
    server.wait_for_termination()
