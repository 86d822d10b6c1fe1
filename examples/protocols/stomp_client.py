"""STOMP by stomp.py: python stomp_client.py PORT CONTEXT"""

import queue
import selectors
import socket
import ssl
import sys

import stomp
from stomp.utils import PollableQueue

from handsel import tls


class Transport(stomp.transport.Transport):
    """How stomp.py, which takes only files, is given a context."""

    def __init__(self, address, context):
        super().__init__()
        self.current_host_and_port, self.context = address, context

    def attempt_connection(self):
        plain = socket.create_connection(self.current_host_and_port, 10)
        self.socket = self.context.wrap_socket(plain, server_hostname=self.current_host_and_port[0])
        self.socket.setblocking(False)
        # From here on one thread reads and writes, as stomp.py does over TLS.
        self.blocking, self.send_queue, self.sel = False, PollableQueue(), selectors.DefaultSelector()
        self.sel.register(self.send_queue, selectors.EVENT_READ)
        self.sel.register(self.socket, selectors.EVENT_READ)

    def receive(self):
        """Also sees that the server left, which stomp.py does not over TLS: so a refusal in TLS 1.3 is one."""
        try:
            content = self.socket.recv(4096)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError:
            content = b""
        self.running = self.running and content != b""
        return content


class Connection(stomp.Connection12):
    def __init__(self, transport):
        stomp.connect.BaseConnection.__init__(self, transport)
        stomp.protocol.Protocol12.__init__(self, transport)


class Listener(stomp.ConnectionListener):
    def __init__(self):
        self.arrived = queue.Queue()

    def on_message(self, frame):
        self.arrived.put(frame.body)


if __name__ == "__main__":
    port, name = int(sys.argv[1]), sys.argv[2]
    connection, listener = Connection(Transport(("localhost", port), tls.context(name).client())), Listener()
    connection.set_listener("", listener)
    connection.connect(wait=True)
    connection.subscribe("/temp-queue/hello", id="1")
    connection.send("/temp-queue/hello", "hello")
    print(listener.arrived.get(timeout=10))
    connection.disconnect(receipt="end")
