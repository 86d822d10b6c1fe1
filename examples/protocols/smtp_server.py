"""SMTP by aiosmtpd, which takes no mail before STARTTLS: python smtp_server.py PORT CONTEXT"""

import sys
import threading

from aiosmtpd.controller import Controller

from handsel import tls


class Print:
    """Takes every mail, and prints it."""

    async def handle_DATA(self, server, session, envelope):
        print(f"{envelope.mail_from} to {', '.join(envelope.rcpt_tos)}", flush=True)
        return "250 taken"


if __name__ == "__main__":
    port, name = int(sys.argv[1]), sys.argv[2]
    controller = Controller(
        Print(), hostname="127.0.0.1", port=port, tls_context=tls.context(name).server(), require_starttls=True
    )
    controller.start()
    threading.Event().wait()
