//! The trail of a call to a sensitive route: one security event, whether it was answered, refused, or its caller went away. Never
//! holds anything of the call but its method: no path below the route, no query, no body.

use std::cell::OnceCell;

use tokio::time::Instant;

use super::routes::Refused;
use crate::audit::{self, Event};
use crate::edge::Reply;
use crate::endpoints::Call;
use crate::proxy::Route;
use crate::session::SessionRecord;

/// What is known so far; leaves its event when dropped.
pub struct Trail<'a> {
    call: &'a Call<'a>,
    route: &'a str,
    began: Instant,
    /// Session, issuer and subject.
    who: OnceCell<([u8; 16], String, String)>,
    /// The status, and the code of a refusal.
    outcome: Option<(u16, Option<&'static str>)>,
}

impl<'a> Trail<'a> {
    /// Begins one if the route asks for it.
    pub fn of(call: &'a Call<'a>, route: &'a Route) -> Option<Self> {
        let config = route.config();
        config.audit.then(|| Self {
            call,
            route: &config.path,
            began: Instant::now(),
            who: OnceCell::new(),
            outcome: None,
        })
    }

    /// It is a call of this session, whose user is one of `issuer`.
    pub fn of_session(&self, record: &SessionRecord, issuer: &str) {
        let (session, subject) = (*record.session_id.as_bytes(), record.subject.clone());
        let _known = self.who.set((session, issuer.to_owned(), subject));
    }

    /// It ends like this.
    pub fn end(mut self, answered: &Result<Reply, Refused>) {
        self.outcome = Some(match answered {
            Ok(reply) => (reply.status().as_u16(), None),
            Err((problem, _)) => (problem.status(), Some(problem.code())),
        });
    }
}

impl Drop for Trail<'_> {
    fn drop(&mut self) {
        let (status, code) = match self.outcome {
            Some((status, code)) => (Some(status), code),
            None if std::thread::panicking() => (Some(500), Some("internal")),
            None => (None, Some("client_gone")),
        };
        let who = self.who.get();
        let event = Event::ApiCall {
            route: self.route,
            method: self.call.request.method().as_str(),
            status,
            code,
            session: who.map(|(session, ..)| session),
            user: who.map(|(_, issuer, subject)| (issuer.as_str(), subject.as_str())),
            ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        audit::record(&event, self.call.request_id);
    }
}
