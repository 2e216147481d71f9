//! Tokens that are bound to a key: proofs are wanted at the token endpoint and at userinfo, with a nonce or without.

use super::wire::{Reply, Request};
use super::{State, fresh};
use crate::support::proofs::Expected;
use serde_json::json;

/// When a proof must hold the server's nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nonces {
    Never,
    Always,
    /// Always, and each is good for one answer.
    EachTime,
}

/// What tokens are called.
pub fn scheme(state: &State) -> &'static str {
    if state.knobs.dpop.is_some() { "DPoP" } else { "Bearer" }
}

/// Checks the proof of a request; `token` comes beside it. `None` where no proof is wanted or it is good.
pub fn refusal(state: &mut State, request: &Request, token: Option<&str>) -> Option<Reply> {
    let wanted = state.knobs.dpop?;
    let proofs: Vec<&str> = request
        .headers
        .iter()
        .filter(|(name, _)| name == "dpop")
        .map(|(_, it)| it.as_str())
        .collect();
    let [proof] = proofs[..] else { return Some(super::answers::error(400, "invalid_dpop_proof")) };
    let url = format!("{}{}", state.issuer, request.path);
    let now = state.clock.now().0.checked_add_signed(state.knobs.ahead).unwrap();
    let nonce = state.nonce.clone();
    let expected = Expected {
        method: &request.method,
        url: &url,
        token,
        nonce: (wanted != Nonces::Never).then_some(nonce.as_str()),
        now,
    };
    match state.proofs.check(proof, &expected) {
        Ok(thumbprint) => {
            state.bound_to.push(thumbprint);
            None
        }
        Err("nonce") => Some(
            Reply::json(
                if token.is_some() { 401 } else { 400 },
                &json!({ "error": "use_dpop_nonce" }),
            )
            .with_header("dpop-nonce", &state.nonce),
        ),
        Err(_) => Some(dated(super::answers::error(400, "invalid_dpop_proof"), now)),
    }
}

/// The nonce that goes with an answer, if it is another one each time.
pub fn renewed(state: &mut State, reply: Reply) -> Reply {
    if state.knobs.dpop != Some(Nonces::EachTime) {
        return reply;
    }
    state.nonce = fresh("nonce");
    reply.with_header("dpop-nonce", &state.nonce)
}

/// The answer says what time it is here.
fn dated(reply: Reply, now: u64) -> Reply {
    let date = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(now);
    reply.with_header("date", &httpdate::fmt_http_date(date))
}
