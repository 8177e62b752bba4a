// Reads the token that wch-sidecar keeps in Redis, with node-redis. (ioredis: mget, rpush.)
class WeChatToken {
  constructor(redis, prefix = 'WCH_') { Object.assign(this, { redis, prefix, token: null, readAgain: 0 }) }

  // The token, or null while there is none. From memory for at most 60 s.
  async get() {
    if (this.token && Date.now() < this.readAgain) return this.token
    const [token, until] = await this.redis.mGet([this.prefix + 'access_token', this.prefix + 'expires_in'])
    this.token = token && Number(until) * 1000 > Date.now() ? token : null
    this.readAgain = Math.min(Date.now() + 60_000, Number(until) * 1000)
    return this.token
  }

  // When WeChat answers 40001, 40014 or 42001 to `dead`: the next token, or null after 3 s.
  async report(dead) {
    await this.redis.rPush(this.prefix + 'refresh_requests', dead)
    for (let i = 0; i < 60; i++, await new Promise(done => setTimeout(done, 50))) {
      this.readAgain = 0
      const token = await this.get()
      if (token && token !== dead) return token
    }
    return null
  }
}
module.exports = { WeChatToken }
