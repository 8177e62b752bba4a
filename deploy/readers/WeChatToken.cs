// Reads the token that wch-sidecar keeps in Redis, with StackExchange.Redis, which installs neither
// from Debian nor from PyPI: the tests run this class with a stand-in of what it calls. One a thread.
using System;
using System.Threading;
using StackExchange.Redis;

public sealed class WeChatToken {
    string token; long readAgain; readonly IDatabase redis;
    public WeChatToken(IDatabase redis) { this.redis = redis; }

    /// The token, or null while there is none. From memory for at most 60 s.
    public string Get() {
        long now = DateTimeOffset.UtcNow.ToUnixTimeSeconds(), until;
        if (token != null && now < readAgain) return token;
        RedisValue[] read = redis.StringGet(new RedisKey[] { "WCH_access_token", "WCH_expires_in" });
        token = long.TryParse((string)read[1], out until) && until > now ? (string)read[0] : null;
        readAgain = Math.Min(now + 60, until);
        return token;
    }

    /// When WeChat answers 40001, 40014 or 42001 to `dead`: the next token, or null after 3 s.
    public string Report(string dead) {
        redis.ListRightPush("WCH_refresh_requests", dead);
        for (int i = 0; i < 60; i++, Thread.Sleep(50)) {
            readAgain = 0;
            if (Get() != null && token != dead) return token;
        }
        return null;
    }
}
