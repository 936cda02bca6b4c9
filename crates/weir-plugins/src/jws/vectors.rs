//! Tokens and keys that others published, and keys of every kind against algorithms of every kind.
//!
//! The PEM files beside this one hold the public keys of RFC 7520 (3.3) and RFC 7515 (A.3), written with OpenSSL 3.0.19;
//! the certificate signs itself. The key of 1024 bits is nobody's.

use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;

/// RFC 7515, A.1.
const A1_KEY: &str = r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
const A1: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// RFC 7515, A.2.
const A2_KEY: &str = r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#;
const A2: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
/// RFC 7515, A.3.
const A3_KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
const A3: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
/// RFC 7515, A.4.
const A4_KEY: &str = r#"{"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk","y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}"#;
const A4: &str = "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn";
/// RFC 7515, A.5.
const A5: &str = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.";
/// RFC 7520, 4.2, with the key of 3.3.
const PS384_KEY: &str = r#"{"kty":"RSA","kid":"bilbo.baggins@hobbiton.example","use":"sig","n":"n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw","e":"AQAB"}"#;
const PS384: &str = "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4.cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw";
/// RFC 7520, 4.3, with the key of 3.1.
const ES512_KEY: &str = r#"{"kty":"EC","kid":"bilbo.baggins@hobbiton.example","use":"sig","crv":"P-521","x":"AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt","y":"AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-HqHZR1"}"#;
const ES512: &str = "eyJhbGciOiJFUzUxMiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4.AE_R_YZCChjn4791jSQCrdPZCNYqHXCTZH0-JZGYNlaAjP2kqaluUIIUnC9qvbu9Plon7KRTzoNEuT4Va2cmL1eJAQy3mtPBu_u_sDDyYjnAMDxXPn7XrT0lw-kvAD890jl8e2puQens_IEKBpHABlsbEPX6sFY8OcGDqoRuBomu9xQ2";
/// RFC 7520, 4.4, with the key of 3.5.
const HS256_KEY: &str = r#"{"kty":"oct","kid":"018c0ae5-4d9b-471b-bfd6-eef314bc7037","use":"sig","alg":"HS256","k":"hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg"}"#;
const HS256: &str = "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9.SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4.s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0";
/// RFC 8037, A.2 and A.4.
const ED25519_KEY: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const ED25519: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

const PUBLISHED: [(&str, &str, Algorithm); 8] = [
    (A1_KEY, A1, Algorithm::Hs256),
    (A2_KEY, A2, Algorithm::Rs256),
    (A3_KEY, A3, Algorithm::Es256),
    (A4_KEY, A4, Algorithm::Es512),
    (PS384_KEY, PS384, Algorithm::Ps384),
    (ES512_KEY, ES512, Algorithm::Es512),
    (HS256_KEY, HS256, Algorithm::Hs256),
    (ED25519_KEY, ED25519, Algorithm::EdDsa),
];

fn jwk(json: &str) -> Jwk {
    Jwk::parse(&serde_json::from_str(json).unwrap()).unwrap()
}

#[test]
fn published_tokens_are_verified_and_their_neighbours_are_not() {
    for (key, text, algorithm) in PUBLISHED {
        let (key, token) = (jwk(key), Compact::parse(text).unwrap());
        assert_eq!(token.header().unwrap().algorithm(), Some(algorithm));
        assert!(key.fits(algorithm));
        assert_eq!(token.verify(&key.key, algorithm), Ok(()), "{text}");
        // One letter further in the header, the payload, the signature.
        let dots: Vec<usize> = text.match_indices('.').map(|(at, _)| at).collect();
        for at in [2, dots[0] + 2, dots[1] + 2] {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(bytes).unwrap();
            let verified = Compact::parse(&other).unwrap().verify(&key.key, algorithm);
            assert_eq!(verified, Err(Error::Signature), "{other}");
        }
    }
    let claims = Compact::parse(A1).unwrap();
    let claims = claims.claims().unwrap();
    assert_eq!(claims.text("iss"), Some("joe"));
    assert_eq!(claims.number("exp"), Some(1_300_819_380.0));
}

#[test]
fn what_nobody_signed_is_verified_by_no_key() {
    let token = Compact::parse(A5).unwrap();
    assert_eq!(token.header().unwrap().algorithm(), None);
    for (key, _, _) in PUBLISHED {
        for (_, algorithm) in Algorithm::ALL {
            assert!(token.verify(&jwk(key).key, algorithm).is_err());
        }
    }
}

#[test]
fn a_signature_cut_short_or_of_nothing_is_wrong() {
    for (key, text, algorithm) in PUBLISHED {
        let key = jwk(key).key;
        let (signed, signature) = text.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let cut = &signature[..signature.len() - 1];
        for wrong in [&[][..], cut, &[cut, &[0, 0]].concat(), &vec![0; signature.len()]] {
            assert_eq!(key.verify(algorithm, signed.as_bytes(), wrong), Err(Error::Signature));
        }
    }
}

#[test]
fn keys_of_pem_are_those_of_the_json() {
    for (pem, text, algorithm) in [
        (include_str!("vectors/rsa-spki.pem"), PS384, Algorithm::Ps384),
        (include_str!("vectors/rsa-pkcs1.pem"), PS384, Algorithm::Ps384),
        (include_str!("vectors/ec-spki.pem"), A3, Algorithm::Es256),
        (include_str!("vectors/ec-certificate.pem"), A3, Algorithm::Es256),
    ] {
        let key = Key::from_pem(pem).unwrap();
        assert_eq!(Compact::parse(text).unwrap().verify(&key, algorithm), Ok(()));
        // Line ends and blanks are a matter of taste.
        let one_line = pem.replace('\n', "\r\n  ");
        assert!(Key::from_pem(&one_line).is_ok());
    }
    let small = include_str!("vectors/rsa1024-spki.pem");
    assert_eq!(Key::from_pem(small).err(), Some(KeyError::Size));
}

#[test]
fn what_is_no_key_is_refused() {
    let spki = include_str!("vectors/ec-spki.pem");
    for pem in
        ["", "-----BEGIN PUBLIC KEY-----", &spki.replace("MFkw", "MFkx"), &spki.replace("PUBLIC", "PRIVATE")]
    {
        assert!(Key::from_pem(pem).is_err(), "{pem}");
    }
    // Every byte of the certificate changed and every beginning of it: refused, or a key, but no panic.
    let certificate = include_str!("vectors/ec-certificate.pem");
    for at in 0..certificate.len() {
        let _ = Key::from_pem(&certificate[..at]);
        let mut bytes = certificate.as_bytes().to_vec();
        bytes[at] ^= 3;
        let _ = Key::from_pem(&String::from_utf8_lossy(&bytes));
    }
    let key = |json: Value| Jwk::parse(&json).err();
    let changed = |json: &str, name: &str, value: Value| {
        let mut json: Value = serde_json::from_str(json).unwrap();
        json[name] = value;
        key(json)
    };
    assert_eq!(key(json!([])), Some(KeyError::Form));
    assert_eq!(key(json!({"kty": "oct", "k": ""})), Some(KeyError::Form));
    assert_eq!(changed(A3_KEY, "crv", json!("P-384")), Some(KeyError::Form));
    assert_eq!(changed(A3_KEY, "crv", json!("secp256k1")), Some(KeyError::Kind));
    assert_eq!(changed(A3_KEY, "y", json!(URL_SAFE_NO_PAD.encode([1; 32]))), Some(KeyError::Invalid));
    assert_eq!(changed(A2_KEY, "e", json!("AQ")), Some(KeyError::Invalid));
    assert_eq!(changed(A2_KEY, "e", json!("Ag")), Some(KeyError::Invalid));
    assert_eq!(changed(A2_KEY, "n", json!(URL_SAFE_NO_PAD.encode([0x81; 128]))), Some(KeyError::Size));
    assert_eq!(changed(A2_KEY, "use", json!("enc")), Some(KeyError::Kind));
    assert_eq!(changed(A2_KEY, "key_ops", json!(["encrypt"])), Some(KeyError::Kind));
    assert_eq!(changed(A2_KEY, "alg", json!("ES256")), Some(KeyError::Kind));
    assert_eq!(changed(A2_KEY, "alg", json!("RSA-OAEP")), Some(KeyError::Kind));
    assert_eq!(changed(ED25519_KEY, "crv", json!("X25519")), Some(KeyError::Kind));
}

#[test]
fn a_set_gives_the_keys_that_a_token_may_be_signed_with() {
    let keys: Vec<Value> = [HS256_KEY, PS384_KEY, ES512_KEY, A2_KEY]
        .into_iter()
        .map(|key| serde_json::from_str(key).unwrap())
        .chain([json!({"kty": "new"}), json!(7)])
        .collect();
    let set = KeySet::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap();
    // No secret is published, and what is not known is left out.
    assert_eq!(set.len(), 3);
    let count = |id, algorithm| set.candidates(id, algorithm).count();
    let bilbo = Some("bilbo.baggins@hobbiton.example");
    assert_eq!((count(bilbo, Algorithm::Rs256), count(None, Algorithm::Rs256)), (1, 2));
    assert_eq!((count(bilbo, Algorithm::Es512), count(Some("frodo"), Algorithm::Es512)), (1, 0));
    assert_eq!((count(None, Algorithm::Hs256), count(None, Algorithm::Es256)), (0, 0));
    assert!(KeySet::parse(b"{}").is_err() && KeySet::parse(&vec![b' '; 1 << 20]).is_err());
}

/// Somebody who signs.
enum Signer {
    Secret(Key),
    Rsa(RsaKeyPair, &'static signature::RsaSignatureEncoding),
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

#[allow(clippy::disallowed_methods, reason = "the library's signing keys draw from it alone")]
fn sign(signer: &Signer, message: &[u8]) -> Vec<u8> {
    let random = aws_lc_rs::rand::SystemRandom::new();
    match signer {
        Signer::Secret(_) => unreachable!(),
        Signer::Rsa(pair, encoding) => {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(*encoding, &random, message, &mut signature).unwrap();
            signature
        }
        Signer::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
        Signer::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
    }
}

/// A key pair for each algorithm: who signs, and what verifies.
fn pairs() -> Vec<(Algorithm, Signer, Key)> {
    let mut all = Vec::new();
    for algorithm in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
        let key = || Key::from_secret(b"secret");
        all.push((algorithm, Signer::Secret(key()), key()));
    }
    let rsa = || RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    for (algorithm, encoding) in [
        (Algorithm::Rs256, &signature::RSA_PKCS1_SHA256),
        (Algorithm::Rs384, &signature::RSA_PKCS1_SHA384),
        (Algorithm::Rs512, &signature::RSA_PKCS1_SHA512),
        (Algorithm::Ps256, &signature::RSA_PSS_SHA256),
        (Algorithm::Ps384, &signature::RSA_PSS_SHA384),
        (Algorithm::Ps512, &signature::RSA_PSS_SHA512),
    ] {
        let pair = rsa();
        let der = base64::engine::general_purpose::STANDARD.encode(pair.public_key());
        let pem = format!("-----BEGIN RSA PUBLIC KEY-----\n{der}\n-----END RSA PUBLIC KEY-----");
        all.push((algorithm, Signer::Rsa(pair, encoding), Key::from_pem(&pem).unwrap()));
    }
    for (algorithm, signing, curve) in [
        (Algorithm::Es256, &signature::ECDSA_P256_SHA256_FIXED_SIGNING, der::Curve::P256),
        (Algorithm::Es384, &signature::ECDSA_P384_SHA384_FIXED_SIGNING, der::Curve::P384),
        (Algorithm::Es512, &signature::ECDSA_P521_SHA512_FIXED_SIGNING, der::Curve::P521),
    ] {
        let pair = EcdsaKeyPair::generate(signing).unwrap();
        let key = Key::ec(curve, pair.public_key().as_ref()).unwrap();
        all.push((algorithm, Signer::Ec(pair), key));
    }
    let pair = Ed25519KeyPair::generate().unwrap();
    let key = Key::ed25519(pair.public_key().as_ref()).unwrap();
    all.push((Algorithm::EdDsa, Signer::Ed25519(pair), key));
    all
}

#[test]
fn each_key_verifies_by_the_algorithms_of_its_kind_alone() {
    let pairs = pairs();
    assert_eq!(pairs.len(), Algorithm::ALL.len());
    for (algorithm, signer, own) in &pairs {
        let header = json!({"alg": algorithm.name()}).to_string();
        let text = match signer {
            Signer::Secret(key) => key.sign(*algorithm, &header, "{}").unwrap(),
            _ => {
                let signed = format!("{}.e30", URL_SAFE_NO_PAD.encode(&header));
                let signature = URL_SAFE_NO_PAD.encode(sign(signer, signed.as_bytes()));
                format!("{signed}.{signature}")
            }
        };
        let token = Compact::parse(&text).unwrap();
        assert_eq!(token.header().unwrap().algorithm(), Some(*algorithm));
        assert_eq!(token.verify(own, *algorithm), Ok(()), "{algorithm:?}");
        for (other, _, key) in &pairs {
            assert_eq!(own.fits(*other), token.verify(own, *other) != Err(Error::Algorithm));
            if other != algorithm {
                assert!(token.verify(own, *other).is_err(), "{algorithm:?} as {other:?}");
                let alike = algorithm.is_symmetric() && other.is_symmetric();
                assert!(alike || token.verify(key, *algorithm).is_err(), "{algorithm:?}, key of {other:?}");
            }
        }
    }
}
