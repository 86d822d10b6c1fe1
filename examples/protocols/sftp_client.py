"""SFTP by asyncssh: python sftp_client.py PORT KEY KNOWN_HOSTS. A certificate beside the key is shown as well."""

import asyncio
import sys

import asyncssh


async def main(port, key, known_hosts):
    # `known_hosts=None` would believe every server. A list that is empty believes none.
    async with (
        asyncssh.connect("localhost", port, config=None, known_hosts=known_hosts, client_keys=[key]) as connection,
        connection.start_sftp_client() as sftp,
    ):
        async with sftp.open("hello.txt", "w") as file:
            await file.write("hello\n")
        async with sftp.open("hello.txt") as file:
            print(await file.read(), end="")


if __name__ == "__main__":
    try:
        asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
    except asyncssh.Error as error:
        sys.exit(str(error))
