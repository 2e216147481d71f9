//! Everything that a test can turn at the hostile authorization server. It decides nothing by itself.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Endpoint;
use super::dpop::Nonces;
use super::keys::{SigningKey, SigningKeys};
use super::wire::Reply;

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
    /// The thumbprint of the client's certificate: then it shows itself by that, and tokens are bound to it.
    pub certificate: Option<String>,
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
    pub token_delay: std::time::Duration,
    /// The API at `/api/accounts` takes no token before there were that many refreshes.
    pub api_wants_refreshes: usize,
}

impl Knobs {
    pub(super) fn honest() -> Self {
        Self {
            client_id: "web".to_owned(),
            client_secret: "s:cr t/%é".to_owned(),
            dpop: None,
            api_scheme: "DPoP",
            client_keys: Vec::new(),
            certificate: None,
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
            token_delay: std::time::Duration::ZERO,
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
