"""SMTP inside TLS from the first byte (port 465), by aiosmtpd: python smtps_server.py PORT CONTEXT"""

import sys
import threading

from aiosmtpd.controller import Controller
from smtp_server import Print

from handsel import tls

if __name__ == "__main__":
    port, name = int(sys.argv[1]), sys.argv[2]
    Controller(Print(), hostname="127.0.0.1", port=port, ssl_context=tls.context(name).server()).start()
    threading.Event().wait()
