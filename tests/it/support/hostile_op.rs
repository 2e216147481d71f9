//! A programmable authorization server on a real socket: honest until a knob is turned.
//!
//! It checks what a strict server checks (client authentication, PKCE, redirect URI, single use of codes and refresh
//! tokens), records every request, and lets a test break one thing at a time. It decides nothing about the client.

mod answers;
mod api_tokens;
mod client_assertion;
mod dpop;
mod keys;
mod knobs;
mod mtls;
mod pushed;
mod resources;
mod wire;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use cloakroom::clock::Clock;
use cloakroom::secret::Random;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::proofs::Proofs;
use crate::support::tls::{OwnCertificate, asking_acceptor};

pub use dpop::Nonces;
pub use keys::{SigningKey, SigningKeys};
pub use knobs::{Edit, Knobs, Rotation, edit, set};
pub use wire::{Manner, Reply, Request, read, serve, write};

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Discovery,
    Jwks,
    Authorize,
    Token,
    Userinfo,
    Revocation,
    Introspection,
    EndSession,
    /// Anything else: nobody should come here.
    Other,
}

/// What the server remembers of a grant.
#[derive(Clone, Debug)]
struct Grant {
    nonce: Option<String>,
    challenge: String,
    redirect_uri: String,
    scope: String,
    /// What it is for, by RFC 8707.
    resources: Vec<String>,
    auth_time: u64,
    refreshes: usize,
}

struct State {
    knobs: Knobs,
    requests: Vec<(Endpoint, Request)>,
    codes: HashMap<String, Grant>,
    refresh_tokens: HashMap<String, Grant>,
    access_tokens: Vec<String>,
    /// Whom access tokens are for, where that was asked for, by token.
    audiences: HashMap<String, String>,
    /// How often a refresh token came that is none (any more).
    reused: usize,
    /// The certificates that access tokens are bound to, by token.
    certificates: HashMap<String, String>,
    issuer: String,
    /// Where clients with a certificate go, if that is elsewhere.
    aliases: Option<String>,
    clock: Clock,
    /// Ids of assertions that were used.
    assertions: HashSet<String>,
    /// What was pushed, by its reference.
    pushed: HashMap<String, Vec<(String, String)>>,
    proofs: Proofs,
    /// The one that proofs must hold now.
    nonce: String,
    /// The thumbprints of the keys of good proofs, in the order in which they came.
    bound_to: Vec<String>,
}

/// The running server; it stops when this is dropped.
pub struct HostileOp {
    /// `http://127.0.0.1:port`, or `https://localhost:port` with TLS.
    pub issuer: String,
    pub address: SocketAddr,
    pub clock: Clock,
    state: Arc<Mutex<State>>,
    server: tokio::task::JoinHandle<()>,
    /// Serves clients with a certificate at another port.
    aliases: Option<tokio::task::JoinHandle<()>>,
}

impl HostileOp {
    /// An honest server on plain HTTP whose tokens carry the times of `clock`.
    pub async fn start(clock: Clock) -> Self {
        Self::start_with(clock, None).await
    }

    /// The same over TLS, when `tls` is given.
    pub async fn start_with(clock: Clock, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let issuer = match &tls {
            Some(_) => format!("https://localhost:{}", address.port()),
            None => format!("http://{address}"),
        };
        let state = Arc::new(Mutex::new(State {
            knobs: Knobs::honest(),
            requests: Vec::new(),
            codes: HashMap::new(),
            refresh_tokens: HashMap::new(),
            access_tokens: Vec::new(),
            audiences: HashMap::new(),
            reused: 0,
            certificates: HashMap::new(),
            issuer: issuer.clone(),
            aliases: None,
            clock: clock.clone(),
            assertions: HashSet::new(),
            pushed: HashMap::new(),
            proofs: Proofs::default(),
            nonce: fresh("nonce"),
            bound_to: Vec::new(),
        }));
        let (shared, name, time) = (Arc::clone(&state), issuer.clone(), clock.clone());
        let answer = Arc::new(move |request: Request| {
            let mut state = shared.lock().unwrap();
            let endpoint = Endpoint::of(&request.path);
            state.requests.push((endpoint, request.clone()));
            match state.knobs.raw.get(&endpoint) {
                Some(reply) => reply.clone(),
                None => answers::own(&mut state, endpoint, &request, &name, &time),
            }
        });
        let server = tokio::spawn(wire::serve(listener, tls, answer));
        Self { issuer, address, clock, state, server, aliases: None }
    }

    /// A server over TLS that knows its client by this certificate; with `aliased` its endpoints for clients are at another port too,
    /// and good for nothing at the first one.
    pub async fn start_mtls(clock: Clock, certificate: &OwnCertificate, aliased: bool) -> Self {
        let mut op = Self::start_with(clock, Some(asking_acceptor())).await;
        op.turn(|knobs| knobs.certificate = Some(certificate.thumbprint()));
        if !aliased {
            return op;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        op.state().aliases = Some(base);
        let (shared, name, time) = (Arc::clone(&op.state), op.issuer.clone(), op.clock.clone());
        let answer = Arc::new(move |request: Request| {
            let mut state = shared.lock().unwrap();
            let endpoint = Endpoint::of(&request.path);
            state.requests.push((endpoint, Request { at_alias: true, ..request.clone() }));
            answers::own(&mut state, endpoint, &request, &name, &time)
        });
        op.aliases = Some(tokio::spawn(wire::serve(listener, Some(asking_acceptor()), answer)));
        op
    }

    /// Whom this access token is for, where that was asked for.
    pub fn audience_of(&self, access_token: &str) -> Option<String> {
        self.state().audiences.get(access_token).cloned()
    }

    /// Answers at the token endpoint come later by this much, as decided when they were asked for.
    pub fn delay_tokens(&self, by: std::time::Duration) {
        self.state().knobs.token_delay = by;
    }

    /// How often a refresh token came that is none, or none any more.
    pub fn reused(&self) -> usize {
        self.state().reused
    }

    /// The refresh tokens that are good now.
    pub fn refresh_tokens(&self) -> usize {
        self.state().refresh_tokens.len()
    }

    /// The certificate that this access token is bound to.
    pub fn certificate_of(&self, access_token: &str) -> Option<String> {
        self.state().certificates.get(access_token).cloned()
    }

    /// Every request, oldest first.
    pub fn all_requests(&self) -> Vec<(Endpoint, Request)> {
        self.state().requests.clone()
    }

    /// Closes the listener and every connection, and returns when they are closed.
    pub async fn stop(&mut self) {
        self.server.abort();
        let ended = (&mut self.server).await;
        assert!(ended.is_err_and(|error| error.is_cancelled()));
    }

    /// Turns knobs.
    pub fn turn(&self, change: impl FnOnce(&mut Knobs)) {
        change(&mut self.state().knobs);
    }

    /// Answers `endpoint` with `reply` from now on.
    pub fn answer_with(&self, endpoint: Endpoint, reply: Reply) {
        self.turn(|knobs| drop(knobs.raw.insert(endpoint, reply)));
    }

    /// Answers `endpoint` honestly again.
    pub fn answer_honestly(&self, endpoint: Endpoint) {
        self.turn(|knobs| drop(knobs.raw.remove(&endpoint)));
    }

    /// Wants another nonce from now on, which nobody has been told.
    pub fn change_nonce(&self) {
        self.state().nonce = fresh("nonce");
    }

    /// The thumbprints of the keys that tokens were bound to, oldest first.
    pub fn bound_to(&self) -> Vec<String> {
        self.state().bound_to.clone()
    }

    /// How often `endpoint` was called.
    pub fn calls(&self, endpoint: Endpoint) -> usize {
        self.requests(endpoint).len()
    }

    /// The requests that came to `endpoint`, oldest first.
    pub fn requests(&self, endpoint: Endpoint) -> Vec<Request> {
        let state = self.state();
        let of_endpoint = state.requests.iter().filter(|(to, _)| *to == endpoint);
        of_endpoint.map(|(_, request)| request.clone()).collect()
    }

    /// Logs the user in without a browser: the parameters that `/authorize` would send back for this URL.
    pub fn authorize(&self, url: &str) -> Vec<(String, String)> {
        let query = url.split_once('?').unwrap().1;
        let asked = form_urlencoded::parse(query.as_bytes()).into_owned().collect::<Vec<_>>();
        answers::authorize(&mut self.state(), &asked, &self.issuer, &self.clock).1
    }

    /// These claims, signed as ID tokens are.
    pub fn signed(&self, claims: &Value) -> String {
        answers::sign(&self.state(), claims)
    }

    /// A code for a login with this nonce, challenge and redirect URI, as `/authorize` gives it.
    pub fn mint_code(&self, nonce: Option<&str>, challenge: &str, redirect_uri: &str) -> String {
        let grant = Grant {
            nonce: nonce.map(ToOwned::to_owned),
            challenge: challenge.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            scope: "openid".to_owned(),
            resources: Vec::new(),
            auth_time: self.clock.now().0,
            refreshes: 0,
        };
        answers::mint_code(&mut self.state(), grant)
    }

    /// How many client assertions it has taken, each another one.
    pub fn assertions(&self) -> usize {
        self.state().assertions.len()
    }

    /// Takes back every access token that it has given.
    pub fn revoke_access_tokens(&self) {
        self.state().access_tokens.clear();
    }

    /// A logout token about the session `s1` of the user, under the current keys, with header and claims changed.
    pub fn logout_token(&self, change: impl FnOnce(&mut Value, &mut Value)) -> String {
        let (knobs, now) = (&self.state().knobs, self.clock.now().0);
        let mut header =
            json!({ "alg": knobs.algorithm, "typ": "logout+jwt", "kid": knobs.key_id });
        let mut claims = json!({
            "iss": self.issuer, "aud": knobs.client_id, "iat": now, "exp": now + 120,
            "jti": fresh("jti"), "sub": knobs.sub, "sid": "s1",
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        });
        change(&mut header, &mut claims);
        knobs.key.sign(&header, &claims, &knobs.algorithm)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Drop for HostileOp {
    fn drop(&mut self) {
        self.server.abort();
        if let Some(aliases) = &self.aliases {
            aliases.abort();
        }
    }
}

impl Endpoint {
    fn of(path: &str) -> Self {
        match path {
            "/.well-known/openid-configuration" => Self::Discovery,
            "/jwks" => Self::Jwks,
            "/authorize" => Self::Authorize,
            "/token" => Self::Token,
            "/userinfo" => Self::Userinfo,
            "/revoke" => Self::Revocation,
            "/introspect" => Self::Introspection,
            "/end_session" => Self::EndSession,
            _ => Self::Other,
        }
    }
}

/// An unguessable value, with a name that shows where it leaks to.
fn fresh(kind: &str) -> String {
    format!("{kind}-{}", Random::system().token::<24>())
}
