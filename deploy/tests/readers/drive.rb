# Asks the reader what its standard input says, a word a line.
require 'redis'
require_relative '../../readers/reader'

$stdout.sync = true
reader = WeChatToken.new(Redis.new(host: ARGV[0], port: ARGV[1].to_i))
last = ''
$stdin.each_line do |word|
  last = word.strip == 'get' ? reader.get : reader.report(last)
  puts last || '-'
end
