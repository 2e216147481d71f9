//! A programmable authorization server on a real socket: honest until a knob is turned.
//!
//! It checks what a strict server checks (client authentication, PKCE, redirect URI, single use of codes and refresh
//! tokens), records every request, and lets a test break one thing at a time. It decides nothing about the client.

mod answers;
mod api_tokens;
mod client_assertion;
mod dpop;
mod keys;
mod pushed;
mod wire;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use cloakroom::clock::Clock;
use cloakroom::secret::Random;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::proofs::Proofs;

pub use dpop::Nonces;
pub use keys::{SigningKey, SigningKeys};
pub use wire::{Manner, Reply, Request, read, serve, write};

/// A change of a JSON object that is about to be sent; none by default.
#[derive(Clone, Default)]
pub struct Edit(Option<ChangeOfMembers>);

type ChangeOfMembers = Arc<dyn Fn(&mut Map<String, Value>) + Send + Sync>;

/// A change of a signed token that is about to be sent.
pub type Mangle = Arc<dyn Fn(String) -> Value + Send + Sync>;

/// A change of the parameters of an authorization response.
pub type EditResponse = Arc<dyn Fn(&mut Vec<(String, String)>) + Send + Sync>;

/// Makes an [`Edit`].
pub fn edit(change: impl Fn(&mut Map<String, Value>) + Send + Sync + 'static) -> Edit {
    Edit(Some(Arc::new(change)))
}

/// Makes an [`Edit`] that sets one member, or removes it.
pub fn set(name: &str, value: Option<Value>) -> Edit {
    let name = name.to_owned();
    edit(move |members| match &value {
        Some(value) => drop(members.insert(name.clone(), value.clone())),
        None => drop(members.remove(&name)),
    })
}

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

/// When a refresh gives a new refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    Never,
    Always,
    EveryThird,
}

/// Everything that a test can turn. The default is an honest server.
pub struct Knobs {
    pub client_id: String,
    pub client_secret: String,
    /// The public keys of a client that shows itself by assertions; then a secret is refused.
    pub client_keys: Vec<Value>,
    /// Tokens are bound to a key: then proofs are wanted.
    pub dpop: Option<Nonces>,
    /// How the API calls the scheme when it asks for a nonce.
    pub api_scheme: &'static str,
    /// Seconds by which this server's clock is ahead.
    pub ahead: i64,
    /// The user who logs in.
    pub sub: String,
    /// Raw answers instead of the server's own, until removed.
    pub raw: HashMap<Endpoint, Reply>,
    pub discovery: Edit,
    /// Replaces the published key set; by default the signing key alone.
    pub jwks: Option<Value>,
    pub header: Edit,
    pub claims: Edit,
    /// Claims of ID tokens that come with a refresh.
    pub refreshed_claims: Edit,
    pub id_token: Option<Mangle>,
    pub token_response: Edit,
    pub userinfo: Edit,
    /// The answer to an exchange, or to client credentials.
    pub api_token: Edit,
    /// The members of an introspection, or the claims and the header of a signed one.
    pub introspection: Edit,
    pub introspection_header: Edit,
    pub authorization_response: Option<EditResponse>,
    pub key: SigningKey,
    pub algorithm: String,
    pub key_id: Option<String>,
    pub rotation: Rotation,
    pub id_token_at_refresh: bool,
    /// The userinfo answer is a JWT, signed as ID tokens are.
    pub signed_userinfo: bool,
    /// The API at `/api/accounts` takes no token before there were that many refreshes.
    pub api_wants_refreshes: usize,
}

/// What the server remembers of a grant.
#[derive(Clone, Debug)]
struct Grant {
    nonce: Option<String>,
    challenge: String,
    redirect_uri: String,
    scope: String,
    auth_time: u64,
    refreshes: usize,
}

struct State {
    knobs: Knobs,
    requests: Vec<(Endpoint, Request)>,
    codes: HashMap<String, Grant>,
    refresh_tokens: HashMap<String, Grant>,
    access_tokens: Vec<String>,
    issuer: String,
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
            issuer: issuer.clone(),
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
        Self { issuer, address, clock, state, server }
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
    }
}

impl Knobs {
    fn honest() -> Self {
        Self {
            client_id: "web".to_owned(),
            client_secret: "s:cr t/%é".to_owned(),
            dpop: None,
            api_scheme: "DPoP",
            client_keys: Vec::new(),
            ahead: 0,
            sub: "alice".to_owned(),
            raw: HashMap::new(),
            discovery: Edit::default(),
            jwks: None,
            header: Edit::default(),
            claims: Edit::default(),
            refreshed_claims: Edit::default(),
            id_token: None,
            token_response: Edit::default(),
            userinfo: Edit::default(),
            api_token: Edit::default(),
            introspection: Edit::default(),
            introspection_header: Edit::default(),
            authorization_response: None,
            key: SigningKeys::shared().rsa.clone(),
            algorithm: "RS256".to_owned(),
            key_id: Some("k1".to_owned()),
            rotation: Rotation::Never,
            id_token_at_refresh: true,
            signed_userinfo: false,
            api_wants_refreshes: 0,
        }
    }

    /// Signs with `key` by `algorithm` under `key_id`, and publishes that key.
    pub fn sign_with(&mut self, key: &SigningKey, algorithm: &str, key_id: Option<&str>) {
        self.key = key.clone();
        algorithm.clone_into(&mut self.algorithm);
        self.key_id = key_id.map(ToOwned::to_owned);
    }

    /// Publishes these keys, whatever signs.
    pub fn publish(&mut self, keys: &[Value]) {
        self.jwks = Some(json!({ "keys": keys }));
    }
}

impl Edit {
    pub fn apply(&self, mut value: Value) -> Value {
        if let (Some(change), Some(members)) = (&self.0, value.as_object_mut()) {
            change(members);
        }
        value
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
