// A stand-in of what the reader calls of Jedis.
package redis.clients.jedis;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.Socket;
import java.util.ArrayList;
import java.util.List;

public class UnifiedJedis {
    private final InputStream in;
    private final OutputStream out;

    public UnifiedJedis(String host, int port) {
        try {
            Socket socket = new Socket(host, port);
            in = socket.getInputStream();
            out = socket.getOutputStream();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    public List<String> mget(String... keys) {
        try {
            out.write(("MGET " + String.join(" ", keys) + "\r\n").getBytes());
            int count = Integer.parseInt(line().substring(1));
            List<String> values = new ArrayList<>();
            for (int i = 0; i < count; i++) values.add(line().equals("$-1") ? null : line());
            return values;
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    public long rpush(String key, String... values) {
        try {
            out.write(("RPUSH " + key + " " + String.join(" ", values) + "\r\n").getBytes());
            return Long.parseLong(line().substring(1));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private String line() throws IOException {
        ByteArrayOutputStream read = new ByteArrayOutputStream();
        for (int c = in.read(); c != '\n'; c = in.read()) if (c != '\r') read.write(c);
        return read.toString();
    }
}
