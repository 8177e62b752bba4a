// Reads the token that wch-sidecar keeps in Redis, with Jedis 4 or later. Jedis installs neither from
// Debian nor from PyPI, so the tests run this class with a stand-in of the two methods it calls.
import java.util.List;
import redis.clients.jedis.UnifiedJedis;

final class WeChatToken {
    private String token; private long readAgain; private final UnifiedJedis redis;
    WeChatToken(UnifiedJedis redis) { this.redis = redis; }

    /** The token, or null while there is none. From memory for at most 60 s. */
    synchronized String get() {
        long now = System.currentTimeMillis() / 1000;
        if (token != null && now < readAgain) return token;
        List<String> read = redis.mget("WCH_access_token", "WCH_expires_in");
        long until = read.get(1) == null ? 0 : Long.parseLong(read.get(1));
        readAgain = Math.min(now + 60, until);
        return token = until > now ? read.get(0) : null;
    }

    /** When WeChat answers 40001, 40014 or 42001 to `dead`: the next token, or null after 3 s. */
    synchronized String report(String dead) throws InterruptedException {
        redis.rpush("WCH_refresh_requests", dead);
        for (int i = 0; i < 60; i++, Thread.sleep(50)) {
            readAgain = 0;
            if (get() != null && !token.equals(dead)) return token;
        }
        return null;
    }
}
