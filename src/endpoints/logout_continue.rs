//! `GET /logout/continue`: takes the browser to the authorization server's logout, once, by a top-level navigation.
//! The ID token leaves only in that navigation, never to JavaScript (LO-05).

use std::sync::Arc;

use actix_web::HttpResponse;
use url::Url;

use super::call::Call;
use super::login_flow::see_other;
use super::logout::LogoutParts;
use super::sessions::Sessions;
use crate::edge::{Code, Problem, pages, set_cookies};
use crate::secret::Random;

/// A longer address is posted as a form: servers and proxies refuse long ones.
const LONGEST_URL: usize = 2_000;

/// Where the browser comes back to, and where it goes when there is nothing to do at the authorization server.
pub struct Landing {
    /// `https://app.example.com/logged-out`, registered at the authorization server.
    pub post_logout_redirect_uri: String,
    /// `https://app.example.com/`
    pub signed_out_url: String,
    pub random: Random,
}

/// Redirects to the end-session endpoint, or to the app's signed-out page.
pub async fn answer(
    call: &Call<'_>,
    sessions: &Sessions,
    parts: &LogoutParts,
    landing: &Landing,
) -> Result<HttpResponse, Problem> {
    if call.facts.sec_fetch_dest.is_some_and(|dest| dest != "document") {
        return Err(Problem::new(Code::ForbiddenFetchDest));
    }
    let Some(ticket) = sessions.cookies.open_logout_ticket(call.jar, call.now) else {
        return Ok(see_other(&landing.signed_out_url));
    };
    // The ID token goes to whoever issued it, and to nobody if that is none of ours any more.
    let Some(told) = parts.providers.of(ticket.registration) else {
        return Ok(see_other(&landing.signed_out_url));
    };
    let provider = Arc::clone(&told.provider);
    let (return_to, param) =
        (landing.post_logout_redirect_uri.clone(), parts.config.redirect_param.clone());
    let state = landing.random.token::<16>();
    let url = parts.control.spawn(async move {
        provider.end_session_url(ticket.id_token.as_ref(), &return_to, &param, &state).await
    });
    // The session has ended here already: an authorization server that is down must not make logout look failed.
    let target = match url.await {
        Ok(Ok(Some(url))) => url,
        _ => landing.signed_out_url.clone(),
    };
    let mut response = if target.len() > LONGEST_URL {
        let own = ["id_token_hint", "client_id", "state", parts.config.redirect_param.as_str()];
        by_form(&target, &own, call.request_id)
            .unwrap_or_else(|| see_other(&landing.signed_out_url))
    } else {
        see_other(&target)
    };
    set_cookies(&mut response, vec![sessions.cookies.clear_logout_ticket()]);
    Ok(response)
}

/// The same request as a form: our parameters as fields, the endpoint's own query where it was.
fn by_form(target: &str, own: &[&str], request_id: &str) -> Option<HttpResponse> {
    let mut action = Url::parse(target).ok()?;
    let pairs: Vec<(String, String)> = action.query_pairs().into_owned().collect();
    let (fields, query): (Vec<_>, Vec<_>) =
        pairs.into_iter().partition(|(name, _)| own.contains(&name.as_str()));
    action.set_query(None);
    if !query.is_empty() {
        action.query_pairs_mut().extend_pairs(query);
    }
    Some(pages::posting_page(action.as_str(), &fields, request_id))
}
