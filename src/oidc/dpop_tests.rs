//! What a proof says, which nonces count, and whose time it bears.

use std::collections::HashSet;

use rstest::rstest;

use super::*;

fn dpop() -> Dpop {
    let key = ClientKey::parse(&ClientKey::generate().unwrap(), false).unwrap();
    Dpop::new(Arc::new(key), Clock::manual(Timestamp(1_000_000)), Random::system())
}

fn claims(proof: &str) -> Value {
    let part = proof.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn target<'a>(origin: &'a str, token: Option<&'a Secret<String>>) -> Target<'a> {
    Target { method: "GET", origin, path: "/a", token }
}

// proves: SC-01, SC-02
#[test]
fn a_proof_names_what_it_is_for_and_shows_the_public_key_alone() {
    let dpop = dpop();
    let token = Secret::from("the-token");
    let proof = dpop.proof(target("https://api.example", Some(&token))).unwrap();
    let header = proof.split('.').next().unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    assert_eq!((&header["typ"], &header["alg"]), (&json!("dpop+jwt"), &json!("ES256")));
    let names: Vec<&String> = header["jwk"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["crv", "kty", "x", "y"]);
    let claims = claims(&proof);
    assert_eq!(claims["htu"], "https://api.example/a");
    let digest = Sha256::digest(b"the-token");
    assert_eq!(claims["ath"], URL_SAFE_NO_PAD.encode(digest));
    assert!(claims.get("nonce").is_none());
    assert!(!format!("{dpop:?}").contains("PRIVATE") && !proof.contains("the-token"));
}

// proves: SC-01
#[test]
fn no_two_of_ten_thousand_proofs_are_alike() {
    let dpop = dpop();
    let proofs = (0..10_000).map(|_| claims(&dpop.proof(target("https://a", None)).unwrap()));
    let ids: HashSet<String> =
        proofs.map(|claims| claims["jti"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 10_000);
}

// proves: SC-04
#[rstest]
#[case::one(&[&b"abc"[..]], true)]
#[case::same_as_before(&[&b"known"[..]], true)]
#[case::two(&[&b"abc"[..], b"def"], false)]
#[case::none(&[], false)]
#[case::empty(&[&b""[..]], false)]
#[case::quote(&[&b"a\"b"[..]], false)]
#[case::line_end(&[&b"a\nb"[..]], false)]
#[case::no_text(&[&b"\xff"[..]], false)]
#[case::long(&[&[b'a'; 513][..]], false)]
fn a_nonce_is_heard_when_it_is_one(#[case] lines: &[&[u8]], #[case] learned: bool) {
    let dpop = dpop();
    assert!(dpop.learn("https://a", [&b"known"[..]]));
    assert_eq!(dpop.learn("https://a", lines.iter().copied()), learned);
    let nonce = if lines == [b"abc"] { "abc" } else { "known" };
    assert_eq!(claims(&dpop.proof(target("https://a", None)).unwrap())["nonce"], nonce);
    // Each server has its own.
    assert!(claims(&dpop.proof(target("https://b", None)).unwrap()).get("nonce").is_none());
}

// proves: SC-10
#[rstest]
#[case::close(1_000_003, 1_000_000)]
#[case::ahead(1_000_120, 1_000_120)]
#[case::behind(999_880, 999_880)]
fn a_clock_that_is_far_from_the_servers_is_put_right(#[case] theirs: u64, #[case] expected: u64) {
    let dpop = dpop();
    dpop.heard_time(Timestamp(theirs));
    assert_eq!(claims(&dpop.proof(target("https://a", None)).unwrap())["iat"], expected);
}
