"""Reads the token that wch-sidecar keeps in Redis, with redis-py."""
import time


class WeChatToken:
    """For one thread; `redis` is `redis.Redis(…, decode_responses=True)`."""

    def __init__(self, redis, prefix="WCH_"):
        self.redis, self.prefix, self.token, self.read_again = redis, prefix, None, 0

    def get(self):
        """The token, or None while there is none. From memory for at most 60 s."""
        if self.token is None or time.time() >= self.read_again:
            token, until = self.redis.mget(self.prefix + "access_token", self.prefix + "expires_in")
            self.token = token if token and int(until or 0) > time.time() else None
            self.read_again = min(time.time() + 60, int(until or 0))
        return self.token

    def report(self, dead):
        """When WeChat answers 40001, 40014 or 42001 to `dead`: the next token, or None after 3 s."""
        self.redis.rpush(self.prefix + "refresh_requests", dead)
        for _ in range(60):
            self.read_again = 0
            if (token := self.get()) not in (None, dead):
                return token
            time.sleep(0.05)
        return None
