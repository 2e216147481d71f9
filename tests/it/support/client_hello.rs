//! What a TLS client offers, read from the first message that it sends (RFC 8446 section 4.1.2). It answers nothing.

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

const SUPPORTED_VERSIONS: u16 = 43;

/// What RFC 9325 section 4.2 recommends for TLS 1.2, all of TLS 1.3 with AES-GCM or ChaCha20, and the mark of RFC 5746.
const GOOD: [u16; 10] =
    [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xc02f, 0xc030, 0xcca8, 0xcca9, 0x00ff];

/// Numbers as they stand in the message.
pub struct ClientHello {
    pub suites: Vec<u16>,
    pub versions: Vec<u16>,
}

impl ClientHello {
    /// Waits for a client and reads what it offers; then the connection is closed.
    pub async fn recorded(listener: &TcpListener) -> Self {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = [0; 5];
        socket.read_exact(&mut head).await.unwrap();
        assert_eq!(head[0], 22, "a handshake");
        let mut record = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        socket.read_exact(&mut record).await.unwrap();
        Self::parse(&record)
    }

    fn parse(record: &[u8]) -> Self {
        // Type and length, version, random.
        let mut rest = Reader(&record[4 + 2 + 32..]);
        let session = usize::from(rest.byte());
        rest.take(session);
        let suites = rest.block();
        let compressions = usize::from(rest.byte());
        rest.take(compressions);
        let mut extensions = Reader(rest.block());
        let mut versions = Vec::new();
        while !extensions.0.is_empty() {
            let (kind, body) = (extensions.number(), extensions.block());
            if kind == SUPPORTED_VERSIONS {
                versions = numbers(&body[1..]);
            }
        }
        Self { suites: numbers(suites), versions }
    }

    /// Refuses whatever is not recommended.
    pub fn assert_good(&self) {
        let bad: Vec<_> = self.suites.iter().filter(|suite| !GOOD.contains(suite)).collect();
        assert!(bad.is_empty() && self.suites.len() > 3, "{bad:x?} of {:x?}", self.suites);
        let mut versions = self.versions.clone();
        versions.sort_unstable();
        assert_eq!(versions, [0x0303, 0x0304], "TLS 1.2 and 1.3, nothing else");
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn number(&mut self) -> u16 {
        let bytes = self.take(2);
        u16::from_be_bytes([bytes[0], bytes[1]])
    }

    /// What a length of two bytes stands before.
    fn block(&mut self) -> &'a [u8] {
        let length = usize::from(self.number());
        self.take(length)
    }
}

fn numbers(bytes: &[u8]) -> Vec<u16> {
    bytes.chunks_exact(2).map(|two| u16::from_be_bytes([two[0], two[1]])).collect()
}
