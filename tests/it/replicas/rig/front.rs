//! Calls as a page of the app makes them, each on a socket of its own, through nginx or at one replica. An answer that
//! does not come is a result, too.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::timeout;
use url::Url;

use crate::support::peer::Peer;

/// Longer than any answer of the product may take; what takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(25);

/// Where calls go.
#[derive(Clone)]
pub struct Front {
    address: SocketAddr,
    /// The app as browsers know it.
    pub origin: Url,
}

/// What became of a call.
#[derive(Clone, Debug)]
pub struct Answered {
    /// 0 when no whole answer came.
    pub status: u16,
    /// The status with the code of the product's own errors: `503/provider_unavailable`; or what happened instead.
    pub outcome: String,
    pub set_cookies: Vec<String>,
    pub can_be_retried: bool,
    pub body: String,
}

impl Front {
    /// The app at `origin`, reached at this address.
    pub fn new(address: SocketAddr, origin: Url) -> Self {
        Self { address, origin }
    }

    /// The same app, reached at another address.
    pub fn at(&self, address: SocketAddr) -> Self {
        Self { address, origin: self.origin.clone() }
    }

    /// One call with these cookies.
    pub async fn call(&self, method: &str, path: &str, cookie_line: &str) -> Answered {
        let host = self.origin.authority();
        let bytes = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nX-CSRF: 1\r\n\
             Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n\
             Content-Length: 0\r\nCookie: {cookie_line}\r\n\r\n"
        );
        let asked = async {
            let mut peer = Peer::connect(self.address).await;
            peer.send(bytes).await;
            peer.answer(false).await
        };
        match timeout(PATIENCE, asked).await {
            Ok(Some(answer)) if answer.whole => Answered {
                status: answer.status,
                outcome: answer.outcome(),
                set_cookies: answer.all("set-cookie").into_iter().map(str::to_owned).collect(),
                can_be_retried: !answer.all("retry-after").is_empty(),
                body: answer.text(),
            },
            Ok(_) => Answered::nothing("broken off"),
            Err(_) => Answered::nothing("hangs"),
        }
    }
}

impl Answered {
    fn nothing(outcome: &str) -> Self {
        Self {
            status: 0,
            outcome: outcome.to_owned(),
            set_cookies: Vec::new(),
            can_be_retried: false,
            body: String::new(),
        }
    }
}
