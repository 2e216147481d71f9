//! `GET /logged-out`: the authorization server sends the browser back here after logout.
//! Ignores everything it is told, so a wrong or missing `state` does nothing (LO-07).

use actix_web::HttpResponse;

use super::login_flow::see_other;

/// Goes to the app's signed-out page.
pub fn answer(signed_out_url: &str) -> HttpResponse {
    see_other(signed_out_url)
}
