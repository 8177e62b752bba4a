<?php
// Reads the token that wch-sidecar keeps in Redis, with phpredis.
final class WeChatToken {
    private ?string $token = null;
    private float $readAgain = 0;
    public function __construct(private Redis $redis, private string $prefix = 'WCH_') {}

    /** The token, or null while there is none. From memory for at most 60 s. */
    public function get(): ?string {
        if ($this->token !== null && microtime(true) < $this->readAgain) return $this->token;
        [$token, $until] = $this->redis->mget(["{$this->prefix}access_token", "{$this->prefix}expires_in"]);
        $this->token = $token !== false && $until > time() ? $token : null;
        $this->readAgain = min(microtime(true) + 60, (float) $until);
        return $this->token;
    }

    /** When WeChat answers 40001, 40014 or 42001 to $dead: the next token, or null after 3 s. */
    public function report(string $dead): ?string {
        $this->redis->rPush("{$this->prefix}refresh_requests", $dead);
        for ($i = 0; $i < 60; $i++, usleep(50_000)) {
            $this->readAgain = 0;
            if (($token = $this->get()) !== null && $token !== $dead) return $token;
        }
        return null;
    }
}
