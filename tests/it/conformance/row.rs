//! What one line of the conformance list says, and the switches of the server that its rows turn. It runs nothing.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::rig::Rig;
use crate::support::hostile_op::{Edit, HostileOp, Knobs, edit};

/// A module of the OpenID conformance suite for relying parties, or one of our own under the plan `ours`.
pub struct Row {
    pub name: &'static str,
    /// The suite's plans: B basic, C configuration, D dynamic, F form post, X comprehensive, R refresh, L logout, FAPI2, JARM; `ours`.
    /// With F it runs once more with `response_mode = "form_post"`, with FAPI2 or JARM once by each algorithm.
    pub plans: &'static str,
    /// What the server does.
    pub server: &'static str,
    /// Further lines of `[provider]`.
    pub settings: &'static str,
    pub play: Play,
}

/// A change of an honest server.
pub type Switch = fn(&HostileOp);

/// More than a login or its refusal.
pub type Scene = for<'a> fn(&'a Rig) -> BoxFuture<'a, Result<(), String>>;

/// What is done and what must come of it.
#[derive(Clone, Copy)]
pub enum Play {
    /// The login goes through, the API is called, and this is true of what the server saw.
    Login(Switch, fn(&HostileOp) -> bool),
    /// The login ends there, and nothing is asked of the server from there on.
    Stop(At, Switch),
    /// A login; from then on the server is switched; the refresh works, or the new token is never used.
    Refresh(bool, Switch),
    /// A logout token, whose header and claims are changed: taken or refused.
    LogoutToken(bool, Switch, fn(&mut Value, &mut Value)),
    Scene(Scene),
    /// A test of another name proves it.
    Elsewhere(&'static str),
    /// We do not claim it, because.
    OutOfScope(&'static str),
}

/// Where the client must stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Before the browser is sent to the server, and before anything is pushed.
    Start,
    /// Before the token endpoint.
    Response,
    /// Before any token is used.
    Tokens,
    /// After userinfo.
    Userinfo,
}

/// An honest server.
pub fn honest(_: &HostileOp) {}

/// Nothing more to look at.
pub fn nothing(_: &HostileOp) -> bool {
    true
}

/// A row that runs with no further settings.
pub const fn row(name: &'static str, plans: &'static str, server: &'static str, play: Play) -> Row {
    Row { name, plans, server, settings: "", play }
}

impl Row {
    /// The same with further lines of `[provider]`.
    pub const fn with(self, settings: &'static str) -> Self {
        Self { settings, ..self }
    }
}

/// The claim is what it was, and a 1.
pub fn append(name: &'static str) -> Edit {
    change(name, |value| json!(format!("{}1", value.as_str().unwrap_or_default())))
}

/// The claim is made from what it was.
pub fn change(name: &'static str, make: fn(&Value) -> Value) -> Edit {
    edit(move |claims: &mut Map<String, Value>| {
        let value = make(claims.get(name).unwrap_or(&Value::Null));
        claims.insert(name.to_owned(), value);
    })
}

/// Changes ID tokens.
pub fn claims(op: &HostileOp, edit: Edit) {
    op.turn(|knobs| knobs.claims = edit);
}

/// Changes the header of ID tokens.
pub fn header(op: &HostileOp, edit: Edit) {
    op.turn(|knobs| knobs.header = edit);
}

/// Changes the ID token when it is signed.
pub fn mangle(op: &HostileOp, make: fn(&str) -> Value) {
    op.turn(|knobs| knobs.id_token = Some(Arc::new(move |token| make(&token))));
}

/// Changes the parameters of the authorization response.
pub fn answer(op: &HostileOp, change: fn(&mut Vec<(String, String)>)) {
    op.turn(|knobs| knobs.authorization_response = Some(Arc::new(change)));
}

/// Changes one parameter of the authorization response; `None` drops it.
pub fn param(
    params: &mut Vec<(String, String)>,
    name: &str,
    make: impl Fn(&str) -> Option<String>,
) {
    let old = std::mem::take(params);
    params.extend(old.into_iter().filter_map(|(known, value)| {
        let value = if known == name { make(&value) } else { Some(value) };
        value.map(|value| (known, value))
    }));
}

/// Signs by another algorithm with the key that fits, and publishes that key alone.
pub fn sign_by(op: &HostileOp, algorithm: &str) {
    let keys = crate::support::hostile_op::SigningKeys::shared();
    let key = if algorithm == "ES256" { &keys.ec } else { &keys.rsa };
    op.turn(|knobs: &mut Knobs| {
        knobs.sign_with(key, algorithm, Some("k1"));
        knobs.jwks = None;
    });
}
