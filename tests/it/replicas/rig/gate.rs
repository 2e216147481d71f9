//! The way from the replicas to the token endpoint. It counts what really reaches the authorization server, and can hold a
//! request on its way there and an answer on its way back. Each replica has a gate of its own, so that it is known who
//! asks. Keeps digests of refresh tokens, never the tokens.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use reqwest::Client;
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::support::hostile_op::{Reply, Request, read, write};

/// What is done with requests that arrive from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Half of this time passes before the request goes on, half before the answer does.
    Pass(Duration),
    /// The request waits here until [`Gate::release`].
    HoldRequest,
    /// The request goes on, its answer waits here until [`Gate::release`].
    HoldAnswer,
}

/// One refresh, as far as it came. A replica that is killed takes its request back, if that was still here.
#[derive(Clone, Debug)]
pub struct TokenCall {
    /// All refresh tokens that came of one login are a family; numbered in the order of the logins.
    pub family: Option<usize>,
    pub replica: usize,
    pub arrived: Instant,
    pub held: bool,
    /// When it went on to the authorization server.
    pub forwarded: Option<Instant>,
    /// Its refresh token had been sent there before.
    pub again: bool,
    pub delivered: Option<Instant>,
}

/// The running gates; they close when dropped.
pub struct Gate {
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
    _servers: JoinSet<()>,
}

struct Shared {
    token_endpoint: String,
    client: Client,
    open: watch::Sender<bool>,
    state: Mutex<State>,
}

struct State {
    manner: Manner,
    calls: Vec<TokenCall>,
    families: usize,
    /// Digests of refresh tokens, with the family of each.
    known: HashMap<[u8; 32], usize>,
    spent: HashSet<[u8; 32]>,
}

impl Gate {
    /// Opens a gate for each of so many replicas.
    pub async fn start(token_endpoint: &str, replicas: usize) -> Self {
        // A connection each: an idle one may be closed at the moment when it is used again, and a refresh is sent once.
        let client = Client::builder().no_proxy().pool_max_idle_per_host(0);
        let client = client.timeout(Duration::from_secs(30));
        let state = State {
            manner: Manner::Pass(Duration::ZERO),
            calls: Vec::new(),
            families: 0,
            known: HashMap::new(),
            spent: HashSet::new(),
        };
        let shared = Arc::new(Shared {
            token_endpoint: token_endpoint.to_owned(),
            client: client.build().unwrap(),
            open: watch::Sender::new(true),
            state: Mutex::new(state),
        });
        let (mut addresses, mut servers) = (Vec::new(), JoinSet::new());
        for replica in 0..replicas {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.push(listener.local_addr().unwrap());
            servers.spawn(accept(listener, replica, Arc::clone(&shared)));
        }
        Self { addresses, shared, _servers: servers }
    }

    /// The token endpoint as this replica knows it.
    pub fn url(&self, replica: usize) -> String {
        format!("http://{}/token", self.addresses[replica])
    }

    /// What is done from now on.
    pub fn set(&self, manner: Manner) {
        self.shared.open.send_replace(matches!(manner, Manner::Pass(_)));
        self.shared.state().manner = manner;
    }

    /// Lets go what is held, and what comes.
    pub fn release(&self) {
        self.set(Manner::Pass(Duration::ZERO));
    }

    /// All refreshes so far, in the order in which they arrived.
    pub fn calls(&self) -> Vec<TokenCall> {
        self.shared.state().calls.clone()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.shared.state().calls.len()
    }

    /// Logins so far.
    pub fn families(&self) -> usize {
        self.shared.state().families
    }

    /// Waits until one of the calls from the `first`th on is held or delivered; which replica made it. `None` when nobody
    /// asks for a long time.
    pub async fn asked(&self, first: usize) -> Option<usize> {
        for _ in 0..4_000 {
            let calls = self.calls();
            let came = calls[first..].iter().find(|call| call.held || call.delivered.is_some());
            if let Some(call) = came {
                return Some(call.replica);
            }
            sleep(Duration::from_millis(5)).await;
        }
        None
    }
}

async fn accept(listener: TcpListener, replica: usize, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { continue };
                connections.spawn(converse(socket, replica, Arc::clone(&shared)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(mut socket: TcpStream, replica: usize, shared: Arc<Shared>) {
    let _ = socket.set_nodelay(true);
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut socket, &mut buffer).await {
        let Some(token) = request.field("refresh_token") else {
            let reply = shared.forward(&request).await;
            shared.state().learn(None, &reply);
            if write(&mut socket, &reply).await.is_none() {
                return;
            }
            continue;
        };
        let number = shared.state().arrived(replica, &token);
        let Some(reply) = shared.pass_on((number, &token), &request, &socket).await else { return };
        // The time is that of the attempt: from now on the replica may have it.
        shared.state().calls[number].delivered = Some(Instant::now());
        if write(&mut socket, &reply).await.is_none() {
            return;
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// `None` when the replica has gone away: its request is then not sent on, if it was still here.
    async fn pass_on(
        &self,
        (number, token): (usize, &str),
        request: &Request,
        socket: &TcpStream,
    ) -> Option<Reply> {
        let manner = self.state().manner;
        match manner {
            Manner::Pass(pause) => stays(socket, sleep(pause / 2)).await?,
            Manner::HoldRequest => self.hold(number, socket).await?,
            Manner::HoldAnswer => {}
        }
        let family = self.state().goes_on(number, token);
        let reply = self.forward(request).await;
        self.state().learn(family, &reply);
        match manner {
            Manner::Pass(pause) => stays(socket, sleep(pause / 2)).await?,
            Manner::HoldAnswer => self.hold(number, socket).await?,
            Manner::HoldRequest => {}
        }
        Some(reply)
    }

    async fn hold(&self, number: usize, socket: &TcpStream) -> Option<()> {
        self.state().calls[number].held = true;
        let mut open = self.open.subscribe();
        stays(socket, async { drop(open.wait_for(|open| *open).await) }).await
    }

    async fn forward(&self, request: &Request) -> Reply {
        let mut asked = self.client.post(&self.token_endpoint).body(request.body.clone());
        for name in ["authorization", "content-type", "accept"] {
            if let Some(value) = request.header(name) {
                asked = asked.header(name, value);
            }
        }
        let Ok(answer) = asked.send().await else { return Reply::new(502, "text/plain", "") };
        let status = answer.status().as_u16();
        Reply::new(status, "application/json", answer.bytes().await.unwrap_or_default())
            .with_header("cache-control", "no-store")
    }
}

impl State {
    fn arrived(&mut self, replica: usize, token: &str) -> usize {
        let family = self.known.get(&digest(token)).copied();
        let call = TokenCall {
            family,
            replica,
            arrived: Instant::now(),
            held: false,
            forwarded: None,
            again: false,
            delivered: None,
        };
        self.calls.push(call);
        self.calls.len() - 1
    }

    /// Gives the family.
    fn goes_on(&mut self, number: usize, token: &str) -> Option<usize> {
        let again = !self.spent.insert(digest(token));
        let call = &mut self.calls[number];
        call.forwarded = Some(Instant::now());
        call.again = again;
        call.family
    }

    /// Remembers the refresh token of an answer; one that comes of a login begins a family.
    fn learn(&mut self, family: Option<usize>, reply: &Reply) {
        let told: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let Some(token) = told["refresh_token"].as_str() else { return };
        let family = family.unwrap_or(self.families);
        self.families = self.families.max(family + 1);
        self.known.insert(digest(token), family);
    }
}

/// Waits for something, unless the peer goes away first.
async fn stays(socket: &TcpStream, wait: impl Future<Output = ()>) -> Option<()> {
    let gone = async {
        // A client that waits for its answer sends nothing more.
        let mut byte = [0];
        let _closed_or_reset = socket.peek(&mut byte).await;
    };
    tokio::select! {
        () = wait => Some(()),
        () = gone => None,
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}
