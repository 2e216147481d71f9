//! The token that a call goes out with where it is not the login's own. Nothing has been sent yet: whatever comes of it here,
//! the call can still be made. An outage of the authorization server is 503 and ends no session.

use std::sync::Arc;

use actix_web::HttpResponse;
use tokio::time::timeout;

use super::api::CALL_WAITS;
use super::app::App;
use super::routes::{Refused, refused};
use crate::config::{RouteConfig, TokenSource};
use crate::edge::{Code, Problem};
use crate::endpoints::{Call, NoSession};
use crate::oidc::{ApiToken, OidcError};
use crate::proxy::Forwarded;
use crate::session::SessionRecord;
use crate::tokens::{Caller, NoToken, OneProvider};

/// The token for a call of this session on this route; `None` when the authorization server does not take the session's
/// access token any more.
pub async fn of_session(
    app: &App,
    config: &RouteConfig,
    record: &SessionRecord,
    call: &Call<'_>,
) -> Result<Option<Arc<ApiToken>>, Refused> {
    let refresher = &app.sessions.refresher;
    let caller = Caller { record, refresher, request_id: call.request_id };
    let asked = app.providers.of(record.registration);
    // That of a provider that is gone is not looked at this far.
    let Some(asked) = asked else { return Ok(None) };
    let fetched = fetched(app, asked, config, Some(caller)).await;
    // Whoever waited for it does not go on when the session has ended meanwhile.
    if app.sessions.is_denied(record) {
        app.sessions.api_tokens.forget(record.session_id.as_bytes());
        return Err(app.sessions.not_logged_in(NoSession::ClearCookies, call.jar));
    }
    let token = match fetched {
        Ok(token) => token,
        Err(NoToken::Subject) => return Ok(None),
        Err(NoToken::Unavailable(_)) => return Err(unavailable()),
        Err(NoToken::Refused(_) | NoToken::NoRefreshToken) => {
            return Err(refused(Problem::new(Code::ApiTokenRefused)));
        }
        Err(NoToken::Ended) => return Err(app.sessions.grant_is_gone(record, call.jar)),
    };
    // What the server says of the login's token now counts, not what it said at the login. An exchanged one is another token, with
    // the scopes of its API.
    if let (TokenSource::Introspect, Some(scope)) = (config.token, &token.scope) {
        let granted: Vec<&str> = scope.split(' ').collect();
        let missing = config.rules.scopes.iter().filter(|scope| !granted.contains(&scope.as_str()));
        let missing: Vec<String> = missing.cloned().collect();
        if !missing.is_empty() {
            return Err(refused(Problem::new(Code::ScopeMissing).with_missing(missing)));
        }
    }
    Ok(Some(token))
}

/// A token of our own, for whoever calls this route: of the first authorization server, if there are several.
pub async fn own(app: &App, config: &RouteConfig) -> Result<Arc<ApiToken>, Refused> {
    fetched(app, app.providers.first(), config, None).await.map_err(|why| match why {
        NoToken::Unavailable(_) => unavailable(),
        NoToken::Subject | NoToken::Refused(_) | NoToken::Ended | NoToken::NoRefreshToken => {
            refused(Problem::new(Code::ApiTokenRefused))
        }
    })
}

/// The answer to a call whose access token is not active any more, as if the API had said so: a new one may help.
pub fn inactive(request_id: &str) -> Forwarded {
    let response: HttpResponse = Problem::new(Code::TokenInactive).response(request_id, false);
    Forwarded { token_refused: true, ..Forwarded::plain(response) }
}

async fn fetched(
    app: &App,
    asked: &OneProvider,
    config: &RouteConfig,
    caller: Option<Caller<'_>>,
) -> Result<Arc<ApiToken>, NoToken> {
    let wanted = (config.token, &config.target);
    let token = app.sessions.api_tokens.get(asked, wanted, caller);
    let late = NoToken::Unavailable(OidcError::TokenUnavailable);
    timeout(CALL_WAITS, token).await.unwrap_or(Err(late))
}

/// A token is wanted that the authorization server cannot give at the moment.
pub fn unavailable() -> Refused {
    refused(Problem::new(Code::ProviderUnavailable).with_retry_after(2))
}
