//! Logs a user in over HTTP as a browser would, and gives the `Cookie` line that the app's pages then send.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, RequestBuilder, Response};

/// More steps than a login has.
const MOST_STEPS: usize = 10;

/// Cookies with `Path=/`, by origin: the app and the authorization server are different sites.
type Jars = BTreeMap<String, BTreeMap<String, String>>;

/// Logs alice in at the app.
pub async fn log_in(app: &str) -> anyhow::Result<String> {
    let builder = Client::builder().no_proxy().timeout(Duration::from_secs(10));
    let client = builder.redirect(reqwest::redirect::Policy::none()).build()?;
    let mut jars = Jars::new();
    let mut url = format!("{app}/login?return_to=/signed-in");
    for _ in 0..MOST_STEPS {
        let answer = send(&mut jars, client.get(&url)).await?;
        let origin = origin(&url)?;
        url = match next(&answer, &origin) {
            Some(next) => next,
            None => press_button(&mut jars, &client, &origin, answer).await?,
        };
        if url == format!("{app}/signed-in") {
            return Ok(cookie_line(&jars, app));
        }
    }
    bail!("the login ended at {url}")
}

async fn press_button(
    jars: &mut Jars,
    client: &Client,
    origin: &str,
    page: Response,
) -> anyhow::Result<String> {
    let html = page.error_for_status()?.text().await?;
    let (_, form) = html.split_once("action=\"").context("a page without a form")?;
    let (action, _) = form.split_once('"').context("an action that does not end")?;
    let url = format!("{origin}{}", action.replace("&amp;", "&"));
    let answer = send(jars, client.post(&url).form(&[("user", "alice")])).await?;
    next(&answer, origin).context("the login page led nowhere")
}

async fn send(jars: &mut Jars, request: RequestBuilder) -> anyhow::Result<Response> {
    let (client, request) = request.build_split();
    let mut request = request?;
    let origin = request.url().origin().ascii_serialization();
    let headers = request.headers_mut();
    for (name, value) in [("site", "same-origin"), ("mode", "navigate"), ("dest", "document")] {
        headers.insert(
            reqwest::header::HeaderName::try_from(format!("sec-fetch-{name}"))?,
            reqwest::header::HeaderValue::from_static(value),
        );
    }
    headers.insert(COOKIE, cookie_line(jars, &origin).try_into()?);
    let answer = client.execute(request).await?;
    let jar = jars.entry(origin).or_default();
    for line in answer.headers().get_all(SET_COOKIE) {
        let line = line.to_str()?;
        let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
        let (name, value) = pair.split_once('=').context("a cookie without a name")?;
        if value.is_empty() {
            jar.remove(name);
        } else if attributes.split(';').any(|attribute| attribute.trim() == "Path=/") {
            jar.insert(name.to_owned(), value.to_owned());
        }
    }
    Ok(answer)
}

/// Where a redirect leads.
fn next(answer: &Response, origin: &str) -> Option<String> {
    let location = answer.headers().get(LOCATION)?.to_str().ok()?;
    let is_path = location.starts_with('/');
    Some(if is_path { format!("{origin}{location}") } else { location.to_owned() })
}

fn origin(url: &str) -> anyhow::Result<String> {
    Ok(url::Url::parse(url)?.origin().ascii_serialization())
}

fn cookie_line(jars: &Jars, origin: &str) -> String {
    let jar = jars.get(origin).into_iter().flatten();
    jar.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}
