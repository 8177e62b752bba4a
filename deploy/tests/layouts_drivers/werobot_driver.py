"""Answers each line of its input by what WeRoBot has, of which the documentation says that a client
with a token of its own kind overrides `get_access_token`: the line says how often it is asked."""

import sys

import redis
from werobot.client import Client

port, api, appid, secret = sys.argv[1:]
store = redis.Redis(port=int(port), decode_responses=True)


class SharedClient(Client):
    """WeRoBot's client with the token that wch-sidecar keeps."""

    def get_access_token(self):
        return store.get("WCH_access_token")


client = SharedClient({"APP_ID": appid, "APP_SECRET": secret})
for line in sys.stdin:
    found = {client.token for _ in range(int(line))}
    # WeRoBot's own request: the token that it sends along is judged.
    client.get(f"{api}/cgi-bin/getcallbackip")
    print(*found, flush=True)
