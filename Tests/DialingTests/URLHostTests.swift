import Testing

@testable import Dialing

@Suite("Hosts of URLs")
struct URLHostTests {
  @Test(
    "every spelling of RFC 3986 is read as curl 7.88 reads it",
    arguments: [
      ("LOCALHOST", "localhost"), ("localhost.", "localhost."), ("%6cocalhost", "localhost"),
      ("a%2eb", "a.b"), ("my_host", "my_host"), ("~x", "~x"), ("-a-", "-a-"), ("a..b", "a..b"),
      ("xn--fiqs8s", "xn--fiqs8s"), ("127.0.0.1", "127.0.0.1"), ("127.1", "127.0.0.1"),
      ("0x7f.1", "127.0.0.1"), ("0177.0.0.1", "127.0.0.1"), ("2130706433", "127.0.0.1"),
      ("0X7F000001", "127.0.0.1"), ("1.2.3", "1.2.0.3"), ("999", "0.0.3.231"),
      ("%31%32%37.1", "127.0.0.1"), ("127.0.0.256", "127.0.0.256"),
      ("4294967296", "4294967296"), ("127.0.0.1.", "127.0.0.1."), ("[::1]", "::1"),
      ("[FE80::1]", "fe80::1"), ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1"),
      ("[::1%25lo]", "::1%lo"), ("[::1%lo]", "::1%lo"), ("[fe80::1%25Eth0]", "fe80::1%Eth0"),
      ("[fe80::1%25nosuch]", "fe80::1%nosuch"), ("[fe80::1%251]", "fe80::1%1"),
      ("[fe80::1%25a%2db]", "fe80::1%a-b"),
    ])
  func read(text: String, name: String) throws {
    let host = try #require(URLHost(text))
    #expect(host.name == name)
    // What is written is read again as the same.
    #expect(URLHost(URLHost.inURL(name)) == host)
  }

  @Test(
    "what is no host is refused",
    arguments: [
      "", "[::1", "::1", "[1.2.3.4]", "[v1.x]", "[]", "[::1]x", "[::1%25]", "[::1%]", "[g::1]",
      "a%2fb", "a%00b", "a%20b", "a b", "a%40b", "a%4", "a%", "a%zz", "a!b", "a*b", "a,b", "a(b)",
      "a;b=c", "a'b", "münchen.test", "%E4%B8%AD.test", "a:80", "a@b",
      String(repeating: "a", count: 254),
    ])
  func refused(text: String) {
    #expect(URLHost(text) == nil)
  }

  @Test("a certificate names neither the final dot nor the zone")
  func certificateNames() {
    #expect(URLHost.certificateName(of: "redis.example.") == "redis.example")
    #expect(URLHost.certificateName(of: "fe80::1%lo") == "fe80::1")
    #expect(URLHost.certificateName(of: "10.0.0.1") == "10.0.0.1")
  }

  @Test("addresses are told from names without asking anybody")
  func addresses() {
    for host in ["127.0.0.1", "127.1", "::1", "::1%lo", "::ffff:127.0.0.1"] {
      #expect(SystemResolver.address(host) != nil, "\(host)")
    }
    for host in ["localhost", "127.0.0.1.", "fe80::1%nosuch", "a:b", ""] {
      #expect(SystemResolver.address(host) == nil, "\(host)")
    }
  }
}
