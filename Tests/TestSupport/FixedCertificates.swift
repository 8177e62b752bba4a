/// Certificates for tests alone, made for them and trusted by nothing else.
///
/// They come from one authority but for the last, and are good for a hundred years but for the
/// expired one.
package enum FixedCertificates {
  /// The authority that signed the others.
  package static let authority = """
    -----BEGIN CERTIFICATE-----
    MIIBezCCASGgAwIBAgIUVECvZwwqgPjMk5lW+JQCY0unBpkwCgYIKoZIzj0EAwIw
    KjEoMCYGA1UEAwwfVGVzdCBDQSBvZiB0aGUgc2ltdWxhdGVkIFdlQ2hhdDAgFw0y
    MDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowKjEoMCYGA1UEAwwfVGVzdCBD
    QSBvZiB0aGUgc2ltdWxhdGVkIFdlQ2hhdDBZMBMGByqGSM49AgEGCCqGSM49AwEH
    A0IABMgNoDw8LNtrl5UeAm0osTUG0DnRDXbvM3L1kFp3y5xc2Bgt0S+f2o6V3I8w
    SL4Qs5KTlHQ5l0N2X8FPgVO5iOajIzAhMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0P
    AQH/BAQDAgGGMAoGCCqGSM49BAMCA0gAMEUCIQDYlnMv2hf6OM8awfH7ACsKr1as
    q44QiSaByB/9Vxr9jAIgVQpvtpdEHWyGFwVfRmV23v5PdWTNvhRUXTQABf5OlLg=
    -----END CERTIFICATE-----
    """

  /// For `localhost`.
  package static let localhost = """
    -----BEGIN CERTIFICATE-----
    MIIBfDCCASOgAwIBAgIUL6ZuUtM0XGNHLRpvMySnJBqdIowwCgYIKoZIzj0EAwIw
    KjEoMCYGA1UEAwwfVGVzdCBDQSBvZiB0aGUgc2ltdWxhdGVkIFdlQ2hhdDAgFw0y
    MDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowFDESMBAGA1UEAwwJbG9jYWxo
    b3N0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEs8YnhOK8MLefAtFouEhycDjZ
    qeAMOE7mmKqZtPkLB2AnQbS4ORVU4zajpW4dk+BtPKSvKjgQoBrFylZULHBNnKM7
    MDkwFAYDVR0RBA0wC4IJbG9jYWxob3N0MAwGA1UdEwEB/wQCMAAwEwYDVR0lBAww
    CgYIKwYBBQUHAwEwCgYIKoZIzj0EAwIDRwAwRAIgN5XjqDAsK7EB6tzGBr+DCkSB
    fX8aGwbLKeSevpBW7jcCIG5VTlJh2+CpxWz+qpPvgJ8W7L5N11ON1To57ZStwU+H
    -----END CERTIFICATE-----
    """

  /// Its key.
  package static let localhostKey = """
    -----BEGIN PRIVATE KEY-----
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgnpClV7Era7+XGOee
    LcFPtt2Go3d1zaloZsSRB4oXfeChRANCAASzxieE4rwwt58C0Wi4SHJwONmp4Aw4
    TuaYqpm0+QsHYCdBtLg5FVTjNqOlbh2T4G08pK8qOBCgGsXKVlQscE2c
    -----END PRIVATE KEY-----
    """

  /// For `other.example`.
  package static let otherName = """
    -----BEGIN CERTIFICATE-----
    MIIBhDCCASugAwIBAgIUVuM2AwfQplbruf33LqReqtts15gwCgYIKoZIzj0EAwIw
    KjEoMCYGA1UEAwwfVGVzdCBDQSBvZiB0aGUgc2ltdWxhdGVkIFdlQ2hhdDAgFw0y
    MDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowGDEWMBQGA1UEAwwNb3RoZXIu
    ZXhhbXBsZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABHoO5qyIkPKsgpbRcpgH
    KdjpfLhmN0TmP3erUcvSA9KNwQm018a5Q2QcRIO0ynnZFdlObbFcCzbvZnXFRyvJ
    bJmjPzA9MBgGA1UdEQQRMA+CDW90aGVyLmV4YW1wbGUwDAYDVR0TAQH/BAIwADAT
    BgNVHSUEDDAKBggrBgEFBQcDATAKBggqhkjOPQQDAgNHADBEAiAZExi4+lUr1jwE
    15OsNpJtc8HWRiZCkqIXtPf+FNqsYgIgPWOVYLybhPYhWDAJARWEJRWcyouYmMEt
    no+gcOxJ4FY=
    -----END CERTIFICATE-----
    """

  /// Its key.
  package static let otherNameKey = """
    -----BEGIN PRIVATE KEY-----
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg0uw4ln6tIfo97P70
    i2dYskIRiJn4sGxyJdZUh9pnQ6qhRANCAAR6DuasiJDyrIKW0XKYBynY6Xy4ZjdE
    5j93q1HL0gPSjcEJtNfGuUNkHESDtMp52RXZTm2xXAs272Z1xUcryWyZ
    -----END PRIVATE KEY-----
    """

  /// For `localhost`, but only in 2020.
  package static let expired = """
    -----BEGIN CERTIFICATE-----
    MIIBfDCCASGgAwIBAgIUXcBJeQNOGeTIzFATIXqXYJLHxYIwCgYIKoZIzj0EAwIw
    KjEoMCYGA1UEAwwfVGVzdCBDQSBvZiB0aGUgc2ltdWxhdGVkIFdlQ2hhdDAeFw0y
    MDAxMDEwMDAwMDBaFw0yMTAxMDEwMDAwMDBaMBQxEjAQBgNVBAMMCWxvY2FsaG9z
    dDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABLofzwkhBz3eBlNvzRr/89/1gDr9
    RPZGjVj5radkwQggVzGk/efliSTmR8oc4jdnh9WfdPxUIYyonwpzkxxMkBejOzA5
    MBQGA1UdEQQNMAuCCWxvY2FsaG9zdDAMBgNVHRMBAf8EAjAAMBMGA1UdJQQMMAoG
    CCsGAQUFBwMBMAoGCCqGSM49BAMCA0kAMEYCIQC1S2LV/pt2HfRgVXw84Gjqi3U5
    +TaMwLox0cNMu+7fygIhAIp49oqelQDmJ+P5cZb9vqKteVXd0dDoWanFNvZ1iNcg
    -----END CERTIFICATE-----
    """

  /// Its key.
  package static let expiredKey = """
    -----BEGIN PRIVATE KEY-----
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgKn/kcXKaFYCN0AB7
    1V0yZaronxjywZlTPKMxFv/4BwyhRANCAAS6H88JIQc93gZTb80a//Pf9YA6/UT2
    Ro1Y+a2nZMEIIFcxpP3n5Ykk5kfKHOI3Z4fVn3T8VCGMqJ8Kc5McTJAX
    -----END PRIVATE KEY-----
    """

  /// For addresses of this host alone, though its common name is `localhost`; signed by itself.
  package static let address = """
    -----BEGIN CERTIFICATE-----
    MIIBozCCAUigAwIBAgIUSck7sbEuLARAfoJOEsV3reV13HAwCgYIKoZIzj0EAwIw
    FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyOTE4MDcwNVoYDzIxMjYxMTA1
    MTgwNzA1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
    PQMBBwNCAARS0NkTHSenTAfOBH/q6og8QV3AVHZtv5XjUywTZTKVOdpF2czdIhT5
    x0sdJOhFI1KpbguUV1h7ByukAmOqtx5mo3YwdDAdBgNVHQ4EFgQU3n76f8Bk4at4
    DoucPcv/T5588X8wHwYDVR0jBBgwFoAU3n76f8Bk4at4DoucPcv/T5588X8wDwYD
    VR0TAQH/BAUwAwEB/zAhBgNVHREEGjAYhwR/AAABhxAAAAAAAAAAAAAAAAAAAAAB
    MAoGCCqGSM49BAMCA0kAMEYCIQCevOB5tE5Ss51zcAkV8AAOYH26yDXxiKZ8SM5O
    LrP80gIhAKIMB60m0egbOFFq2esztc3y7AiP/hRbd6SlP+EMtYUE
    -----END CERTIFICATE-----
    """

  /// Its key.
  package static let addressKey = """
    -----BEGIN PRIVATE KEY-----
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgf70R3ng5pUMYkY+h
    qX1yMCNM+miJxcfNomOHFlblekShRANCAARS0NkTHSenTAfOBH/q6og8QV3AVHZt
    v5XjUywTZTKVOdpF2czdIhT5x0sdJOhFI1KpbguUV1h7ByukAmOqtx5m
    -----END PRIVATE KEY-----
    """
}
