// Package wechat reads the token that wch-sidecar keeps in Redis, with redigo. One Token a goroutine.
package wechat

import (
	"time"

	"github.com/gomodule/redigo/redis"
)

type Token struct {
	Redis         redis.Conn
	token         string
	until, readAt int64
}

// Get returns the token, or "" while there is none. From memory for at most 60 s.
func (t *Token) Get() (string, error) {
	if now := time.Now().Unix(); now >= t.until || now >= t.readAt+60 {
		t.token, t.until, t.readAt = "", 0, now
		values, err := redis.Values(t.Redis.Do("MGET", "WCH_access_token", "WCH_expires_in"))
		if _, err = redis.Scan(values, &t.token, &t.until); err != nil || now >= t.until {
			return "", err
		}
	}
	return t.token, nil
}

// Report is for when WeChat answers 40001, 40014 or 42001: the next token, or what is there after 3 s.
func (t *Token) Report(dead string) (token string, err error) {
	_, err = t.Redis.Do("RPUSH", "WCH_refresh_requests", dead)
	for i := 0; i < 60 && err == nil && (token == "" || token == dead); i++ {
		time.Sleep(50 * time.Millisecond)
		t.until = 0
		token, err = t.Get()
	}
	return token, err
}
