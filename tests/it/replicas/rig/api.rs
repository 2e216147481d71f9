//! The API behind the replicas: answers `/api/of/USER` to a valid access token of USER and counts everything else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::hostile_op::{Reply, Request, serve};

/// Seconds that a token may be over when it arrives: it was good when its call set out.
const LEEWAY: u64 = 5;

/// The running API; stops when dropped.
pub struct Api {
    pub address: SocketAddr,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    calls: AtomicUsize,
    of_others: AtomicUsize,
    without: AtomicUsize,
}

/// Whose tokens count.
pub struct Issued {
    pub issuer: String,
    pub audience: String,
    pub keys: JwkSet,
}

impl Api {
    /// Starts it.
    pub async fn start(issued: Issued) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        let answer = Arc::new(move |request: Request| shared.answer(&request, &issued));
        let task = tokio::spawn(serve(listener, None, answer));
        Self { address, counts, task }
    }

    /// Calls so far, good or not.
    pub fn calls(&self) -> usize {
        self.counts.calls.load(Ordering::SeqCst)
    }

    /// Calls that came with another user's token.
    pub fn of_others(&self) -> usize {
        self.counts.of_others.load(Ordering::SeqCst)
    }

    /// Calls that came without a valid token.
    pub fn without(&self) -> usize {
        self.counts.without.load(Ordering::SeqCst)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Counts {
    fn answer(&self, request: &Request, issued: &Issued) -> Reply {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let token = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        // Never 401, which would ask the product for another token.
        let Some(user) = token.and_then(|token| issued.subject(token)) else {
            self.without.fetch_add(1, Ordering::SeqCst);
            return Reply::json(403, &json!({ "wrong": "token" }));
        };
        if request.path.strip_prefix("/api/of/") != Some(&user) {
            self.of_others.fetch_add(1, Ordering::SeqCst);
            return Reply::json(403, &json!({ "wrong": "user" }));
        }
        // Some take longer than others.
        let pause = Duration::from_millis(number as u64 * 7 % 20);
        Reply::json(200, &json!({ "of": user })).after(pause)
    }
}

impl Issued {
    fn subject(&self, token: &str) -> Option<String> {
        let header = decode_header(token).ok()?;
        let key = self.keys.find(header.kid.as_deref()?)?;
        let mut rules = Validation::new(header.alg);
        rules.leeway = LEEWAY;
        rules.set_issuer(&[&self.issuer]);
        rules.set_audience(&[&self.audience]);
        let key = DecodingKey::from_jwk(key).ok()?;
        let claims: Value = decode(token, &key, &rules).ok()?.claims;
        claims["sub"].as_str().map(str::to_owned)
    }
}
