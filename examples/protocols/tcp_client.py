"""TLS over a plain socket: python tcp_client.py PORT CONTEXT"""

import socket
import sys

from handsel import tls

if __name__ == "__main__":
    port, name = int(sys.argv[1]), sys.argv[2]
    with (
        socket.create_connection(("localhost", port), 10) as connection,
        tls.context(name).client().wrap_socket(connection, server_hostname="localhost") as secure,
    ):
        secure.sendall(b"hello\n")
        answer = secure.recv(100)
        if not answer:  # in TLS 1.3 a server that does not take our certificate says so only now
            sys.exit("the server left")
        print(answer.decode(), end="")
