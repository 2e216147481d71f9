//! Everything that is not an own endpoint: an API call through its route; what has none is a page of the SPA, or nothing.
//! A call to a protected route without a session is 401, never a redirect (PX-24).

use std::pin::pin;
use std::time::Duration;

use actix_web::dev::Payload;
use futures_util::future::{Either, select};
use tokio::time::timeout;

use super::api_entry::guard;
use super::app::App;
use super::bound_call;
use super::by_claims;
use super::held_open;
use super::pages;
use super::routes::{Refused, refused};
use super::sensitive::Trail;
use super::step_up;
use super::tokens_of_apis;
use super::worker::Worker;
use crate::config::TokenSource;
use crate::edge::{Code, Problem, Reply};
use crate::endpoints::Call;
use crate::oidc::Dpop;
use crate::proxy::{
    Forwarded, Handshake, NormalPath, Opened, Outgoing, Route, forward, open_tunnel,
};
use crate::secret::Secret;
use crate::session::{OpenSession, SessionRecord};
use crate::tokens::{Freshness, Refreshed};

/// How long a response head waits for a refresh that runs beside the call.
const HEAD_WAITS: Duration = Duration::from_secs(2);
/// How long a call waits for a token that it cannot do without.
pub(super) const CALL_WAITS: Duration = Duration::from_secs(10);

/// Answers by the matching route, else by the SPA's files, else 404.
pub async fn answer(
    call: &Call<'_>,
    app: &App,
    worker: &Worker,
    path: NormalPath,
    body: Payload,
) -> Result<Reply, Refused> {
    // The call keeps the routes that it began with.
    let routes = app.routes.load();
    let Some(route) = routes.table.find(&path) else {
        return Box::pin(pages::answer(call, (app, &routes), &path, body)).await.map(Reply::Own);
    };
    if let Some(trace) = call.trace {
        trace.answered_by(&route.config().path);
    }
    let (place, route_of) = ((call, app, worker), (route, routes.claim_fields.as_slice()));
    match Trail::of(call, route) {
        None => through(place, route_of, path, body, None).await,
        Some(trail) => {
            let answered = Box::pin(through(place, route_of, path, body, Some(&trail))).await;
            trail.end(&answered);
            answered
        }
    }
}

async fn through(
    (call, app, worker): (&Call<'_>, &App, &Worker),
    (route, claim_fields): (&Route, &[String]),
    path: NormalPath,
    body: Payload,
    trail: Option<&Trail<'_>>,
) -> Result<Reply, Refused> {
    let handshake = guard(call, app, route)?;
    let told = Vec::new();
    let api = Api { call, app, worker, route, path, handshake, claim_fields, told, trail };
    match route.config().token {
        TokenSource::None => api.forward((None, None), body).await.map(|sent| sent.response),
        TokenSource::Client => {
            let token = Box::pin(tokens_of_apis::own(app, route.config())).await?;
            let dpop = app.providers.first().provider.dpop();
            api.forward((token.token.as_ref(), dpop), body).await.map(|sent| sent.response)
        }
        TokenSource::Login
        | TokenSource::Resource
        | TokenSource::Exchange
        | TokenSource::Introspect => api.with_login_token(body).await,
    }
}

/// A call that may go to its upstream. What is rare is boxed: every call's future would be larger by it, and the server
/// allocates and moves that future.
struct Api<'a> {
    call: &'a Call<'a>,
    app: &'a App,
    worker: &'a Worker,
    route: &'a Route,
    path: NormalPath,
    /// The call asks for a WebSocket.
    handshake: Option<Handshake>,
    /// Fields that tell claims, on whatever route.
    claim_fields: &'a [String],
    /// Those of this call.
    told: Vec<(&'a str, String)>,
    /// Of a sensitive route.
    trail: Option<&'a Trail<'a>>,
}

impl Api<'_> {
    async fn with_login_token(mut self, body: Payload) -> Result<Reply, Refused> {
        let (call, app) = (self.call, self.app);
        let sessions = &app.sessions;
        let session =
            sessions.open(call).await.map_err(|why| sessions.not_logged_in(why, call.jar))?;
        let record = &session.record;
        if let Some(trail) = self.trail {
            trail.of_session(record, app.providers.issuer_of(record));
        }
        self.limited(record)?;
        let freshness = sessions.freshness(record, call.now);
        if freshness != Freshness::Ended {
            self.judge(record)?;
        }
        // RFC 9110 §9.2.2: what is idempotent may be sent again, here when nothing of a body is gone.
        let may_repeat = call.request.method().is_idempotent() && matches!(body, Payload::None);
        let mut body = Body { payload: body, may_repeat: may_repeat || self.handshake.is_some() };
        match freshness {
            Freshness::Early if record.refresh_token.is_some() => {
                Box::pin(self.beside_refresh(&session, body)).await
            }
            Freshness::Fresh | Freshness::Early => {
                let sent = self.send(record, &mut body).await;
                self.settle((sent, record.access_generation()), &session, None, body).await
            }
            Freshness::Ended => Box::pin(self.after_refresh(&session, body)).await,
        }
    }

    /// Applies the route's rules to the generation that the call goes out with: a refresh may have narrowed its scopes.
    fn judge(&mut self, record: &SessionRecord) -> Result<(), Refused> {
        let rules = &self.route.config().rules;
        if !rules.is_empty() {
            let ruling = by_claims::rule(rules, record).map_err(refused)?;
            (self.route, self.told) = (self.route.chosen(ruling.upstream), ruling.fields);
        }
        Ok(())
    }

    /// Refuses a session that calls the route too often.
    fn limited(&self, record: &SessionRecord) -> Result<(), Refused> {
        let config = self.route.config();
        let Some(limit) = config.session_rate else { return Ok(()) };
        let who = (self.app.id.as_str(), config.path.as_str(), record.session_id.as_bytes());
        let admitted = self.worker.shared.rates.admit(limit, who);
        admitted.map_err(|wait| refused(Problem::new(Code::RateLimited).with_retry_after(wait)))
    }

    /// Calls and refreshes beside each other: the head waits a little for the new cookies, a slow upstream costs nothing.
    async fn beside_refresh(
        &self,
        session: &OpenSession,
        mut body: Body,
    ) -> Result<Reply, Refused> {
        let record = &session.record;
        let refresh = self.app.sessions.refresher.refresh(record, self.call.request_id);
        if self.handshake.is_some() {
            // What stays open is worth the newest token, if it comes soon.
            let next = timeout(HEAD_WAITS, refresh).await.ok().and_then(Result::ok);
            let newest = next.as_deref().unwrap_or(record);
            let sent = self.send(newest, &mut body).await;
            return self.settle((sent, newest.access_generation()), session, next, body).await;
        }
        let sent = self.send(record, &mut body);
        let (sent, next) = match select(pin!(sent), pin!(refresh)).await {
            Either::Left((sent, refresh)) => {
                (sent, timeout(HEAD_WAITS, refresh).await.ok().and_then(Result::ok))
            }
            Either::Right((next, sent)) => (sent.await, next.ok()),
        };
        self.settle((sent, record.access_generation()), session, next, body).await
    }

    /// Calls with the next generation's token: this one's has ended.
    async fn after_refresh(
        mut self,
        session: &OpenSession,
        mut body: Body,
    ) -> Result<Reply, Refused> {
        let next = self.next_generation(session).await?;
        let sent = match self.judge(&next) {
            Ok(()) => self.send(&next, &mut body).await,
            Err(refused) => Err(refused),
        };
        self.settle((sent, next.access_generation()), session, Some(next), body).await
    }

    /// The answer for the browser, to a call that went out with the token of a generation. When the upstream refuses that
    /// token (PX-18), it is replaced, once, and the call repeated, once, if it may be.
    async fn settle(
        &self,
        (sent, used): (Result<Forwarded, Refused>, u32),
        session: &OpenSession,
        next: Option<Refreshed>,
        body: Body,
    ) -> Result<Reply, Refused> {
        let sent = match sent {
            Ok(sent) if sent.token_refused => sent,
            Ok(Forwarded { step_up: Some(wish), .. }) => {
                let record = next.as_deref().unwrap_or(&session.record);
                let problem = step_up::problem(*wish, record, self.app, self.call.now);
                return self.finish(Err(refused(problem)), session, next).await;
            }
            sent => return self.finish(sent.map(|sent| sent.response), session, next).await,
        };
        let next = match next {
            // What was just fetched is refused as well: the API's own answer.
            Some(next) if next.access_generation() <= used => {
                self.fresh_was_refused(session);
                return self.finish(Ok(sent.response), session, Some(next)).await;
            }
            Some(next) => Some(next),
            None => Box::pin(self.replacement(session, body.may_repeat)).await?,
        };
        match next {
            Some(next) if body.may_repeat => {
                // Closes its connection, if the refusal has not come to its end.
                drop(sent);
                Box::pin(self.repeat(session, next, body)).await
            }
            // The API's own answer; a new token is there for the next call.
            next => self.finish(Ok(sent.response), session, next).await,
        }
    }

    /// The generation after one whose token was refused, if it can be had in time.
    async fn replacement(
        &self,
        session: &OpenSession,
        may_repeat: bool,
    ) -> Result<Option<Refreshed>, Refused> {
        let (call, sessions) = (self.call, &self.app.sessions);
        let replaced = sessions.replace_refused(&session.record, call.request_id, call.jar);
        let wait = if may_repeat { CALL_WAITS } else { HEAD_WAITS };
        timeout(wait, replaced).await.unwrap_or(Ok(None))
    }

    fn fresh_was_refused(&self, session: &OpenSession) {
        self.app.sessions.refused.fresh_was_refused(session.record.session_id.as_bytes());
    }

    /// Sends the call a second and last time, with the token of `next`.
    async fn repeat(
        &self,
        session: &OpenSession,
        next: Refreshed,
        mut body: Body,
    ) -> Result<Reply, Refused> {
        let sent = self.send(&next, &mut body).await;
        if sent.as_ref().is_ok_and(|sent| sent.token_refused) {
            self.fresh_was_refused(session);
        }
        self.finish(sent.map(|sent| sent.response), session, Some(next)).await
    }

    /// Sends the call with the token of `record`, and binds what it opens to the session.
    async fn send(&self, record: &SessionRecord, body: &mut Body) -> Result<Forwarded, Refused> {
        let (call, app, config) = (self.call, self.app, self.route.config());
        // Another instance may have fetched it, configured otherwise: the next call gets one of ours.
        let dpop = app.providers.proofs_of(record).map_err(|_| tokens_of_apis::unavailable())?;
        let mut other = None;
        if config.token != TokenSource::Login {
            other = Box::pin(tokens_of_apis::of_session(app, config, record, call)).await?;
            if other.is_none() {
                // Nothing of it is gone.
                body.may_repeat = true;
                return Ok(tokens_of_apis::inactive(call.request_id));
            }
        }
        let other_token = other.as_ref().and_then(|other| other.token.as_ref());
        let token = (Some(other_token.unwrap_or(&record.access_token)), dpop.as_ref());
        let session = (record, app.providers.issuer_of(record));
        let Some(handshake) = &self.handshake else {
            let payload = std::mem::replace(&mut body.payload, Payload::None);
            let sent = self.forward(token, payload).await?;
            return Ok(held_open::bind(sent, &app.ends, config, session, call.request_id));
        };
        let (pool, is_ours) = (&self.worker.pool, |name: &str| app.cookies.is_ours(name));
        let open = || {
            let outgoing = self.outgoing(token, &is_ours);
            Box::pin(open_tunnel(pool, call.request, handshake, outgoing))
        };
        let opened = match open().await {
            Ok(Opened::Refused(sent)) if sent.nonce_wanted => open().await,
            opened => opened,
        };
        match opened.map_err(|error| refused(Problem::from(error)))? {
            Opened::Refused(sent) => Ok(sent),
            Opened::Switched(tunnel) => {
                let browser = std::mem::replace(&mut body.payload, Payload::None);
                let joined = (tunnel, browser);
                let response = held_open::join(joined, &app.ends, config, session, call.request_id);
                Ok(Forwarded::plain(response))
            }
        }
    }

    async fn forward(
        &self,
        token: (Option<&Secret<String>>, Option<&Dpop>),
        body: Payload,
    ) -> Result<Forwarded, Refused> {
        let is_ours = |name: &str| self.app.cookies.is_ours(name);
        let (pool, request) = (&self.worker.pool, self.call.request);
        let once = |body| forward(pool, request, body, self.outgoing(token, &is_ours));
        if token.1.is_none() {
            return once(body).await.map_err(|error| refused(Problem::from(error)));
        }
        let once = async |body| once(body).await.map_err(Problem::from);
        Box::pin(bound_call::sent(request, body, once)).await.map_err(refused)
    }

    fn outgoing<'b>(
        &'b self,
        (token, dpop): (Option<&'b Secret<String>>, Option<&'b Dpop>),
        is_ours: &'b dyn Fn(&str) -> bool,
    ) -> Outgoing<'b> {
        Outgoing {
            route: self.route,
            path: &self.path,
            access_token: token,
            dpop,
            client_ip: self.call.client_ip,
            public: &self.app.public,
            request_id: self.call.request_id,
            csrf_header: &self.app.csrf_header,
            claim_fields: self.claim_fields,
            told: &self.told,
            trace: self.call.trace.map(|trace| (trace, trace.call())),
            is_ours,
            sibling_spa: self.app.sibling_spa,
        }
    }

    async fn next_generation(&self, session: &OpenSession) -> Result<Refreshed, Refused> {
        let (call, sessions) = (self.call, &self.app.sessions);
        let next = sessions.next(&session.record, call.request_id, call.jar);
        match timeout(CALL_WAITS, next).await {
            Ok(next) => next,
            Err(_) => Err(tokens_of_apis::unavailable()),
        }
    }

    /// Decides the cookies when the head is written: the newest generation, or a sign of life. An upstream's failure
    /// keeps no refreshed token from the browser.
    async fn finish(
        &self,
        sent: Result<Reply, Refused>,
        session: &OpenSession,
        next: Option<Refreshed>,
    ) -> Result<Reply, Refused> {
        let lines = match next {
            Some(next) => {
                // The call is done either way: a session that ends here shows at the next one.
                Box::pin(self.app.sessions.reseal(&next, self.call))
                    .await
                    .unwrap_or_else(|(_, clear)| clear)
            }
            None => self.app.sessions.touch(session, self.call).await,
        };
        match sent {
            Ok(mut reply) => {
                reply.set_cookies(lines);
                Ok(reply)
            }
            // Cookies of a session that has just ended are cleared.
            Err((problem, cleared)) => {
                Err((problem, if cleared.is_empty() { lines } else { cleared }))
            }
        }
    }
}

/// What a call brings along.
struct Body {
    payload: Payload,
    /// Sending the call twice does no more than sending it once.
    may_repeat: bool,
}
