// Reads the token that wch-sidecar keeps in Redis, with the crate redis, which installs neither from
// Debian 12 nor from PyPI: the tests run this file with a stand-in of the two methods that it calls.
use redis::{Commands, Connection, RedisResult};
use std::time::{Duration, SystemTime};

pub struct WeChatToken { pub redis: Connection, pub token: Option<String>, pub read_again: u64 }

impl WeChatToken {
    /// The token, or None while there is none. From memory for at most 60 s.
    pub fn get(&mut self) -> RedisResult<Option<String>> {
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |age| age.as_secs());
        if self.token.is_some() && now < self.read_again { return Ok(self.token.clone()); }
        let keys = ["WCH_access_token", "WCH_expires_in"];
        let (token, until): (Option<String>, Option<u64>) = self.redis.mget(&keys)?;
        self.read_again = until.unwrap_or(0).min(now + 60);
        self.token = token.filter(|_| until.unwrap_or(0) > now);
        Ok(self.token.clone())
    }

    /// When WeChat answers 40001, 40014 or 42001: the next token, or what is there after 3 s.
    pub fn report(&mut self, dead: &str) -> RedisResult<Option<String>> {
        let _: i64 = self.redis.rpush("WCH_refresh_requests", dead)?;
        for _ in 0..60 {
            std::thread::sleep(Duration::from_millis(50));
            self.read_again = 0;
            if self.get()?.is_some_and(|token| token != dead) { break; }
        }
        Ok(self.token.clone())
    }
}
