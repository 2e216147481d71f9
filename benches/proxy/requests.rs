//! The requests that the servers get: what a page's `fetch` and `WebSocket` send, cookies included.

/// A logged-in browser.
#[derive(Clone, Debug)]
pub struct Browser {
    /// The app's port on `localhost`.
    pub port: u16,
    /// Its `Cookie` line.
    pub cookies: String,
}

const AGENT: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0\r\n\
     Accept-Language: en\r\nAccept-Encoding: gzip, deflate, br\r\n";

impl Browser {
    /// `fetch(path)`.
    pub fn get(&self, path: &str) -> Vec<u8> {
        self.fetch("GET", path, "Accept: application/json\r\n").into_bytes()
    }

    /// `fetch(path)` of an event stream.
    pub fn event_stream(&self, path: &str) -> Vec<u8> {
        self.fetch("GET", path, "Accept: text/event-stream\r\n").into_bytes()
    }

    /// `fetch(path, {method: "POST", body})` with a body of `length` bytes; its head and the body if that is short.
    pub fn post(&self, path: &str, length: usize) -> Vec<u8> {
        let mut request = self.post_head(path, length);
        request.resize(request.len() + length, b'x');
        request
    }

    /// The head alone, for a body that is streamed.
    pub fn post_head(&self, path: &str, length: usize) -> Vec<u8> {
        let port = self.port;
        let fields = format!(
            "Accept: application/json\r\nOrigin: http://localhost:{port}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n"
        );
        self.fetch("POST", path, &fields).into_bytes()
    }

    /// `new WebSocket(path)`: a browser adds no header of the page's (RFC 6455 §4.1).
    pub fn web_socket(&self, path: &str) -> Vec<u8> {
        let Self { port, cookies } = self;
        format!(
            "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{AGENT}Origin: http://localhost:{port}\r\n\
             Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-Fetch-Site: same-origin\r\n\
             Sec-Fetch-Mode: websocket\r\nSec-Fetch-Dest: empty\r\nCookie: {cookies}\r\n\r\n"
        )
        .into_bytes()
    }

    fn fetch(&self, method: &str, path: &str, fields: &str) -> String {
        let Self { port, cookies } = self;
        format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{fields}X-CSRF: 1\r\n{AGENT}\
             Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n\
             Cookie: {cookies}\r\n\r\n"
        )
    }
}
