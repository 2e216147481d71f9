//! A browser without a screen: keeps cookies, follows redirects one at a time, submits forms. It runs no script.

use std::sync::Mutex;
use std::time::Duration;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Response, StatusCode};
use url::Url;

use super::html::{Form, forms};

/// More steps than any login has.
const MOST_STEPS: usize = 20;

/// One browser profile.
pub struct Browser {
    client: Client,
    cookies: Mutex<Vec<StoredCookie>>,
}

#[derive(Clone, Debug)]
struct StoredCookie {
    host: String,
    path: String,
    name: String,
    value: String,
    /// `SameSite=Strict`
    is_strict: bool,
}

/// A page that has arrived.
#[derive(Debug)]
pub struct Page {
    pub url: Url,
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

impl Page {
    /// Where a redirect points, made absolute.
    pub fn redirect(&self) -> Option<Url> {
        let location = self.headers.get(LOCATION)?.to_str().ok()?;
        self.status.is_redirection().then(|| resolve(&self.url, location))
    }
}

impl Browser {
    /// A browser that has been nowhere.
    pub fn new() -> Self {
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(30))
            .no_proxy()
            .build()
            .expect("an HTTP client");
        Self::with(client)
    }

    /// The same on connections of the test's own making; `client` follows no redirects.
    pub fn with(client: Client) -> Self {
        Self { client, cookies: Mutex::default() }
    }

    /// Navigates to `url`; redirects are not followed.
    pub async fn get(&self, url: &str) -> Page {
        let url = Url::parse(url).expect("a URL");
        let request = self.client.get(url.clone()).header(COOKIE, self.cookie_line(&url));
        self.arrive(url, request.send().await.expect("an answer")).await
    }

    /// Navigates to `url` because a page of another site said so: Strict cookies stay at home.
    pub async fn get_from_elsewhere(&self, url: &str) -> Page {
        let url = Url::parse(url).expect("a URL");
        let cookies = self.matching(&url).into_iter().filter(|cookie| !cookie.is_strict);
        let pairs: Vec<String> = cookies.map(|c| format!("{}={}", c.name, c.value)).collect();
        let request = self.client.get(url.clone()).header(COOKIE, pairs.join("; "));
        self.arrive(url, request.send().await.expect("an answer")).await
    }

    /// Sends any request with this browser's cookies; redirects are not followed.
    pub async fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Page {
        let url = Url::parse(url).expect("a URL");
        let method = method.parse().expect("a method");
        let mut request = self.client.request(method, url.clone());
        let cookies = self.cookie_line(&url);
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.body(body.to_owned());
        }
        self.arrive(url, request.send().await.expect("an answer")).await
    }

    /// Names and values of every session cookie of the app's host, as a thief with the disk would see them. The trail of
    /// the last login is left out: it ends by itself, and this browser has no clock.
    pub fn jar(&self) -> Vec<(String, String)> {
        let cookies = self.cookies.lock().unwrap();
        cookies
            .iter()
            .filter(|c| c.host == "localhost" && !c.name.ends_with("-trail"))
            .map(|c| (c.name.clone(), c.value.clone()))
            .collect()
    }

    /// Changes the value of every cookie for which `change` gives one; `None` drops the cookie.
    pub fn tamper(&self, change: impl Fn(&str, &str) -> Option<String>) {
        let mut cookies = self.cookies.lock().unwrap();
        *cookies = std::mem::take(&mut *cookies)
            .into_iter()
            .filter_map(|c| change(&c.name, &c.value).map(|value| StoredCookie { value, ..c }))
            .collect();
    }

    /// Another browser with the same cookies.
    pub fn copy(&self) -> Self {
        let cookies = self.cookies.lock().unwrap().clone();
        Self { client: self.client.clone(), cookies: Mutex::new(cookies) }
    }

    /// Posts a form; redirects are not followed.
    pub async fn post(&self, url: &str, fields: &[(String, String)]) -> Page {
        let url = Url::parse(url).expect("a URL");
        let request = self.client.post(url.clone()).header(COOKIE, self.cookie_line(&url));
        self.arrive(url, request.form(fields).send().await.expect("an answer")).await
    }

    /// Presses the button for which `choose` says yes, else the first one, after filling the text fields by `fill`.
    pub async fn submit(
        &self,
        page: &Page,
        fill: impl Fn(&str) -> String,
        choose: impl Fn(&str, &str) -> bool,
    ) -> Page {
        let Some(Form { action, post, inputs, buttons }) = forms(&page.body).into_iter().next()
        else {
            panic!("a page with a form, not {} at {}: {}", page.status, page.url, page.body);
        };
        assert!(post, "the pages of authorization servers post their forms");
        let mut fields: Vec<(String, String)> = Vec::new();
        for input in inputs {
            let typed = matches!(input.kind.as_str(), "text" | "email" | "password");
            let value = if typed { fill(&input.name) } else { input.value };
            fields.push((input.name, value));
        }
        let chosen = buttons.iter().find(|(name, value)| choose(name, value));
        fields.extend(chosen.or(buttons.first()).cloned());
        self.post(resolve(&page.url, &action).as_str(), &fields).await
    }

    /// The `Cookie` line of a request to `url`.
    pub fn cookie_line(&self, url: &Url) -> String {
        let pairs: Vec<String> =
            self.matching(url).iter().map(|c| format!("{}={}", c.name, c.value)).collect();
        pairs.join("; ")
    }

    /// Cookies of this host (ports do not count) whose path is a prefix, longest path first.
    fn matching(&self, url: &Url) -> Vec<StoredCookie> {
        let cookies = self.cookies.lock().unwrap();
        let mut found: Vec<StoredCookie> = cookies
            .iter()
            .filter(|cookie| Some(cookie.host.as_str()) == url.host_str())
            .filter(|cookie| path_matches(url.path(), &cookie.path))
            .cloned()
            .collect();
        found.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        found
    }

    async fn arrive(&self, url: Url, response: Response) -> Page {
        for line in response.headers().get_all(SET_COOKIE) {
            self.store(&url, line.to_str().expect("a Set-Cookie line in ASCII"));
        }
        let (status, headers) = (response.status(), response.headers().clone());
        Page { url, status, headers, body: response.text().await.expect("a body") }
    }

    /// Takes a `Set-Cookie` line of an answer from `url`.
    pub fn store(&self, url: &Url, line: &str) {
        let mut parts = line.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let mut path = default_path(url.path());
        let mut ended = value.is_empty();
        let mut is_strict = false;
        for attribute in parts {
            let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            match key.to_ascii_lowercase().as_str() {
                "path" => value.clone_into(&mut path),
                "max-age" => ended |= value.parse::<i64>().is_ok_and(|seconds| seconds <= 0),
                "samesite" => is_strict = value.eq_ignore_ascii_case("strict"),
                "expires" => ended |= value.contains(" 1970 "),
                _ => {}
            }
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        let mut cookies = self.cookies.lock().unwrap();
        cookies.retain(|c| (&c.host, &c.path, c.name.as_str()) != (&host, &path, name));
        if !ended {
            cookies.push(StoredCookie {
                host,
                path,
                name: name.to_owned(),
                value: value.to_owned(),
                is_strict,
            });
        }
    }
}

/// Logs `user` in as a person would: follows redirects, types the name (any password), presses the user's button, says
/// yes to consent. Returns the callback URL: the first redirect that leaves the authorization server, not followed.
/// Works with the embedded server and with `oidc-provider`'s `devInteractions`.
pub async fn login(browser: &Browser, authorize_url: &str, user: &str) -> String {
    let fill = |field: &str| if field == "password" { "any" } else { user }.to_owned();
    let choose = |name: &str, value: &str| name == "user" && value == user;
    leave(browser, authorize_url, fill, choose).await
}

/// Confirms a logout as a person would. Returns the first redirect that leaves the authorization server.
pub async fn log_out(browser: &Browser, end_session_url: &str) -> String {
    leave(
        browser,
        end_session_url,
        |_| String::new(),
        |name, value| name == "logout" && value == "yes",
    )
    .await
}

async fn leave(
    browser: &Browser,
    from: &str,
    fill: impl Fn(&str) -> String,
    choose: impl Fn(&str, &str) -> bool,
) -> String {
    let home = Url::parse(from).expect("a URL").origin();
    let mut page = browser.get(from).await;
    for _ in 0..MOST_STEPS {
        page = match page.redirect() {
            Some(next) if next.origin() != home => return next.into(),
            Some(next) => browser.get(next.as_str()).await,
            None => browser.submit(&page, &fill, &choose).await,
        };
    }
    panic!("no way out of {home:?} after {MOST_STEPS} steps; last page: {}", page.url);
}

/// What a browser does with a link: this is a browser, not the proxy path.
#[expect(clippy::disallowed_methods, reason = "browsers join URLs the WHATWG way")]
fn resolve(base: &Url, link: &str) -> Url {
    base.join(link).expect("a link that resolves")
}

/// RFC 6265 section 5.1.4.
fn path_matches(path: &str, cookie_path: &str) -> bool {
    path.strip_prefix(cookie_path)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || cookie_path.ends_with('/'))
}

fn default_path(path: &str) -> String {
    match path.rfind('/') {
        None | Some(0) => "/".to_owned(),
        Some(at) => path[..at].to_owned(),
    }
}
