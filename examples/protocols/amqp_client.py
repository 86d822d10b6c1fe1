"""AMQP by aio-pika: python amqp_client.py PORT CONTEXT"""

import asyncio
import sys

import aio_pika

from handsel import tls


async def main(port, name):
    context = tls.context(name).client()
    async with await aio_pika.connect(host="localhost", port=port, ssl=True, ssl_context=context, timeout=10) as broker:
        channel = await broker.channel()
        queue = await channel.declare_queue(exclusive=True)
        await channel.default_exchange.publish(aio_pika.Message(b"hello"), queue.name)
        message = await queue.get(no_ack=True, timeout=10)
        print(message.body.decode())


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
