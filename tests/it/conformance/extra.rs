//! What the suite does not try with metadata's issuer and ID tokens: look-alikes, and confusions of tokens and keys. One row each;
//! the corpora of the same tricks are in `tests/it/oidc`.

use serde_json::{Value, json};

use super::row::{At, Play, Row, change, claims, header, mangle, nothing, row};
use crate::support::hostile_op::{HostileOp, SigningKeys, set};

use Play::{Elsewhere, Login, Stop};

pub const ROWS: &[Row] = &[
    row(
        "issuer-with-slash",
        "ours",
        "`iss` with a slash at the end",
        Stop(At::Tokens, |op| claims(op, change("iss", |iss| json!(format!("{}/", text(iss)))))),
    ),
    row(
        "issuer-in-other-case",
        "ours",
        "`iss` in capitals",
        Stop(At::Tokens, |op| claims(op, change("iss", |iss| json!(text(iss).to_uppercase())))),
    ),
    row(
        "issuer-as-list",
        "ours",
        "`iss` in a list",
        Stop(At::Tokens, |op| claims(op, change("iss", |iss| json!([iss])))),
    ),
    row(
        "metadata-issuer-with-slash",
        "ours",
        "metadata whose `issuer` has a slash more",
        Stop(At::Start, |op| {
            op.turn(|knobs| {
                knobs.discovery = change("issuer", |iss| json!(format!("{}/", text(iss))));
            });
        }),
    ),
    row(
        "metadata-issuer-missing",
        "ours",
        "metadata without `issuer`",
        Stop(At::Start, |op| op.turn(|knobs| knobs.discovery = set("issuer", None))),
    ),
    row(
        "azp-of-another",
        "ours",
        "`azp` names another client",
        Stop(At::Tokens, |op| claims(op, set("azp", Some(json!("other"))))),
    ),
    row(
        "aud-as-list",
        "ours",
        "us, in a list",
        Login(|op| claims(op, change("aud", |aud| json!([aud]))), nothing),
    ),
    row(
        "second-audience",
        "ours",
        "us and an unknown audience",
        Stop(At::Tokens, |op| claims(op, change("aud", |aud| json!([aud, "other"])))),
    ),
    row(
        "aud-empty",
        "ours",
        "no audience in the list",
        Stop(At::Tokens, |op| claims(op, set("aud", Some(json!([]))))),
    ),
    row(
        "sub-empty",
        "ours",
        "`sub` is empty",
        Stop(At::Tokens, |op| claims(op, set("sub", Some(json!(""))))),
    ),
    row(
        "sub-as-number",
        "ours",
        "`sub` is a number",
        Stop(At::Tokens, |op| claims(op, set("sub", Some(json!(42))))),
    ),
    row(
        "nonce-missing",
        "ours",
        "no `nonce`",
        Stop(At::Tokens, |op| claims(op, set("nonce", None))),
    ),
    row("exp-missing", "ours", "no `exp`", Stop(At::Tokens, |op| claims(op, set("exp", None)))),
    row(
        "exp-past",
        "ours",
        "ended ten minutes ago",
        Stop(At::Tokens, |op| claims(op, change("exp", |exp| json!(exp.as_u64().unwrap() - 905)))),
    ),
    row(
        "exp-as-text",
        "ours",
        "`exp` is a text",
        Stop(At::Tokens, |op| claims(op, change("exp", |exp| json!(exp.to_string())))),
    ),
    row(
        "exp-as-float",
        "ours",
        "`exp` has a fraction",
        Login(|op| claims(op, change("exp", |exp| json!(exp.as_f64().unwrap() + 0.5))), nothing),
    ),
    row(
        "iat-as-text",
        "ours",
        "`iat` is a text",
        Stop(At::Tokens, |op| claims(op, change("iat", |iat| json!(iat.to_string())))),
    ),
    row(
        "nbf-in-an-hour",
        "ours",
        "not good before an hour from now",
        Stop(At::Tokens, |op| claims(op, change_from_exp("nbf", 3_300))),
    ),
    row("unknown-claims", "ours", "three hundred claims more", Login(many_claims, nothing)),
    row(
        "access-token-as-id-token",
        "ours",
        "`typ` is `at+jwt`",
        Stop(At::Tokens, |op| header(op, set("typ", Some(json!("at+jwt"))))),
    ),
    row(
        "logout-token-as-id-token",
        "ours",
        "`typ` is `logout+jwt`",
        Stop(At::Tokens, |op| header(op, set("typ", Some(json!("logout+jwt"))))),
    ),
    row(
        "crit",
        "ours",
        "an extension that must be understood",
        Stop(At::Tokens, |op| header(op, set("crit", Some(json!(["exp"]))))),
    ),
    row(
        "embedded-key",
        "ours",
        "signed by the key in its own header",
        Stop(At::Tokens, |op| foreign_key(op, true)),
    ),
    row(
        "foreign-key",
        "ours",
        "signed by a key that is not published",
        Stop(At::Tokens, |op| foreign_key(op, false)),
    ),
    row(
        "hs256-with-the-public-key",
        "ours",
        "HS256 by a public key",
        Elsewhere("an_hmac_keyed_with_the_public_key_refuses_the_login"),
    ),
    row(
        "payload-changed",
        "ours",
        "another user under the old signature",
        Stop(At::Tokens, |op| mangle(op, another_user)),
    ),
    row(
        "two-parts",
        "ours",
        "an ID token without its third part",
        Stop(At::Tokens, |op| mangle(op, |token| json!(token.rsplit_once('.').unwrap().0))),
    ),
];

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A date that many seconds after the token's end.
fn change_from_exp(name: &'static str, seconds: u64) -> crate::support::hostile_op::Edit {
    crate::support::hostile_op::edit(move |claims| {
        let at = claims["exp"].as_u64().unwrap() + seconds;
        claims.insert(name.to_owned(), json!(at));
    })
}

fn many_claims(op: &HostileOp) {
    claims(
        op,
        crate::support::hostile_op::edit(|claims| {
            claims.extend((0..300).map(|number| (format!("c{number}"), json!(number))));
        }),
    );
}

/// Signs by a key that is not among the published ones; it may stand in the header itself.
fn foreign_key(op: &HostileOp, is_embedded: bool) {
    let keys = SigningKeys::shared();
    op.turn(|knobs| {
        knobs.publish(&[keys.rsa.jwk(Some("k1"), &json!({}))]);
        knobs.sign_with(&keys.other_rsa, "RS256", Some("k1"));
        if is_embedded {
            knobs.header = set("jwk", Some(keys.other_rsa.jwk(Some("k1"), &json!({}))));
        }
    });
}

fn another_user(token: &str) -> Value {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let parts: Vec<&str> = token.split('.').collect();
    let claims = URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
    let claims = String::from_utf8(claims).unwrap().replace("\"alice\"", "\"bobby\"");
    json!(format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(claims), parts[2]))
}
