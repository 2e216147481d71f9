//! APIs that each take access tokens for themselves only, as an authorization server has named them there.

use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;

use super::problem_code;
use super::setup::{error_of, hostile_op, log_in};
use crate::support::browser::{Browser, Page};
use crate::support::hostile_op::{Endpoint, HostileOp, Reply, Request, Rotation, serve};
use crate::support::stack::{Setup, Stack};

pub const APIS: [&str; 3] = ["orders", "billing", "stock"];

/// APIs that each take tokens for themselves only.
pub struct Apis {
    /// By the order of [`APIS`].
    ports: Vec<u16>,
    /// The tokens that came, and for whom they were.
    seen: Arc<Mutex<Vec<(usize, String)>>>,
    /// Refuse this many calls as if their token had ended.
    pub refuse: Arc<Mutex<usize>>,
}

impl Apis {
    pub async fn start(op: &Arc<HostileOp>) -> Self {
        let (seen, refuse) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let mut ports = Vec::new();
        for (index, name) in APIS.into_iter().enumerate() {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            ports.push(listener.local_addr().unwrap().port());
            let (op, seen, refuse) = (Arc::clone(op), Arc::clone(&seen), Arc::clone(&refuse));
            let answer = move |request: Request| {
                let value = request.header("authorization").unwrap_or_default();
                let token = value.strip_prefix("Bearer ").unwrap_or_default().to_owned();
                let audience = op.audience_of(&token);
                seen.lock().unwrap().push((index, token));
                let mut left = refuse.lock().unwrap();
                if *left > 0 {
                    *left -= 1;
                    return Reply::new(401, "text/plain", "")
                        .with_header("www-authenticate", "Bearer error=\"invalid_token\"");
                }
                let is_ours = audience.as_deref() == Some(&url_of(name));
                Reply::new(if is_ours { 200 } else { 403 }, "text/plain", name)
            };
            tokio::spawn(serve(listener, None, Arc::new(answer)));
        }
        Self { ports, seen, refuse }
    }

    /// A route to each.
    pub fn routes(&self, lines: &str) -> String {
        let route = |(name, port): (&str, &u16)| {
            format!(
                "[[routes]]\npath = \"/{name}\"\nupstream = \"http://127.0.0.1:{port}\"\ntoken = \"resource\"\n\
                 token_resource = \"{}\"\n{lines}\n",
                url_of(name)
            )
        };
        APIS.into_iter().zip(&self.ports).map(route).collect()
    }

    /// The tokens that this one got to see, each once.
    pub fn tokens(&self, index: usize) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let mut tokens: Vec<String> =
            seen.iter().filter(|(api, _)| *api == index).map(|(_, token)| token.clone()).collect();
        tokens.sort();
        tokens.dedup();
        tokens
    }
}

pub fn url_of(name: &str) -> String {
    format!("https://{name}.example.com")
}

pub fn setup(op: &HostileOp, apis: &Apis, more: &str) -> Setup {
    let resources = APIS.map(url_of);
    Setup {
        issuer: Some(op.issuer.clone()),
        provider: format!(
            "scopes = [\"openid\", \"read\", \"write\"]\nresources = {resources:?}\n"
        ),
        login: "loop_limit = 100".to_owned(),
        more: format!("{}{more}", apis.routes("token_scopes = [\"read\"]")),
        clock: op.clock.clone(),
        ..Setup::default()
    }
}

/// The first two APIs once more, with the token of the login.
pub fn with_login_token(setup: Setup) -> Setup {
    let ports = setup.more.split("127.0.0.1:").skip(1).filter_map(|rest| rest.split('"').next());
    let paths = ["/login-token", "/login-token-for-billing"];
    let plain: Vec<String> = paths
        .iter()
        .zip(ports)
        .map(|(path, port)| {
            format!("[[routes]]\npath = \"{path}\"\nupstream = \"http://127.0.0.1:{port}\"\n")
        })
        .collect();
    Setup { more: format!("{}{}", setup.more, plain.concat()), ..setup }
}

/// The product before them, with a user who is signed in.
pub struct Place {
    pub op: Arc<HostileOp>,
    pub apis: Apis,
    pub stack: Stack,
    pub browser: Browser,
}

impl Place {
    pub async fn start(rotation: Rotation) -> Self {
        Self::start_with(rotation, |setup| setup).await
    }

    pub async fn start_with(rotation: Rotation, change: impl FnOnce(Setup) -> Setup) -> Self {
        let op = Arc::new(hostile_op(Setup::default().clock).await);
        op.turn(|knobs| knobs.rotation = rotation);
        let apis = Apis::start(&op).await;
        let stack = Stack::start(change(setup(&op, &apis, ""))).await;
        let browser = Browser::new();
        assert_eq!(error_of(&log_in(&op, &stack, &browser).await), None);
        Self { op, apis, stack, browser }
    }

    pub async fn get(&self, path: &str) -> Page {
        self.stack.fetch(&self.browser, "GET", path).await
    }

    pub async fn code(&self, path: &str) -> String {
        let page = self.get(path).await;
        if page.status == 200 {
            return page.body;
        }
        format!("{}/{}", page.status.as_u16(), problem_code(&page))
    }

    pub async fn is_signed_in(&self) -> bool {
        self.stack.session(&self.browser).await["authenticated"] == true
    }

    /// The `resource` of each token request, oldest first.
    pub fn asked(&self) -> Vec<String> {
        let name = |request: &Request| {
            let resource = request.field("resource").unwrap_or_default();
            resource.trim_start_matches("https://").trim_end_matches(".example.com").to_owned()
        };
        self.op.requests(Endpoint::Token).iter().map(name).collect()
    }
}
