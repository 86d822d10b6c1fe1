"""Prints what the server answers: python client.py PORT FOLDER [--one-way] [--loop]"""

import socket
import sys
import time

from handsel import tls


def ask(port, context):
    with (
        socket.create_connection(("localhost", port), 10) as connection,
        context.wrap_socket(connection, server_hostname="localhost") as secure,
    ):
        secure.sendall(b"hello\n")
        answer = secure.recv(1000)
        if not answer:  # in TLS 1.3 a server that does not take our certificate says so only now
            raise ConnectionResetError("the server left")
        print(answer.decode(), end="", flush=True)


if __name__ == "__main__":
    port, folder = int(sys.argv[1]), sys.argv[2]
    name = "one-way-client" if "--one-way" in sys.argv else "two-way"
    context = tls.context(name, f"{folder}/handsel.yaml").client()
    try:
        ask(port, context)
        while "--loop" in sys.argv:
            time.sleep(0.05)
            ask(port, context)
    except OSError as error:
        sys.exit(f"refused: {error}")
