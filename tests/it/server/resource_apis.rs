//! APIs that each take access tokens for themselves only, as an authorization server has named them there.

use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;

use crate::support::hostile_op::{HostileOp, Reply, Request, serve};

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
