//! The embedded authorization server and the demo API over real sockets. Time is moved by hand.

mod api;
mod authorize;
mod keys;
mod logout;
mod tokens;

use std::net::SocketAddr;
use std::time::Duration;

use cloakroom::clock::{Clock, Timestamp};
use cloakroom::dev::{DevStack, DevStackOptions, start};
use cloakroom::secret::{Random, Secret};
use serde_json::Value;
use url::Url;

use crate::support::browser::{Browser, login};

const SECRET: &str = "a secret: with reserved/characters+%";
const CALLBACK: &str = "http://localhost:65001/callback";
const SIGNED_OUT: &str = "http://localhost:65001/logged-out";
/// The verifier and challenge of RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn options() -> DevStackOptions {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    DevStackOptions {
        issuer_listen: any,
        api_listen: any,
        redirect_uri: CALLBACK.to_owned(),
        post_logout_redirect_uri: SIGNED_OUT.to_owned(),
        client_id: "web".to_owned(),
        client_secret: Secret::from(SECRET),
        rotate: false,
        consent: false,
        access_token_ttl: Duration::from_secs(300),
        key_file: None,
    }
}

/// A dev stack, its clock and its client.
struct Fixture {
    stack: DevStack,
    clock: Clock,
    client: reqwest::Client,
}

impl Fixture {
    async fn start() -> Self {
        Self::with(options()).await
    }

    async fn with(options: DevStackOptions) -> Self {
        let clock = Clock::manual(Timestamp(1_800_000_000));
        let stack = start(options, clock.clone(), Random::system()).await.unwrap();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        Self { stack, clock, client }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.stack.issuer)
    }

    fn api(&self, path: &str) -> String {
        format!("http://{}{path}", self.stack.api_addr)
    }

    /// A good authorization request with some parameters replaced; an empty value removes one.
    fn authorization_url(&self, changed: &[(&str, &str)]) -> String {
        let mut params = vec![
            ("client_id", "web"),
            ("response_type", "code"),
            ("redirect_uri", CALLBACK),
            ("scope", "openid profile email sales"),
            ("state", "a b&c"),
            ("nonce", "n-1"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        params.retain(|(name, _)| changed.iter().all(|(other, _)| other != name));
        params.extend(changed.iter().filter(|(_, value)| !value.is_empty()));
        Url::parse_with_params(&self.at("/authorize"), params).unwrap().into()
    }

    /// A code for `user`, who has just logged in.
    async fn code(&self, user: &str) -> String {
        let callback = login(&Browser::new(), &self.authorization_url(&[]), user).await;
        param(&callback, "code").unwrap()
    }

    /// A call of the token endpoint with the right client credentials.
    async fn token(&self, fields: &[(&str, &str)]) -> (u16, Value) {
        self.post("/token", fields).await
    }

    /// A form to `path` with the right client credentials; the body is `null` when it is no JSON.
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> (u16, Value) {
        let form =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let request = self.client.post(self.at(path)).basic_auth(form("web"), Some(form(SECRET)));
        let answer = request.form(fields).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    async fn exchange(&self, code: &str) -> (u16, Value) {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.token(&fields).await
    }

    async fn refresh(&self, refresh_token: &str) -> (u16, Value) {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
    }

    /// The tokens of a whole login.
    async fn tokens(&self, user: &str) -> Value {
        let (status, tokens) = self.exchange(&self.code(user).await).await;
        assert_eq!(status, 200, "{tokens}");
        tokens
    }

    async fn is_active(&self, token: &str) -> bool {
        let (status, told) = self.post("/introspect", &[("token", token)]).await;
        assert_eq!(status, 200, "{told}");
        told["active"].as_bool().unwrap()
    }

    /// Status of userinfo and what it tells.
    async fn userinfo(&self, access_token: &str) -> (u16, Value) {
        let request = self.client.get(self.at("/userinfo")).bearer_auth(access_token);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }
}

fn param(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).unwrap();
    url.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

fn claims(jwt: &str) -> Value {
    jsonwebtoken::dangerous::insecure_decode_claims(jwt).unwrap()
}
