//! Ends sessions on an operator's word: one, those of a session or a user of the authorization server, or everybody's
//! (ASVS 7.4.5). All of them began up to now: whoever logs in afterwards is in again. Never forgets to say how far it reached.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::app::App;
use crate::audit::{self, Event};
use crate::store::{SessionName, Tokens, Whom};
use crate::telemetry::Metrics;

/// What is asked for.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EndSessions {
    /// The id of the app; absent for every app of the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Who issued `user` or `op_session`; absent for the configured issuer, where an app has but one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    pub whom: Selection,
}

/// Whose sessions.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// One, by its name in the audit stream.
    Session(String),
    /// Those of a session of the authorization server (`sid`).
    OpSession(String),
    /// Those of a user (`sub`).
    User(String),
    /// All there are.
    Everybody,
}

impl Selection {
    /// A word for the metric and the audit stream.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Session(_) => "session",
            Self::OpSession(_) => "op_session",
            Self::User(_) => "user",
            Self::Everybody => "everybody",
        }
    }
}

/// What became of it in one app.
#[derive(Debug, Deserialize, Serialize)]
pub struct EndedIn {
    pub app: String,
    /// Sessions that began up to then have ended: seconds since 1970.
    pub created_until: u64,
    /// Other instances know, as far as there are any to be told.
    pub told_others: bool,
    /// A restart of this process does not forget it.
    pub survives_restart: bool,
}

/// Why nothing was ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("there is no app with this id; there are: {known}")]
    UnknownApp { known: String },
    #[error(
        "not the name of a session: take `session` from a line of the audit stream, 22 characters"
    )]
    NotASession,
    #[error("no name is given")]
    NoName,
    #[error("say whose user or session it is: app {app} has the issuers {known}")]
    WhichIssuer { app: String, known: String },
}

/// Ends what is `asked` for; `by` is the user id of the operating system who asks.
pub(super) async fn end(
    asked: &EndSessions,
    apps: &[Arc<App>],
    by: Option<u32>,
    metrics: &Metrics,
) -> Result<Vec<EndedIn>, Refusal> {
    check(&asked.whom)?;
    let meant: Vec<&Arc<App>> =
        apps.iter().filter(|app| asked.app.as_ref().is_none_or(|id| *id == app.id)).collect();
    if meant.is_empty() {
        let known: Vec<&str> = apps.iter().map(|app| app.id.as_str()).collect();
        return Err(Refusal::UnknownApp { known: known.join(", ") });
    }
    if asked.issuer.is_none() && matches!(asked.whom, Selection::OpSession(_) | Selection::User(_))
    {
        meant.iter().try_for_each(|app| one_issuer(app))?;
    }
    let mut ended = Vec::with_capacity(meant.len());
    for app in meant {
        ended.push(end_in(app, asked, by).await?);
    }
    metrics.ended_by_operator(asked.whom.kind());
    Ok(ended)
}

fn check(whom: &Selection) -> Result<(), Refusal> {
    match whom {
        Selection::Session(name) => SessionName::parse(name).map(drop).ok_or(Refusal::NotASession),
        Selection::OpSession(name) | Selection::User(name) if name.is_empty() => {
            Err(Refusal::NoName)
        }
        _ => Ok(()),
    }
}

/// A user is nobody without an issuer, and two may call different people the same.
fn one_issuer(app: &App) -> Result<(), Refusal> {
    let issuers: BTreeSet<&str> = app.providers.iter().map(|one| one.issuer.as_str()).collect();
    if issuers.len() == 1 {
        return Ok(());
    }
    let known: Vec<&str> = issuers.into_iter().collect();
    Err(Refusal::WhichIssuer { app: app.id.clone(), known: known.join(", ") })
}

async fn end_in(app: &App, asked: &EndSessions, by: Option<u32>) -> Result<EndedIn, Refusal> {
    let (sessions, now) = (&app.sessions, app.sessions.clock.now());
    let issuer = asked.issuer.as_deref().unwrap_or(&app.providers.first().issuer);
    let whom = match &asked.whom {
        Selection::Session(name) => {
            Whom::Named(SessionName::parse(name).ok_or(Refusal::NotASession)?)
        }
        Selection::OpSession(sid) => Whom::OpSession { issuer, sid },
        Selection::User(subject) => Whom::User { issuer, subject, created_until: now },
        Selection::Everybody => Whom::Everybody { created_until: now },
    };
    sessions.deny.deny(whom, now.plus(app.longest_life), Tokens::Revoke, now);
    let (session, user, op_session) = match &asked.whom {
        Selection::Session(name) => (Some(name.as_str()), None, None),
        Selection::User(subject) => (None, Some((issuer, subject.as_str())), None),
        Selection::OpSession(sid) => (None, None, Some((issuer, sid.as_str()))),
        Selection::Everybody => (None, None, None),
    };
    let whom = asked.whom.kind();
    let event = Event::EndedByOperator { app: &app.id, whom, session, user, op_session, uid: by };
    audit::record(&event, "");
    Ok(EndedIn {
        app: app.id.clone(),
        created_until: now.0,
        told_others: sessions.deny.is_published().await,
        survives_restart: sessions.deny.survives_restart(),
    })
}
