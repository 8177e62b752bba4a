"""Asks the reader what its standard input says, a word a line."""
import pathlib
import sys

import redis

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "readers"))
from reader import WeChatToken

reader = WeChatToken(redis.Redis(sys.argv[1], int(sys.argv[2]), decode_responses=True))
last = ""
for word in sys.stdin:
    last = reader.get() if word.strip() == "get" else reader.report(last)
    print(last or "-", flush=True)
