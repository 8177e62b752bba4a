/// How an error message ends; WeChat changed the form over the years.
public enum MessageSuffix: String, Hashable, Sendable, CaseIterable {
  /// `… rid: 609deb67-3288bef4-69fe5dee`, since 2020; with a comma where WeChat has one.
  case requestID
  /// The same with a comma everywhere.
  case requestIDAfterComma
  /// `… hint: [3t96CA08684525]`, to 2019.
  case hint
  /// `… hints: [ req_id: hO6NCa0089th50 ]`, about 2018 to 2020.
  case hints
}

/// The message of an errcode as seen on the wire, or as in WeChat's table where no body was seen.
func errorText(_ code: Int) -> String {
  switch code {
  case -1: "system error"
  case 40001:
    "invalid credential, access_token is invalid or not latest, could get access_token by "
      + "getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r"
  case 40002: "invalid grant_type"
  case 40013: "invalid appid"
  case 40014: "invalid access_token"
  case 40091: "secret is invalid"
  case 40125: "invalid appsecret"
  case 40164: "invalid ip, not in whitelist"
  case 40243: "appsecret is frozen"
  case 41001: "access_token missing"
  case 41002: "appid missing"
  case 41004: "appsecret missing"
  case 42001: "access_token expired"
  case 43002: "require POST method"
  case 43003: "require https"
  case 44002: "empty post data"
  case 45009: "reach max api daily quota limit"
  case 45011: "api minute-quota reach limit mustslower retry next minute"
  case 45033: "concurrency out of limit"
  case 45035: "access clientip is not registered, not in ip-white-list"
  case 47001: "data format error"
  case 48001: "api unauthorized"
  case 48004: "api forbidden for irregularities, view detail on mp.weixin.qq.com"
  case 48006: "forbid to clear quota because of reaching the limit"
  case 48017: "api forbidden from this ip"
  case 50002: "user limited"
  case 50004: "user not allow to use accesstoken, maybe for punishment"
  case 50007: "account is frozen"
  case 60020: "not allow to access from your ip"
  case 61004: "access clientip is not registered"
  case 61024: "must use api(api_component_token) to get token for component acct"
  case 76001: "rid not found"
  case 76002: "rid is for another account"
  case 76003: "rid or cgi_path is empty or malformed"
  case 76021: "cgi_path not found"
  case 76022: "cgi_path is not for this account type"
  case 89503: "this ip needs the administrator's confirmation"
  case 89506: "this ip was refused by the administrator, retry after 24 hours"
  case 89507: "this ip was refused by the administrator, retry after 1 hour"
  default: "error"
  }
}

/// Whether WeChat puts a comma between that error's message and its request id.
func hasComma(_ code: Int) -> Bool { code == 40125 || code == 48001 }
