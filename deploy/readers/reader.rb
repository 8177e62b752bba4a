# Reads the token that wch-sidecar keeps in Redis, with the gem redis. For one thread.
class WeChatToken
  def initialize(redis, prefix = 'WCH_')
    @redis, @prefix, @token, @read_again = redis, prefix, nil, 0
  end

  # The token, or nil while there is none. From memory for at most 60 s.
  def get
    return @token if @token && Time.now.to_f < @read_again
    token, till = @redis.mget("#{@prefix}access_token", "#{@prefix}expires_in")
    @read_again = [Time.now.to_f + 60, till.to_i].min
    @token = till.to_i > Time.now.to_i ? token : nil
  end

  # When WeChat answers 40001, 40014 or 42001 to `dead`: the next token, or nil after 3 s.
  def report(dead)
    @redis.rpush("#{@prefix}refresh_requests", dead)
    60.times do
      @read_again = 0
      return @token if get && @token != dead
      sleep 0.05
    end && nil
  end
end
