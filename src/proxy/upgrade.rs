//! The two heads of a WebSocket handshake (RFC 6455 §4): is the browser's complete, and does the upstream's answer fit?
//! Pure decisions. Never lets a request pass whose body would have two readings: with `Upgrade: websocket` the server
//! reads raw bytes until the end of the connection, whatever the rest of the head says.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Version};

use super::head::{Head, NoValue};
use crate::edge::Request;
use crate::http1::Fields;

/// RFC 6455 §1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The only version there is.
const VERSION: &str = "13";
/// More subprotocols or extensions than this are refused.
const MOST_OFFERS: usize = 32;

/// Whether the request asks for a WebSocket, however incompletely.
pub fn asks_for_websocket(request: &Request) -> bool {
    items(request.fields().get_all("upgrade")).any(|item| item.eq_ignore_ascii_case(b"websocket"))
}

/// A complete handshake of a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    key: Vec<u8>,
    /// The values of the offering fields, as they came.
    protocols: Vec<Vec<u8>>,
    extensions: Vec<Vec<u8>>,
}

impl Handshake {
    /// Reads the handshake (RFC 6455 §4.2.1); `None` if it lacks something, says something twice, or brings a body.
    pub fn read(request: &Request) -> Option<Self> {
        let fields = request.fields();
        let lines = |name: &str| {
            let values = fields.get_all(name).map(|value| value.trim_ascii().to_vec());
            values.collect::<Vec<_>>()
        };
        let only = |name: &str| match &mut lines(name)[..] {
            [line] => Some(std::mem::take(line)),
            _ => None,
        };
        let options = lines("connection");
        let options = || items(options.iter().map(Vec::as_slice));
        let has_body = fields.has("content-length") || fields.has("transfer-encoding");
        let fits = request.method() == Method::GET
            && request.version() == Version::HTTP_11
            && !has_body
            && only("upgrade")?.eq_ignore_ascii_case(b"websocket")
            && options().any(|option| option.eq_ignore_ascii_case(b"upgrade"))
            && !options().any(|option| option.eq_ignore_ascii_case(b"close"))
            && only("sec-websocket-version")? == VERSION.as_bytes();
        let key = only("sec-websocket-key")?;
        let nonce = STANDARD.decode(&key).ok()?;
        let handshake = Self {
            key,
            protocols: lines("sec-websocket-protocol"),
            extensions: lines("sec-websocket-extensions"),
        };
        let few = |lines: &[Vec<u8>]| items(lines.iter().map(Vec::as_slice)).count() <= MOST_OFFERS;
        let few = few(&handshake.protocols) && few(&handshake.extensions);
        (fits && few && nonce.len() == 16).then_some(handshake)
    }

    /// Adds the handshake to a request that holds nothing of it yet. Fails if a value cannot be a field's, which a head
    /// that was parsed does not hold.
    pub fn add_to(&self, head: &mut Head) -> Result<(), NoValue> {
        head.add_own("connection", "Upgrade");
        head.add_own("upgrade", "websocket");
        head.add_own("sec-websocket-version", VERSION);
        head.add("sec-websocket-key", &self.key)?;
        for line in &self.protocols {
            head.add("sec-websocket-protocol", line)?;
        }
        for line in &self.extensions {
            head.add("sec-websocket-extensions", line)?;
        }
        Ok(())
    }

    /// The proof that this handshake was understood (RFC 6455 §4.2.2). SHA-1 is the standard's choice and protects nothing
    /// here.
    pub fn accept(&self) -> String {
        STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &[self.key.as_slice(), GUID].concat()))
    }

    /// Whether `fields` of a 101 answer this handshake (RFC 6455 §4.1): the right proof, and nothing that was not
    /// offered. A browser would refuse anything else, but only after the connection was taken for a tunnel.
    pub fn is_answered_by(&self, fields: &Fields) -> bool {
        let only = |name| {
            let mut lines = fields.get_all(name);
            lines.next().filter(|_| lines.next().is_none()).map(<[u8]>::trim_ascii)
        };
        let switches = only("upgrade").is_some_and(|to| to.eq_ignore_ascii_case(b"websocket"))
            && items(fields.get_all("connection"))
                .any(|option| option.eq_ignore_ascii_case(b"upgrade"));
        let protocol_fits = !fields.has("sec-websocket-protocol")
            || only("sec-websocket-protocol").is_some_and(|chosen| self.offers_protocol(chosen));
        let mut chosen = items(fields.get_all("sec-websocket-extensions"));
        switches
            && only("sec-websocket-accept") == Some(self.accept().as_bytes())
            && protocol_fits
            && chosen.all(|extension| self.offers_extension(extension))
    }

    fn offers_protocol(&self, name: &[u8]) -> bool {
        items(self.protocols.iter().map(Vec::as_slice)).any(|offered| offered == name)
    }

    /// By name; the parameters are negotiated between the two ends.
    fn offers_extension(&self, chosen: &[u8]) -> bool {
        let name = |item: &[u8]| {
            item.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_vec()
        };
        let chosen = name(chosen);
        items(self.extensions.iter().map(Vec::as_slice)).any(|offered| name(offered) == chosen)
    }
}

/// The items of comma-separated lines.
fn items<'a>(lines: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a [u8]> {
    lines
        .flat_map(|line| line.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests;
