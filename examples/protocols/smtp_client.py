"""Mail by aiosmtplib, with STARTTLS that is required: python smtp_client.py PORT CONTEXT [--smtps]"""

import asyncio
import sys
from email.message import EmailMessage

import aiosmtplib

from handsel import tls


async def main(port, name):
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "orders@shop.internal", "billing@shop.internal", "hello"
    mail.set_content("hello\n")
    # Neither falls back to plain text when the server, or somebody between, offers no TLS.
    how = {"use_tls": True} if "--smtps" in sys.argv else {"start_tls": True}
    await aiosmtplib.send(mail, hostname="localhost", port=port, tls_context=tls.context(name).client(), **how)
    print("sent")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
