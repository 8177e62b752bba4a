// Asks the reader what its standard input says, a word a line.
const { createClient } = require('redis')
const { WeChatToken } = require('../../readers/reader.js')

async function main() {
  const redis = createClient({ socket: { host: process.argv[2], port: Number(process.argv[3]) } })
  await redis.connect()
  const reader = new WeChatToken(redis)
  let last = ''
  for await (const word of require('readline').createInterface({ input: process.stdin })) {
    last = word === 'get' ? await reader.get() : await reader.report(last)
    console.log(last ?? '-')
  }
  await redis.quit()
}

main()
