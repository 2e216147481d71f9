//! What a session holds open: event streams, long downloads, WebSockets. Ends them with it, and says so in the metrics and
//! the audit stream (PX-16).

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::dev::Payload;

use crate::audit::{self, Event};
use crate::clock::{Clock, Timestamp};
use crate::config::{CloseAt, RouteConfig};
use crate::proxy::{Forwarded, Tunnel, bind_to_session};
use crate::session::SessionRecord;
use crate::store::{DenyList, Ending, Lifetime, SessionKeys};
use crate::telemetry::Metrics;

/// What ends things and counts them, shared by all that is open in one app.
pub struct Ends {
    pub deny: Arc<DenyList>,
    pub clock: Clock,
    pub metrics: Metrics,
}

/// One open thing; outlives the request that opened it. Most never need it, so it is cheap to make.
struct Held {
    ends: Arc<Ends>,
    session: [u8; 16],
    keys: SessionKeys,
    session_ends: Timestamp,
    token_ends: Option<Timestamp>,
    route: Box<str>,
    request_id: Box<str>,
}

impl Held {
    fn new(
        ends: &Arc<Ends>,
        config: &RouteConfig,
        (record, issuer): (&SessionRecord, &str),
        request_id: &str,
    ) -> Self {
        let until_token = config.close_at == CloseAt::TokenExpiry;
        Self {
            ends: Arc::clone(ends),
            session: *record.session_id.as_bytes(),
            keys: record.known_as(issuer).keys(),
            session_ends: record.expires,
            token_ends: until_token.then_some(record.access_expires),
            route: config.path.as_str().into(),
            request_id: request_id.into(),
        }
    }

    fn lifetime(&self) -> Lifetime {
        Lifetime {
            session: self.keys,
            session_ends: self.session_ends,
            token_ends: self.token_ends,
            deny: Arc::clone(&self.ends.deny),
            clock: self.ends.clock.clone(),
        }
    }
}

/// Binds the body of an answer, which was asked for with `record`, to its session; `issuer` is the configured one of its provider.
pub fn bind(
    answer: Forwarded,
    ends: &Arc<Ends>,
    config: &RouteConfig,
    session: (&SessionRecord, &str),
    request_id: &str,
) -> Forwarded {
    let response = bind_to_session(answer.response, answer.is_event_stream, || {
        let held = Held::new(ends, config, session, request_id);
        async move {
            let ending: Ending = held.lifetime().over().await;
            let (session, route, cause) = (&held.session, &*held.route, ending.as_str());
            held.ends.metrics.stream_ended(cause);
            audit::record(&Event::StreamEnded { session, route, cause }, &held.request_id);
            ending
        }
    });
    Forwarded { response, ..answer }
}

/// Joins the browser's connection and the upstream's until one of them goes or the session ends.
pub fn join(
    (tunnel, browser): (Box<Tunnel>, Payload),
    ends: &Arc<Ends>,
    config: &RouteConfig,
    session: (&SessionRecord, &str),
    request_id: &str,
) -> HttpResponse {
    let held = Held::new(ends, config, session, request_id);
    held.ends.metrics.tunnel_opened();
    let opened = Event::TunnelOpened { session: &held.session, route: &held.route };
    audit::record(&opened, request_id);
    tunnel.join(browser, held.lifetime().over(), move |closed| {
        let (session, route, cause) = (&held.session, &*held.route, closed.as_str());
        held.ends.metrics.tunnel_closed(cause);
        audit::record(&Event::TunnelClosed { session, route, cause }, &held.request_id);
    })
}
