//! What must be true of a row: of a login that goes through, of one that stops, and of every request that FAPI has rules for.
//! It looks at what the server saw and what the browser holds, and at no message of ours.

use std::collections::{HashMap, HashSet};
use std::sync::{LazyLock, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use url::Url;

use super::rig::{Landing, Rig};
use super::row::At;
use crate::server::setup::error_of;
use crate::support::hostile_op::{Endpoint, HostileOp, Request};
use crate::support::stack::CLIENT_ID;

/// Says what is wrong unless it holds.
pub fn hold(holds: bool, what: impl Into<String>) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.into()) }
}

pub fn api_calls(op: &HostileOp) -> Vec<Request> {
    to_path(op, "/api/accounts")
}

fn to_path(op: &HostileOp, path: &str) -> Vec<Request> {
    op.requests(Endpoint::Other).into_iter().filter(|request| request.path == path).collect()
}

/// The login went through, once, and the API takes the token.
pub async fn logged_in(rig: &Rig, landing: &Landing) -> Result<(), String> {
    let page = &landing.page;
    hold(error_of(page).is_none(), format!("the login was refused: {:?}", error_of(page)))?;
    hold(rig.is_in().await, format!("no session: {} {}", page.status, page.body))?;
    hold(rig.op.calls(Endpoint::Token) == 1, "one token request")?;
    let userinfo = usize::from(!rig.profile.is_fapi());
    hold(rig.op.calls(Endpoint::Userinfo) == userinfo, "userinfo, where it is configured")?;
    let called = rig.fetch("GET", "/api/accounts").await;
    hold(called.status == 200, format!("the API said {}", called.status))
}

/// The login stopped there: no session, and no call to the token endpoint, userinfo or the API from there on.
pub async fn stopped(rig: &Rig, landing: &Landing, at: At) -> Result<(), String> {
    hold(!rig.is_in().await, "there is a session")?;
    let kept = rig.browser.jar().into_iter().map(|(name, _)| name);
    let sessions: Vec<String> = kept.filter(|name| !name.contains("-login-")).collect();
    hold(sessions.is_empty(), format!("cookies of a session: {sessions:?}"))?;
    let landed = &landing.page;
    let is_said = error_of(landed).is_some() || landed.status.as_u16() >= 400;
    hold(is_said, format!("the refusal is said: {}", landed.status))?;
    let tried = rig.fetch("GET", "/api/accounts").await;
    hold(tried.status == 401, format!("a call without a session is {}", tried.status))?;
    hold(api_calls(&rig.op).is_empty(), "the API was called")?;
    let strange = |request: &Request| request.path != "/par";
    hold(!rig.op.requests(Endpoint::Other).iter().any(strange), "a redirect was followed")?;
    let reached = landing.authorize.is_some() || !to_path(&rig.op, "/par").is_empty();
    hold(reached == (at != At::Start), format!("{at:?}: authorization request: {reached}"))?;
    let tokens = usize::from(matches!(at, At::Tokens | At::Userinfo));
    let asked = rig.op.calls(Endpoint::Token);
    hold(asked == tokens, format!("{at:?}: {asked} token requests"))?;
    let userinfo = rig.op.calls(Endpoint::Userinfo);
    hold(userinfo == usize::from(at == At::Userinfo), format!("{at:?}: {userinfo} of userinfo"))
}

/// What was used once must never come again, in no row of this process.
static SEEN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

fn is_new(kind: &str, value: &str) -> bool {
    SEEN.lock().unwrap().insert(format!("{kind} {value}"))
}

/// The positive checks that the suite makes in every FAPI 2.0 module, as far as requests show them. That assertions verify by
/// the registered key, for this server's issuer alone, and that the verifier fits the challenge, the server itself insists on.
pub fn fapi(rig: &Rig, landing: &Landing) -> Result<(), String> {
    let op = &rig.op;
    for request in to_path(op, "/par") {
        let form: HashMap<String, String> = request.form().into_iter().collect();
        let is = |name: &str, value: &str| form.get(name).is_some_and(|found| found == value);
        hold(request.form().len() == form.len(), "PAR: no parameter twice")?;
        hold(!form.contains_key("request_uri") && request.query.is_empty(), "PAR: request_uri")?;
        hold(is("response_type", "code") && is("client_id", CLIENT_ID), "PAR: code, client_id")?;
        hold(is("code_challenge_method", "S256"), "PAR: S256")?;
        let challenge = form.get("code_challenge").cloned().unwrap_or_default();
        hold(challenge.len() == 43 && is_new("challenge", &challenge), "PAR: a new challenge")?;
        for name in ["state", "nonce"] {
            let value = form.get(name).cloned().unwrap_or_default();
            hold(value.len() >= 22 && value.len() <= 64, format!("PAR: the length of {name}"))?;
            hold(is_new(name, &value), format!("PAR: {name} came before"))?;
        }
        assertion(op, &request)?;
    }
    // A request that is sent again with the server's nonce has the same code.
    let mut codes = HashSet::new();
    for request in op.requests(Endpoint::Token) {
        assertion(op, &request)?;
        proof(&request)?;
        let is_first = codes.insert(request.field("code"));
        if let Some(verifier) = request.field("code_verifier").filter(|_| is_first) {
            hold(bits(&verifier) >= 180.0, format!("a verifier of {} bits", bits(&verifier)))?;
            hold((43..=128).contains(&verifier.len()), "the length of the verifier")?;
            hold(is_new("verifier", &verifier), "a verifier came before")?;
        }
    }
    for request in op.requests(Endpoint::Userinfo).into_iter().chain(api_calls(op)) {
        let in_header = request.header("authorization").is_some_and(|it| it.starts_with("DPoP "));
        proof(&request)?;
        let elsewhere =
            request.query.iter().chain(&request.form()).any(|(n, _)| n == "access_token");
        hold(in_header && !elsewhere, "the token travels in the header alone")?;
    }
    let Some(authorize) = &landing.authorize else { return Ok(()) };
    let url = Url::parse(authorize).map_err(|error| error.to_string())?;
    let names: Vec<String> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    hold(names == ["client_id", "request_uri"], format!("the browser carries {names:?}"))?;
    hold(op.calls(Endpoint::Authorize) == to_path(op, "/par").len(), "a reference each")
}

/// RFC 9449 §4.2: one proof, used once. What it is for, the server checks.
fn proof(request: &Request) -> Result<(), String> {
    let proofs: Vec<&String> =
        request.headers.iter().filter(|(name, _)| name == "dpop").map(|(_, value)| value).collect();
    let [proof] = proofs[..] else { return Err(format!("{} proofs", proofs.len())) };
    let payload = proof.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims: Value =
        serde_json::from_slice(&payload.ok_or("no JWS")?).map_err(|e| e.to_string())?;
    hold(claims["jti"].as_str().is_some_and(|id| is_new("proof", id)), "proof: a jti came before")
}

/// RFC 7523 as FAPI 2.0 wants it: issuer and subject are the client, one audience, short, used once.
fn assertion(op: &HostileOp, request: &Request) -> Result<(), String> {
    let token = request.field("client_assertion").ok_or("no assertion")?;
    let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let payload = payload.ok_or("no JWS")?;
    let claims: Value = serde_json::from_slice(&payload).map_err(|error| error.to_string())?;
    hold(claims["iss"] == CLIENT_ID && claims["sub"] == CLIENT_ID, "assertion: iss, sub")?;
    hold(claims["aud"] == op.issuer.as_str(), "assertion: aud is the issuer, one text")?;
    let (iat, exp) = (claims["iat"].as_u64(), claims["exp"].as_u64());
    let is_short = iat.zip(exp).is_some_and(|(iat, exp)| exp > iat && exp - iat < 24 * 3_600);
    hold(is_short, "assertion: iat and exp")?;
    hold(claims["jti"].as_str().is_some_and(|id| is_new("jti", id)), "assertion: a jti came before")
}

/// Shannon entropy of the whole text, as the suite measures it.
fn bits(text: &str) -> f64 {
    let mut counts: HashMap<char, u32> = HashMap::new();
    for letter in text.chars() {
        *counts.entry(letter).or_default() += 1;
    }
    let length = f64::from(u32::try_from(text.len()).unwrap_or(u32::MAX));
    counts
        .values()
        .map(|count| f64::from(*count))
        .map(|count| count * (length / count).log2())
        .sum()
}
