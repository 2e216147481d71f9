//! What the suite does not try with answers: errors that call themselves success, redirects, wrong types, parameters twice.

use serde_json::json;

use super::row::{At, Play, Row, answer, nothing, param, row};
use crate::support::hostile_op::{Endpoint, HostileOp, Reply, set};

use Play::{Elsewhere, Login, Stop};

pub const ROWS: &[Row] = &[
    row(
        "no-id-token",
        "ours",
        "no ID token",
        Stop(At::Tokens, |op| op.turn(|knobs| knobs.token_response = set("id_token", None))),
    ),
    row(
        "token-type-mac",
        "ours",
        "tokens of type `mac`",
        Stop(At::Tokens, |op| {
            op.turn(|knobs| knobs.token_response = set("token_type", Some(json!("mac"))));
        }),
    ),
    row(
        "no-token-type",
        "ours",
        "no `token_type`",
        Stop(At::Tokens, |op| op.turn(|knobs| knobs.token_response = set("token_type", None))),
    ),
    row(
        "no-access-token",
        "ours",
        "no `access_token`",
        Stop(At::Tokens, |op| op.turn(|knobs| knobs.token_response = set("access_token", None))),
    ),
    row(
        "error-with-200",
        "ours",
        "an error with status 200",
        Stop(At::Tokens, |op| {
            op.answer_with(Endpoint::Token, Reply::json(200, &json!({"error": "invalid_grant"})));
        }),
    ),
    row(
        "token-endpoint-refuses",
        "ours",
        "`invalid_grant`",
        Stop(At::Tokens, |op| {
            op.answer_with(Endpoint::Token, Reply::json(400, &json!({"error": "invalid_grant"})));
        }),
    ),
    row(
        "token-endpoint-lies-about-type",
        "ours",
        "tokens as `text/html`",
        Stop(At::Tokens, |op| op.answer_with(Endpoint::Token, Reply::new(200, "text/html", "{}"))),
    ),
    row(
        "token-endpoint-redirects",
        "ours",
        "307 from the token endpoint",
        Stop(At::Tokens, |op| redirect(op, Endpoint::Token)),
    ),
    row(
        "keys-redirect",
        "ours",
        "307 from the keys",
        Stop(At::Response, |op| redirect(op, Endpoint::Jwks)),
    ),
    row(
        "keys-503",
        "ours",
        "503 from the keys",
        Stop(At::Response, |op| op.answer_with(Endpoint::Jwks, Reply::new(503, "text/plain", ""))),
    ),
    row(
        "metadata-redirects",
        "ours",
        "307 from the metadata",
        Stop(At::Start, |op| redirect(op, Endpoint::Discovery)),
    ),
    row(
        "metadata-lies-about-type",
        "ours",
        "metadata as `text/html`",
        Stop(At::Start, |op| {
            op.answer_with(Endpoint::Discovery, Reply::new(200, "text/html", "{}"));
        }),
    ),
    row(
        "metadata-empty",
        "ours",
        "an empty document",
        Stop(At::Start, |op| {
            op.answer_with(Endpoint::Discovery, Reply::new(200, "application/json", "{}"));
        }),
    ),
    row(
        "metadata-gigantic",
        "ours",
        "fifty megabytes of metadata",
        Stop(At::Start, |op| {
            op.answer_with(
                Endpoint::Discovery,
                Reply::new(200, "application/json", " ".repeat(50_000_000)),
            );
        }),
    ),
    row("metadata-twice", "ours", "metadata with `issuer` twice", Stop(At::Start, twice)),
    row(
        "answers-compressed",
        "ours",
        "a compressed body that nobody asked for",
        Stop(At::Tokens, |op| {
            op.answer_with(
                Endpoint::Token,
                Reply::json(200, &json!({})).with_header("content-encoding", "gzip"),
            );
        }),
    ),
    row(
        "response-iss-wrong",
        "ours",
        "`iss` of the response + \"1\"",
        Stop(At::Response, |op| {
            answer(op, |params| param(params, "iss", |iss| Some(format!("{iss}1"))));
        }),
    ),
    row(
        "response-iss-missing",
        "ours",
        "no `iss` though it was announced",
        Stop(At::Response, |op| answer(op, |params| param(params, "iss", |_| None))),
    ),
    row(
        "response-iss-twice",
        "ours",
        "`iss` twice",
        Stop(At::Response, |op| answer(op, |params| again(params, "iss"))),
    ),
    row(
        "response-state-wrong",
        "ours",
        "`state` + \"1\"",
        Stop(At::Response, |op| {
            answer(op, |params| param(params, "state", |state| Some(format!("{state}1"))));
        }),
    ),
    row(
        "response-state-missing",
        "ours",
        "no `state`",
        Stop(At::Response, |op| answer(op, |params| param(params, "state", |_| None))),
    ),
    row(
        "response-state-twice",
        "ours",
        "`state` twice",
        Stop(At::Response, |op| answer(op, |params| again(params, "state"))),
    ),
    row(
        "response-code-missing",
        "ours",
        "no `code`",
        Stop(At::Response, |op| answer(op, |params| param(params, "code", |_| None))),
    ),
    row(
        "response-code-twice",
        "ours",
        "`code` twice",
        Stop(At::Response, |op| answer(op, |params| again(params, "code"))),
    ),
    row(
        "response-code-and-error",
        "ours",
        "`code` and `error`",
        Stop(At::Response, |op| {
            answer(op, |params| params.push(("error".to_owned(), "access_denied".to_owned())));
        }),
    ),
    row(
        "response-error-of-another-issuer",
        "ours",
        "an error with another `iss`",
        Stop(At::Response, |op| {
            answer(op, |params| {
                param(params, "code", |_| None);
                param(params, "iss", |iss| Some(format!("{iss}1")));
                params.push(("error".to_owned(), "access_denied".to_owned()));
            });
        }),
    ),
    row(
        "response-unknown-parameter",
        "ours",
        "a parameter that nobody knows",
        Login(
            |op| answer(op, |params| params.push(("session_state".to_owned(), "x".to_owned()))),
            nothing,
        ),
    ),
    row(
        "access-token-of-64-kilobytes",
        "ours",
        "an access token that fits no cookie",
        Elsewhere("a_token_of_any_size_works_or_fails_clearly_and_no_cookie_is_too_large"),
    ),
    row(
        "slow-answers",
        "ours",
        "a byte now and then, from every endpoint",
        Elsewhere("an_answer_that_is_none_ends_the_login_cleanly"),
    ),
    row(
        "code-used-twice",
        "ours",
        "counts uses of a code",
        Elsewhere("twenty_callbacks_at_once_exchange_the_code_once"),
    ),
    row(
        "pushed-request-over",
        "ours",
        "a reference that ends at once",
        Elsewhere("a_push_that_fails_is_no_plain_request"),
    ),
    row(
        "rotation-habits",
        "ours",
        "rotates always, never, now and then",
        Elsewhere("a_session_survives_any_habit_of_rotation"),
    ),
    row(
        "lost-refresh",
        "ours",
        "commits, and the connection drops",
        Elsewhere("a_refresh_whose_answer_never_arrived_is_found_until_the_session_is_idle"),
    ),
    row(
        "clocks-apart",
        "ours",
        "its clock is half a minute off",
        Elsewhere("the_algorithm_follows_the_key_and_clocks_may_differ_by_half_a_minute"),
    ),
    row(
        "logout-burst",
        "ours",
        "a thousand logout tokens at once",
        Elsewhere("a_thousand_logouts_at_once_all_work"),
    ),
];

fn redirect(op: &HostileOp, endpoint: Endpoint) {
    op.answer_with(endpoint, Reply::redirect(307, &format!("{}/elsewhere", op.issuer)));
}

/// The document that an honest server gives, with the issuer said once more at the end.
fn twice(op: &HostileOp) {
    let issuer = &op.issuer;
    let body = format!(
        r#"{{"issuer":"https://evil.example","authorization_endpoint":"{issuer}/authorize","token_endpoint":"{issuer}/token","jwks_uri":"{issuer}/jwks","issuer":"{issuer}"}}"#
    );
    op.answer_with(Endpoint::Discovery, Reply::new(200, "application/json", body));
}

fn again(params: &mut Vec<(String, String)>, name: &str) {
    let found = params.iter().find(|(known, _)| known == name).cloned();
    params.extend(found);
}
