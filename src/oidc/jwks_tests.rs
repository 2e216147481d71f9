//! Which keys of a set are used for which token.

use aws_lc_rs::signature::{
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RsaPublicKeyComponents,
};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::oidc::error::IdTokenFault;
use crate::oidc::jws::{Kind, Unverified};

/// `n` of 2048 bits; only its length matters here.
fn modulus(bits: usize) -> String {
    let mut n = vec![0xff; bits / 8];
    n[0] = 0x80;
    URL_SAFE_NO_PAD.encode(n)
}

fn x(size: usize) -> String {
    URL_SAFE_NO_PAD.encode(vec![7; size])
}

fn rsa_jwk() -> Value {
    json!({"kty": "RSA", "n": modulus(2048), "e": "AQAB"})
}

fn with(mut jwk: Value, name: &str, value: Value) -> Value {
    jwk[name] = value;
    jwk
}

fn count(keys: &[Value], algorithm: &str, id: Option<&str>) -> usize {
    let set = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
    set.candidates(super::algorithm(algorithm).unwrap(), algorithm, id).count()
}

// proves: ID-07
#[rstest]
#[case::plain(rsa_jwk(), 1)]
#[case::signing_use(with(rsa_jwk(), "use", json!("sig")), 1)]
#[case::encryption_use(with(rsa_jwk(), "use", json!("enc")), 0)]
#[case::odd_use(with(rsa_jwk(), "use", json!(1)), 0)]
#[case::verifies(with(rsa_jwk(), "key_ops", json!(["verify"])), 1)]
#[case::encrypts(with(rsa_jwk(), "key_ops", json!(["encrypt"])), 0)]
#[case::its_algorithm(with(rsa_jwk(), "alg", json!("RS256")), 1)]
#[case::other_algorithm(with(rsa_jwk(), "alg", json!("PS256")), 0)]
#[case::encryption_algorithm(with(rsa_jwk(), "alg", json!("RSA-OAEP")), 0)]
#[case::private_members(with(rsa_jwk(), "d", json!("AQAB")), 1)]
#[case::unknown_member(with(rsa_jwk(), "x5c", json!(["AAAA"])), 1)]
#[case::odd_id(with(rsa_jwk(), "kid", json!(5)), 0)]
#[case::short(with(rsa_jwk(), "n", json!(modulus(1024))), 0)]
#[case::short_with_zeros(with(rsa_jwk(), "n", json!(URL_SAFE_NO_PAD.encode([[0; 128], [0xff; 128]].concat()))), 0)]
#[case::one_bit_short(with(rsa_jwk(), "n", json!(URL_SAFE_NO_PAD.encode([&[0x7f_u8][..], &[0xff; 255]].concat()))), 0)]
#[case::huge(with(rsa_jwk(), "n", json!(modulus(16_384))), 0)]
#[case::padded(with(rsa_jwk(), "e", json!("AQAB==")), 0)]
#[case::no_modulus(json!({"kty": "RSA", "e": "AQAB"}), 0)]
#[case::symmetric(json!({"kty": "oct", "k": "AAAA"}), 0)]
#[case::unknown_type(json!({"kty": "AKP", "pub": "AAAA"}), 0)]
#[case::no_type(json!({"n": modulus(2048), "e": "AQAB"}), 0)]
#[case::no_object(json!("key"), 0)]
fn a_key_is_usable_for_rs256_or_skipped(#[case] jwk: Value, #[case] usable: usize) {
    assert_eq!(count(std::slice::from_ref(&jwk), "RS256", None), usable);
    // It spoils no other key.
    assert_eq!(count(&[jwk, rsa_jwk()], "RS256", None), usable + 1);
}

// proves: ID-07
#[rstest]
#[case::p256("P-256", 32, "ES256", 1)]
#[case::p384("P-384", 48, "ES384", 1)]
#[case::p256_for_es384("P-256", 32, "ES384", 0)]
#[case::p384_for_es256("P-384", 48, "ES256", 0)]
#[case::secp256k1("secp256k1", 32, "ES256", 0)]
#[case::short_point("P-256", 31, "ES256", 0)]
#[case::rsa_wanted("P-256", 32, "RS256", 0)]
fn a_curve_fits_its_algorithm_only(
    #[case] curve: &str,
    #[case] size: usize,
    #[case] algorithm: &str,
    #[case] usable: usize,
) {
    let jwk = json!({"kty": "EC", "crv": curve, "x": x(size), "y": x(size)});
    assert_eq!(count(&[jwk], algorithm, None), usable);
}

// proves: ID-07
#[test]
fn twelve_keys_without_an_id_give_the_three_that_fit() {
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(rsa_jwk());
        keys.push(json!({"kty": "EC", "crv": "P-256", "x": x(32), "y": x(32)}));
        keys.push(json!({"kty": "EC", "crv": "secp256k1", "x": x(32), "y": x(32)}));
        keys.push(json!({"kty": "OKP", "crv": "Ed25519", "x": x(32)}));
    }
    for algorithm in ["RS256", "PS512", "ES256", "EdDSA"] {
        assert_eq!(count(&keys, algorithm, None), 3, "{algorithm}");
        assert_eq!(count(&keys, algorithm, Some("k")), 0, "{algorithm}");
    }
}

// proves: ID-07
#[test]
fn decoys_of_one_id_are_told_apart_by_type_and_algorithm() {
    let keys = [
        json!({"kid": "k", "kty": "OKP", "crv": "Ed25519", "x": x(32), "alg": "EdDSA"}),
        json!({"kid": "k", "kty": "EC", "crv": "P-256", "x": x(32), "y": x(32), "alg": "ES256"}),
        with(with(rsa_jwk(), "kid", json!("k")), "alg", json!("PS256")),
    ];
    for (algorithm, usable) in
        [("EdDSA", 1), ("ES256", 1), ("PS256", 1), ("RS256", 0), ("ES384", 0)]
    {
        assert_eq!(count(&keys, algorithm, Some("k")), usable, "{algorithm}");
        assert_eq!(count(&keys, algorithm, Some("other")), 0, "{algorithm}");
    }
}

// proves: ID-07
#[test]
fn a_signature_by_a_1024_bit_key_counts_for_nothing() {
    let n = "5F3NchJrW-iA4zcTAXWgJwOJ_sKEGcn7Qj827Y9rNCp0J64JzfsDTVB7cYfA45GyulQHVpTGFNLt5nF9wlGyZ3iY7ijqcaV-nqU1xjzqpbvun7F6mz-Ndaf3f1cBh6Ak3Np7_kBTZJUlXLJQwNAH708R7Vzvcedhj5zsx5jotM8";
    let token = "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogInNob3J0In0.eyJzdWIiOiAiYWxpY2UifQ.4nepOF-_gbSErGgN5-CEGle-GkH5XY8HjrCA_XNbyJ1eFwkm6PdL0xo70bwlD1-iIs_0QCMaCJHZBdo2Rgf248Xmn165x5g3nxeb9dI4Y8Wt1uL9q9Pbs5rKslLaVCVUE7ROIkf2mQJaHuYv3zCVyjmHZyOJKe6KEtPbjdeNV5s";
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let public = RsaPublicKeyComponents { n: URL_SAFE_NO_PAD.decode(n).unwrap(), e: vec![1, 0, 1] };
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let legacy = &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY;
    public.verify(legacy, signed.as_bytes(), &signature).expect("the signature itself is good");

    let set = json!({"keys": [{"kty": "RSA", "kid": "short", "n": n, "e": "AQAB"}]});
    let set = KeySet::parse(set.to_string().as_bytes()).unwrap();
    let token = Unverified::parse(token, Kind::Plain, &[Algorithm::RS256]).unwrap();
    assert_eq!(token.claims(&set), Err(IdTokenFault::Key));
}

// proves: ID-07
#[test]
fn the_number_of_keys_is_bounded() {
    let set = |n| json!({"keys": vec![json!({}); n]}).to_string();
    assert!(KeySet::parse(set(MOST_KEYS).as_bytes()).is_ok());
    assert!(KeySet::parse(set(MOST_KEYS + 1).as_bytes()).is_err());
    assert!(KeySet::parse(set(10_000).as_bytes()).is_err());
}

// proves: AR-08
#[rstest]
#[case("{}")]
#[case(r#"{"keys":{}}"#)]
#[case(r#"{"keys":[],"keys":[]}"#)]
#[case("[]")]
#[case("<html>")]
fn what_is_no_key_set_is_refused(#[case] text: &str) {
    assert!(KeySet::parse(text.as_bytes()).is_err());
}

// proves: ID-05
#[rstest]
fn no_symmetric_or_unknown_algorithm_is_known(
    #[values(
        "none", "None", "nOnE", "", "HS256", "HS384", "HS512", "rs256", "RS1", "ES256K", "A128KW"
    )]
    name: &str,
) {
    assert_eq!(super::algorithm(name), None);
}

proptest! {
    #[test]
    fn any_bytes_are_a_key_set_or_not_without_panic(bytes: Vec<u8>) {
        let _ = KeySet::parse(&bytes);
    }

    #[test]
    fn any_members_make_a_key_or_none_without_panic(
        kty in "RSA|EC|OKP|oct", crv in "P-256|P-384|Ed25519|x", n in "[A-Za-z0-9_=-]{0,60}", e in "[A-Za-z0-9_-]{0,6}"
    ) {
        let set = json!({"keys": [{"kty": kty, "crv": crv, "n": n, "e": e, "x": n, "y": n}]});
        prop_assert!(KeySet::parse(set.to_string().as_bytes()).is_ok());
    }
}
