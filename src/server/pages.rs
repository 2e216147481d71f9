//! What has no route: a file of the SPA, a page of its dev server, or nothing. Never a page in place of an API's answer, and
//! never one of an app that lives elsewhere.

use actix_web::HttpResponse;
use actix_web::dev::Payload;
use http::Method;

use super::app::App;
use super::routes::Refused;
use super::routes_of::Routes;
use crate::edge::{Code, Problem};
use crate::endpoints::Call;
use crate::proxy::{NormalPath, asks_for_websocket};
use crate::spa::Spa;

/// Answers by what the app has at `path`, else 404.
pub async fn answer(
    call: &Call<'_>,
    (app, routes): (&App, &Routes),
    path: &NormalPath,
    body: Payload,
) -> Result<HttpResponse, Refused> {
    let nothing = || (Problem::new(Code::NotFound), Vec::new());
    let path = path.as_str();
    // A path beside a route (`/api/typo`) is a mistake of the caller: never HTML in its place.
    let beside_a_route = routes.roots.iter().any(|root| is_under(path, root));
    let Some(spa) = app.spa.as_ref().filter(|_| !beside_a_route && is_under(path, &app.path))
    else {
        return Err(nothing());
    };
    let below = path.strip_prefix(app.path.as_str()).unwrap_or(path);
    let path = match spa {
        // Only a dev server takes WebSockets, for its hot reload. It knows where the app lives.
        Spa::DevServer(_) => path,
        Spa::Files(_) if asks_for_websocket(call.request) => return Err(nothing()),
        Spa::Files(_) if below.is_empty() => return with_slash(call, path).ok_or_else(nothing),
        Spa::Files(_) => below,
    };
    let found = spa.answer(call.request, path, body).await;
    found.map_err(|problem| (problem, Vec::new()))?.ok_or_else(nothing)
}

/// Relative links of an app's first page would lead beside it if its address did not end with a slash.
fn with_slash(call: &Call<'_>, path: &str) -> Option<HttpResponse> {
    let request = call.request;
    let (is_read, query) = (
        matches!(*request.method(), Method::GET | Method::HEAD),
        request.uri().query().map(|query| format!("?{query}")).unwrap_or_default(),
    );
    let location = ("location", format!("{path}/{query}"));
    is_read.then(|| HttpResponse::TemporaryRedirect().insert_header(location).finish())
}

/// Whether `path` is `root` or below it, by whole segments.
pub fn is_under(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
