"""Answers each line of its input by what wechatpy has: the line says how often it is asked."""

import sys

import redis
from wechatpy import WeChatClient
from wechatpy.session.redisstorage import RedisStorage

port, api, appid, secret = sys.argv[1:]
storage = RedisStorage(redis.Redis(port=int(port)), prefix="wechatpy")
client = WeChatClient(appid, secret, session=storage, auto_retry=False)
# Where its own fetches would go, and be counted.
client.API_BASE_URL = f"{api}/cgi-bin/"
for line in sys.stdin:
    found = set()
    for _ in range(int(line)):
        found.add((client.access_token, client.jsapi.get_jsapi_ticket()))
    print(*[word for pair in found for word in pair], flush=True)
