//! FAPI 2.0: the security profile's modules, and those of message signing (JARM), under `profile = "fapi2"` with bound tokens.

use std::sync::Arc;

use serde_json::{Value, json};

use super::core::{broken, unsecured};
use super::oracle::{self, hold};
use super::rig::Rig;
use super::row::{
    At, Play, Row, answer, append, change, claims, honest, mangle, nothing, param, row,
};
use crate::support::hostile_op::{Edit, Endpoint, HostileOp, Nonces, Rotation, SigningKeys, set};
use crate::support::stack::CLIENT_ID;

use Play::{Login, OutOfScope, Scene, Stop};

pub const ROWS: &[Row] = &[
    row(
        "fapi2-security-profile-final-client-test-happy-path-no-dpop-nonce",
        "FAPI2",
        "nothing wrong",
        Login(honest, nothing),
    ),
    row(
        "fapi2-security-profile-final-client-test-happy-path",
        "FAPI2",
        "a DPoP nonce",
        Scene(|rig| Box::pin(with_nonces(rig))),
    ),
    row(
        "fapi2-security-profile-final-client-test-discovery-issuer-mismatch",
        "FAPI2",
        "metadata of another issuer",
        Stop(At::Start, |op| op.turn(|knobs| knobs.discovery = append("issuer"))),
    ),
    row(
        "fapi2-security-profile-final-client-test-invalid-iss",
        "FAPI2",
        "`iss` + \"1\"",
        Stop(At::Tokens, |op| claims(op, append("iss"))),
    ),
    row(
        "fapi2-security-profile-final-client-test-invalid-aud",
        "FAPI2",
        "`aud` + \"1\"",
        Stop(At::Tokens, |op| claims(op, append("aud"))),
    ),
    row(
        "fapi2-security-profile-final-client-test-invalid-missing-iss",
        "FAPI2",
        "no `iss`",
        Stop(At::Tokens, |op| claims(op, set("iss", None))),
    ),
    row(
        "fapi2-security-profile-final-client-test-invalid-missing-aud",
        "FAPI2",
        "no `aud`",
        Stop(At::Tokens, |op| claims(op, set("aud", None))),
    ),
    row(
        "fapi2-security-profile-final-client-test-invalid-missing-exp",
        "FAPI2",
        "no `exp`",
        Stop(At::Tokens, |op| claims(op, set("exp", None))),
    ),
    row(
        "fapi2-security-profile-final-client-test-invalid-expired-exp",
        "FAPI2",
        "ended more than five minutes ago",
        Stop(At::Tokens, |op| claims(op, change("exp", |exp| json!(exp.as_u64().unwrap() - 605)))),
    ),
    row(
        "fapi2-security-profile-final-client-test-invalid-nonce",
        "FAPI2",
        "`nonce` + \"1\"",
        Stop(At::Tokens, |op| claims(op, append("nonce"))),
    ),
    row(
        "fapi2-security-profile-final-client-test-invalid-missing-nonce",
        "FAPI2",
        "no `nonce`",
        Stop(At::Tokens, |op| claims(op, set("nonce", None))),
    ),
    row(
        "fapi2-security-profile-final-client-test-invalid-secondary-aud",
        "FAPI2",
        "us and an unknown audience",
        Stop(At::Tokens, |op| claims(op, change("aud", |aud| json!([aud, "other"])))),
    ),
    row(
        "fapi2-security-profile-final-client-test-valid-aud-as-array",
        "FAPI2",
        "us, in a list",
        Login(|op| claims(op, change("aud", |aud| json!([aud]))), nothing),
    ),
    row(
        "fapi2-security-profile-final-client-test-invalid-null-alg",
        "FAPI2",
        "an unsigned ID token",
        Stop(At::Tokens, |op| mangle(op, unsecured)),
    ),
    row(
        "fapi2-security-profile-final-client-test-invalid-alternate-alg",
        "FAPI2",
        "RS256 though PS256 or ES256 was agreed",
        Stop(At::Tokens, |op| super::row::sign_by(op, "RS256")),
    ),
    row(
        "fapi2-security-profile-final-client-test-invalid-authorization-response-iss",
        "FAPI2",
        "`iss` of the response + \"1\"",
        Stop(At::Response, |op| {
            answer(op, |params| param(params, "iss", |iss| Some(format!("{iss}1"))));
        }),
    ),
    row(
        "fapi2-security-profile-final-client-test-remove-authorization-response-iss",
        "FAPI2",
        "no `iss` in the response",
        Stop(At::Response, |op| answer(op, |params| param(params, "iss", |_| None))),
    ),
    row(
        "fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-state-fails",
        "FAPI2",
        "`state` + \"1\"",
        Stop(At::Response, |op| {
            answer(op, |params| param(params, "state", |state| Some(format!("{state}1"))));
        }),
    ),
    row(
        "fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-missing-state-fails",
        "FAPI2",
        "no `state`",
        Stop(At::Response, |op| answer(op, |params| param(params, "state", |_| None))),
    ),
    row(
        "fapi2-security-profile-final-client-test-token-endpoint-response-without-expires_in",
        "FAPI2",
        "no `expires_in`",
        Login(|op| op.turn(|knobs| knobs.token_response = set("expires_in", None)), nothing),
    ),
    row(
        "fapi2-security-profile-final-client-test-token-type-case-insensitivity",
        "FAPI2",
        "`dpOp`",
        Login(
            |op| op.turn(|knobs| knobs.token_response = set("token_type", Some(json!("dpOp")))),
            nothing,
        ),
    ),
    row(
        "fapi2-security-profile-final-client-test-rs-dpop-auth-scheme-case-insensitivity",
        "FAPI2",
        "a nonce challenge in odd case",
        Scene(|rig| Box::pin(odd_case(rig))),
    ),
    row(
        "fapi2-security-profile-final-client-refresh-token-test",
        "FAPI2",
        "the API takes no token before two refreshes, and refresh tokens rotate",
        Scene(|rig| Box::pin(two_refreshes(rig))),
    ),
    row(
        "fapi2-security-profile-final-client-test-invalid-openbanking-intent-id",
        "FAPI2",
        "an intent of another",
        OutOfScope("for one banking ecosystem"),
    ),
    jarm(
        "ensure-jarm-without-iss-fails",
        "no `iss`",
        &Stop(At::Response, |op| wrapped(op, set("iss", None), |jwt| jwt)),
    ),
    jarm(
        "ensure-jarm-with-invalid-iss-fails",
        "`iss` + \"1\"",
        &Stop(At::Response, |op| wrapped(op, append("iss"), |jwt| jwt)),
    ),
    jarm(
        "ensure-jarm-without-aud-fails",
        "no `aud`",
        &Stop(At::Response, |op| wrapped(op, set("aud", None), |jwt| jwt)),
    ),
    jarm(
        "ensure-jarm-with-invalid-aud-fails",
        "`aud` + \"1\"",
        &Stop(At::Response, |op| wrapped(op, append("aud"), |jwt| jwt)),
    ),
    jarm(
        "ensure-jarm-without-exp-fails",
        "no `exp`",
        &Stop(At::Response, |op| wrapped(op, set("exp", None), |jwt| jwt)),
    ),
    jarm(
        "ensure-jarm-with-expired-exp-fails",
        "ended",
        &Stop(At::Response, |op| {
            wrapped(op, change("exp", |exp| json!(exp.as_u64().unwrap() - 905)), |jwt| jwt);
        }),
    ),
    jarm(
        "ensure-jarm-with-invalid-sig-fails",
        "a broken signature",
        &Stop(At::Response, |op| wrapped(op, Edit::default(), |jwt| text(&broken(&jwt)))),
    ),
    jarm(
        "ensure-jarm-signature-is-not-none",
        "an unsigned response",
        &Stop(At::Response, |op| wrapped(op, Edit::default(), |jwt| text(&unsecured(&jwt)))),
    ),
    jarm(
        "jarm-happy-path",
        "a good signed response",
        &Login(|op| wrapped(op, Edit::default(), |jwt| jwt), nothing),
    ),
];

const fn jarm(name: &'static str, server: &'static str, play: &'static Play) -> Row {
    let mode = "response_mode = \"query.jwt\"";
    row(name, "JARM", server, *play).with(mode)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Answers with one signed parameter (JARM), its claims changed before and its text after the signature.
fn wrapped(op: &HostileOp, claims: Edit, mangle: fn(String) -> String) {
    let keys = SigningKeys::shared();
    let (issuer, exp) = (op.issuer.clone(), op.clock.now().0 + 300);
    op.turn(|knobs| {
        let (key, algorithm) =
            if knobs.algorithm == "ES256" { (&keys.ec, "ES256") } else { (&keys.rsa, "PS256") };
        knobs.authorization_response = Some(Arc::new(move |params| {
            let own = params.iter().map(|(name, value)| (name.clone(), json!(value)));
            let mut response = Value::Object(own.collect());
            response["iss"] = json!(issuer);
            response["aud"] = json!(CLIENT_ID);
            response["exp"] = json!(exp);
            let header = json!({ "alg": algorithm, "kid": "same" });
            let jwt = mangle(key.sign(&header, &claims.apply(response), algorithm));
            *params = vec![("response".to_owned(), jwt)];
        }));
    });
}

/// The API refuses until the second refresh; the token of the first is kept, and is what the second shows.
async fn two_refreshes(rig: &Rig) -> Result<(), String> {
    rig.op.turn(|knobs| {
        knobs.rotation = Rotation::Always;
        knobs.api_wants_refreshes = 2;
    });
    let landing = rig.log_in().await;
    hold(rig.is_in().await, "logged in")?;
    let first = rig.fetch("GET", "/api/accounts").await;
    hold(first.status == 401 && rig.is_in().await, format!("the first call: {}", first.status))?;
    // A refused token is replaced once in a while, not in a loop: see RF-05.
    rig.clock.advance(std::time::Duration::from_secs(60));
    let second = rig.fetch("GET", "/api/accounts").await;
    hold(second.status == 200, format!("the second call: {} {}", second.status, second.body))?;
    let shown = rig.op.requests(Endpoint::Token);
    let shown: Vec<_> = shown.iter().filter_map(|request| request.field("refresh_token")).collect();
    hold(
        shown.len() == 2 && shown[0] != shown[1],
        format!("two refreshes, each its token: {}", shown.len()),
    )?;
    oracle::fapi(rig, &landing)
}

/// The server wants its nonce at the token endpoint and at the API.
async fn with_nonces(rig: &Rig) -> Result<(), String> {
    rig.op.turn(|knobs| knobs.dpop = Some(Nonces::Always));
    let landing = rig.log_in().await;
    hold(rig.is_in().await, "logged in")?;
    hold(rig.op.calls(Endpoint::Token) == 2, "one more token request, with the nonce")?;
    let called = rig.fetch("GET", "/api/accounts").await;
    hold(called.status == 200, format!("the API said {}", called.status))?;
    oracle::fapi(rig, &landing)
}

/// The API asks for a nonce in a scheme written as nobody does.
async fn odd_case(rig: &Rig) -> Result<(), String> {
    rig.op.turn(|knobs| (knobs.dpop, knobs.api_scheme) = (Some(Nonces::Always), "dPOP"));
    let landing = rig.log_in().await;
    rig.op.change_nonce();
    let called = rig.fetch("GET", "/api/accounts").await;
    hold(called.status == 200, format!("the API said {}", called.status))?;
    hold(oracle::api_calls(&rig.op).len() == 2, "one more try")?;
    oracle::fapi(rig, &landing)
}
