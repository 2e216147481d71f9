//! Forwards an API call to its upstream with the access token attached, and its answer back to the browser.
//! Never forwards our cookies or the caller's `Authorization`; never sends a token anywhere but to the route's upstream.

mod caching;
mod challenge;
mod connect;
mod connection;
mod disposition;
mod download;
mod drain;
mod error;
mod exchange;
mod fields;
mod frames;
mod head;
mod identity;
mod location;
mod multiplexed;
mod path;
mod pool;
mod problem;
mod proof;
mod request;
mod response;
mod rotation;
mod route;
mod sending;
mod session_bound;
mod shelf;
mod switched;
mod tunnel;
mod upgrade;
mod upload;
mod wire;

use std::net::IpAddr;

use actix_web::dev::Payload;

use crate::config::PublicUrl;
use crate::edge::{Reply, Request};
use crate::oidc::Dpop;
use crate::secret::Secret;
use crate::telemetry::Answered;
use crate::traces::{self, Trace};

use connection::Answer;

pub use challenge::StepUp;
pub use connect::reach;
pub use drain::{Drain, Phase};
pub use error::ProxyError;
pub use path::{NormalPath, PathError};
pub use pool::Pool;
pub use route::{Route, RouteTable};
pub use session_bound::bind_to_session;
pub use tunnel::{Closed, Opened, Tunnel, open_tunnel};
pub use upgrade::{Handshake, asks_for_websocket};

/// One call on its way to an upstream: everything that is not in the browser's request itself.
pub struct Outgoing<'a> {
    /// Where it goes; found by `path`.
    pub route: &'a Route,
    pub path: &'a NormalPath,
    /// Attached only when the route's token source is the login.
    pub access_token: Option<&'a Secret<String>>,
    /// Proofs of the key that the token is bound to, if it is.
    pub dpop: Option<&'a Dpop>,
    /// The browser's address, as far as it can be believed.
    pub client_ip: IpAddr,
    pub public: &'a PublicUrl,
    pub request_id: &'a str,
    /// The guard's header as configured, lower case: it means nothing further on.
    pub csrf_header: &'a str,
    /// Fields that tell claims, on whatever route of the app: no caller sets one. Lower case.
    pub claim_fields: &'a [String],
    /// Those that this call gets: name in lower case, value in printable ASCII.
    pub told: &'a [(&'a str, String)],
    /// The trace that the call belongs to, and its part of it.
    pub trace: Option<(&'a Trace, traces::Call)>,
    /// Whether a cookie name belongs to us: then it goes neither up nor down.
    pub is_ours: &'a dyn Fn(&str) -> bool,
    /// The SPA lives on a sibling host of the same site.
    pub sibling_spa: bool,
}

impl Outgoing<'_> {
    /// Notes how the call ended: with this status, or without an answer.
    fn called(&self, request: &Request, status: Option<u16>) {
        if let Some((trace, call)) = &self.trace {
            let host = &self.route.upstream().host;
            trace.called(call, request.method().as_str(), host, status);
        }
    }
}

/// An upstream's answer on its way to the browser, the body still streaming.
pub struct Forwarded {
    pub response: Reply,
    /// It has no end of its own.
    pub is_event_stream: bool,
    /// The upstream says that the access token is not valid (any more): another one would help.
    pub token_refused: bool,
    /// The upstream wants its nonce in the proof, and has named it: the same call, sent again, would do.
    pub nonce_wanted: bool,
    /// The upstream wants another login for this call.
    pub step_up: Option<Box<StepUp>>,
}

impl Forwarded {
    /// An answer that says nothing of the token.
    pub fn plain(response: impl Into<Reply>) -> Self {
        let (response, is_event_stream) = (response.into(), false);
        Self { response, is_event_stream, token_refused: false, nonce_wanted: false, step_up: None }
    }
}

/// Forwards `request` and gives the upstream's answer, its body still streaming.
///
/// Dropping the future, or the body of the answer, closes the upstream connection: nothing is left running.
pub async fn forward(
    pool: &Pool,
    request: &Request,
    body: Payload,
    outgoing: Outgoing<'_>,
) -> Result<Forwarded, ProxyError> {
    let route = outgoing.route;
    route.admit(request.method().as_str())?;
    request::refuse(request, route)?;
    if request::ends_here(request) {
        let response = response::own_options(route.allow());
        return Ok(Forwarded::plain(response));
    }
    let upload = upload::Upload::new(request, body, route.config().body_limit)?;
    let framing = upload.framing();
    let head = |room| request::head(request, &outgoing, framing, room);
    let sent = exchange::send(pool, route, upload, head).await;
    route.answered(match &sent {
        Ok((answer, _)) => Answered::of(answer.status.as_u16()),
        Err(_) => Answered::Failed,
    });
    outgoing.called(request, sent.as_ref().ok().map(|(answer, _)| answer.status.as_u16()));
    let answered = sent.and_then(|(answer, link)| {
        let token_refused =
            challenge::refused(answer.status, &answer.fields, outgoing.dpop.is_some());
        let step_up = challenge::step_up(answer.status, &answer.fields).map(Box::new);
        let nonce_wanted = proof::learn(&outgoing, &answer);
        let is_event_stream = link.terms.endless;
        let response = response::build(answer, link, request, &outgoing)?;
        Ok(Forwarded { response, is_event_stream, token_refused, nonce_wanted, step_up })
    });
    answered.inspect_err(|error| log(error, &outgoing))
}

/// Tells the operator which upstream failed, and how; what a caller did wrong is in the access line.
fn log(error: &ProxyError, outgoing: &Outgoing<'_>) {
    use ProxyError::{Closed, Connect, Invalid, Timeout, Tls};
    if matches!(error, Connect | Tls | Closed | Timeout | Invalid(_)) {
        let config = outgoing.route.config();
        tracing::warn!(
            request_id = outgoing.request_id,
            route = config.path,
            upstream = config.upstream.authority,
            %error,
            "upstream failed"
        );
    }
}
