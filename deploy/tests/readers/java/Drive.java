// Asks the reader what its standard input says, a word a line.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import redis.clients.jedis.UnifiedJedis;

class Drive {
    public static void main(String[] arguments) throws Exception {
        WeChatToken reader =
            new WeChatToken(new UnifiedJedis(arguments[0], Integer.parseInt(arguments[1])));
        BufferedReader words = new BufferedReader(new InputStreamReader(System.in));
        String last = "";
        for (String word = words.readLine(); word != null; word = words.readLine()) {
            last = word.equals("get") ? reader.get() : reader.report(last);
            System.out.println(last == null ? "-" : last);
        }
    }
}
