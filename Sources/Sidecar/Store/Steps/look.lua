local recorded = field('app')
if recorded ~= '' and recorded ~= app then
  return {'foreign', int(redis.call('PTTL', KEYS[2]))}
end
return newer() or view(milliseconds(), server(run_id))
