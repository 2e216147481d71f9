//! OpenID Connect Core, Discovery and refresh: the suite's modules for relying parties that use the code flow.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::oracle::{self, hold};
use super::rig::Rig;
use super::row::{
    At, Play, Row, answer, append, claims, header, honest, mangle, nothing, param, row, sign_by,
};
use crate::oidc::keys::crowd;
use crate::support::hostile_op::{Endpoint, HostileOp, SigningKeys, set};

use Play::{Elsewhere, Login, OutOfScope, Refresh, Scene, Stop};

pub const ROWS: &[Row] = &[
    row("oidcc-client-test", "B F", "nothing wrong", Login(honest, nothing)),
    row(
        "oidcc-client-test-invalid-iss",
        "B F",
        "`iss` + \"1\"",
        Stop(At::Tokens, |op| claims(op, append("iss"))),
    ),
    row(
        "oidcc-client-test-missing-sub",
        "B F",
        "no `sub`",
        Stop(At::Tokens, |op| claims(op, set("sub", None))),
    ),
    row(
        "oidcc-client-test-invalid-aud",
        "B F",
        "`aud` + \"1\"",
        Stop(At::Tokens, |op| claims(op, append("aud"))),
    ),
    row(
        "oidcc-client-test-missing-aud",
        "X",
        "no `aud`",
        Stop(At::Tokens, |op| claims(op, set("aud", None))),
    ),
    row(
        "oidcc-client-test-missing-iat",
        "B F",
        "no `iat`",
        Stop(At::Tokens, |op| claims(op, set("iat", None))),
    ),
    row(
        "oidcc-client-test-kid-absent-single-jwks",
        "B F",
        "one RSA key, no `kid`",
        Login(|op| op.turn(|knobs| knobs.key_id = None), nothing),
    ),
    row(
        "oidcc-client-test-kid-absent-multiple-jwks",
        "B F",
        "twelve keys of four kinds, none with `kid` or `alg`",
        Login(twelve_keys, nothing),
    ),
    row(
        "oidcc-client-test-idtoken-sig-rs256",
        "B F",
        "RS256",
        Login(|op| sign_by(op, "RS256"), nothing),
    ),
    row(
        "oidcc-client-test-idtoken-sig-none",
        "B F C D",
        "an unsigned ID token",
        Stop(At::Tokens, |op| mangle(op, unsecured)),
    ),
    row(
        "oidcc-client-test-invalid-sig-rs256",
        "B F",
        "a broken RS256 signature",
        Stop(At::Tokens, |op| mangle(op, broken)),
    ),
    row(
        "oidcc-client-test-invalid-sig-es256",
        "X",
        "a broken ES256 signature",
        Stop(At::Tokens, |op| {
            sign_by(op, "ES256");
            mangle(op, broken);
        }),
    ),
    row(
        "oidcc-client-test-invalid-sig-hs256",
        "X",
        "a broken HS256 tag",
        Stop(At::Tokens, |op| header(op, set("alg", Some(json!("HS256"))))),
    ),
    row(
        "oidcc-client-test-userinfo-bearer-header",
        "B F",
        "reads the header only",
        Login(honest, |op| {
            op.requests(Endpoint::Userinfo)
                .iter()
                .all(|it| it.method == "GET" && it.header("authorization").is_some())
        }),
    ),
    row(
        "oidcc-client-test-userinfo-bearer-body",
        "B F",
        "reads the form body only",
        OutOfScope("tokens travel in the header only; header or body is enough"),
    ),
    row(
        "oidcc-client-test-userinfo-invalid-sub",
        "B F",
        "another `sub` in userinfo",
        Stop(At::Userinfo, |op| op.turn(|knobs| knobs.userinfo = append("sub"))),
    ),
    row(
        "oidcc-client-test-userinfo-signed",
        "D X",
        "RS256-signed userinfo",
        Login(|op| op.turn(|knobs| knobs.signed_userinfo = true), nothing),
    ),
    row(
        "oidcc-client-test-nonce-invalid",
        "B F",
        "`nonce` + \"1\"",
        Stop(At::Tokens, |op| claims(op, append("nonce"))),
    ),
    row(
        "oidcc-client-test-nonce-unless-code-flow",
        "X",
        "wants a nonce",
        Login(honest, |op| asked(op, "nonce").len() >= 22),
    ),
    row(
        "oidcc-client-test-scope-userinfo-claims",
        "B F",
        "claims by scope",
        Login(honest, |op| asked(op, "scope") == "openid profile email phone address"),
    )
    .with("scopes = [\"openid\", \"profile\", \"email\", \"phone\", \"address\"]"),
    row(
        "oidcc-client-test-client-secret-basic",
        "B F",
        "insists on Basic",
        Login(honest, |op| {
            op.requests(Endpoint::Token)
                .iter()
                .all(|it| it.basic().is_some() && it.field("client_secret").is_none())
        }),
    ),
    row(
        "oidcc-client-test-aggregated-claims",
        "X",
        "aggregated claims in userinfo",
        Login(
            |op| {
                op.turn(|knobs| {
                    knobs.userinfo = set("_claim_sources", Some(json!({"a": {"JWT": "e30.e30."}})));
                });
            },
            nothing,
        ),
    ),
    row(
        "oidcc-client-test-distributed-claims",
        "X",
        "distributed claims in userinfo",
        Login(
            |op| {
                let source = json!({"a": {"endpoint": format!("{}/claims", op.issuer), "access_token": "x"}});
                op.turn(|knobs| knobs.userinfo = set("_claim_sources", Some(source)));
            },
            |op| op.requests(Endpoint::Other).iter().all(|it| it.path != "/claims"),
        ),
    ),
    row(
        "oidcc-client-test-form-post-error",
        "X/F",
        "`login_required` in a form",
        Stop(At::Response, |op| {
            answer(op, |params| {
                param(params, "code", |_| None);
                params.push(("error".to_owned(), "login_required".to_owned()));
            });
        }),
    ),
    row(
        "oidcc-client-test-mtls-endpoint-aliases",
        "X",
        "aliases differ from the main endpoints",
        Elsewhere(
            "only_endpoints_for_clients_see_the_certificate_and_at_the_alias_if_there_is_one",
        ),
    ),
    row(
        "oidcc-client-test-invalid-athash",
        "X",
        "a wrong `at_hash` (with implicit and hybrid; here with the code flow)",
        Stop(At::Tokens, |op| claims(op, append("at_hash"))),
    ),
    row(
        "oidcc-client-test-missing-athash",
        "X",
        "no `at_hash`",
        OutOfScope("implicit and hybrid flows; the code flow may leave it out"),
    ),
    row("oidcc-client-test-invalid-chash", "X", "a wrong `c_hash`", OutOfScope("hybrid flow")),
    row("oidcc-client-test-missing-chash", "X", "no `c_hash`", OutOfScope("hybrid flow")),
    row(
        "oidcc-client-test-discovery-openid-config",
        "C D",
        "metadata",
        Login(honest, |op| op.calls(Endpoint::Discovery) == 1),
    ),
    row(
        "oidcc-client-test-discovery-jwks-uri-keys",
        "C D",
        "keys at an address of this run",
        Login(moved_keys, |op| op.calls(Endpoint::Jwks) == 1),
    ),
    row(
        "oidcc-client-test-discovery-issuer-mismatch",
        "C D",
        "metadata of another issuer",
        Stop(At::Start, |op| op.turn(|knobs| knobs.discovery = append("issuer"))),
    ),
    row(
        "oidcc-client-test-signing-key-rotation",
        "C D",
        "new keys between two logins",
        Scene(|rig| Box::pin(rotation(rig, false))),
    ),
    row(
        "oidcc-client-test-signing-key-rotation-just-before-signing",
        "C D",
        "new keys between the request and the ID token",
        Scene(|rig| Box::pin(rotation(rig, true))),
    ),
    row(
        "oidcc-client-test-discovery-webfinger-acct",
        "D",
        "WebFinger",
        OutOfScope("the issuer is configured, never found by what a user types"),
    ),
    row(
        "oidcc-client-test-discovery-webfinger-url",
        "D",
        "WebFinger",
        OutOfScope("the issuer is configured, never found by what a user types"),
    ),
    row(
        "oidcc-client-test-dynamic-registration",
        "D",
        "registration",
        OutOfScope("clients are registered by the operator"),
    ),
    row(
        "oidcc-client-test-request-uri-signed-rs256",
        "D",
        "fetches a request object of ours",
        OutOfScope("requests are pushed instead"),
    ),
    row(
        "oidcc-client-test-request-uri-signed-none",
        "D",
        "fetches an unsigned request object",
        OutOfScope("requests are pushed instead, and nothing is unsigned"),
    ),
    row(
        "oidcc-client-test-3rd-party-init-login",
        "own plan",
        "sends the browser to `initiate_login_uri`",
        OutOfScope("the app starts logins: a start from elsewhere is login CSRF"),
    ),
    row("oidcc-client-test-refresh-token", "R", "nothing wrong", Refresh(true, honest)),
    row(
        "oidcc-client-test-refresh-token-invalid-issuer",
        "R",
        "`iss` + \"1\" in the refreshed ID token",
        Refresh(false, |op| op.turn(|knobs| knobs.refreshed_claims = append("iss"))),
    ),
    row(
        "oidcc-client-test-refresh-token-invalid-sub",
        "R",
        "another `sub` in the refreshed ID token",
        Refresh(false, |op| op.turn(|knobs| knobs.refreshed_claims = append("sub"))),
    ),
];

/// A parameter of the only authorization request.
fn asked(op: &HostileOp, name: &str) -> String {
    let requests = op.requests(Endpoint::Authorize);
    let [request] = &requests[..] else { panic!("{} authorization requests", requests.len()) };
    let found = request.query.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}

fn twelve_keys(op: &HostileOp) {
    op.turn(|knobs| {
        knobs.key_id = None;
        knobs.publish(&crowd());
    });
}

fn moved_keys(op: &HostileOp) {
    // The path is known to the server; the query makes it another address.
    let address = json!(format!("{}/jwks?run=7", op.issuer));
    op.turn(|knobs| knobs.discovery = set("jwks_uri", Some(address)));
}

/// `alg: none`, and no signature.
pub fn unsecured(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap_or_default();
    json!(format!("{}.{payload}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#)))
}

/// One bit of the signature is another.
pub fn broken(token: &str) -> Value {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    bytes[7] ^= 1;
    json!(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// Two logins with other keys for the second, which change before it begins, or when the browser is on its way.
async fn rotation(rig: &Rig, late: bool) -> Result<(), String> {
    let first = rig.log_in().await;
    oracle::logged_in(rig, &first).await?;
    let rotate = || {
        rig.op.turn(|knobs| knobs.sign_with(&SigningKeys::shared().other_rsa, "RS256", Some("k2")));
    };
    rig.clock.advance(Duration::from_secs(120));
    if !late {
        rotate();
    }
    let begun = rig.begin().await.authorize.ok_or("no second login")?;
    if late {
        rotate();
    }
    let page = rig.finish(&begun).await;
    let error = crate::server::setup::error_of(&page);
    hold(error.is_none(), format!("the second login was refused: {error:?}"))?;
    hold(rig.op.calls(Endpoint::Jwks) == 2, "the keys are fetched once more")?;
    hold(rig.op.calls(Endpoint::Userinfo) == 2, "userinfo at each login")
}
