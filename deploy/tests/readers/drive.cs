// Asks the reader what its standard input says, a word a line; with a stand-in of what it calls of
// StackExchange.Redis.
using System;
using System.IO;
using System.Net.Sockets;

namespace StackExchange.Redis {
    public struct RedisKey {
        readonly string name;
        RedisKey(string name) { this.name = name; }
        public static implicit operator RedisKey(string name) { return new RedisKey(name); }
        public override string ToString() { return name; }
    }

    public struct RedisValue {
        readonly string value;
        RedisValue(string value) { this.value = value; }
        public static implicit operator RedisValue(string value) { return new RedisValue(value); }
        public static implicit operator string(RedisValue value) { return value.value; }
    }

    public interface IDatabase {
        RedisValue[] StringGet(RedisKey[] keys);
        long ListRightPush(RedisKey key, RedisValue value);
    }
}

namespace Drive {
    using StackExchange.Redis;

    sealed class Connection : IDatabase {
        readonly StreamReader reader; readonly StreamWriter writer;

        public Connection(string host, int port) {
            var stream = new TcpClient(host, port).GetStream();
            reader = new StreamReader(stream);
            writer = new StreamWriter(stream) { AutoFlush = true };
        }

        public RedisValue[] StringGet(RedisKey[] keys) {
            writer.Write("MGET " + string.Join(" ", keys) + "\r\n");
            var values = new RedisValue[int.Parse(reader.ReadLine().Substring(1))];
            for (int i = 0; i < values.Length; i++)
                values[i] = reader.ReadLine() == "$-1" ? null : reader.ReadLine();
            return values;
        }

        public long ListRightPush(RedisKey key, RedisValue value) {
            writer.Write("RPUSH " + key + " " + (string)value + "\r\n");
            return long.Parse(reader.ReadLine().Substring(1));
        }
    }

    static class Program {
        static void Main(string[] arguments) {
            var reader = new WeChatToken(new Connection(arguments[0], int.Parse(arguments[1])));
            string word, last = "";
            while ((word = Console.ReadLine()) != null) {
                last = word == "get" ? reader.Get() : reader.Report(last);
                Console.WriteLine(last ?? "-");
            }
        }
    }
}
