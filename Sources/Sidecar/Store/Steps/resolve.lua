redis.call('PERSIST', KEYS[1])
if is_commit('intent', epoch, seq) then
  drop_intent()
  restate(milliseconds(), output)
end
return {'resolved'}
