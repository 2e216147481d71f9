//! Speaks HTTP to the authorization server: verified TLS, no redirects, bounded size and time (AR-08).
//! Never follows a redirect, never repeats a request, never reads proxy settings from the environment.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::{self, HeaderName, HeaderValue};
use reqwest::{
    Certificate, Client, ClientBuilder, Identity, Proxy, Request, Response, redirect, retry,
};
use tokio::sync::Semaphore;
use url::Url;

use super::error::ConfigFault;
use super::token_request::Form;
use super::{DPOP, DPOP_NONCE};
use crate::config::ProviderConfig;
use crate::secret::Secret;

/// Largest body of an answer, bytes.
const LARGEST_BODY: usize = 1024 * 1024;

/// How long an idle connection is kept for the next call.
const IDLE: Duration = Duration::from_secs(30);

/// The client of one provider.
#[derive(Clone, Debug)]
pub(super) struct Http {
    /// For what everybody may read.
    plain: Client,
    /// For the endpoints that know us: with our certificate, if we have one. No connection of it is used for anything else.
    known: Client,
    deadline: Duration,
    /// Calls to the token and revocation endpoints at once: a storm here must not become one over there (RF-13).
    posts: Arc<Semaphore>,
}

/// The most calls to the token and revocation endpoints at once.
const MOST_POSTS: usize = 64;

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Media type, lower case, without parameters.
    media_type: String,
    /// When it was made, by the other side's clock.
    pub(super) date: Option<SystemTime>,
    /// The lines of `DPoP-Nonce`.
    pub(super) nonces: Vec<Vec<u8>>,
    pub(super) body: Vec<u8>,
}

/// There is no answer: network, TLS, too slow or too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoAnswer;

impl Answer {
    /// Whether the answer calls itself this media type.
    pub(super) fn is(&self, media_type: &str) -> bool {
        self.media_type == media_type
    }

    /// A failure that says nothing about the request: the server is overloaded or broken (RF-05).
    pub(super) fn is_outage(&self) -> bool {
        self.status >= 500 || matches!(self.status, 408 | 425 | 429)
    }
}

#[cfg(test)]
impl Answer {
    pub(super) fn for_test(status: u16, media_type: &str, body: &[u8]) -> Self {
        let media_type = media_type.to_owned();
        Self { status, media_type, date: None, nonces: Vec::new(), body: body.to_vec() }
    }
}

impl Http {
    /// Reads `ca_file`; uses no network. With a `ca_file` only its certificates are trusted.
    pub(super) fn new(config: &ProviderConfig) -> Result<Self, ConfigFault> {
        let build = |builder: ClientBuilder| builder.build().map_err(|_| ConfigFault::Client);
        let plain = build(builder(config)?)?;
        let known = match &config.certificate {
            None => plain.clone(),
            Some(own) => {
                let identity = Identity::from_pem(own.pem().expose().as_bytes());
                let identity = identity.map_err(|_| ConfigFault::Certificate)?;
                build(builder(config)?.identity(identity))?
            }
        };
        let posts = Arc::new(Semaphore::new(MOST_POSTS));
        Ok(Self { plain, known, deadline: config.timeout, posts })
    }

    /// `GET`, asking for `accept`, of what everybody may read.
    pub(super) async fn get(&self, url: &Url, accept: &'static str) -> Result<Answer, NoAnswer> {
        self.send(&self.plain, Request::new(reqwest::Method::GET, url.clone()), accept).await
    }

    /// The same with a token: of bearers, or with the proof that goes with it.
    pub(super) async fn get_with_token(
        &self,
        (url, accept): (&Url, &'static str),
        token: &Secret<String>,
        proof: Option<&str>,
    ) -> Result<Answer, NoAnswer> {
        let mut request = Request::new(reqwest::Method::GET, url.clone());
        let scheme = if proof.is_some() { "DPoP" } else { "Bearer" };
        let value = sensitive(&format!("{scheme} {}", token.expose()))?;
        request.headers_mut().insert(header::AUTHORIZATION, value);
        add_proof(&mut request, proof)?;
        self.send(&self.known, request, accept).await
    }

    /// `POST` of a form, asking for JSON.
    pub(super) async fn post_form(&self, url: &Url, form: &Form) -> Result<Answer, NoAnswer> {
        self.post((url, "application/json"), form, None).await
    }

    /// `POST` of a form, asking for `accept`; with a proof where tokens are bound to a key.
    pub(super) async fn post(
        &self,
        (url, accept): (&Url, &'static str),
        form: &Form,
        proof: Option<&str>,
    ) -> Result<Answer, NoAnswer> {
        let mut request = Request::new(reqwest::Method::POST, url.clone());
        let media_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(header::CONTENT_TYPE, media_type);
        if let Some(value) = &form.authorization {
            request.headers_mut().insert(header::AUTHORIZATION, sensitive(value.expose())?);
        }
        add_proof(&mut request, proof)?;
        *request.body_mut() = Some(form.body.expose().clone().into());
        let turn = tokio::time::timeout(self.deadline, self.posts.acquire()).await;
        let _turn = turn.map_err(gone)?.map_err(gone)?;
        self.send(&self.known, request, accept).await
    }

    async fn send(
        &self,
        client: &Client,
        mut request: Request,
        accept: &'static str,
    ) -> Result<Answer, NoAnswer> {
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(accept));
        let head = client.execute(request);
        let response =
            tokio::time::timeout(self.deadline, head).await.map_err(gone)?.map_err(gone)?;
        let status = response.status().as_u16();
        let media_type = media_type(&response);
        let date = response.headers().get(header::DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        let nonces = response.headers().get_all(DPOP_NONCE);
        let nonces = nonces.iter().map(|nonce| nonce.as_bytes().to_vec()).collect();
        let body = read(response);
        let body = tokio::time::timeout(self.deadline, body).await.map_err(gone)??;
        Ok(Answer { status, media_type, date, nonces, body })
    }
}

/// What both clients have in common.
fn builder(config: &ProviderConfig) -> Result<ClientBuilder, ConfigFault> {
    let mut builder = Client::builder()
        .user_agent(concat!("cloakroom/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        // CB-06: an authorization code must not travel twice.
        .retry(retry::never())
        .referer(false)
        .no_proxy()
        .connect_timeout(config.timeout)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(4);
    if let Some(file) = &config.ca_file {
        let pem = std::fs::read(file).map_err(|_| ConfigFault::CaFile)?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|_| ConfigFault::CaFile)?;
        if certificates.is_empty() {
            return Err(ConfigFault::CaFile);
        }
        builder = builder.tls_certs_only(certificates);
    }
    if let Some(proxy) = &config.proxy {
        builder = builder.proxy(Proxy::all(proxy).map_err(|_| ConfigFault::Proxy)?);
    }
    for (host, address) in &config.resolve {
        builder = builder.resolve(host, *address);
    }
    Ok(builder)
}

fn add_proof(request: &mut Request, proof: Option<&str>) -> Result<(), NoAnswer> {
    if let Some(proof) = proof {
        let value = HeaderValue::from_str(proof).map_err(gone)?;
        request.headers_mut().insert(HeaderName::from_static(DPOP), value);
    }
    Ok(())
}

async fn read(mut response: Response) -> Result<Vec<u8>, NoAnswer> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(gone)? {
        if body.len() + chunk.len() > LARGEST_BODY {
            return Err(NoAnswer);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn media_type(response: &Response) -> String {
    let value = response.headers().get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

fn sensitive(value: &str) -> Result<HeaderValue, NoAnswer> {
    let mut value = HeaderValue::from_str(value).map_err(gone)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The cause is dropped: its text may hold what the other side sent, or a URL with a secret.
fn gone<E>(_: E) -> NoAnswer {
    NoAnswer
}
